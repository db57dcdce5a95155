"""A stored run: its layers, its units, and which of them are done."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jobs.catalogue import Run, read_versions
from jobs.commit import committed_units
from jobs.plan import Layer, Units, layer_key, planned_units
from jobs.spec import Sweep, load_sweep
from jobs.store import Store, StoreOptions, open_store
from sampling.errors import BadInput
from sampling.validate import parse

SET_ASIDE = "set_aside.json"


@dataclass(frozen=True)
class StoredRun:
    """A run that has at least its first layer."""

    store: Store
    layers: tuple[Layer, ...]

    @property
    def run(self) -> Run:
        """The same place, for the readers of results."""
        return Run(self.store)

    @property
    def sweep(self) -> Sweep:
        """The sweep as it was given last."""
        return parse(Sweep, self.layers[-1].sweep, f"{self.store.uri}/{layer_key(self.layers[-1].number)}")


def open_run(uri: str) -> StoredRun:
    """The run at a path, an s3:// URI, or the one that a sweep file names; raises BadInput where there is none."""
    store = _store_of(uri)
    store.check()
    return stored_run(store)


def stored_run(store: Store) -> StoredRun:
    """The run in a store; raises BadInput where there is none."""
    layers = read_layers(store)
    if not layers:
        raise BadInput(
            f"{store.uri}: no run here (no plan.json); give the folder or s3:// prefix that `troop run` printed"
        )
    return StoredRun(store, layers)


def read_layers(store: Store) -> tuple[Layer, ...]:
    """The plan of a run in order; empty where there is none."""
    keys = [info.key for info in store.list("plan.")]
    layers = [parse(Layer, json.loads(store.get(key)), f"{store.uri}/{key}") for key in keys]
    return tuple(sorted(layers, key=lambda layer: layer.number))


def missing_units(store: Store, layers: Sequence[Layer], version: str) -> Units:
    """Planned units without a commit, in planned order, from listings alone.

    Raises BadInput where units are committed under other versions of the verifiers only: their samples must be neither
    drawn again nor counted together with verdicts of another kind.
    """
    done: dict[tuple[str, str], set[int]] = {}
    for cell in read_versions(Run(store)):
        present = committed_units(store, "", version, cell.model, cell.task)
        units = {number for file in cell.files for number in file.key.units}
        if units - present:
            raise BadInput(
                f"{store.uri}: {len(units - present)} units of {cell.model} on {cell.task} were judged by verifiers of "
                f"version {cell.version}, these are {version}; `troop verify {store.uri}` judges them again"
            )
        done[cell.model, cell.task] = present
    return planned_units(layers).without(done)


def _store_of(uri: str) -> Store:
    if uri.endswith((".yaml", ".yml")):
        sweep = load_sweep(Path(uri))
        return open_store(sweep.run_uri, sweep.store_options)
    return open_store(uri, StoreOptions())
