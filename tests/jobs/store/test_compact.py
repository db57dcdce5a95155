"""Tests of compaction: no row is lost or doubled, wherever it is killed and whoever works on the same shard."""

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.store import encode
from jobs.store.base import NO_METADATA, ObjectInfo, Store
from jobs.store.catalogue import read_versions
from jobs.store.check import find_damage
from jobs.store.clean import Orphans, find_orphans
from jobs.store.commit import RunSink
from jobs.store.compact import compact_run, compact_shard, shards_to_compact
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.store.keyed_rows import SamplesReader, read_batches, read_keys, read_rows_at
from jobs.store.layout import FINAL, SAMPLES, VERDICTS, final_verdicts_key, verdicts_key
from jobs.store.merge import MergeLimits, Source, in_key_order, row_keys
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import StoreError
from sampling.samples import Provenance, Sample, Shard, Unit
from tests.support.s3_server import S3Server
from verify.verdict import Status, Verdict

MODEL, TASK = "org/m", "gsm8k"
PROVENANCE = Provenance(MODEL, "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")
FEW = 4  # units in a shard of these tests, so that a kill can come at every step
SHARD = Shard(MODEL, TASK, 0)
MANY = 256


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of FEW units."""
    small_shards(lambda module, name, value: monkeypatch.setattr(f"{module}.{name}", value))


def small_shards(put: Callable[[str, str, int], None]) -> None:
    for module in ("sampling.samples", "jobs.store.layout", "jobs.store.compact"):
        put(module, "UNITS_PER_SHARD", FEW)


def unit_of(number: int) -> Unit:
    """Returns a unit as of a plan that grew: two problems at first, then more samples of one of them."""
    if number % 2 == 0:
        return Unit(MODEL, TASK, number, 0, 2, 3 * number, 3 * number + 3)
    return Unit(MODEL, TASK, number, 1, 2, 3 * number, 3 * number + 3)


def samples_of(unit: Unit, note: str = "") -> list[Sample]:
    return [
        Sample(p, s, f"{note}{p}:{s}", "stop", 10, 5, 1, 1.0, 0.25)
        for p in range(unit.first_problem, unit.last_problem)
        for s in range(unit.first_sample, unit.last_sample)
    ]


def verdicts_of(unit: Unit) -> list[Verdict]:
    return [Verdict((Status.PASS, Status.FAIL, Status.FAULT)[s.sample_idx % 3]) for s in samples_of(unit)]


def commit(store: Store, *numbers: int, version: str = "v1", note: str = "") -> None:
    for unit in map(unit_of, numbers):
        RunSink(store, version).commit(unit, samples_of(unit, note), verdicts_of(unit), PROVENANCE)


def judge_again(store: Store, *numbers: int, version: str = "v2", of: str = "v1") -> None:
    """Commits new verdicts, as a verifier does that read the old ones before they were compacted."""
    for unit in map(unit_of, numbers):
        judged = read_footer(store.get(verdicts_key(of, unit)))
        RunSink(store, version).commit_verdicts(unit, samples_of(unit), [Verdict(Status.PASS)] * unit.rows, judged)


def expected(*numbers: int) -> list[tuple[int, int, str, str]]:
    rows = [
        (s.problem_idx, s.sample_idx, str(v.status), s.text)
        for unit in map(unit_of, numbers)
        for s, v in zip(samples_of(unit), verdicts_of(unit), strict=True)
    ]
    return sorted(rows)


def rows(store: Store, version: str | None = None) -> list[tuple[int, int, str, str]]:
    """Returns what readers see: each verdict with its sample."""
    query = """SELECT problem_idx, sample_idx, status, text FROM verdicts
        JOIN samples USING (model, task, problem_idx, sample_idx) ORDER BY ALL"""
    with open_database(store, version) as db:
        found: list[tuple[int, int, str, str]] = db.sql(query).fetchall()
        counts = [db.sql(f"SELECT count(*) FROM {view}").fetchall()[0][0] for view in ("verdicts", "samples")]
    assert counts == [len(found)] * 2
    return found


def keys(store: Store, start: str) -> list[str]:
    return [info.key for info in store.list(start)]


def test_a_full_shard_becomes_one_file_of_each_kind(store: Store, few: None) -> None:
    commit(store, *range(FEW), FEW)
    engine_s = read_cells(store)[0].engine_s
    assert shards_to_compact(store) == [("v1", SHARD)]
    assert compact_run(store).shards == 1
    (verdicts,) = keys(store, FINAL + VERDICTS)
    (samples,) = keys(store, FINAL + SAMPLES)
    assert verdicts == final_verdicts_key("v1", MODEL, TASK, 0)
    assert len(keys(store, VERDICTS)) == len(keys(store, SAMPLES)) == 1  # the open shard's
    assert rows(store) == expected(*range(FEW + 1))
    assert read_cells(store)[0].engine_s == pytest.approx(engine_s)
    footer = read_footer(store.get(verdicts))
    assert footer.samples == samples
    assert len(footer.merged) == FEW
    for key, kind in ((verdicts, "verdicts"), (samples, "samples")):
        found = row_keys(read_table(store.get(key), kind, key))
        assert (found[1:] > found[:-1]).all()
    assert find_damage(store) == []
    assert shards_to_compact(store) == []
    assert compact_run(store).shards == 0


def test_an_open_shard_stays_as_it_is(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, 0, 1, 3, 5)
    assert shards_to_compact(store) == []
    compact_shard(store, "v1", SHARD)
    assert keys(store, FINAL) == []
    assert rows(store) == expected(0, 1, 3, 5)


class Died(BaseException):
    """Stands for SIGKILL, since nothing catches it."""


@dataclass(frozen=True)
class Mortal:
    """A store whose user dies after ``changes`` changes."""

    store: Store
    changes: int
    kill: bool = False
    made: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def uri(self) -> str:
        return self.store.uri

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        self._count(key)
        return self.store.put_new(key, data, metadata)

    def delete(self, key: str) -> None:
        self._count(key)
        self.store.delete(key)

    def get(self, key: str) -> bytes:
        return self.store.get(key)

    def head(self, key: str) -> ObjectInfo | None:
        return self.store.head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        return self.store.list(prefix)

    def _count(self, key: str) -> None:
        with self.lock:
            self.made.append(key)
            if len(self.made) <= self.changes:
                return
        if self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        raise Died


CHANGES = 2 + 2 * FEW  # two files written, and two files of each unit deleted


def test_killed_at_every_step_and_begun_again(store: Store, few: None) -> None:
    """Compaction dies before it writes, before the commit, right after it, and then with each file that it deletes."""
    commit(store, *range(FEW))
    for changes in (0, 1, 2, *[1] * (2 * FEW - 1)):
        with pytest.raises(Died):
            compact_run(Mortal(store, changes))
        assert rows(store) == expected(*range(FEW))
        assert find_damage(store) == []
    assert len(keys(store, VERDICTS) + keys(store, SAMPLES)) == 1
    assert compact_run(store).shards == 1
    assert rows(store) == expected(*range(FEW))
    assert shards_to_compact(store) == []


_KILLED = """
import importlib, os, sys
from pathlib import Path
from jobs.store.compact import compact_run
from jobs.store.base import StoreOptions
from jobs.store.folder import DirectoryStore
from jobs.store.open import open_store
from tests.jobs.store.test_compact import Mortal, small_shards
small_shards(lambda module, name, value: setattr(importlib.import_module(module), name, value))
source, *changes = sys.argv[1:]
for count in map(int, changes):
    pid = os.fork()
    if pid == 0:
        if "://" in source:
            store = open_store(source, StoreOptions(endpoint_url=os.environ["ENDPOINT"]))
        else:
            store = DirectoryStore(Path(f"{source}-{count}"))
        compact_run(Mortal(store, count, kill=True))
        os._exit(0)
    print(os.waitpid(pid, 0)[1])
