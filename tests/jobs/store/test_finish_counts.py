"""Finish reasons: counted in the footers of verdicts, kept by compaction, read from samples of older runs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.sink import Receipt
from jobs.numbers.cells import CellCounts
from jobs.numbers.doubts import doubts
from jobs.reporting import with_finish_counts
from jobs.store import commit as commits
from jobs.store.commit import RunSink, finish_counts
from jobs.store.compact import compact_run
from jobs.store.counts import read_cells
from jobs.store.folder import DirectoryStore
from jobs.store.layout import final_verdicts_key
from jobs.store.sealed_parquet import Footer, parse_footer, read_footer
from jobs.store.stored_run import StoredRun
from sampling.errors import DamagedFile
from sampling.samples import Provenance, Sample, Unit
from tests.conftest import Troop, WriteSweep
from tests.support.made_cells import cell
from verify.verdict import Status, Verdict

PROVENANCE = Provenance("m", "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")
REASONS = ("stop", "stop", "length", "error")
VERDICTS = (
    Verdict(Status.PASS), Verdict(Status.INVALID, "no answer"), Verdict(Status.INVALID, "thought not finished"),
    Verdict(Status.FAULT),
)  # fmt: skip


def unit_of(number: int) -> Unit:
    return Unit("m", "t", number, 0, 1, 4 * number, 4 * number + 4)


def samples_of(number: int) -> list[Sample]:
    return [Sample(0, 4 * number + i, f"{i}", reason, 9, 9, 1, 1.0, 0.1) for i, reason in enumerate(REASONS)]


def commit(store: DirectoryStore, number: int) -> Receipt:
    return RunSink(store, "v1").commit(unit_of(number), samples_of(number), VERDICTS, PROVENANCE)


def only(store: DirectoryStore) -> CellCounts:
    (found,) = read_cells(store)
    return found


def test_a_cell_counts_finish_reasons_and_what_nothing_was_extracted_from(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    assert dict(commit(store, 0).finish) == {"stop": 2, "length": 1, "error": 1}
    commit(store, 1)
    found = only(store)
    assert (found.finish_counts, found.cut) == ({"stop": 4, "length": 2, "error": 2}, 0.25)
    assert found.nothing_extracted == pytest.approx(2 / 3)
    assert found.invalid_reasons == {"no answer": 2, "thought not finished": 2}


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sampling.samples", "jobs.store.layout", "jobs.store.compact"):
        monkeypatch.setattr(f"{module}.UNITS_PER_SHARD", 4)


@pytest.mark.usefixtures("few")
def test_compaction_keeps_the_counts_and_a_second_version_has_its_own(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for number in range(4):
        commit(store, number)
    assert compact_run(store).shards == 1
    assert only(store).finish_counts == {"stop": 8, "length": 4, "error": 4}
    for number in range(4):
        judge_again(store, number)
    assert (only(store).version, only(store).finish_counts) == ("v2", {"stop": 8, "length": 4, "error": 4})
    assert compact_run(store).shards == 1
    assert only(store).finish_counts == {"stop": 8, "length": 4, "error": 4}


def judge_again(store: DirectoryStore, number: int) -> None:
    """Commits verdicts of another version on the samples of a unit that lie in a compacted shard."""
    earlier = read_footer(store.get(final_verdicts_key("v1", "m", "t", 0)))
    RunSink(store, "v2").commit_verdicts(unit_of(number), samples_of(number), VERDICTS, earlier)


@pytest.mark.usefixtures("few")
def test_runs_of_an_older_troop_are_counted_from_their_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    monkeypatch.setattr(commits, "finish_counts", lambda samples: ())
    for number in range(4):
        commit(store, number)
        if number == 2:
            assert counts_of_report(store) == {"stop": 6, "length": 3, "error": 3}
    monkeypatch.setattr(commits, "finish_counts", finish_counts)
    assert (only(store).finish_counts, only(store).cut) == ({}, None)
    assert compact_run(store).shards == 1 and only(store).finish_counts == {}
    assert counts_of_report(store) == {"stop": 8, "length": 4, "error": 4}


def counts_of_report(store: DirectoryStore) -> dict[str, int]:
    (found,) = with_finish_counts(StoredRun(store, ()), read_cells(store))
    return dict(found.finish_counts)


@pytest.mark.parametrize(
    "finish", ["stop", [["stop"]], [["stop", -1]], [["stop", 1.5]], [[1, 1]], [["stop", True]], {"stop": 1}, [["a", 0]]]
)
def test_counts_that_troop_does_not_write_are_damage(finish: object) -> None:
    pairs = {"kind": "verdicts", "schema": 4, "attempt": "a", "finish": finish}
    with pytest.raises(DamagedFile, match="finish"):
        parse_footer({b"troop": json.dumps(pairs).encode()}, "here")
    right = pairs | {"finish": [["length", 2]]}
    assert parse_footer({b"troop": json.dumps(right).encode()}, "here") == Footer("a", finish=(("length", 2),))


@pytest.mark.parametrize(("cut", "warned"), [(5, False), (6, True), (100, True)])
def test_above_five_percent_a_warning_names_max_tokens(cut: int, warned: bool) -> None:
    counts = {name: count for name, count in (("stop", 100 - cut), ("length", cut)) if count}
    said = doubts([replace(cell([100], [3]), finish_counts=counts)])
    assert bool(said) == warned and all(f"{cut}% of samples were cut at max_tokens" in line for line in said)


def test_one_warning_a_task_names_the_worst_model() -> None:
    cells = [replace(cell([100], [3], model=f"m{i}"), finish_counts={"length": 20 + i, "stop": 80}) for i in range(9)]
    (said,) = doubts(cells)
    assert said.startswith("m8 on gsm8k: 26% of samples, and more than 5% with 8 other models, were cut at max_tokens")


def test_status_and_report_say_how_samples_ended(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep()
    assert troop("run", sweep, "--local", "--no-report").code == 0
    status = json.loads(troop("status", sweep, "--json").out)
    (found,) = status["cells"]
    assert (found["finish_counts"], found["nothing_extracted"], status["warnings"]) == ({"stop": 12}, 0.0, [])
    assert troop("report", sweep, "--out", tmp_path / "out").code == 0
    (told,) = json.loads((tmp_path / "out" / "report.json").read_text())["cells"]
    assert (told["finish_counts"], told["cut"], told["nothing_extracted"]) == ({"stop": 12}, 0.0, 0.0)
