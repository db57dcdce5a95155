"""The README's queries work, on a run of the name that it uses."""

import json
import re
import shlex

import duckdb
import pytest

from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text()
QUERIES = [shlex.split(line)[2:] for line in re.findall(r"^\$ (troop sql .*)$", README, re.MULTILINE)]


@pytest.fixture
def demo(troop: Troop, write_sweep: WriteSweep) -> None:
    models = [{"name": "small", "path": "gold", "engine": "replay", "k": 4}]
    assert troop("run", write_sweep(name="demo", models=models), "--local", "--no-report").code == 0


@pytest.mark.parametrize("words", QUERIES)
def test_its_queries_have_answers(troop: Troop, demo: None, words: list[str]) -> None:
    found = troop("sql", *words, "--json")
    assert found.code == 0, found.err
    assert [json.loads(line) for line in found.out.splitlines()]


def test_verdicts_are_read_without_troop(demo: None) -> None:
    (pattern,) = re.findall(r"`(read_parquet\('runs/demo/[^`]*\))`", README)
    assert duckdb.sql(f"SELECT count(*) FROM {pattern}").fetchall() == [(12,)]


def test_it_shows_three_queries() -> None:
    assert len(QUERIES) == 3
