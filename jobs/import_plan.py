"""Plans an import, in plain data: the content of a table, and the layer that it adds to a run's plan.

A digest identifies a model's rows: a second import of the same rows adds nothing, and other rows are refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np

from jobs.import_read import COUNTS, SAMPLES, Table
from jobs.numbers.cells import Counts
from jobs.numbers.rounds import StopRule
from jobs.numbers.stop_rules import Said, find_rule
from jobs.planning import UNIT_ROWS as TEXT_ROWS
from jobs.planning import UNKNOWN, make_block, planned_limits
from jobs.resolve import code_version
from jobs.store.layers import Block, Layer, PlannedModel, PlannedProblems, layer_key, problem_ids
from jobs.store.layout import quote
from jobs.store.stored_run import IMPORTED
from jobs.sweep import Sweep, sweep_of
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.settings import ModelSpec
from sampling.validate import parse

UNIT_ROWS = 1 << 15  # most rows in a unit without text; a unit with text has at most TEXT_ROWS, as in a run

SAID_NOTHING = Said()


@dataclass(frozen=True)
class Cell:
    """One (model, task) of a table: problem ids, and by problem (P,) the samples and, in counts, those that passed.

    ``rule`` ended the sampling because of its outcome, if any did.
    """

    model: str
    task: str
    ids: tuple[str, ...]
    n: Counts
    c: Counts | None = None
    rule: StopRule | None = None


@dataclass(frozen=True)
class Content:
    """Content of a table. ``digests`` is by model; ``problems`` by task, if they were given in full."""

    table: Table
    columns: frozenset[str]
    cells: tuple[Cell, ...]
    digests: Mapping[str, str]
    problems: Mapping[str, Sequence[Problem]]
    baselines: frozenset[str]

    @property
    def unverified(self) -> bool:
        """True for samples without a status: they have no verdicts yet."""
        return self.table.kind is SAMPLES and "status" not in self.columns


def read_content(
    db: duckdb.DuckDBPyConnection,
    table: Table,
    problems: Mapping[str, Sequence[Problem]],
    baselines: frozenset[str],
    said: Said = SAID_NOTHING,
) -> Content:
    """Reads the content of a table from its checked rows; raises BadInput for names that a run cannot have."""
    columns = [str(row[0]) for row in db.execute("DESCRIBE rows").fetchall()]
    passes = "count(*) FILTER (status = 'pass')" if "status" in columns else "0"
    counts = "n, c" if table.kind is COUNTS else f"count(*), {passes}"
    found: dict[tuple[str, str], list[tuple[str, int, int]]] = {}
    for model, name, *row in db.execute(
        f"SELECT model, task, problem, {counts} FROM rows {'' if table.kind is COUNTS else 'GROUP BY ALL'}"
    ).fetchall():
        found.setdefault((model, name), []).append((row[0], row[1], row[2]))
    cells = tuple(_cell(names, rows, table, said) for names, rows in sorted(found.items()))
    _check_names(cells, problems, baselines, table)
    return Content(table, frozenset(columns), cells, _digests_of(db, columns), problems, baselines)


def _digests_of(db: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> dict[str, str]:
    """Returns a digest of each model's rows that does not depend on their order."""
    values = ", ".join(f"coalesce({name}::VARCHAR, chr(30))" for name in sorted(columns) if name != "model")
    digests = f"SELECT model, bit_xor(md5_number(concat_ws(chr(31), {values}))) FROM rows GROUP BY model"
    return {model: f"{int(digest) % (1 << 64):016x}" for model, digest in db.execute(digests).fetchall()}


def _cell(names: tuple[str, str], rows: list[tuple[str, int, int]], table: Table, said: Said) -> Cell:
    """Returns a cell with its problems sorted by number of samples, so that they share blocks, then by name."""
    numbered = all(name.isdecimal() for name, *_ in rows)
    rows = sorted(rows, key=lambda row: (-row[1], int(row[0]) if numbered else 0, row[0]))
    n, c = (np.array(column, dtype=np.int64) for column in list(zip(*rows, strict=True))[1:])
    rule = find_rule(said, *names, n, c)
    return Cell(*names, tuple(row[0] for row in rows), n, c if table.kind is COUNTS else None, rule)


def _check_names(
    cells: Sequence[Cell], problems: Mapping[str, Sequence[Problem]], baselines: frozenset[str], table: Table
) -> None:
    for cell in cells:
        quote(cell.model), quote(cell.task)
        if not (cell.model + cell.task).isprintable():
            raise BadInput(
                f"{table.path}: model {cell.model!r} on {cell.task!r}: only printable characters are allowed in names"
            )
        if not cell.n.any():
            raise BadInput(
                f"{table.path}: {cell.model} on {cell.task} has n=0 everywhere; at least one sample is needed"
            )
        strange = sorted(set(cell.ids) - {problem.id for problem in problems.get(cell.task, ())})
        if cell.task in problems and strange:
            raise BadInput(f"{table.path}: problem {strange[0]!r} is not in task {cell.task}")
    models = {cell.model for cell in cells}
    if not baselines <= models:
        raise BadInput(f"--baseline {min(baselines - models)!r}: not in the table; it has: {', '.join(sorted(models))}")


