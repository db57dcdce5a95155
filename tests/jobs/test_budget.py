"""Budgets: what counts as spent, what ends a run, and that a run goes on once the limit that ended it is raised."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.tally import EngineProgress
from jobs.budget import Budget, Spent
from jobs.sweep import Stop
from sampling.settings import ModelSpec
from sampling.settings.service import Prices
from tests.conftest import Troop, WriteSweep

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = ModelSpec(name="m/7b", path="x", gpus=2, prices=Prices(per_engine_hour=3.0, per_million_tokens=10.0))
NOTHING = Spent()
amounts = st.floats(0, 1e6)


def engine(held_s: float, tokens: int = 0) -> EngineProgress:
    return EngineProgress("m/7b/0", "sampling", 0.0, 0.0, 0, held_s, tokens)


def budget(stop: Stop, before: Spent = NOTHING, gpus: float = 2.0) -> Budget:
    return Budget(stop, {MODEL.name: MODEL}, {MODEL.name: gpus}, before)


def test_an_engine_costs_its_hours_its_gpus_and_its_tokens() -> None:
    found = budget(Stop()).spent([engine(1800, 100_000), engine(3600)])
    assert found == Spent(1.5 + 1.0 + 3.0, 1.0 + 2.0)
    assert budget(Stop(), gpus=0.0).spent([engine(3600)]).gpu_hours == 0


@given(amounts, amounts, st.floats(1e-3, 1e6))
def test_a_limit_is_reached_when_all_calls_together_have_spent_it(before: float, held_s: float, limit: float) -> None:
    asked = budget(Stop(gpu_hours=limit), Spent(gpu_hours=before))
    reached = asked.reached([engine(held_s)], NOW)
    assert (reached is not None) == (before + 2 * held_s / 3600 >= limit)
    assert reached is None or reached.startswith("stop.gpu_hours: ")


def test_time_is_up_at_that_time_and_no_earlier() -> None:
    asked = budget(Stop(until=NOW))
    assert asked.reached([], NOW - timedelta(seconds=1)) is None
    assert asked.reached([], NOW) == "stop.until: it is 2026-01-01 00:00:00+00:00"
    assert budget(Stop()).reached([engine(1e9, 10**9)], NOW) is None


@pytest.mark.parametrize(
    ("stop", "said"),
    [
        ({"usd": 0}, "stop.usd: Input should be greater than 0, got 0"),
        ({"until": "2026-01-01 10:00"}, "stop.until: Input should have timezone info, got '2026-01-01 10:00'"),
        ({"usd": 5}, "stop.usd: no model has prices.per_engine_hour or prices.per_million_tokens to count by"),
        ({"gpu_hours": 5}, "stop.gpu_hours: there is no GPU here; allowed: stop.usd, stop.samples, stop.until"),
        ({"euro": 5}, "stop.euro: unknown key; allowed: gpu_hours, samples, until, usd"),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(
    troop: Troop, write_sweep: WriteSweep, stop: dict[str, object], said: str
) -> None:
    found = troop("run", write_sweep(stop=stop), "--local")
    assert found.code == 2
    assert said in found.err
    assert not Path("runs").exists()


def test_a_run_that_a_limit_ends_is_clean_and_goes_on(troop: Troop, write_sweep: WriteSweep) -> None:
    """The first unit spends the dollars: the others are left, and not set aside."""
    models = [{"name": "gold", "path": "gold", "engine": "replay", "k": 8192, "prices": {"per_million_tokens": 0.1}}]
    limited = troop("run", write_sweep(models=models, stop={"usd": 0.0003}), "--local", "--no-report")
    assert limited.code == 0
    assert "stopped by stop.usd: " in limited.err
    status = json.loads(troop("status", "runs/sums", "--json").out)
    assert 0 < status["cells"][0]["committed"] < status["cells"][0]["planned"] and not status["set_aside"]
    again = troop("run", write_sweep(models=models, stop={"usd": 0.0003}), "--local", "--no-report")
    assert "0 samples committed" in again.err and "stopped by stop.usd" in again.err  # what was spent, counts
    assert troop("run", write_sweep(models=models), "--local", "--no-report").code == 0
    assert json.loads(troop("status", "runs/sums", "--json").out)["complete"]
