"""Tests of the commit: a unit is committed once, whichever writers die and whatever the network does."""

import json
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.sink import Receipt, Sink
from jobs.store.base import NO_METADATA, ObjectInfo, Store, StoreOptions
from jobs.store.check import find_damage
from jobs.store.clean import Orphans, find_orphans
from jobs.store.commit import RunSink
from jobs.store.encode import verdict_table
from jobs.store.folder import DirectoryStore
from jobs.store.layout import SAMPLES, VERDICTS, final_verdicts_key, samples_key, verdicts_key
from jobs.store.open import open_store
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import StoreError
from sampling.samples import Provenance, Sample, Unit
from tests.support.faulty_proxy import faulty_proxy
from tests.support.s3_server import S3Server
from tests.support.store_fixtures import committed_units, read_samples
from verify.verdict import Status, Verdict

UNIT = Unit("org/m", "gsm8k", 3, 0, 2, 0, 4)
PROVENANCE = Provenance("org/m", "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")


def samples_of(unit: Unit, note: str = "") -> list[Sample]:
    return [
        Sample(p, s, f"{note}{p}:{s}", "stop", 10, 5, 1, 1.0, 0.25)
        for p in range(unit.first_problem, unit.last_problem)
        for s in range(unit.first_sample, unit.last_sample)
    ]


def verdicts_of(unit: Unit) -> list[Verdict]:
    return [Verdict((Status.PASS, Status.FAIL, Status.FAULT)[s.sample_idx % 3]) for s in samples_of(unit)]


def commit(sink: Sink, unit: Unit = UNIT, note: str = "") -> Receipt:
    return sink.commit(unit, samples_of(unit, note), verdicts_of(unit), PROVENANCE)


def keys(store: Store, prefix: str) -> list[str]:
    return [info.key for info in store.list(prefix)]


def orphans(store: Store) -> Orphans:
    return find_orphans(store)


def committed_text(store: Store) -> str:
    """Returns the first text of the samples that the committed verdicts name."""
    footer = read_footer(store.get(verdicts_key("v1", UNIT)))
    return read_samples(store.get(footer.samples))[0][0].text


def test_receipt_and_what_is_stored(store: Store) -> None:
    receipt = commit(RunSink(store, "v1"))
    assert receipt.won
    assert (receipt.unit, receipt.rows, receipt.tokens) == (UNIT, 8, 40)
    assert receipt.passed == ((0, 3, 2), (1, 3, 2))
    assert receipt.status_counts == (("fail", 2), ("fault", 2), ("pass", 4))
    assert receipt.stored_bytes == sum(info.size for info in store.list(""))
    data = store.get(verdicts_key("v1", UNIT))
    footer = read_footer(data)
    assert footer.samples == samples_key(UNIT, footer.attempt)
    assert footer.engine_s == 2.0
    assert read_table(data, "verdicts", "here")["problem_idx"].to_pylist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert committed_units(store, "v1", "org/m", "gsm8k") == {3}
    assert orphans(store).uncommitted == ()


