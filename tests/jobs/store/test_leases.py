"""Leases: two drivers share the units of a run, whatever dies and whatever their clocks say."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cluster.sink import Claim
from jobs.store.base import NO_METADATA, ObjectInfo, Store
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from jobs.store.layout import LEASES, lease_key
from jobs.store.leases import BEAT_S, EXPIRY_S, Driver, Leases, OtherDrivers
from jobs.store.s3 import S3Store
from tests.jobs.store.test_commit import UNIT, commit, keys
from tests.support.s3_server import S3Server

OTHERS = [replace(UNIT, number=number) for number in range(4, 9)]


@pytest.fixture(autouse=True)
def look_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.store.leases.LOOK_S", 0.0)


def leases(store: Store, name: str) -> Leases:
    return Leases(RunSink(store, "v1"), name)


def test_a_unit_goes_to_one_of_many_drivers(store: Store, request: pytest.FixtureRequest) -> None:
    drivers = [leases(store, f"d{number}") for number in range(6)]
    claims: list[Claim] = []
    with contextlib.ExitStack() as stack:
        for driver in drivers:
            stack.enter_context(driver.kept())
        threads = [threading.Thread(target=lambda d=d: claims.append(d.claim(UNIT))) for d in drivers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(claims) == 6 and Claim.MINE in claims and set(claims) <= {Claim.HELD, Claim.MINE}
    if "directory" in request.node.name:  # racing creates of both test servers are not atomic, so that several may win
        assert claims.count(Claim.MINE) == 1


def test_a_unit_is_held_then_committed_or_free(store: Store) -> None:
    first, second, third = (leases(store, name) for name in ("first", "second", "third"))
    with second.kept():
        with first.kept():
            assert [first.claim(unit) for unit in (UNIT, OTHERS[0])] == [Claim.MINE] * 2
            assert first.claim(UNIT) is Claim.MINE  # after a failure it tries again
            assert [second.claim(unit) for unit in (UNIT, *OTHERS)] == [Claim.HELD] * 2 + [Claim.MINE] * 4
            commit(RunSink(store, "v1"))
            assert second.claim(UNIT) is Claim.COMMITTED
        assert second.claim(OTHERS[0]) is Claim.MINE
        assert third.claim(OTHERS[0]) is Claim.HELD  # one driver alone takes over
        assert first.claim(OTHERS[0]) is Claim.HELD  # as one that was frozen learns


def test_what_a_driver_sets_aside_others_may_try(store: Store) -> None:
    first, second = leases(store, "first"), leases(store, "second")
    with first.kept(), second.kept():
        assert (first.claim(UNIT), second.claim(UNIT)) == (Claim.MINE, Claim.HELD)
        first.release(UNIT)
        assert second.claim(UNIT) is Claim.MINE
        second.release(UNIT)
        assert first.claim(UNIT) is Claim.MINE


def test_one_driver_compacts_a_shard_and_a_compaction_that_died_is_taken_over(store: Store) -> None:
    first, second, shard = leases(store, "first"), leases(store, "second"), UNIT.in_shard
    with second.kept():
        with first.kept():
            assert [driver.claim(shard) for driver in (first, second, first)] == [Claim.MINE, Claim.HELD, Claim.MINE]
            assert second.claim(UNIT) is Claim.MINE  # a shard's lease is no unit's
        assert second.claim(shard) is Claim.MINE


def test_a_unit_committed_at_the_moment_of_its_takeover_is_not_started(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Late(DirectoryStore):
        """Another driver's last commit arrives while its lease is taken over."""

        meanwhile: list[Callable[[], object]] = field(default_factory=list)

        def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
            if key == lease_key("v1", UNIT, 2):
                self.meanwhile.pop()()
            return super().put_new(key, data, metadata)

    store = DirectoryStore(tmp_path)
    with leases(store, "first").kept():
        assert leases(store, "first").claim(UNIT) is Claim.MINE
    late = leases(Late(tmp_path, [lambda: commit(RunSink(store, "v1"))]), "second")
    assert late.claim(UNIT) is Claim.COMMITTED


# Drivers that die


def test_a_driver_that_is_killed_on_this_machine_is_known_to_be_over(store: Store) -> None:
    code = """
import pickle, sys, time
from tests.jobs.store.test_leases import UNIT, leases
first = leases(pickle.loads(bytes.fromhex(sys.argv[1])), "first")
with first.kept():
    print(first.claim(UNIT).value, flush=True)
    time.sleep(60)
"""
    words = [sys.executable, "-c", code, pickle.dumps(store).hex()]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "."}) as driver:
        assert driver.stdout is not None and driver.stdout.readline() == "mine\n"
        second = leases(store, "second")
        assert (second.meet(["first"]), second.claim(UNIT)) == (True, Claim.HELD)
        driver.send_signal(signal.SIGKILL)
    assert (second.claim(UNIT), second.meet(["first"])) == (Claim.MINE, False)


