"""The queries of docs/results.md work, on a run of the name that it uses; the README's links lead somewhere."""

import json
import re
import shlex
from pathlib import Path

import duckdb
import pytest

from tests.conftest import Troop, WriteSweep
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
QUERIES = [shlex.split(line)[2:] for line in re.findall(r"^\$ (troop sql .*)$", RESULTS, re.MULTILINE)]


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
    (pattern,) = re.findall(r"`(read_parquet\('runs/demo/[^`]*\))`", RESULTS)
    assert duckdb.sql(f"SELECT count(*) FROM {pattern}").fetchall() == [(12,)]


def test_it_shows_three_queries() -> None:
    assert len(QUERIES) == 3


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name
)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, heading = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not heading or heading in anchors(file.read_text()), f"{page.name}: {target}"


def anchors(text: str) -> set[str]:
    """Anchors of a page's headings, made the way that GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
