"""Runs that are long enough for whole shards: compacted on the way, continued, verified again, read by version.

Shards have 40 units instead of 256 where all commits are made by the test's own process.
"""

import json
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from jobs.store.database import run_query
from jobs.store.folder import DirectoryStore
from jobs.store.layers import open_shards, planned_units
from jobs.store.layout import final_verdicts_key
from jobs.store.open import open_store
from jobs.store.stored_run import list_committed
from jobs.sweep import open_run
from sampling.samples import UNITS_PER_SHARD, Shard
from tests.conftest import Troop, WriteSweep
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.s3_server import S3Server

RUN = "runs/sums"
K = 172  # 86 units of each of three problems make 258, so that the second shard is open
SMALL_SHARD = 40
SMALL_K = 28  # 42 units


@pytest.fixture(autouse=True)
def small_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.planning.UNIT_ROWS", 2)


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (
        "jobs.store.layout",
        "jobs.store.layers",
        "jobs.store.compact",
        "sampling.samples",
    ):  # the source last
        monkeypatch.setattr(f"{module}.UNITS_PER_SHARD", SMALL_SHARD)


def run(troop: Troop, sweep: Path) -> str:
    found = troop("run", sweep, "--local", "--no-report")
    assert found.code == 0, found.err
    return found.err


def gold(k: int, *more: str) -> dict[str, object]:
    return {"models": [{"name": name, "path": "gold", "engine": "replay", "k": k} for name in ("gold", *more)]}


def files(folder: str) -> list[str]:
    return [info.key for info in DirectoryStore(Path(RUN).absolute()).list(folder)]


def counts(version: str | None = None) -> tuple[int, int, int]:
    """Returns the number of verdicts, of distinct ones, and of ones with their sample."""
    query = """SELECT count(*), count(DISTINCT (model, task, problem_idx, sample_idx)),
        count(*) FILTER (text IS NOT NULL)
        FROM verdicts LEFT JOIN samples USING (model, task, problem_idx, sample_idx)"""
    (row,) = run_query(open_run(RUN, version), query)[1]
    return row


@pytest.mark.usefixtures("small_shards")
def test_a_full_shard_is_compacted_on_the_way_and_the_run_grows_beyond_it(
    troop: Troop, write_sweep: WriteSweep
) -> None:
    run(troop, write_sweep(**gold(SMALL_K)))
    assert len(files("final/verdicts/")) == len(files("final/samples/")) == 1
    assert len(files("verdicts/")) == len(files("samples/")) == 2
    assert counts() == (3 * SMALL_K, 3 * SMALL_K, 3 * SMALL_K)
    assert "nothing to sample" in run(troop, write_sweep(**gold(SMALL_K)))
    assert "nothing to compact" in troop("compact", RUN).out
    refused = troop("run", write_sweep(**gold(SMALL_K), sampling={"temperature": 0.5}), "--local")
    assert (refused.code, "temperature was 1.0, is 0.5" in refused.err) == (2, True)
    run(troop, write_sweep(**gold(2 * SMALL_K)))  # 84 units: the second shard is filled by another rectangle
    assert len(files("final/verdicts/")) == 2
    run(troop, write_sweep(**gold(2 * SMALL_K, "twin")))
    assert counts() == (12 * SMALL_K, 12 * SMALL_K, 12 * SMALL_K)
    assert len(files("final/verdicts/")) == 4
    status = json.loads(troop("status", RUN, "--json").out)
    assert status["complete"]
    assert [cell["committed"] for cell in status["cells"]] == [6 * SMALL_K, 6 * SMALL_K]


@pytest.mark.usefixtures("small_shards")
def test_a_shard_is_open_until_the_plan_fills_it(troop: Troop, write_sweep: WriteSweep) -> None:
    run(troop, write_sweep(**gold(4)))  # 6 units
    layers = open_run(RUN).layers
    assert open_shards(layers, planned_units(layers)) == {}
    run(troop, write_sweep(**gold(SMALL_K)))  # 42 units in two layers
    layers = open_run(RUN).layers
    missing = planned_units(layers).without({("gold", "sums"): set(range(6))})
    assert open_shards(layers, missing) == {Shard("gold", "sums", 0): SMALL_SHARD - 6}
    assert len(files("final/verdicts/")) == 1


