"""A stored run: its plan, and which of its units are committed."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from jobs.numbers.cells import IMPORTED as IMPORTED
from jobs.numbers.rounds import RoundTable, in_ranges
from jobs.store.base import Store
from jobs.store.catalogue import result_files
from jobs.store.layers import Layer, decode_layer, layer_key, problem_ids
from jobs.store.layout import FINAL, SAMPLES, VERDICTS
from sampling.errors import BadInput

SET_ASIDE = "set_aside.json"  # units that the last `troop run` gave up on
_AT_ONCE = 16  # requests
MOST_PLAN = 256 << 20  # bytes of one layer
Committed = dict[tuple[str, str], set[int]]  # numbers of units by (model, task)


@dataclass(frozen=True)
class StoredRun:
    """A run that has at least its first layer."""

    store: Store

    layers: tuple[Layer, ...]
    """Plan of the run, in order."""

    version: str | None = None
    """Version of the verdicts to read. None: the most complete version, the newest on a tie."""

    scores: str | None = None
    """Version of the scores to read. None: the rule of jobs/store/scores.py."""


def read_run(store: Store) -> StoredRun:
    """Returns the run in a store; raises BadInput where there is none."""
    layers = read_layers(store)
    if not layers:
        raise BadInput(
            f"{store.uri}: no run here (no plan.json); give the folder or s3:// prefix that `troop run` printed"
        )
    return StoredRun(store, layers)


def read_layers(store: Store) -> tuple[Layer, ...]:
    """Returns the plan of a run in order; empty where there is none."""
    infos = list(store.list("plan."))
    if large := next((info for info in infos if info.size > MOST_PLAN), None):
        raise BadInput(f"{store.uri}/{large.key}: {large.size:,} bytes; a plan has at most {MOST_PLAN:,}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # an adaptive run may have thousands
        layers = list(pool.map(lambda info: decode_layer(store.get(info.key), f"{store.uri}/{info.key}"), infos))
    return tuple(sorted(layers, key=lambda layer: layer.number))


def read_layers_to_extend(store: Store) -> tuple[Layer, ...]:
    """Returns the plan that a sweep continues; raises BadInput where there are results but no plan."""
    layers = read_layers(store)
    if not layers and any(True for start in (VERDICTS, FINAL, SAMPLES) for _ in store.list(start)):
        raise BadInput(f"{store.uri}: holds results, but no plan.json; give the sweep another name or store")
    return layers


def extend_plan(
    store: Store,
    read: Callable[[Store], tuple[Layer, ...]],
    next_layer: Callable[[tuple[Layer, ...]], Layer | None],
) -> tuple[Layer, ...]:
    """Adds missing layers to the plan and returns it.

    Where two drivers do so at once, the second continues from the layer that the first has written.
    """
    while True:
        layers = read(store)
        layer = next_layer(layers)
        if layer is None:
            return layers
        if store.put_new(layer_key(layer.number), layer.encode()):
            return (*layers, layer)


def list_committed(store: Store, version: str) -> Committed:
    """Lists the numbers of the committed units, by model and task; reads each page of the listing once.

    Raises BadInput where units are committed under other versions of the verifiers alone: their samples must be neither
    drawn again nor counted together with verdicts of another kind. Imported units are done under any version.
    """
    found = _list_by_version(store)
    done = _with_versions(found, version, IMPORTED)
    for (model, task, other), units in sorted(found.items()):
        left = units - done.get((model, task), set())
        if left:
            raise BadInput(
                f"{store.uri}: {len(left)} units of {model} on {task} were judged by verifiers of version {other}, "
                f"these are {version}; `troop verify {store.uri}` judges them again "
                "(of the sweep, if its judge or a checker is new)"
            )
    return done


def list_imported(store: Store) -> Committed:
    """Lists the numbers of the units that imports have committed, by model and task."""
    return _with_versions(_list_by_version(store), IMPORTED)


def _list_by_version(store: Store) -> dict[tuple[str, str, str], set[int]]:
    found: defaultdict[tuple[str, str, str], set[int]] = defaultdict(set)
    for start in (
        VERDICTS,
        FINAL + VERDICTS,
    ):  # in this order: a unit that is compacted meanwhile is seen twice, not missed
        for file in result_files(store, start):
            found[file.key.model, file.key.task, file.version].update(file.key.units)
    return found


def _with_versions(found: dict[tuple[str, str, str], set[int]], *versions: str) -> Committed:
    done: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
    for (model, task, version), units in found.items():
        if version in versions:
            done[model, task] |= units
    return dict(done)


def round_table(layers: Sequence[Layer], model: str, task: str) -> RoundTable | None:
    """Returns the rounds of a model on a task; None where its samples are not planned by rounds."""
    problems = len(problem_ids(layers, task))
    rows: dict[tuple[int, int], list[int]] = {}  # by problem and end of the round: first sample, samples
    retired, last = np.zeros(problems, dtype=np.bool_), None
    for layer in layers:
        ends: dict[int, int] = {}
        for entry in (entry for entry in layer.rounds if (entry.model, entry.task) == (model, task)):
            last = entry
            ends |= dict.fromkeys(in_ranges(entry.problems), entry.end)
            retired[in_ranges(entry.retired)] = True
        retired[list(ends)] = False  # other verdicts let it go on
        for block in (block for block in layer.blocks if ends and (block.model, block.task) == (model, task)):
            for idx in (idx for idx in range(block.first_problem, block.last_problem) if idx in ends):
                row = rows.setdefault((idx, ends[idx]), [block.first_sample, 0])
                row[1] += block.last_sample - block.first_sample
    if last is None:
        return None
    table = np.array([(*place, *row) for place, row in sorted(rows.items())], dtype=np.int64).reshape(-1, 4)
    problem, end, first_sample, planned = table.T
    starts = np.searchsorted(problem, problem)
    return RoundTable(last, problem, np.arange(len(problem)) - starts, end, first_sample, planned, retired)
