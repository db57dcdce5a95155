"""Tests of `troop check`: damage is found wherever a bit has flipped, quarantined, and the unit is made again."""

import json

import pytest

from jobs.store.base import Store
from jobs.store.check import Damage, find_damage, quarantine_damage
from jobs.store.commit import RunSink
from jobs.store.layout import verdicts_key
from jobs.store.sealed_parquet import read_footer
from tests.conftest import Troop, WriteSweep
from tests.jobs.store.test_commit import UNIT, commit, keys, samples_of, verdicts_of
from tests.support.store_fixtures import committed_units


def flip(store: Store, key: str, place: int) -> bytes:
    """Flips one bit of an object; returns the bytes before."""
    before = store.get(key)
    broken = bytearray(before)
    broken[place % len(broken)] ^= 1 << place % 8
    store.put(key, bytes(broken))
    return before


def damage(store: Store) -> list[Damage]:
    return find_damage(store)


@pytest.mark.parametrize("kind", ["verdicts", "samples", "problems"])
def test_a_flipped_bit_is_found_set_aside_and_made_again(
    troop: Troop, write_sweep: WriteSweep, store: Store, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    options = store.options.model_dump() if hasattr(store, "options") else {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", options.get("endpoint_url") or "")
    sweep = write_sweep(store=store.uri, store_options=options)
    run, words = f"{store.uri}/sums", ("--local", "--no-report")
    troop("run", sweep, *words)
    assert troop("check", run).code == 0
    (key,) = keys(store, f"sums/{kind}/")
    flip(store, key, 1000)
    broken = store.get(key)
    found = troop("check", run, "--json")
    assert (found.code, [key.removeprefix("sums/")]) == (3, list(json.loads(found.out)["damage"]))
    assert store.get(key) == broken, "without --quarantine nothing is touched"
    found = troop("check", run, "--quarantine")
    assert (found.code, " moved to quarantine/" in found.out) == (3, True)
    assert store.head(key) is None
    assert broken in [store.get(kept) for kept in keys(store, "sums/quarantine/")]
    assert troop("run", sweep, *words).code == 0
    assert troop("check", run).code == 0
    rows = "FROM verdicts JOIN problems USING (task, problem_idx) JOIN samples USING (problem_idx, sample_idx)"
    count = f"SELECT count(*) AS n, count(DISTINCT (problem_idx, sample_idx)) AS d {rows}"
    assert json.loads(troop("sql", run, count, "--json").out) == {"n": 12, "d": 12}


def test_every_version_that_names_damaged_samples_goes(store: Store) -> None:
    commit(RunSink(store, "v1"))
    judged = read_footer(store.get(verdicts_key("v1", UNIT)))
    RunSink(store, "v2").commit_verdicts(UNIT, samples_of(UNIT), verdicts_of(UNIT), judged)
    flip(store, judged.samples, 77)
    (found,) = damage(store)
    assert "SHA-256" in found.what
    assert len(quarantine_damage(store, [found])) == 3
    assert all(committed_units(store, version, "org/m", "gsm8k") == set() for version in ("v1", "v2"))
    assert damage(store) == []


def test_verdicts_without_samples_go(store: Store) -> None:
    commit(RunSink(store, "v1"))
    (key,) = keys(store, "samples/")
    store.delete(key)
    (found,) = damage(store)
    assert "no such object" in found.what
    assert len(quarantine_damage(store, [found])) == 1
    assert commit(RunSink(store, "v1")).won
    assert damage(store) == []


def test_what_has_changed_since_it_was_found_stays(store: Store) -> None:
    """Runs two checks at once: when the second acts, the unit has been made again."""
    commit(RunSink(store, "v1"))
    key = verdicts_key("v1", UNIT)
    flip(store, key, 5)
    found = damage(store)
    assert len(quarantine_damage(store, found)) == 1
    commit(RunSink(store, "v1"), note="again ")
    assert quarantine_damage(store, found) == ()
    assert damage(store) == []