@pytest.mark.usefixtures("small_shards")
def test_what_was_killed_before_it_was_compacted_is_compacted_by_the_next_run(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.store.commit.RunSink.compact", interrupt)
        assert troop("run", write_sweep(**gold(SMALL_K)), "--local", "--no-report").code == 130
    assert files("final/") == []
    assert "1 full shard compacted" in run(troop, write_sweep(**gold(SMALL_K)))
    assert counts() == (3 * SMALL_K, 3 * SMALL_K, 3 * SMALL_K)


def test_compacted_shards_are_judged_again_beside_the_old_verdicts(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(troop, write_sweep(**gold(K)))
    (old,) = {key.split("/")[2] for key in files("final/verdicts/")}
    before = files("final/samples/")
    monkeypatch.setattr("jobs.reverify.current_version", lambda *_: "fixed")
    found = troop("verify", RUN, "--workers", "2")
    assert found.code == 0, found.err
    assert "258 units judged again (version fixed); 0 verdicts changed" in found.out
    assert "258 of 258 units judged" in found.err
    assert files("final/samples/") == before
    assert {key.split("/")[2] for key in files("final/verdicts/")} == {old, "v=fixed"}
    old = old.removeprefix("v=")
    assert counts("fixed") == counts(old) == counts() == (3 * K, 3 * K, 3 * K)
    assert "0 units" in troop("verify", RUN, "--workers", "1").out
    for version in ("fixed", old):
        assert f"verifiers {version}" in troop("status", RUN, "--version", version).out
        told = troop("sql", RUN, "SELECT DISTINCT version FROM verdicts", "--version", version).out
        assert version in told
    assert troop("report", RUN, "--out", "out", "--version", old).code == 0
    assert f"verifiers {old}" in Path("out/report.json").read_text()
    refused = troop("status", RUN, "--version", "none")
    assert (refused.code, f"it has: {old}, fixed" in refused.err or f"it has: fixed, {old}" in refused.err) == (2, True)


_VERIFY = """
import os, signal, sys
import jobs.reverify

def killed_soon(items, total, what):
    for number, item in enumerate(items):
        if number == 8:
            os.killpg(0, signal.SIGKILL)
        yield item

jobs.reverify.current_version, jobs.reverify.show_count = lambda *_: "fixed", killed_soon
if __name__ == "__main__":
    jobs.reverify.reverify_run(sys.argv[1], tier=None, workers=1)
"""


@pytest.mark.slow
def test_verifying_again_goes_on_where_it_was_killed(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(troop, write_sweep(**gold(K)))
    words = [sys.executable, "-c", _VERIFY, str(Path(RUN).absolute())]
    ended = subprocess.run(words, start_new_session=True, timeout=120, check=False)
    assert ended.returncode == -signal.SIGKILL
    done = len(files("verdicts/v=fixed/"))
    assert done >= 8
    assert counts() == (3 * K, 3 * K, 3 * K)
    assert counts("fixed") == (2 * done, 2 * done, 2 * done)
    monkeypatch.setattr("jobs.reverify.current_version", lambda *_: "fixed")
    assert f"{258 - done} units judged again" in troop("verify", RUN, "--workers", "1").out
    assert counts("fixed") == (3 * K, 3 * K, 3 * K)


def requests(proxy: FaultyProxy) -> tuple[int, int]:
    """Returns the number of listing pages and of all other requests since the last call."""
    pages = sum("list-type=2" in line for line in proxy.requests)
    others = len(proxy.requests) - pages
    proxy.requests.clear()
    return pages, others


@pytest.mark.usefixtures("small_shards")
def test_resuming_asks_for_listing_pages_only(
    troop: Troop, write_sweep: WriteSweep, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second start makes the same requests for three units as for 42, in unit files or compacted."""
    store = moto.new_store(monkeypatch)

    def sweep(k: int, endpoint: str = moto.endpoint) -> Path:
        options = {**store.options.model_dump(), "endpoint_url": endpoint}
        return write_sweep(name=f"k{k}", store=store.uri, store_options=options, **gold(k))

    def asked_again(k: int) -> tuple[int, int]:
        requests(proxy)
        assert "nothing to sample" in run(troop, sweep(k, proxy.endpoint))
        return requests(proxy)

    with faulty_proxy(moto.endpoint) as proxy:
        run(troop, sweep(2))
        few = asked_again(2)
        with monkeypatch.context() as patch:
            patch.setattr("jobs.store.compact.UNITS_PER_SHARD", 10**6)
            patch.setattr("jobs.store.layers.UNITS_PER_SHARD", 10**6)
            run(troop, sweep(SMALL_K))
            many = asked_again(SMALL_K)
        assert "1 full shard compacted" in run(troop, sweep(SMALL_K))
        compacted = asked_again(SMALL_K)
    assert few == many == compacted
    assert many[1] < 20


@pytest.mark.slow
def test_a_page_of_listing_per_thousand_compacted_shards(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"{moto.new_store(monkeypatch).uri}/{uuid.uuid4().hex}"
    direct = open_store(uri, moto.options())
    for shard in range(1001):
        direct.put_new(final_verdicts_key("v1", "m", "t", shard), b"")
    with faulty_proxy(moto.endpoint) as proxy:
        done = list_committed(open_store(uri, moto.options(endpoint_url=proxy.endpoint)), "v1")
        assert len(done["m", "t"]) == 1001 * UNITS_PER_SHARD
        assert requests(proxy) == (1 + 2, 0)  # one page of unit files, and two of compacted ones
