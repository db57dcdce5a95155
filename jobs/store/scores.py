"""The scores of a run: their versions, the version that counts, and the samples with their scores.

One rule chooses the scores of a model on a task: the version asked for; else, among the versions that ``troop score``
made, the one that covers most units, the newest on a tie; else the scores in the verdicts themselves, which imported
outcomes may carry. A unit may be drawn again after it was scored, so a file of scores counts only where the verdicts
name the samples that it is about.

Each unit has its own file of scores, and these are not compacted: such a file has a tenth of its unit's bytes, and a
report reads it once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np

from jobs.numbers.cells import OWN_SCORES, Counts, ScoredSamples
from jobs.store.base import Store
from jobs.store.catalogue import CellFiles, ResultFile, choose_cells, follow_merge, group_by_cell, result_files
from jobs.store.layout import SCORES, scorer_key
from jobs.store.schema import SCORES_SCHEMA
from jobs.store.sealed_parquet import Footer
from sampling.errors import BadInput
from sampling.validate import Plain, parse_json

MOST_SCORES = 10_000_000


class Scorer(Plain):
    """The reward model behind a version of scores: the content of ``scores/m=VERSION/model.json``."""

    model: str
    """Name or path of the reward model."""

    revision: str
    """Revision of its weights."""

    words: str
    """Reward model and the way it is read, for a person."""

    engine: dict[str, object]
    """Keys of the model's spec that can change a score."""

    settings: dict[str, object]
    """Settings of the scoring: steps, step_separator, step_token and template."""

    def encode(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


@dataclass(frozen=True, slots=True)
class CellScores:
    """The scores that count for one cell. ``version`` is OWN_SCORES where the verdicts carry them, "" for no scores."""

    version: str = OWN_SCORES
    files: tuple[ResultFile, ...] = ()


def read_score_versions(store: Store) -> list[CellFiles]:
    """Lists every version of the scores of every model on every task."""
    return group_by_cell(result_files(store, SCORES))


def list_scored(store: Store, version: str) -> dict[tuple[str, str], set[int]]:
    """Lists the numbers of the units that have scores of a version, by model and task."""
    cells = [cell for cell in read_score_versions(store) if cell.version == version]
    return {(cell.model, cell.task): {number for file in cell.files for number in file.key.units} for cell in cells}


def choose_scores(versions: Sequence[CellFiles], asked: str | None) -> dict[tuple[str, str], CellScores]:
    """Returns the scores that count, by model and task; cells without an entry have ``missing_scores(asked)``."""
    if asked == OWN_SCORES:
        return {}
    if asked is not None and asked not in {cell.version for cell in versions}:
        names = ", ".join(sorted({cell.version for cell in versions} | {OWN_SCORES}))
        raise BadInput(f"scores {asked!r}: not in this run; it has: {names}")
    return {(c.model, c.task): CellScores(c.version, c.files) for c in choose_cells(versions, asked)}


def missing_scores(asked: str | None) -> CellScores:
    """Returns the scores of a cell that has none of the version asked for; no other version takes their place."""
    return CellScores() if asked in (None, OWN_SCORES) else CellScores("")


def read_scorers(store: Store) -> dict[str, Scorer]:
    """Returns what made the scores, by version."""
    names = {cell.version for cell in read_score_versions(store)}
    found = ((name, scorer_key(name)) for name in sorted(names))
    return {name: parse_json(Scorer, store.get(key), key) for name, key in found if store.head(key) is not None}


def scores_of_samples(
    scores: Mapping[str, Footer], verdicts: Sequence[Footer], merged: Mapping[str, Footer]
) -> list[str]:
    """Returns the paths among ``scores`` whose samples the verdicts name too."""
    merged = {**merged, **{attempt: footer for footer in verdicts for attempt in footer.merged}}
    named = {footer.samples for footer in verdicts}
    return [path for path, footer in scores.items() if follow_merge(footer, merged).samples in named]


@dataclass(frozen=True, slots=True)
class ScoreRows:
    """SQL for the rows of a cell's verdicts and of its scores; ``scores`` is None where the verdicts carry them."""

    verdicts: str
    scores: str | None

    @property
    def joined(self) -> str:
        """SQL for the verdicts, each with the score that counts."""
        if self.scores is None:
            return self.verdicts
        kept = f"SELECT * EXCLUDE (score) FROM {self.verdicts}"
        return f"(FROM ({kept}) JOIN (SELECT problem_idx, sample_idx, score FROM {self.scores}) " + (
            "USING (problem_idx, sample_idx))"
        )

    def view(self, names: str) -> str:
        """Returns a SELECT with the columns of the view ``scores``; ``names`` are its constant columns."""
        if self.scores is None:
            own = "problem_idx, sample_idx, score, NULL::VARCHAR AS reason, NULL::INTEGER AS tokens"
            return f"SELECT {names}, {own} FROM {self.verdicts} WHERE score IS NOT NULL"
        return f"SELECT {names}, {', '.join(SCORES_SCHEMA.names)} FROM {self.scores}"


def why_unscored(db: duckdb.DuckDBPyConnection, rows: ScoreRows, samples: int) -> str:
    """Returns a sentence on how many of a cell's ``samples`` have no score, and why; "" where all have one."""
    if rows.scores is None:
        found = db.execute(f"SELECT count(*) FROM {rows.verdicts} WHERE NOT isfinite(score)").fetchall()[0][0]
        return f"{found:,} samples have a score that is no number; they are no candidates" if found else ""
    query = f"SELECT coalesce(reason, ''), count(*) FROM {rows.scores} GROUP BY ALL ORDER BY 2 DESC"
    counts = {str(reason): int(count) for reason, count in db.execute(query).fetchall()}
    counts["not scored yet, `troop score` goes on"] = samples - sum(counts.values())
    reasons = [f"{count:,} {reason}" for reason, count in counts.items() if reason and count > 0]
    missing = samples - counts.get("", 0)
    return f"{missing:,} samples have no score ({'; '.join(reasons)}); they are no candidates" if reasons else ""


def read_scored_samples(
    db: duckdb.DuckDBPyConnection, rows: ScoreRows, idx: Counts
) -> tuple[tuple[ScoredSamples, ...], str]:
    """Returns the scored samples of each problem in ``idx``, or a sentence on why there are none.

    Scores that are not finite numbers are left out.
    """
    query = f"""SELECT problem_idx, score::DOUBLE AS score, answer, count(*) AS n, count(*) FILTER (passed) AS passed
        FROM {rows.joined} WHERE isfinite(score) AND status <> 'fault' GROUP BY problem_idx, score, answer"""
    distinct = int(db.execute(f"SELECT count(*) FROM ({query})").fetchall()[0][0])
    if distinct > MOST_SCORES:
        return (), f"{distinct:,} distinct scores are more than a report reads; there is no best-of-k"
    found = db.execute(f"""
        SELECT problem_idx, score, n, passed, CASE WHEN answer IS NULL THEN -1 ELSE
            dense_rank() OVER (PARTITION BY problem_idx ORDER BY answer NULLS LAST) - 1 END AS answer
        FROM ({query}) ORDER BY problem_idx, score, answer""").fetchnumpy()
    starts, ends = (np.searchsorted(found["problem_idx"], idx, side) for side in ("left", "right"))
    score, (answer, n, passed) = found["score"], (ints(found[name]) for name in ("answer", "n", "passed"))
    places = [slice(a, b) for a, b in zip(starts, ends, strict=True)]
    return tuple(ScoredSamples(np.asarray(score[at]), answer[at], n[at], passed[at]) for at in places), ""


def ints(column: object) -> Counts:
    return np.asarray(column, dtype=np.int64)