def test_metadata_says_the_same(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = moto.new_store(monkeypatch)
    commit(RunSink(store, "v1"))
    key = verdicts_key("v1", UNIT)
    found, footer = store.head(key), read_footer(store.get(key))
    assert found is not None
    assert found.metadata == {
        "attempt": footer.attempt,
        "samples": footer.samples,
        "samples-sha256": footer.samples_sha256,
    }


def test_sink_travels(store: Store) -> None:
    sink: RunSink = pickle.loads(pickle.dumps(RunSink(store, "v1")))  # noqa: S301
    assert commit(sink).won


def test_second_attempt_loses_and_changes_nothing(store: Store) -> None:
    assert commit(RunSink(store, "v1"), note="first ").won
    before = {key: store.get(key) for key in keys(store, "")}
    assert not commit(RunSink(store, "v1"), note="second ").won
    assert {key: store.get(key) for key in before} == before
    assert committed_text(store) == "first 0:0"
    lost = orphans(store).lost
    assert [info.key for info in lost] == sorted(set(keys(store, "")) - set(before))
    assert len(lost) == 1


def test_racing_attempts(store: Store, request: pytest.FixtureRequest) -> None:
    start, receipts = threading.Barrier(2), {}

    def attempt(note: str) -> None:
        start.wait()
        receipts[note] = commit(RunSink(store, "v1"), note=note).won

    threads = [threading.Thread(target=attempt, args=(note,)) for note in ("one ", "two ")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = committed_text(store).removesuffix("0:0")
    assert receipts[held], "what the key holds was told that it won"
    if "swift" not in request.node.name:
        assert sorted(receipts.values()) == [False, True]
    assert len(orphans(store).lost) == 1


@dataclass(frozen=True)
class Interrupted(DirectoryStore):
    """A store that calls ``before_verdicts`` just before the verdicts are put."""

    before_verdicts: list[object] = field(default_factory=list)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        if VERDICTS in key:
            for happen in self.before_verdicts:
                happen()  # type: ignore[operator]
        return super().put_new(key, data, metadata)


def test_zombie_that_wakes_after_its_unit_was_done_again(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    other = RunSink(store, "v1")
    zombie = RunSink(Interrupted(tmp_path, [lambda: commit(other, note="other ")]), "v1")
    assert not commit(zombie, note="zombie ").won
    assert committed_text(store) == "other 0:0"
    assert [read_samples(store.get(info.key))[0][0].text for info in orphans(store).lost] == ["zombie 0:0"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from jobs.store.check import find_damage
from jobs.store.commit import RunSink
from tests.jobs.store.test_commit import Interrupted, commit
die = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[2] == "between":
    commit(RunSink(Interrupted(Path(sys.argv[1]), [die]), "v1"))
store = Interrupted(Path(sys.argv[1]), [lambda: setattr(os, sys.argv[2], die)])
commit(RunSink(store, "v1"))
"""


@pytest.mark.parametrize("instant", ["between", "fsync", "link"])
def test_kill_before_the_commit_leaves_nothing_committed(tmp_path: Path, instant: str) -> None:
    """Kills between samples and verdicts, while the verdicts are written, and just before they get their name."""
    store = DirectoryStore(tmp_path)
    done = subprocess.run([sys.executable, "-c", _KILLED, str(tmp_path), instant], check=False)
    assert done.returncode == -signal.SIGKILL
    assert keys(store, "verdicts/") == []
    assert committed_units(store, "v1", "org/m", "gsm8k") == set()
    assert orphans(store).lost == ()
    assert [info.key for info in orphans(store).uncommitted] == keys(store, "samples/")
    assert commit(RunSink(store, "v1"), note="again ").won
    assert committed_text(store) == "again 0:0"
    assert len(orphans(store).lost) == 1


def test_lost_replies(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = moto.new_store(monkeypatch).uri
    with faulty_proxy(moto.endpoint) as proxy:
        store = open_store(uri, StoreOptions(endpoint_url=proxy.endpoint))
        proxy.faults = ["lose reply", "ok", "lose reply", "lose reply"]
        assert commit(RunSink(store, "v1"), note="first ").won
        proxy.faults = ["lose reply", "cut before", "lose reply"]
        assert not commit(RunSink(store, "v1"), note="second ").won
        assert committed_text(store) == "first 0:0"


def test_two_writers_on_a_bad_network(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two writers commit every unit and several puts fail: each unit is won exactly once."""
    uri = moto.new_store(monkeypatch).uri
    units, won = [Unit("org/m", "gsm8k", number, 0, 2, 0, 4) for number in range(5)], []
    with faulty_proxy(moto.endpoint) as proxy:
        proxy.faults = ["ok", "503", "ok", "lose reply", "ok", "ok", "409", "ok", "ok", "cut before"]
        store = open_store(uri, StoreOptions(endpoint_url=proxy.endpoint))

        def write() -> None:
            won.extend(unit.number for unit in units if commit(RunSink(store, "v1"), unit).won)

        threads = [threading.Thread(target=write) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(won) == [0, 1, 2, 3, 4]
    direct = open_store(uri, moto.options())
    assert committed_units(direct, "v1", "org/m", "gsm8k") == {0, 1, 2, 3, 4}
    assert find_damage(direct) == []
    assert len(orphans(direct).lost) == 5


def test_full_disk_is_one_line_and_commits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        commit(RunSink(DirectoryStore(tmp_path), "v1"))
    monkeypatch.undo()
    assert keys(DirectoryStore(tmp_path), "") == []
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_half_a_unit_is_never_committed(tmp_path: Path) -> None:
    sink = RunSink(DirectoryStore(tmp_path), "v1")
    with pytest.raises(AssertionError, match="committed whole"):
        sink.commit(UNIT, samples_of(UNIT)[:-1], verdicts_of(UNIT)[:-1], PROVENANCE)


def test_judging_again_writes_no_text(store: Store) -> None:
    commit(RunSink(store, "v1"))
    judged = read_footer(store.get(verdicts_key("v1", UNIT)))
    before = keys(store, "samples/")
    receipt = RunSink(store, "v2").commit_verdicts(UNIT, samples_of(UNIT), [Verdict(Status.PASS)] * 8, judged)
    assert receipt.won
    assert receipt.passed == ((0, 4, 4), (1, 4, 4))
    assert keys(store, "samples/") == before
    again = read_footer(store.get(verdicts_key("v2", UNIT)))
    assert (again.samples, again.samples_sha256) == (judged.samples, judged.samples_sha256)
    assert orphans(store).lost == ()
    assert committed_units(store, "v2", "org/m", "gsm8k") == {3}


@dataclass(frozen=True)
class Counting(DirectoryStore):
    calls: list[str] = field(default_factory=list)

    def get(self, key: str) -> bytes:
        self.calls.append("get")
        return super().get(key)

    def head(self, key: str) -> ObjectInfo | None:
        self.calls.append("head")
        return super().head(key)


@dataclass(frozen=True)
class Dying(DirectoryStore):
    """A store whose writer dies once, after the samples were put."""

    left: list[str] = field(default_factory=lambda: ["one"])

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        if key.startswith(VERDICTS) and self.left:
            raise StoreError(f"dies {self.left.pop()}")
        return super().put_new(key, data, metadata)


@pytest.mark.parametrize(("writer", "files"), [("20260101T000000.000000Z-ab12", 1), ("", 2)])
def test_a_commit_tried_again_by_one_driver_leaves_no_second_file(tmp_path: Path, writer: str, files: int) -> None:
    sink = RunSink(Dying(tmp_path), "v1", writer)
    with pytest.raises(StoreError, match="dies one"):
        commit(sink)
    assert commit(sink).won
    assert (len(keys(sink.store, SAMPLES)), len(orphans(sink.store).lost)) == (files, files - 1)
    assert find_damage(sink.store) == []
    other = RunSink(sink.store, "v1", "another")
    assert not commit(other).won and len(orphans(sink.store).lost) == files  # two drivers share no samples file


def test_a_reply_lost_with_its_writer_is_still_ours(store: Store) -> None:
    assert [commit(RunSink(store, "v1", "driver")).won for _ in range(2)] == [True, True]
    assert not commit(RunSink(store, "v1", "other")).won


def test_resuming_only_lists(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    sink = RunSink(store, "v1")
    for number in (0, 7, 255, 256, 300):
        commit(sink, Unit("org/m", "gsm8k", number, 0, 2, 0, 4))
    commit(sink, Unit("org/m2", "gsm8k", 9, 0, 2, 0, 4))
    commit(sink, Unit("org/m", "gsm8k-hard", 9, 0, 2, 0, 4))
    store.put_new(final_verdicts_key("v1", "org/m", "gsm8k", 4), b"")
    store.calls.clear()
    found = committed_units(store, "v1", "org/m", "gsm8k")
    assert found == {0, 7, 255, 256, 300} | set(range(4 * 256, 5 * 256))
    assert committed_units(store, "v2", "org/m", "gsm8k") == set()
    assert store.calls == []


def test_imported_verdicts_need_no_text(store: Store) -> None:
    table = verdict_table(samples_of(UNIT), verdicts_of(UNIT)).select(["problem_idx", "sample_idx", "status"])
    won, size = RunSink(store, "v1").put_verdicts(UNIT, table, Footer("a1"))
    assert (won, size) == (True, sum(info.size for info in store.list("")))
    assert RunSink(store, "v1").put_verdicts(UNIT, table, Footer("a2"))[0] is False
    assert keys(store, SAMPLES) == []
    assert read_footer(store.get(verdicts_key("v1", UNIT))) == Footer("a1")


def test_footer_is_plain_json(tmp_path: Path) -> None:
    """The footer is one key in the file's metadata, which any reader of Parquet finds."""
    store = DirectoryStore(tmp_path)
    commit(RunSink(store, "v1"))
    said = json.loads(pq.read_metadata(tmp_path / verdicts_key("v1", UNIT)).metadata[b"troop"])
    assert set(said) == {"kind", "schema", "attempt", "samples", "samples_sha256", "engine_s", "finish", "sha256"}
