"""A stored run: its layers, its units, and which of them are done."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from jobs.store.base import Store
from jobs.store.catalogue import result_files
from jobs.store.layers import Layer, decode_layer, layer_key
from jobs.store.layout import FINAL, SAMPLES, VERDICTS
from sampling.errors import BadInput

SET_ASIDE = "set_aside.json"
IMPORTED = "imported"  # as the version of verdicts: not our verifiers said so
Committed = dict[tuple[str, str], set[int]]


@dataclass(frozen=True)
class StoredRun:
    """A run that has at least its first layer."""

    store: Store
    layers: tuple[Layer, ...]
    version: str | None = None  # of the verdicts to read; None: the most complete one, the newest of equals
    scores: str | None = None  # of the scores to read; None: see jobs.store.scores


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
    layers = [decode_layer(store.get(key), f"{store.uri}/{key}") for key in keys]
    return tuple(sorted(layers, key=lambda layer: layer.number))


def layers_to_extend(store: Store) -> tuple[Layer, ...]:
    """The plan that a sweep is about to continue; raises BadInput where there are results, but no plan of theirs."""
    layers = read_layers(store)
    if not layers and any(True for start in (VERDICTS, FINAL, SAMPLES) for _ in store.list(start)):
        raise BadInput(f"{store.uri}: holds results, but no plan.json; give the sweep another name or store")
    return layers


def extend_plan(
    store: Store,
    read: Callable[[Store], tuple[Layer, ...]],
    next_layer: Callable[[tuple[Layer, ...]], Layer | None],
) -> tuple[Layer, ...]:
    """Adds what is missing to the plan; of two drivers that do so at once, the second goes by the first one's layer."""
    while True:
        layers = read(store)
        layer = next_layer(layers)
        if layer is None:
            return layers
        if store.put_new(layer_key(layer.number), layer.encode()):
            return (*layers, layer)


def committed_numbers(store: Store, version: str) -> Committed:
    """The numbers of the committed units, by model and task, from listings alone: each page is read once.

    Raises BadInput where units are committed under other versions of the verifiers only: their samples must be neither
    drawn again nor counted together with verdicts of another kind. What was imported is done under any version.
    """
    found = _numbers_by_version(store)
    done = _of_versions(found, version, IMPORTED)
    for (model, task, other), units in sorted(found.items()):
        left = units - done.get((model, task), set())
        if left:
            raise BadInput(
                f"{store.uri}: {len(left)} units of {model} on {task} were judged by verifiers of version {other}, "
                f"these are {version}; `troop verify {store.uri}` judges them again "
                "(of the sweep, if its judge or a checker is new)"
            )
    return done


def imported_numbers(store: Store) -> Committed:
    """The numbers of the units that imports have committed."""
    return _of_versions(_numbers_by_version(store), IMPORTED)


def _numbers_by_version(store: Store) -> dict[tuple[str, str, str], set[int]]:
    found: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for start in (VERDICTS, FINAL + VERDICTS):  # in this order: what is compacted in between is seen twice, not never
        for _, key in result_files(store, start):
            found[key.model, key.task, key.version or ""].update(key.units)
    return found


def _of_versions(found: dict[tuple[str, str, str], set[int]], *versions: str) -> Committed:
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for (model, task, version), units in found.items():
        if version in versions:
            done[model, task] |= units
    return dict(done)
