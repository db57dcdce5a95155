"""Queries: results come in batches, errors in one line, and nothing in them is a terminal's control code."""

import duckdb
import pytest

from jobs.store.database import ROWS_AT_ONCE, run_query, stream_query
from jobs.store.schema import ROLLOUTS
from jobs.store.stored_run import StoredRun
from jobs.sweep import open_run
from sampling.errors import BadInput, StoreError
from tests.conftest import Troop, WriteSweep


@pytest.fixture
def stored(troop: Troop, write_sweep: WriteSweep) -> StoredRun:
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0
    return open_run("runs/sums")


def test_rows_come_in_batches_before_the_query_has_ended(stored: StoredRun) -> None:
    with stream_query(stored, "SELECT * FROM range(1_000_000_000_000)") as (columns, batches):
        assert (columns, len(next(batches)), next(batches)[0]) == (["range"], ROWS_AT_ONCE, (ROWS_AT_ONCE,))
    assert run_query(stored, "SELECT count(*) AS n FROM verdicts") == (["n"], [(12,)])
    assert len(run_query(stored, "SELECT * FROM range(2_500)")[1]) == 2_500


def test_a_statement_without_rows_has_none(stored: StoredRun) -> None:
    assert run_query(stored, "SELECT 1 AS a WHERE false") == (["a"], [])
    assert run_query(stored, "-- nothing") == ([], [])


@pytest.mark.parametrize("late", ["", " FROM range(5_000) WHERE range = 4_999"])
def test_an_error_that_quotes_a_completion_is_one_printable_line(stored: StoredRun, late: str) -> None:
    with pytest.raises(BadInput, match="sql: ") as error:
        run_query(stored, "SELECT ('a' || chr(27) || '[2J')::INT" + late)
    assert str(error.value).isprintable() and r"\x1b[2J" in str(error.value)


def test_a_file_that_goes_between_two_batches_is_told(stored: StoredRun) -> None:
    with (
        pytest.raises(StoreError, match="run the query again"),
        stream_query(stored, "SELECT 1") as (_, batches),
    ):
        next(batches)
        raise duckdb.IOException("No files found")


def test_rollouts_have_the_names_of_other_tools(stored: StoredRun) -> None:
    columns, rows = run_query(stored, "SELECT * FROM ROLLOUTS ORDER BY ALL")
    assert columns == [column.name for column, _ in ROLLOUTS]
    types = {"string": "VARCHAR", "int32": "INTEGER", "double": "DOUBLE", "bool": "BOOLEAN"}
    described = [row[:2] for row in run_query(stored, "DESCRIBE SELECT * FROM rollouts")[1]]
    assert described == [(column.name, types[str(column.type)]) for column, _ in ROLLOUTS]
    nulls = {column.name for column, _ in ROLLOUTS if column.nullable}
    assert all(value is not None or name in nulls for row in rows for name, value in zip(columns, row, strict=True))
    joined = """SELECT model, task, problem_id, sample_idx, text, coalesce(score, passed::INT), samples.tokens
        FROM verdicts JOIN samples USING (model, task, problem_idx, sample_idx) JOIN problems USING (task, problem_idx)
        ORDER BY ALL"""
    named = "model, task, task_id, rollout_index, completion, reward, completion_tokens"
    assert run_query(stored, f"SELECT {named} FROM rollouts ORDER BY ALL")[1] == run_query(stored, joined)[1] != []
