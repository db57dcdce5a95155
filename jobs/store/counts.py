"""Counts of a run per problem, for the estimators: DuckDB counts, and Python sees one row per problem."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.numbers.cells import AnswerCounts, CellCounts, Copies, Counts, ScoredSamples, Stopping
from jobs.numbers.doubts import NEAR
from jobs.numbers.rounds import FirstRound, RoundCounts, RoundTable, StopRule, replay
from jobs.store.base import Store
from jobs.store.catalogue import read_problems
from jobs.store.layers import Layer, planned_units, problem_ids
from jobs.store.open_cells import OpenCell, open_cells, retry_on_compaction
from jobs.store.schema import HASH_STRIDE
from jobs.store.scores import ints, read_scored_samples, why_unscored
from jobs.store.stored_run import StoredRun, read_layers, round_table

MOST_REASONS = 5  # that samples have no answer for


def read_cells(
    store: Store,
    version: str | None = None,
    scores: str | None = None,
    layers: Sequence[Layer] | None = None,
    *,
    texts: bool = True,
) -> list[CellCounts]:
    """Returns the counts of every model on every task, for the problems that have at least one verdict.

    ``version`` is one of the verifiers, ``scores`` one of the scores. Default: the rules of jobs.store.catalogue and
    jobs.store.scores choose. ``layers`` are the plan, which is read where it is not given: it has the rounds of
    adaptive sampling. Without ``texts`` equal ones are not looked for, which takes half of the time.
    """
    plan = read_layers(store) if layers is None else layers

    def read() -> list[CellCounts]:
        with open_cells(store, version, scores) as (db, cells):
            ids = _problem_ids(read_problems(store))
            tables = [round_table(plan, cell.cell.model, cell.cell.task) for cell in cells]
            found = [_read_cell(db, cell, ids, table, texts) for cell, table in zip(cells, tables, strict=True)]
            rules = {(rule.model, rule.task): rule for layer in plan for rule in layer.stopped}
            return [_with_rule(cell, rules.get((cell.model, cell.task))) for cell in found]

    return retry_on_compaction(read)


def _with_rule(cell: CellCounts, rule: StopRule | None) -> CellCounts:
    return cell if rule is None else replace(cell, stopping=Stopping(rule.at, rule.cap, rule.rounds))


def read_planned_cells(stored: StoredRun, *, texts: bool = True) -> list[CellCounts]:
    """Returns the counts of a run as ``read_cells`` does, with what is planned, and cells that have no verdict yet."""
    cells = read_cells(stored.store, stored.version, stored.scores, stored.layers, texts=texts)
    found = {(cell.model, cell.task): cell for cell in cells}
    units = planned_units(stored.layers)
    for model, task in dict.fromkeys((block.model, block.task) for block, _ in units.parts):
        cell = found.get((model, task)) or _empty_cell(model, task)
        rows, problems = units.of(model, task).rows, len(problem_ids(stored.layers, task))
        found[model, task] = replace(cell, planned_problems=problems, planned_samples=rows)
    return list(found.values())


def _empty_cell(model: str, task: str) -> CellCounts:
    none = np.zeros(0, dtype=np.int64)
    return CellCounts(model, task, (), n=none, c=none, faults=none, timeouts=none, status_counts={})


def _read_cell(
    db: duckdb.DuckDBPyConnection,
    cell: OpenCell,
    ids: Mapping[tuple[str, int], str],
    table: RoundTable | None,
    texts: bool,
) -> CellCounts:
    counts, statuses, tiers = _count_rows(db, cell)
    idx = counts["problem_idx"]
    task = cell.cell.task
    first = cell.verdicts if table is None else f"(FROM {cell.verdicts} WHERE sample_idx < {table.first})"
    scored, unscorable = _read_scored(db, cell, counts, first)
    exact, hashed = not counts["unhashed"].any(), counts["unhashed"].sum() < (counts["n"] + counts["faults"]).sum()
    return CellCounts(
        model=cell.cell.model,
        task=task,
        problem_ids=tuple(ids.get((task, int(i)), str(i)) for i in idx),
        n=ints(counts["n"]),
        c=ints(counts["c"]),
        faults=ints(counts["faults"]),
        timeouts=ints(counts["timeouts"]),
        status_counts=statuses,
        tokens=int(counts["tokens"].sum()),
        prompt_tokens=int(counts["prompt_tokens"].sum()),
        engine_s=sum(footer.engine_s for footer in cell.footers),
        judge_usd=sum(footer.judge_usd for footer in cell.footers),
        duplicate_rate=_duplicate_rate(db, cell, exact) if texts else None,
        billed_prompt_tokens=int(counts["billed"].sum()),
        answers=_answers(db, first, idx) if counts["answers"].any() else (),
        tiers=tiers,
        version=cell.cell.version,
        scored=scored,
        scores=cell.scores.version if scored else "",
        unscorable=unscorable,
        copies=_copies(db, cell, exact) if texts and hashed else None,
        finish_counts=dict(sum((Counter(dict(footer.finish)) for footer in cell.footers), Counter[str]())),
        invalid_reasons=_invalid_reasons(db, cell) if statuses.get("invalid") else {},
        stopping=None if table is None else Stopping(table.last.retire_at, table.last.k),
        rounds=None if table is None else read_rounds(db, cell.verdicts, table).part(idx),
    )


def read_rounds(db: duckdb.DuckDBPyConnection, verdicts: str, table: RoundTable) -> RoundCounts:
    """Returns the counts by rounds of every problem of a task, by problem_idx; ``verdicts`` is SQL for the rows."""
    columns = {"problem_idx": table.problem, "first_sample": table.first_sample, "number": table.number}
    db.register("rounds_of_cell", pa.table(columns))
    found = db.execute(f"""
        SELECT v.problem_idx, number, count(*) AS n, count(*) FILTER (status <> 'fault') AS decided,
            count(*) FILTER (passed) AS passed
        FROM {verdicts} v ASOF JOIN rounds_of_cell r
            ON v.problem_idx = r.problem_idx AND v.sample_idx >= r.first_sample
        GROUP BY ALL""").fetchnumpy()
    first = db.execute(f"""
        SELECT problem_idx, count(*) FILTER (status <> 'fault') AS decided, count(*) FILTER (passed) AS passed,
            count(*) FILTER (status = 'fault') AS faults, count(*) FILTER (status = 'timeout') AS timeouts
        FROM {verdicts} WHERE sample_idx < {table.first} GROUP BY problem_idx""").fetchnumpy()
    db.unregister("rounds_of_cell")
    places = ints(found["problem_idx"]), ints(found["number"])
    rows, decided, passed = (_placed(table.shape, places, found[name]) for name in ("n", "decided", "passed"))
    at, names = (ints(first["problem_idx"]),), ("decided", "passed", "faults", "timeouts")
    early = FirstRound(*(_placed(table.shape[:1], at, first[name]) for name in names))
    return replay(table, rows, decided, passed, early)


def _placed(shape: tuple[int, ...], places: tuple[Counts, ...], values: object) -> Counts:
    found = np.zeros(shape, dtype=np.int64)
    found[places] = ints(values)
    return found


def _read_scored(
    db: duckdb.DuckDBPyConnection, cell: OpenCell, counts: Mapping[str, Counts], verdicts: str
) -> tuple[tuple[ScoredSamples, ...], str]:
    """Returns the scored samples among ``verdicts`` by problem, and a sentence on the samples that have no score."""
    rows = cell.score_rows
    if rows is None or (rows.scores is None and not counts["scores"].any()):
        return (), ""
    scored, too_many = read_scored_samples(db, replace(rows, verdicts=verdicts), counts["problem_idx"])
    return scored, too_many or why_unscored(db, rows, int(counts["all"].sum()))


def _count_rows(
    db: duckdb.DuckDBPyConnection, cell: OpenCell
) -> tuple[dict[str, Counts], dict[str, int], dict[str, int]]:
    """Returns counts by problem, in the order of problem_idx, and the number of rows of each status and each tier.

    DuckDB makes one pass over the rows and groups by problem, status and tier; the few groups are added up here.
    """
    parts = db.sql(f"""
        SELECT problem_idx, status, tier, count(*) AS "all", count(*) FILTER (passed) AS c,
            coalesce(sum(tokens), 0)::BIGINT AS tokens, coalesce(max(prompt_tokens), 0) AS prompt_tokens,
            coalesce(sum(prompt_tokens), 0)::BIGINT AS billed,
            count(*) - count(text_hash) AS unhashed, count(answer) AS answers, count(score) AS scores
        FROM {cell.verdicts} GROUP BY problem_idx, status, tier ORDER BY problem_idx""").to_arrow_table()
    for name, wanted in (("faults", pc.equal), ("n", pc.not_equal)):
        parts = parts.append_column(name, pc.if_else(wanted(parts["status"], "fault"), parts["all"], 0))
    timeouts = pc.if_else(pc.equal(parts["status"], "timeout"), parts["all"], 0)
    parts = parts.append_column("timeouts", timeouts)
    sums = [name for name in parts.column_names if name not in ("problem_idx", "status", "tier", "prompt_tokens")]
    whole = parts.group_by("problem_idx", use_threads=False).aggregate(
        [("prompt_tokens", "max"), *((name, "sum") for name in sums)]
    )
    counts = {name.removesuffix("_sum").removesuffix("_max"): ints(whole[name]) for name in whole.column_names}
    return counts, _rows_by(parts, "status"), _rows_by(parts, "tier")


def _rows_by(parts: pa.Table, name: str) -> dict[str, int]:
    """Returns the number of rows with each value of a column; nulls are not counted."""
    whole = parts.group_by(name, use_threads=False).aggregate([("all", "sum")]).sort_by(name)
    pairs = zip(whole[name].to_pylist(), whole["all_sum"].to_pylist(), strict=True)
    return {value: count for value, count in pairs if value is not None}


def _invalid_reasons(db: duckdb.DuckDBPyConnection, cell: OpenCell) -> dict[str, int]:
    found = db.execute(f"""
        SELECT coalesce(reason, ''), count(*) AS n FROM {cell.verdicts} WHERE status = 'invalid'
        GROUP BY ALL ORDER BY n DESC, 1 LIMIT {MOST_REASONS}""").fetchall()
    return {reason: int(count) for reason, count in found}


def _duplicate_rate(db: duckdb.DuckDBPyConnection, cell: OpenCell, exact: bool) -> float | None:
    """Returns the share of texts that occurred before in their problem, among the hashes that are kept."""
    kept = "text_hash IS NOT NULL" if exact else f"text_hash % {HASH_STRIDE} = 0"
    rows = f"SELECT count(*) AS n FROM {cell.verdicts} WHERE {kept} GROUP BY problem_idx, text_hash"
    texts, distinct = db.execute(f"SELECT coalesce(sum(n), 0), count(*) FROM ({rows})").fetchall()[0]
    return 1 - int(distinct) / int(texts) if texts else None


def _copies(db: duckdb.DuckDBPyConnection, cell: OpenCell, exact: bool) -> Copies | None:
    """Counts pairs of samples of one problem with equal texts; near pairs share a block of ``NEAR`` indices."""
    kept = "text_hash IS NOT NULL" if exact else f"text_hash % {HASH_STRIDE} = 0"
    found = db.execute(f"""
        WITH parts AS (SELECT problem_idx, text_hash, count(*) AS n FROM {cell.verdicts} WHERE {kept}
            GROUP BY problem_idx, text_hash, sample_idx // {NEAR}),
        texts AS (SELECT sum(n) AS n, sum(n * (n - 1)) AS near FROM parts GROUP BY problem_idx, text_hash),
        blocks AS (SELECT problem_idx, count(*) AS n FROM {cell.verdicts} GROUP BY problem_idx, sample_idx // {NEAR}),
        problems AS (SELECT sum(n) AS n, sum(n * (n - 1)) AS near FROM blocks GROUP BY problem_idx)
        SELECT sum(near), sum(n * (n - 1)) FROM texts UNION ALL SELECT sum(near), sum(n * (n - 1)) FROM problems
        """).fetchall()
    (near_equal, equal), (near, pairs) = ((int(a or 0), int(b or 0)) for a, b in found)
    return Copies(near_equal, near, equal - near_equal, pairs - near, 1.0 if exact else 1 / HASH_STRIDE)


def _answers(db: duckdb.DuckDBPyConnection, verdicts: str, idx: Counts) -> tuple[AnswerCounts, ...]:
    """Returns the distinct answers among ``verdicts`` of each problem in ``idx``, most frequent first.

    An answer is right if most verdicts on it are passes.
    """
    found = db.execute(f"""
        SELECT problem_idx, count(*) AS n, 2 * count(*) FILTER (passed) > count(*) AS is_right
        FROM {verdicts} WHERE answer IS NOT NULL AND status <> 'fault'
        GROUP BY problem_idx, answer ORDER BY problem_idx, n DESC, answer""").fetchnumpy()
    starts, ends = (np.searchsorted(found["problem_idx"], idx, side) for side in ("left", "right"))
    n, right = ints(found["n"]), np.asarray(found["is_right"], dtype=np.bool_)
    return tuple(AnswerCounts(n[a:b], right[a:b]) for a, b in zip(starts, ends, strict=True))


def _problem_ids(problems: pa.Table) -> dict[tuple[str, int], str]:
    columns = [problems[name].to_pylist() for name in ("task", "problem_idx", "problem_id")]
    return {(task, idx): name for task, idx, name in zip(*columns, strict=True)}
