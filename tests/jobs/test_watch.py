"""``troop status --watch``: it looks until the run is complete, survives store failures, and states the pace."""

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.status import CellStatus, RunStatus, read_status
from jobs.watch import Pace, watch
from sampling.errors import StoreError
from tests.conftest import Troop, WriteSweep


def status(committed: int, planned: int = 100) -> RunStatus:
    cell = CellStatus(
        model="m", task="t", problems=1, planned=planned, committed=committed, passed=0, solved=0, faults=0
    )
    return RunStatus(run="r", complete=committed == planned, cells=(cell,), set_aside=())


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**4))
def test_the_pace_is_of_what_was_committed_since_the_first_look(before: int, more: int, seconds: int) -> None:
    pace = Pace()
    pace.add(5.0, before)
    assert pace.rate == 0
    pace.add(5.0 + seconds, before + more)
    assert pace.rate == more / seconds


def test_it_goes_on_over_a_failing_store_and_ends_with_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    looks = iter([status(10), StoreError("s3://b: slow down"), status(60), status(100), AssertionError("one too many")])

    def read() -> RunStatus:
        look = next(looks)
        if isinstance(look, Exception):
            raise look
        return look

    assert watch(read, as_json=False, every_s=0.01).complete
    shown = capsys.readouterr().out
    assert "10 of 100" in shown and "slow down; trying again" in shown and "samples/s" in shown
    assert "60 of 100" in shown and "100 of 100" in shown


def test_a_run_that_is_completed_meanwhile_is_seen_to_be(troop: Troop, write_sweep: WriteSweep) -> None:
    models = [{"name": "gold", "path": "gold", "engine": "replay", "k": 8192, "prices": {"per_million_tokens": 0.1}}]
    assert troop("run", write_sweep(models=models, stop={"usd": 0.0003}), "--local", "--no-report").code == 0
    seen: list[RunStatus] = []

    def read() -> RunStatus:
        seen.append(read_status("runs/sums"))
        return seen[-1]

    watcher = threading.Thread(target=watch, args=(read,), kwargs={"as_json": True, "every_s": 0.1})
    watcher.start()
    while not seen:
        time.sleep(0.01)
    assert not seen[0].complete
    assert troop("run", write_sweep(models=models), "--local", "--no-report").code == 0
    watcher.join(timeout=60)
    assert not watcher.is_alive() and seen[-1].complete
    lines = troop("status", "runs/sums", "--watch", "--json").out.splitlines()
    assert json.loads(lines[-1])["complete"]
