"""A killed run of long samples loses a unit at most of what it has drawn; the next call draws that again."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.numbers.unit_size import CPU_TOKENS, GPU_TOKENS
from jobs.store.database import run_query
from jobs.sweep import open_run
from tests.conftest import PROBLEMS, Troop, WriteSweep
from tests.support.speaking_server import Handler, SpeakingServer, speaking

K, LONG = 300, 16_384  # samples of the only problem; tokens that each may have


def takes_a_moment(handler: Handler, times: int) -> bool:
    time.sleep(0.01)
    return False


def committed() -> int:
    if not any(Path("runs/sums/verdicts").rglob("*.parquet")):
        return 0
    return int(run_query(open_run("runs/sums"), "SELECT count(*) FROM verdicts")[1][0][0])


def killed(server: SpeakingServer, sweep: Path, *words: str) -> int:
    """Kills a run after half of its samples were drawn; returns how many of those were not committed."""
    command = [sys.executable, "-m", "jobs", "run", str(sweep), "--local", "--no-report", *words]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(server.seen) < K // 2:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return len(server.seen) - committed()


@pytest.mark.slow
def test_a_kill_costs_a_unit_of_long_samples_at_most(troop: Troop, write_sweep: WriteSweep) -> None:
    with speaking({"1+1": takes_a_moment}, wants_key=False) as server:
        model = {"name": "far", "path": "served", "engine": "openai", "base_url": server.url, "parallel": 8, "k": K}
        sampling = {"max_tokens": LONG, "seed": "per_sample"}  # one sample a request
        sweep = write_sweep(PROBLEMS[:1], models=[model], sampling=sampling)
        unit = GPU_TOKENS // LONG
        lost = killed(server, sweep)
        assert 0 <= lost <= unit and committed() >= K // 2 - unit
        assert troop("run", sweep, "--local", "--no-report").code == 0
        assert (committed(), len(server.seen) - K) == (K, lost)  # and only what was lost is drawn twice


def test_a_plan_keeps_long_samples_within_five_minutes_of_the_slowest_engine(
    troop: Troop, write_sweep: WriteSweep
) -> None:
    for changes, tokens in (({}, GPU_TOKENS), ({"engine": "vllm", "device": "cpu"}, CPU_TOKENS)):
        folder = str(Path(__file__).parents[2] / "examples/demo/models/small")
        model = {"name": "m", "path": folder if changes else "gold", "engine": "replay", "k": 40_000, **changes}
        asked = [{**PROBLEMS[0], "prompt": "1 + 1 ="}]
        sampling = {"max_tokens": 256 if changes else LONG}
        plan = json.loads(troop("plan", write_sweep(asked, models=[model], sampling=sampling), "--json").out)
        (cell,) = plan["cells"]
        assert cell["units"] == -(-40_000 // (tokens // sampling["max_tokens"]))


@pytest.mark.parametrize("first", [100, 1000])
def test_what_a_run_has_measured_sizes_the_units_of_its_next_layer(
    troop: Troop, write_sweep: WriteSweep, first: int
) -> None:
    sweep = write_sweep(PROBLEMS[:1], models=[{"name": "gold", "path": "gold", "engine": "replay", "k": first}])
    long = ("--set", f"sampling.max_tokens={LONG}")
    unit = GPU_TOKENS // LONG
    assert troop("run", sweep, *long, "--local", "--no-report").code == 0
    assert len(list(open_run("runs/sums").layers[0].blocks[0].numbers)) == -(-first // unit)
    larger = ("--set", f"models.gold.k={first + 4096}")
    plan = json.loads(troop("plan", sweep, *long, *larger, "--json").out)["cells"][0]
    assert plan["units"] - -(-first // unit) == 16  # as for short samples: these were one word each, and fast
    assert troop("run", sweep, *long, *larger, "--local", "--no-report").code == 0
    assert len(open_run("runs/sums").layers[1].blocks[0].numbers) == 16
    assert troop("run", sweep, *long, *larger, "--set", "unit=7", "--local", "--no-report").code == 0
    assert len(open_run("runs/sums").layers) == 2  # a planned unit keeps its size