def say(store: Store, beat: int, process: str = "") -> None:
    store.put(f"{LEASES}drivers/far.json", Driver(beat=beat, process=process).model_dump_json().encode())


@pytest.mark.parametrize("process", ["", "another-boot/pid:[1]/1-1"])
def test_a_driver_elsewhere_is_over_once_it_stays_silent_for_long(tmp_path: Path, process: str) -> None:
    store, now = DirectoryStore(tmp_path), [0.0]
    others = OtherDrivers(store, lambda: now[0])
    say(store, 0, process)
    assert not others.is_over("far")
    for beat in range(1, 20):
        now[0] += EXPIRY_S - 1
        say(store, beat, process)
        assert not others.is_over("far")
    now[0] += EXPIRY_S - 1
    assert not others.is_over("far")
    now[0] += 1
    assert others.is_over("far")
    say(store, 20, process)  # it was frozen, or cut off
    assert not others.is_over("far")


@pytest.mark.parametrize("hours", [-48, 48])
def test_no_clock_of_another_machine_counts(tmp_path: Path, hours: int) -> None:
    store, now = DirectoryStore(tmp_path), [0.0]
    say(store, 7)
    path = tmp_path / LEASES / "drivers/far.json"
    stamp = path.stat().st_mtime + 3600 * hours
    os.utime(path, (stamp, stamp))
    others = OtherDrivers(store, lambda: now[0])
    assert not others.is_over("far")
    now[0] += EXPIRY_S
    assert others.is_over("far")


def test_a_living_driver_says_so_often_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 3 * BEAT_S < EXPIRY_S <= 45
    monkeypatch.setattr("jobs.store.leases.BEAT_S", 0.01)
    store, seen = DirectoryStore(tmp_path), set[bytes]()
    with leases(store, "far").kept():
        while len(seen) < 5:
            seen.add(store.get(f"{LEASES}drivers/far.json"))
    said = Driver.model_validate_json(store.get(f"{LEASES}drivers/far.json"))
    assert said.ended and OtherDrivers(store).is_over("far")


@pytest.mark.parametrize("content", [b"", b"never-began", b"../../etc", b"\xff\x00", b"a/b", b"x" * 5000])
def test_a_lease_that_no_living_driver_holds_is_free(store: Store, content: bytes) -> None:
    store.put(lease_key("v1", UNIT, 1), content)
    assert leases(store, "first").claim(UNIT) is Claim.MINE


def test_a_driver_of_a_later_version_lives_while_its_object_changes(tmp_path: Path) -> None:
    store, now = DirectoryStore(tmp_path), [0.0]
    others = OtherDrivers(store, lambda: now[0])
    store.put(f"{LEASES}drivers/far.json", b'{"pulse": 1}')
    assert not others.is_over("far")
    now[0] += EXPIRY_S
    assert others.is_over("far")


# What it costs


@dataclass(frozen=True)
class Counting(DirectoryStore):
    calls: list[str] = field(default_factory=list)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        self.calls.append("put_new")
        return super().put_new(key, data, metadata)

    def put(self, key: str, data: bytes) -> None:
        self.calls.append("put")
        super().put(key, data)

    def get(self, key: str) -> bytes:
        self.calls.append("get")
        return super().get(key)

    def head(self, key: str) -> ObjectInfo | None:
        self.calls.append("head")
        return super().head(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.calls.append("list")
        return super().list(prefix)


def test_a_lone_driver_makes_one_request_a_unit_and_two_more(tmp_path: Path) -> None:
    store = Counting(tmp_path)
    lone = leases(store, "lone")
    with lone.kept():
        assert [lone.claim(unit) for unit in OTHERS] == [Claim.MINE] * 5
    assert store.calls == ["put", *["put_new"] * 5, "put"]


def test_a_store_without_atomic_creates_has_no_leases(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    strong = moto.new_store(monkeypatch)
    assert isinstance(strong, S3Store)
    weak = replace(strong, options=strong.options.model_copy(update={"allow_weak_store": True}))
    first, second = leases(weak, "first"), leases(weak, "second")
    with first.kept(), second.kept():
        assert (first.claim(UNIT), second.claim(UNIT)) == (Claim.MINE, Claim.MINE)
        commit(RunSink(weak, "v1"))
        assert second.claim(UNIT) is Claim.COMMITTED
        second.release(UNIT)
    assert keys(weak, LEASES) == []


def test_units_of_two_versions_of_the_verifiers_have_leases_of_their_own(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    old, new = (Leases(RunSink(store, version), version) for version in ("v1", "v2"))
    with old.kept(), new.kept():
        assert (old.claim(UNIT), new.claim(UNIT)) == (Claim.MINE, Claim.MINE)
    assert len({lease_key(v, u, t) for v in ("v1", "v2") for u in (UNIT, *OTHERS) for t in (1, 2)}) == 24
