"""Tests of the clean-up: it deletes lost samples, and none that an attempt could still commit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from jobs.store.base import NO_METADATA, ObjectInfo, Store
from jobs.store.check import find_damage, quarantine_damage
from jobs.store.clean import clean_run, parse_duration
from jobs.store.commit import RunSink
from jobs.store.layout import VERDICTS, verdicts_key
from jobs.store.sealed_parquet import read_footer
from sampling.errors import BadInput, DamagedFile
from sampling.samples import Unit
from tests.conftest import Troop, WriteSweep
from tests.jobs.store.test_commit import UNIT, commit, committed_text, keys

OTHER = Unit("org/m", "gsm8k", 4, 0, 2, 0, 4)


@dataclass(frozen=True)
class Sleepy:
    """Store of a zombie: ``meanwhile`` is called between its samples and its verdicts."""

    store: Store
    meanwhile: Callable[[], object]

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        if VERDICTS in key:
            self.meanwhile()
        return self.store.put_new(key, data, metadata)

    def head(self, key: str) -> ObjectInfo | None:
        return self.store.head(key)


def clean(store: Store, grace_s: float = -3600) -> tuple[int, int, int]:
    """Returns how many orphans were deleted, too young and uncommitted; by default none is too young."""
    found = clean_run(store, grace_s, dry_run=False)
    return len(found.deleted), found.too_young, found.uncommitted


def whole(store: Store) -> bool:
    return find_damage(store) == []


def samples(store: Store) -> list[str]:
    return keys(store, "samples/")


def zombie(store: Store, meanwhile: Callable[[], object], version: str = "v1") -> bool:
    """Returns whether an attempt won that slept during ``meanwhile``."""
    return commit(RunSink(Sleepy(store, meanwhile), version), note="zombie ").won


def test_zombie_past_deletion_has_lost(store: Store) -> None:
    """Another attempt committed the unit, so the zombie's samples were deleted: the store refuses its verdicts."""

    def others() -> None:
        assert commit(RunSink(store, "v1"), note="other ").won
        assert clean(store) == (1, 0, 0)

    assert not zombie(store, others)
    assert whole(store)
    assert committed_text(store) == "other 0:0"
    assert len(samples(store)) == 1


def test_samples_of_a_unit_that_nobody_committed_are_never_deleted(store: Store) -> None:
    assert zombie(store, lambda: clean(store))
    assert whole(store)
    assert committed_text(store) == "zombie 0:0"


def test_samples_that_somebody_else_deleted_are_put_again(store: Store) -> None:
    assert zombie(store, lambda: [store.delete(key) for key in samples(store)])
    assert whole(store)


def test_zombie_past_deletion_and_quarantine(store: Store) -> None:
    """The unit it lost against was damaged and quarantined, so the key is free again: the samples are put again."""

    def others() -> None:
        commit(RunSink(store, "v1"), note="other ")
        clean(store)
        key = verdicts_key("v1", UNIT)
        store.put(key, store.get(key)[:-1])
        assert len(quarantine_damage(store, find_damage(store))) == 1

    assert zombie(store, others)
    assert whole(store)
    assert committed_text(store) == "zombie 0:0"


def test_zombie_of_an_older_version_of_the_verifiers(store: Store) -> None:
    """The zombie's key is free, since the unit was committed under a new version: its samples stay."""

    def others() -> None:
        commit(RunSink(store, "v2"))
        assert clean(store) == (0, 0, 1)

    commit(RunSink(store, "v1"), OTHER)
    assert zombie(store, others, "v1")
    assert whole(store)


def test_samples_that_any_version_names_stay(store: Store) -> None:
    for note in ("first ", "second "):
        commit(RunSink(store, "v1"), note=note)
    key = verdicts_key("v1", UNIT)
    judged = read_footer(store.get(key))
    RunSink(store, "v2").commit_verdicts(UNIT, [], [], judged)
    store.delete(key)
    commit(RunSink(store, "v1"), note="third ")
    assert clean(store) == (1, 0, 0)
    assert whole(store)
    assert len(samples(store)) == 2


def test_the_young_stay_and_a_dry_run_deletes_nothing(store: Store) -> None:
    for _ in range(2):
        commit(RunSink(store, "v1"))
    assert clean(store, grace_s=3600) == (0, 1, 0)
    assert len(clean_run(store, -3600, dry_run=True).deleted) == 1
    assert len(samples(store)) == 2


def test_nothing_is_deleted_beside_damage(store: Store) -> None:
    for _ in range(2):
        commit(RunSink(store, "v1"))
    key = verdicts_key("v1", UNIT)
    good = store.get(key)
    store.put(key, good[:-1])
    with pytest.raises(DamagedFile, match=r"u0000003\.parquet"):
        clean(store)
    store.put(key, good)
    store.delete(read_footer(good).samples)
    assert clean(store) == (0, 0, 0)
    assert len(samples(store)) == 1


def test_the_command(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    found = troop("clean", "runs/sums", "--grace", "0s", "--dry-run")
    assert (found.code, "would delete 0 orphans" in found.out) == (0, True)
    assert troop("clean", "runs/sums", "--grace", "soon").code == 2


def test_durations() -> None:
    assert [parse_duration(text) for text in ("90s", "1.5m", "24h", "7d")] == [90, 90, 86400, 604800]
    for bad in ("", "24", "h", "-1h", "1w"):
        with pytest.raises(BadInput, match="24h"):
            parse_duration(bad)
