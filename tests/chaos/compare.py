"""Compares what a run holds with what it must hold, read by pyarrow and DuckDB alone, with no reader of Troop's."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from sampling.samples import UNITS_PER_SHARD
from tests.chaos.sweep import Row, Size, expected_rows

Coverage = tuple[tuple[str, str, int, int, int], ...]  # model, task, problem, samples, passes
_KEY = "model, task, problem_idx, sample_idx"


@dataclass(frozen=True, slots=True)
class Findings:
    """Counts of what is wrong in a run.

    ``lost`` rows are expected and absent; ``foreign`` rows are present and not expected; ``wrong`` rows have another
    text or verdict than expected. ``orphans`` are samples files that no verdicts name; lost attempts leave them.
    ``units`` are committed.
    """

    rows: int
    lost: int
    duplicates: int
    foreign: int
    wrong: int
    without_samples: int
    damaged: int
    orphans: int
    units: int
    coverage: Coverage

    @property
    def faults(self) -> dict[str, int]:
        """Counts that must be zero."""
        names = ("lost", "duplicates", "foreign", "wrong", "without_samples", "damaged")
        return {name: getattr(self, name) for name in names}


def examine(run: Path, size: Size) -> Findings:
    """Examines the run in a folder: its committed verdicts, and the samples that these name."""
    files = _committed(run)
    named = [_named(path) for path in files]
    damaged = [key for key, digest in named if not _is_whole(run / key, digest)]
    there = [run / key for key in dict.fromkeys(key for key, _ in named) if (run / key).is_file()]
    with duckdb.connect() as db:
        db.register("expected", _table(size))
        db.execute(f"CREATE TABLE verdicts AS SELECT {_KEY}, passed FROM {_read(files)}")
        db.execute(f"CREATE TABLE samples AS SELECT {_KEY}, text FROM {_read(there)}")

        def count(query: str) -> int:
            return int(db.execute(f"SELECT count(*) FROM {query}").fetchall()[0][0])

        rows = count("verdicts")
        return Findings(
            rows=rows,
            lost=count(f"expected ANTI JOIN verdicts USING ({_KEY})"),
            duplicates=sum(count(v) - count(f"(SELECT DISTINCT {_KEY} FROM {v})") for v in ("verdicts", "samples")),
            foreign=count(f"verdicts ANTI JOIN expected USING ({_KEY})"),
            wrong=count(
                f"""verdicts v JOIN expected e USING ({_KEY}) LEFT JOIN samples s USING ({_KEY})
                WHERE v.passed IS DISTINCT FROM e.passed OR s.text IS DISTINCT FROM e.text"""
            ),
            without_samples=count(f"verdicts ANTI JOIN samples USING ({_KEY})"),
            damaged=len(damaged),
            orphans=len(list(run.glob("**/samples/**/*.parquet"))) - len(there),
            units=sum(UNITS_PER_SHARD if "/final/" in str(path) else 1 for path in files),
            coverage=tuple(
                db.execute(
                    """SELECT model, task, problem_idx, count(passed), count(*) FILTER (passed)
                    FROM verdicts GROUP BY ALL ORDER BY ALL"""
                ).fetchall()
            ),
        )


def _committed(run: Path) -> list[Path]:
    """Returns the verdict files that count; a compacted shard is read in place of its units."""
    final = sorted(run.glob("final/verdicts/*/*/*/s=*/all.parquet"))
    shards = {path.relative_to(run / "final").parent for path in final}
    units = sorted(run.glob("verdicts/*/*/*/s=*/u*.parquet"))
    return final + [path for path in units if path.relative_to(run).parent not in shards]


def _named(path: Path) -> tuple[str, str]:
    """Returns the key and SHA-256 of the samples that a verdicts file was made from."""
    said = json.loads(pq.read_metadata(path).metadata[b"troop"])
    return said["samples"], said["samples_sha256"]


def _is_whole(path: Path, digest: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


def _table(size: Size) -> pa.Table:
    return pa.Table.from_pylist([asdict(row) for row in expected_rows(size)], schema=_SCHEMA)


def _read(paths: Sequence[Path]) -> str:
    """Returns SQL for the rows of the files, with model and task from their ``name=value`` folders."""
    if not paths:
        return "(SELECT *, NULL AS passed, NULL AS text FROM expected LIMIT 0)"
    return f"(FROM read_parquet({[str(path) for path in paths]}, hive_partitioning=true))"


_SCHEMA = pa.schema(
    [
        ("model", pa.string()),
        ("task", pa.string()),
        ("problem_idx", pa.int32()),
        ("sample_idx", pa.int32()),
        ("text", pa.string()),
        ("passed", pa.bool_()),
    ]
)
assert _SCHEMA.names == list(Row.__dataclass_fields__)