"""


def killed(source: str, *changes: int) -> list[int]:
    """Returns the signals that ended compactions after so many changes, in processes of their own."""
    words = [sys.executable, "-c", _KILLED, source, *map(str, changes)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
    return [int(line) for line in done.stdout.split()]


def test_sigkill_at_every_step_then_finished(tmp_path: Path, few: None) -> None:
    commit(DirectoryStore(tmp_path / "run"), *range(FEW))
    for changes in range(CHANGES):
        shutil.copytree(tmp_path / "run", tmp_path / f"run-{changes}")
    assert killed(str(tmp_path / "run"), *range(CHANGES)) == [signal.SIGKILL] * CHANGES
    for changes in range(CHANGES):
        store = DirectoryStore(tmp_path / f"run-{changes}")
        assert rows(store) == expected(*range(FEW))
        assert compact_run(store).failed == ()
        assert rows(store) == expected(*range(FEW))
        assert keys(store, VERDICTS) == keys(store, SAMPLES) == []
        assert find_damage(store) == []


@pytest.mark.slow
def test_sigkill_at_every_step_on_a_real_s3_server(swift: S3Server, monkeypatch: pytest.MonkeyPatch, few: None) -> None:
    store = swift.new_store(monkeypatch)
    monkeypatch.setenv("ENDPOINT", swift.endpoint)
    commit(store, *range(FEW))
    for changes in (0, 1, 2, 1, 1, 1):
        assert killed(store.uri, changes) == [signal.SIGKILL]
        assert rows(store) == expected(*range(FEW))
    assert compact_run(store).failed == ()
    assert rows(store) == expected(*range(FEW))
    assert keys(store, VERDICTS) == keys(store, SAMPLES) == []


def test_a_zombie_that_commits_a_unit_after_it_was_compacted(store: Store, few: None) -> None:
    """The unit's key is free again, so the store accepts the zombie's files; readers ignore them."""
    commit(store, *range(FEW))
    compact_run(store)
    commit(store, 1, note="zombie ")
    assert rows(store) == expected(*range(FEW))
    assert sum(cell.n.sum() + cell.faults.sum() for cell in read_cells(store)) == len(expected(*range(FEW)))
    assert [cell.units for cell in read_versions(store)] == [FEW]
    assert find_damage(store) == []
    assert compact_run(store).shards == 1
    assert keys(store, VERDICTS) == []
    assert rows(store) == expected(*range(FEW))


def test_a_unit_file_that_the_final_one_does_not_hold_stays(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, *range(FEW))
    compact_run(store)
    stranger = Unit(MODEL, TASK, 1, 7, 8, 0, 2)
    sink = RunSink(store, "v1")
    sink.commit(stranger, samples_of(stranger), verdicts_of(stranger), PROVENANCE)
    (failed,) = compact_run(store).failed
    assert "u0000001.parquet: has rows that" in failed
    assert keys(store, VERDICTS) == [verdicts_key("v1", stranger)]


def test_two_compactions_at_once(tmp_path: Path, few: None) -> None:
    """One compaction overtakes another at every step: before or after the slower one has read its units."""

    @dataclass(frozen=True)
    class Slow(DirectoryStore):
        overtaken: list[str] = field(default_factory=list)
        at: str = ""

        def _overtake(self, key: str) -> None:
            if key.startswith(self.at) and not self.overtaken:
                self.overtaken.append(key)
                compact_run(DirectoryStore(self.root))

        def get(self, key: str) -> bytes:
            self._overtake(key)
            return super().get(key)

        def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
            self._overtake(key)
            return super().put_new(key, data, metadata)

    for number, at in enumerate((VERDICTS, SAMPLES, FINAL + SAMPLES, FINAL + VERDICTS)):
        slow = Slow(tmp_path / str(number), [], at)
        store = slow
        commit(DirectoryStore(slow.root), *range(FEW))
        compact_shard(store, "v1", SHARD)
        assert len(slow.overtaken) == 1
        assert rows(store) == expected(*range(FEW))
        assert keys(store, VERDICTS) == keys(store, SAMPLES) == []
        assert find_damage(store) == []


def test_versions_share_one_samples_file(store: Store, few: None) -> None:
    commit(store, *range(FEW))
    judge_again(store, *range(FEW))
    assert compact_run(store).shards == 2
    assert len(keys(store, FINAL + VERDICTS)) == 2
    assert len(keys(store, FINAL + SAMPLES)) == 1
    assert keys(store, VERDICTS) == keys(store, SAMPLES) == []
    assert rows(store, "v1") == expected(*range(FEW))
    assert {row[2] for row in rows(store, "v2")} == {"pass"}
    assert find_damage(store) == []


def test_a_version_that_is_half_done_keeps_its_samples(store: Store, few: None) -> None:
    """A half-done version names samples that compaction of the older version has merged; readers find them there."""
    commit(store, *range(FEW))
    judge_again(store, 0, 2)
    compact_run(store)
    assert keys(store, SAMPLES) == []
    assert [row[3] for row in rows(store, "v2")] == [row[3] for row in expected(0, 2)]
    assert rows(store, "v1") == rows(store) == expected(*range(FEW))
    assert find_damage(store) == []
    final = final_verdicts_key("v1", MODEL, TASK, 0)
    merged = read_footer(store.get(final))
    for unit in map(unit_of, (1, 3)):  # the other units verified from the compacted file
        RunSink(store, "v2").commit_verdicts(unit, samples_of(unit), [Verdict(Status.PASS)] * unit.rows, merged)
    assert compact_run(store).shards == 1
    assert len(keys(store, FINAL + SAMPLES)) == 1
    assert [row[3] for row in rows(store, "v2")] == [row[3] for row in expected(*range(FEW))]
    assert find_damage(store) == []


def test_samples_of_two_drivers_with_different_verifiers_are_not_mixed(tmp_path: Path, few: None) -> None:
    """Two versions hold every unit, but each has its own samples of unit 1."""
    store = DirectoryStore(tmp_path)
    commit(store, *range(FEW))
    judge_again(store, 0, 2, 3)
    commit(store, 1, version="v2", note="other ")
    before = {version: rows(store, version) for version in ("v1", "v2")}
    assert before["v1"] != before["v2"]
    compact_run(store)
    assert {version: rows(store, version) for version in ("v1", "v2")} == before
    assert find_damage(store) == []


def test_outcomes_without_text_are_compacted_too(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path)
    for unit in map(unit_of, range(FEW)):
        table = encode.verdict_table(samples_of(unit), verdicts_of(unit)).select(
            ["problem_idx", "sample_idx", "status"]
        )
        RunSink(store, "imported").put_verdicts(unit, table, Footer(f"a{unit.number}"))
    assert compact_run(store).shards == 1
    assert keys(store, VERDICTS) == keys(store, FINAL + SAMPLES) == []
    with open_database(store) as db:
        assert db.sql("SELECT count(*) FROM verdicts").fetchall() == [(len(expected(*range(FEW))),)]


@pytest.mark.parametrize("kind", [VERDICTS, SAMPLES])
def test_a_damaged_file_is_never_merged(tmp_path: Path, few: None, kind: str) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, *range(2 * FEW))
    victim = tmp_path / keys(store, kind)[1]
    data = bytearray(victim.read_bytes())
    data[len(data) // 3] ^= 1
    victim.write_bytes(bytes(data))
    done = compact_run(store)
    assert done.shards == 1
    (failed,) = done.failed
    assert victim.name in failed
    assert len(keys(store, kind)) == FEW
    assert len(keys(store, FINAL + VERDICTS)) == 1


def test_columns_of_other_times(tmp_path: Path, few: None) -> None:
    """A file of an older schema gets nulls; a file with a column that only a newer Troop knows is left alone."""
    store = DirectoryStore(tmp_path)
    commit(store, *range(2 * FEW))
    for number, change in ((0, lambda t: t.drop(["shared"])), (FEW, lambda t: t.append_column("mood", t["reason"]))):
        path = tmp_path / verdicts_key("v1", unit_of(number))
        data = path.read_bytes()
        said = {"attempt": "a", **asdict(read_footer(data))}
        path.write_bytes(encode.write_table(change(read_table(data, "verdicts", "here")), "verdicts", said, 1000))
    done = compact_run(store)
    assert done.shards == 1
    assert "u0000004.parquet: has columns that this Troop does not know (mood)" in done.failed[0]
    assert rows(store) == expected(*range(2 * FEW))


@pytest.mark.slow
def test_a_real_shard(tmp_path: Path) -> None:
    """Compacts 256 units, with more rows than one row group, after a compaction was killed in the middle."""
    store = DirectoryStore(tmp_path)
    units = [
        Unit(MODEL, TASK, number, number % 4, number % 4 + 1, number * 40, number * 40 + 40) for number in range(MANY)
    ]
    for unit in units:
        RunSink(store, "v1").commit(unit, samples_of(unit), verdicts_of(unit), PROVENANCE)
    before = rows(store)
    assert len(before) == MANY * 40
    assert killed_in_the_middle(tmp_path) == -signal.SIGKILL
    assert rows(store) == before
    assert 0 < len(keys(store, VERDICTS)) < MANY
    assert compact_run(store).shards == 1
    assert rows(store) == before
    (samples,) = keys(store, FINAL + SAMPLES)
    file = pq.ParquetFile(tmp_path / samples)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [8192, MANY * 40 - 8192]
    data = (tmp_path / samples).read_bytes()
    for unit in (units[0], units[77]):
        wanted = np.array([(s.problem_idx << 32) | s.sample_idx for s in samples_of(unit)])
        found = read_rows_at(data, "samples", samples, wanted)
        assert found["text"].to_pylist() == [s.text for s in samples_of(unit)]


def killed_in_the_middle(root: Path) -> int:
    script = (
        "import sys; from pathlib import Path; "
        "from jobs.store.compact import compact_run;"
        "from jobs.store.folder import DirectoryStore; from tests.jobs.store.test_compact import Mortal;"
        "compact_run(Mortal(DirectoryStore(Path(sys.argv[1])), 100, kill=True))"
    )
    return subprocess.run([sys.executable, "-c", script, str(root)], check=False, timeout=120).returncode


SMALL = MergeLimits(
    batch=1 << 12, runs=3, kept=1 << 14, ahead=1 << 15, part=1 << 14
)  # it spills, and splits in many files


@dataclass(frozen=True)
class Long:
    """Units that all hold samples of all problems, with text that hardly compresses."""

    number: int

    @property
    def unit(self) -> Unit:
        return Unit(MODEL, TASK, self.number, 0, 8, 4 * self.number, 4 * self.number + 4)

    @property
    def samples(self) -> list[Sample]:
        draw = random.Random(self.number)
        return [replace(s, text=draw.randbytes(draw.randrange(2000)).hex()) for s in samples_of(self.unit)]


def commit_long(store: Store, numbers: range) -> dict[tuple[int, int], str]:
    units = [Long(number) for number in numbers]
    for long in units:
        RunSink(store, "v1").commit(long.unit, long.samples, verdicts_of(long.unit), PROVENANCE)
    return {(s.problem_idx, s.sample_idx): s.text for long in units for s in long.samples}


def test_a_large_shard_is_split_into_files_and_all_readers_find_its_rows(store: Store, few: None) -> None:
    texts = commit_long(store, range(FEW))
    judge_again_all(store, FEW - 1)
    assert compact_run(store, limits=SMALL).failed == ()
    files = {info.key: info.size for info in store.list(FINAL + SAMPLES)}
    assert len(files) > 3
    assert keys(store, SAMPLES) == []
    assert {(p, s): text for p, s, _, text in rows(store, "v1")} == texts
    assert {(p, s): text for p, s, _, text in rows(store, "v2")} == {
        at: text for at, text in texts.items() if at[1] < 4 * (FEW - 1)
    }
    assert find_damage(store) == []
    assert find_orphans(store) == Orphans((), ())
    footer = read_footer(store.get(final_verdicts_key("v1", MODEL, TASK, 0)))
    assert sorted(footer.samples_files) == sorted(files)
    ordered = [key for name in footer.samples_files for key in read_keys(store.get(name), "samples", name).tolist()]
    assert ordered == sorted(ordered)
    assert len(ordered) == len(texts)
    for long in map(Long, range(FEW)):  # as verifying again reads them, unit by unit
        unit_keys = np.array([(s.problem_idx << 32) | s.sample_idx for s in long.samples])
        assert SamplesReader(store).read(footer, unit_keys)["text"].to_pylist() == [s.text for s in long.samples]
    RunSink(store, "v2").commit_verdicts(Long(FEW - 1).unit, Long(FEW - 1).samples, [Verdict(Status.PASS)] * 32, footer)
    assert compact_run(store, limits=SMALL).failed == ()
    assert {info.key for info in store.list(FINAL + SAMPLES)} == set(files)
    assert {(p, s): text for p, s, _, text in rows(store, "v2")} == texts


def judge_again_all(store: Store, count: int) -> None:
    for long in map(Long, range(count)):
        judged = read_footer(store.get(verdicts_key("v1", long.unit)))
        RunSink(store, "v2").commit_verdicts(long.unit, long.samples, [Verdict(Status.PASS)] * 32, judged)


def test_files_have_their_rows_in_one_order_however_they_are_merged(tmp_path: Path, few: None) -> None:
    """Bytes of the files do not depend on what went through a temporary file, only on the size that splits them."""
    seen = set()
    for number, limits in enumerate((SMALL, replace(SMALL, runs=99), replace(SMALL, kept=1 << 30, batch=1 << 20))):
        store = DirectoryStore(tmp_path / str(number))
        commit_long(store, range(FEW))
        compact_run(store, limits=limits)
        seen.add(tuple(store.get(key) for key in keys(store, FINAL + SAMPLES)))
    assert len(seen) == 1


def test_a_file_of_a_split_shard_that_is_damaged_is_found(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path)
    commit_long(store, range(FEW))
    compact_run(store, limits=SMALL)
    victim = sorted(keys(store, FINAL + SAMPLES))[2]
    data = bytearray((tmp_path / victim).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / victim).write_bytes(bytes(data))
    (damage,) = find_damage(store)
    assert damage.key == victim
    with pytest.raises(StoreError, match="SHA-256"):
        footer = read_footer(store.get(final_verdicts_key("v1", MODEL, TASK, 0)))
        SamplesReader(store).read(footer, np.array([0]))


def test_killed_between_the_files_of_a_split_shard(tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path)
    texts = commit_long(store, range(FEW))
    for changes in (1, 3):
        with pytest.raises(Died):
            compact_run(Mortal(store, changes), limits=SMALL)
        assert {(p, s): text for p, s, _, text in rows(store)} == texts
    compact_run(store, limits=SMALL)
    assert {(p, s): text for p, s, _, text in rows(store)} == texts
    assert len(find_orphans(store).lost) == 1 + 3  # the files that the two killed ones had written


def test_a_full_temporary_folder_is_told(tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    store = DirectoryStore(tmp_path)
    commit_long(store, range(FEW))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
    (failed,) = compact_run(store, limits=SMALL).failed
    assert "TMPDIR" in failed
    assert len(keys(store, VERDICTS)) == FEW


_BOUNDED = """
import importlib, resource, sys, threading
from pathlib import Path
from jobs.store.compact import compact_run
from jobs.store.folder import DirectoryStore
from jobs.store.merge import MergeLimits
from tests.jobs.store.test_compact import small_shards
small_shards(lambda module, name, value: setattr(importlib.import_module(module), name, value))
threading.stack_size(1 << 20)
held = int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1]) << 10
resource.setrlimit(resource.RLIMIT_DATA, (held + int(sys.argv[2]),) * 2)
limits = MergeLimits(batch=1 << 16, kept=1 << 20, ahead=1 << 20, part=1 << 20)
print(compact_run(DirectoryStore(Path(sys.argv[1])), limits=limits).as_text())
"""


def test_memory_is_bounded_whatever_a_shard_holds(tmp_path: Path, few: None) -> None:
    """A process with 48 MB to spare compacts 100 MB of text whose units overlap: it must go through a file."""
    store, text = DirectoryStore(tmp_path), "so and so " * 4_000
    for number in range(FEW):
        unit = Unit(MODEL, TASK, number, 0, 4, 160 * number, 160 * number + 160)
        samples = [replace(s, text=f"{s.sample_idx}{text}") for s in samples_of(unit)]
        RunSink(store, "v1").commit(unit, samples, verdicts_of(unit), PROVENANCE)
    words = [sys.executable, "-c", _BOUNDED, str(tmp_path), str(48 << 20)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120, env=one_thread())
    assert done.stdout.endswith("1 full shard compacted\n"), done.stdout + done.stderr
    found = 0
    for key in keys(store, FINAL + SAMPLES):
        for table in read_batches(tmp_path / key, "samples", key):
            pairs = zip(table["sample_idx"].to_pylist(), table["text"].to_pylist(), strict=True)
            found += sum(value == f"{at}{text}" for at, value in pairs)
    assert found == FEW * 4 * 160


def one_thread() -> dict[str, str]:
    """Environment of a process whose libraries set no memory aside for threads that they might start."""
    return os.environ | {"ARROW_DEFAULT_MEMORY_POOL": "system", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


def test_the_glob_is_exact_before_and_after(tmp_path: Path, few: None) -> None:
    """Any tool reads exact rows: from unit files before a shard is compacted, then from both folders together."""
    import duckdb

    store = DirectoryStore(tmp_path)
    commit(store, *range(FEW + 1))
    counts = "SELECT v, model, task, count(*), count(DISTINCT (problem_idx, sample_idx)) FROM"
    total = len(expected(*range(FEW + 1)))
    glob = f"read_parquet('{tmp_path}/verdicts/**/*.parquet')"
    assert duckdb.sql(f"{counts} {glob} GROUP BY ALL").fetchall() == [("v1", MODEL, TASK, total, total)]
    compact_run(store)
    both = f"(FROM read_parquet('{tmp_path}/final/verdicts/**/*.parquet') UNION ALL BY NAME FROM {glob})"
    assert duckdb.sql(f"{counts} {both} GROUP BY ALL").fetchall() == [("v1", MODEL, TASK, total, total)]


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20)), min_size=1, unique=True), max_size=8),
    st.builds(
        MergeLimits, batch=st.sampled_from([1, 99, 9999]), runs=st.integers(2, 9), kept=st.sampled_from([0, 200, 9999])
    ),
)
@settings(deadline=None, max_examples=80)
def test_rows_come_in_key_order(parts: list[list[tuple[int, int]]], limits: MergeLimits) -> None:
    """Rows that are kept in memory or in a file, in batches of one row or more, merged all at once or in turns."""
    sources = [Source((part[0][0] << 32) | part[0][1], [table_of(part)]) for part in sorted(map(sorted, parts))]
    merged = [key for table in in_key_order(sources, limits) for key in row_keys(table).tolist()]
    assert merged == sorted((p << 32) | s for part in parts for p, s in part)


def table_of(keys: list[tuple[int, int]]) -> pa.Table:
    problems, samples = (pa.array([key[i] for key in keys], pa.int32()) for i in (0, 1))
    return pa.table({"problem_idx": problems, "sample_idx": samples, "text": [f"{key}" for key in keys]})


def test_an_error_of_the_store_is_told(tmp_path: Path, few: None) -> None:
    @dataclass(frozen=True)
    class Full(DirectoryStore):
        def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
            raise StoreError(f"{key}: No space left on device")

    commit(DirectoryStore(tmp_path), *range(FEW))
    done = compact_run(Full(tmp_path))
    assert (done.shards, len(done.failed)) == (0, 1)
    assert "No space left" in done.as_text()
    assert rows(DirectoryStore(tmp_path)) == expected(*range(FEW))
