"""The run that a user names, and the sweep that the layers of its plan add up to."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from jobs.store.base import Store, StoreOptions
from jobs.store.layers import Layer, layer_key
from jobs.store.open import open_store
from jobs.store.stored_run import StoredRun, read_run
from jobs.sweep import Sweep, load_sweep
from sampling.validate import parse

SWEEP_FILES = (".yaml", ".yml")


def open_run(uri: str, version: str | None = None, scores: str | None = None) -> StoredRun:
    """Opens the run at a path, an s3:// URI, or of a sweep file; raises BadInput where there is none."""
    store = _store_at(uri)
    store.check()
    return replace(read_run(store), version=version, scores=scores)


def sweep_of(layers: Sequence[Layer]) -> Sweep:
    """Returns the last sweep of a plan with all models and tasks of earlier ones: an import names only its own."""
    sweeps = [parse(Sweep, layer.sweep, layer_key(layer.number)) for layer in layers]
    models = {model.name: model for sweep in sweeps for model in sweep.models}
    tasks = {task.title: task for sweep in sweeps for task in sweep.tasks}
    return sweeps[-1].model_copy(update={"models": tuple(models.values()), "tasks": tuple(tasks.values())})


def _store_at(uri: str) -> Store:
    if uri.endswith(SWEEP_FILES):
        sweep = load_sweep(Path(uri))
        return open_store(sweep.run_uri, sweep.store_options)
    return open_store(uri, StoreOptions())
