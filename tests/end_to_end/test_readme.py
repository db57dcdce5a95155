"""The queries of docs/results.md work, on a run of the name that it uses; the README's links lead somewhere."""

import json
import re
import shlex
from pathlib import Path

import duckdb
import pytest

from jobs.store.compact import compact_run
from jobs.store.encode import encode_samples
from jobs.store.folder import DirectoryStore
from jobs.store.layout import samples_key
from tests.conftest import Troop, WriteSweep
from tests.jobs.store.test_compact import (
    FEW,
    PROVENANCE,
    SMALL,
    Died,
    Mortal,
    commit,
    commit_long,
    expected,
    few,
    samples_of,
    unit_of,
)
from tests.support.places import ROOT

__all__ = ["few"]
README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
QUERIES = [shlex.split(line)[2:] for line in re.findall(r"^\$ (troop sql .*?)(?: > .*)?$", RESULTS, re.MULTILINE)]


@pytest.fixture
def demo(troop: Troop, write_sweep: WriteSweep) -> None:
    models = [{"name": "small", "path": "gold", "engine": "replay", "k": 4}]
    tasks = [{"name": "functions", "kind": "jsonl", "path": "problems.jsonl"}]
    assert troop("run", write_sweep(name="demo", models=models, tasks=tasks), "--local", "--no-report").code == 0


@pytest.mark.parametrize("words", QUERIES)
def test_its_queries_have_answers(troop: Troop, demo: None, words: list[str]) -> None:
    found = troop("sql", *words, *([] if "--json" in words else ["--json"]))
    assert found.code == 0, found.err
    assert [json.loads(line) for line in found.out.splitlines()]


def test_one_query_reads_verdicts_and_one_samples_at_every_stage_of_a_compaction(tmp_path: Path, few: None) -> None:
    verdicts, samples = (
        query.replace("runs/demo/", f"{tmp_path}/") for query in re.findall(r"```sql\n(.*?)```", RESULTS, re.DOTALL)
    )
    store = DirectoryStore(tmp_path)
    commit(store, *range(FEW + 1))
    store.put(samples_key(unit_of(0), "lost"), encode_samples(samples_of(unit_of(0), "lost "), PROVENANCE))
    rows = [row[3] for row in expected(*range(FEW + 1))]

    def check() -> None:
        counted = duckdb.sql(verdicts).fetchall()
        assert [row[:4] for row in counted] == [("v1", "org/m", "gsm8k", len(rows))]
        assert sorted(row[0] for row in duckdb.sql(f"SELECT text FROM ({samples})").fetchall()) == sorted(rows)

    check()
    for changes in (2, 1, 1):
        with pytest.raises(Died):
            compact_run(Mortal(store, changes))
        check()
    compact_run(store)
    check()


def test_the_query_for_samples_finds_all_files_of_a_large_shard(tmp_path: Path, few: None) -> None:
    _, samples = re.findall(r"```sql\n(.*?)```", RESULTS.replace("runs/demo/", f"{tmp_path}/"), re.DOTALL)
    store = DirectoryStore(tmp_path)
    texts = commit_long(store, range(FEW))
    compact_run(store, limits=SMALL)
    assert len(list(store.list("final/samples/"))) > 3
    found = duckdb.sql(f"SELECT problem_idx, sample_idx, text FROM ({samples})").fetchall()
    assert {(problem, sample): text for problem, sample, text in found} == texts


def test_it_shows_six_queries() -> None:
    assert len(QUERIES) == 6


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