def next_layer(layers: Sequence[Layer], content: Content) -> Layer | None:
    """Returns the layer that the table adds to a plan, or None; raises BadInput for other rows of a known cell."""
    planned = {(block.model, block.task): layer for layer in layers for block in layer.blocks}
    models = {model.name: model for layer in layers for model in layer.models}
    for cell in content.cells:
        _check_same(cell, content, planned.get((cell.model, cell.task)), models.get(cell.model))
    new = [cell for cell in content.cells if (cell.model, cell.task) not in planned]
    added = _new_problems(layers, new, content)
    blocks = [block for cell in new for block in _blocks(cell, places_of(layers, added, cell.task), content)]
    marked = {spec.name for spec in sweep_of(layers).models if spec.baseline} if layers else set()
    if not blocks and content.baselines <= marked:
        return None
    return Layer(
        number=len(layers),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        code_version=code_version(),
        sweep=_sweep(layers, content).model_dump(mode="json"),
        models=tuple(_planned(name, content) for name in content.digests if name not in models),
        problems=added,
        blocks=tuple(blocks),
        stopped=tuple(cell.rule for cell in new if cell.rule),
    )


def _check_same(cell: Cell, content: Content, layer: Layer | None, model: PlannedModel | None) -> None:
    if model is not None and model.distribution.get("engine") != IMPORTED:
        raise BadInput(
            f"model {cell.model}: was sampled in this run; give the imported model another name with --model"
        )
    if layer is not None and _revisions(layer).get(cell.model) != content.digests[cell.model]:
        raise BadInput(
            f"{content.table.path}: the run holds other rows of {cell.model} on {cell.task}, from "
            f"{layer.created[:10]}; committed rows never change: import into a run of another name"
        )


def _revisions(layer: Layer) -> dict[str, str | None]:
    return {spec.name: spec.revision for spec in parse(Sweep, layer.sweep, layer_key(layer.number)).models}


def _new_problems(layers: Sequence[Layer], cells: Sequence[Cell], content: Content) -> tuple[PlannedProblems, ...]:
    """Returns the problems that the plan lacks. Their digests are UNKNOWN unless the task was given in full."""
    found = []
    for task in dict.fromkeys(cell.task for cell in cells):
        known = set(problem_ids(layers, task))
        ids = list(dict.fromkeys(name for cell in cells if cell.task == task for name in cell.ids))
        new = [name for name in ids if name not in known]
        by_id = {problem.id: problem for problem in content.problems.get(task, ())}
        prompts = tuple(by_id[name].prompt_digest if by_id else UNKNOWN for name in new)
        references = tuple(by_id[name].reference_digest if by_id else UNKNOWN for name in new)
        if new:
            ids_ = tuple(new)
            limits = planned_limits([by_id[name] for name in new], {}) if by_id else None
            found.append(
                PlannedProblems(
                    task=task, ids=ids_, prompt_digests=prompts, reference_digests=references, time_limits_s=limits
                )
            )
    return tuple(found)


def places_of(layers: Sequence[Layer], added: Sequence[PlannedProblems], task: str) -> dict[str, int]:
    """Returns problem_idx by problem id."""
    ids = problem_ids(layers, task) + [name for part in added if part.task == task for name in part.ids]
    return {name: idx for idx, name in enumerate(ids)}


def _blocks(cell: Cell, places: Mapping[str, int], content: Content) -> Iterator[Block]:
    """Yields the blocks of a cell: neighbouring problems with equally many samples share one."""
    held = sorted((places[name], int(n)) for name, n in zip(cell.ids, cell.n, strict=True) if n)
    rows, first_unit, start = TEXT_ROWS if content.table.kind is SAMPLES else UNIT_ROWS, 0, 0
    for at in range(1, len(held) + 1):
        first, n = held[start]
        if at == len(held) or held[at] != (first + at - start, n):
            block = make_block(cell.model, cell.task, first_unit, (first, first + at - start), (0, n), rows)
            first_unit, start = first_unit + block.unit_count, at
            yield block


def _sweep(layers: Sequence[Layer], content: Content) -> Sweep:
    """Returns the table as a sweep: names, baselines, and each model's digest as its ``revision``."""
    path = str(content.table.path)
    models = [
        ModelSpec(name=name, path=path, engine="replay", revision=digest, baseline=name in content.baselines)
        for name, digest in sorted(content.digests.items())
    ]
    tasks = [{"name": name, "kind": "jsonl", "path": path} for name in {cell.task: None for cell in content.cells}]
    name = sweep_of(layers).name if layers else "imported"
    return parse(Sweep, {"name": name, "models": models, "tasks": tasks}, path)


def _planned(name: str, content: Content) -> PlannedModel:
    digest = content.digests[name]
    said = {"engine": IMPORTED, "path": content.table.path.name}
    return PlannedModel(name=name, distribution=said, sampling={}, revision=digest, sampling_hash=digest)
