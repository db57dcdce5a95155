"""The real pipeline on a real Ray of this machine: each kind of actor is killed once; no row is lost or doubled."""

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from cluster.actors import UNITS_IN_FLIGHT, RayActors
from cluster.batches import ModelWork, Work
from cluster.nodes import list_nodes
from cluster.pipeline import Pipeline
from cluster.placement import place
from cluster.pool import VerifierPool
from cluster.queue import SetAside
from cluster.session import connect_ray
from cluster.sink import Claim, Receipt, Sink
from cluster.tally import CellTally, OnProgress, Progress, Tally
from jobs.progress import summary_line
from jobs.store.commit import RunSink
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.store.layout import lease_key
from jobs.store.leases import Leases
from sampling.engines.model_info import ModelInfo
from sampling.errors import BadInput, StoreError, StoreUnusable
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Shard, Unit
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.service import Prices, ServiceSettings
from tests.support.living import living
from tests.support.speaking_server import TOKENS, speaking
from verify.verdict import Status, Verdict

PROBLEMS, SAMPLES, PER_UNIT = 4, 60, 20


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.pipeline.TICK_S", 0.2)
    monkeypatch.setattr("cluster.actors.COMMIT_TRIES", 1)  # Ray waits a second before each further one


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[float, float]]:
    with connect_ray(None) as resources:
        yield resources


def problem(idx: int) -> Problem:
    reference = {"entry_point": "f", "cases": [{"args": [1], "expected": 0}]}
    return Problem.model_validate({"id": f"p{idx}", "prompt": "f:", "verifier": "python", "reference": reference})


def work(tmp_path: Path, *models: ModelSpec) -> Work:
    """Work whose samples are all different programs that take a while; every tenth is right."""
    path = tmp_path / "samples.jsonl"
    rows = (
        {
            "problem": f"p{p}",
            "sample": s,
            "text": f"import time\ndef f(x):\n    time.sleep(0.01)\n    return {s % 10}+{s}*0\n",
        }
        for p in range(PROBLEMS)
        for s in range(SAMPLES)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = models or (ModelSpec(name="stored", path=str(path), engine="replay"),)
    parts = tuple(ModelWork(model, ModelInfo("r"), SamplingSettings(), "h", units(model.name)) for model in given)
    return Work(parts, {"t": {idx: problem(idx) for idx in range(PROBLEMS)}}, 0, None, 1, "test")


def units(model: str) -> tuple[Unit, ...]:
    firsts = [(p, s) for p in range(PROBLEMS) for s in range(0, SAMPLES, PER_UNIT)]
    return tuple(Unit(model, "t", number, p, p + 1, s, s + PER_UNIT) for number, (p, s) in enumerate(firsts))


def run(
    given: Work,
    tmp_path: Path,
    resources: tuple[float, float],
    show: OnProgress = lambda progress: None,
    wrap: Callable[[RunSink], Sink] = lambda sink: sink,
) -> tuple[SetAside, ...]:
    rows = PROBLEMS * SAMPLES
    tally = Tally([CellTally(part.model.name, "t", PROBLEMS, rows, 0, set()) for part in given.models])
    sink = wrap(RunSink(DirectoryStore(tmp_path / "run"), "v1"))

    placement = place(given.models, *resources, given.verifiers)

    async def go() -> tuple[SetAside, ...]:
        return await Pipeline(given, RayActors(given, sink), placement, tally).run(show)

    return asyncio.run(go())


def committed(tmp_path: Path, model: str = "stored") -> tuple[int, int, int]:
    """Counts rows, distinct rows and passes of verdicts that have their sample."""
    query = """SELECT count(*), count(DISTINCT (problem_idx, sample_idx)), count(*) FILTER (passed)
        FROM verdicts JOIN samples USING (model, task, problem_idx, sample_idx) WHERE model = ?"""
    with open_database(DirectoryStore(tmp_path / "run")) as db:
        (row,) = db.execute(query, [model]).fetchall()
    return row


def test_every_planned_row_is_there_once(cluster: tuple[float, float], tmp_path: Path) -> None:
    assert run(work(tmp_path), tmp_path, cluster) == ()
    assert committed(tmp_path) == (240, 240, 24)


@pytest.mark.parametrize("victim", ["VerifierWorker", "Sampler"])
def test_a_killed_actor_costs_nothing_but_time(cluster: tuple[float, float], tmp_path: Path, victim: str) -> None:
    killed: list[int] = []

    def kill_once(progress: Progress) -> None:
        if progress.verified and not killed:
            for process in living(f"ray::{victim}")[:1]:
                killed.append(process.pid)
                os.kill(process.pid, signal.SIGKILL)

    seen: list[Progress] = []
    given = replace(work(tmp_path), verifiers=2)
    assert run(given, tmp_path, cluster, lambda progress: (kill_once(progress), seen.append(progress))) == ()
    assert killed
    assert seen[-1].engines[0].restarts <= (victim == "Sampler")  # and none where it had handed everything on
    assert committed(tmp_path) == (240, 240, 24)


def test_when_it_is_enough_units_in_flight_are_committed_and_no_other_is_begun(
    cluster: tuple[float, float], tmp_path: Path
) -> None:
    given = work(tmp_path)
    sink, tally = (
        RunSink(DirectoryStore(tmp_path / "run"), "v1"),
        Tally([CellTally("stored", "t", 4, 240, 0, set())]),
    )
    pipeline = Pipeline(given, RayActors(given, sink), place(given.models, *cluster, given.verifiers), tally)
    assert asyncio.run(pipeline.run(lambda progress: None, lambda progress: True)) == ()
    rows, distinct, _ = committed(tmp_path)
    assert rows == distinct == tally.committed < 240
    assert rows % PER_UNIT == 0


class FirstVerifierDies(RayActors):
    made = 0

    def new_verifier(self, cpus: float, node_id: str | None) -> Any:
        self.made += 1
        actor = super().new_verifier(cpus, node_id)
        if self.made == 1:
            self.end(actor)
        return actor


def test_a_verifier_that_dies_before_it_is_ready_is_replaced(cluster: tuple[float, float], tmp_path: Path) -> None:
    given = work(tmp_path)
    actors = FirstVerifierDies(given, RunSink(DirectoryStore(tmp_path / "run"), "v1"))
    pool = VerifierPool(actors, place(given.models, *cluster, given.verifiers), given.verifiers)
    try:
        asyncio.run(pool.prepare({node.node_id: 2 for node in list_nodes()}))
        assert (pool.size, actors.made) == (1, 2)
    finally:
        pool.stop()


@dataclass(frozen=True)
class SinkWithOneBadUnit:
    """A sink that always fails on the unit with number 3."""

    sink: RunSink

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        if unit.number == 3:
            raise StoreError("disk full")
        return self.sink.commit(unit, samples, verdicts, provenance)


def commit_elsewhere(sink: RunSink, unit: Unit) -> None:
    samples = [
        Sample(p, s, f"def f(x): return {s}", "stop", 1, 1, 1, 1.0)
        for p in range(unit.first_problem, unit.last_problem)
        for s in range(unit.first_sample, unit.last_sample)
    ]
    verdicts = [Verdict(Status.PASS if s.sample_idx % 10 == 0 else Status.FAIL) for s in samples]
    sink.commit(unit, samples, verdicts, Provenance("stored", *"abcdefg"))


def run_as(
    name: str, given: Work, tmp_path: Path, cluster: tuple[float, float], show: OnProgress
) -> tuple[SetAside, ...]:
    """Runs the work as one driver among several."""
    sink = RunSink(DirectoryStore(tmp_path / "run"), "v1")
    tally = Tally([CellTally("stored", "t", PROBLEMS, PROBLEMS * SAMPLES, 0, set())])
    leases, placement = Leases(sink, name), place(given.models, *cluster, given.verifiers)

    async def go() -> tuple[SetAside, ...]:
        return await Pipeline(given, RayActors(given, sink), placement, tally, leases=leases).run(show)

    with leases.kept():
        return asyncio.run(go())


def test_units_of_another_driver_are_waited_for_or_taken_over(
    cluster: tuple[float, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.store.leases.LOOK_S", 0.1)
    given, sink = work(tmp_path), RunSink(DirectoryStore(tmp_path / "run"), "v1")
    units = list(given.models[0].units)
    committed_there, in_flight, abandoned = units[0], units[1], units[2]
    seen, other = list[Progress](), Leases(sink, "other")
    with contextlib.ExitStack() as stack:
        stack.enter_context(other.kept())
        assert all(other.claim(unit) is Claim.MINE for unit in units[:3])
        commit_elsewhere(sink, committed_there)

        def end_other(progress: Progress) -> None:
            seen.append(progress)
            if progress.bottleneck == "another driver":
                commit_elsewhere(sink, in_flight)
                stack.close()

        assert run_as("mine", given, tmp_path, cluster, end_other) == ()
    assert committed(tmp_path) == (240, 240, 24)
    assert "another driver" in {progress.bottleneck for progress in seen}
    assert len(list((tmp_path / "run/samples").rglob("*.parquet"))) == len(units)  # none was sampled twice
    assert sink.store.get(lease_key("v1", abandoned, 2)) == b"mine"


def test_a_unit_that_always_fails_is_set_aside_with_its_error(cluster: tuple[float, float], tmp_path: Path) -> None:
    aside = run(work(tmp_path), tmp_path, cluster, wrap=SinkWithOneBadUnit)
    assert [(item.unit.number, item.error) for item in aside] == [(3, "disk full")]
    assert committed(tmp_path) == (220, 220, 22)


@dataclass(frozen=True)
class FullSink:
    """A sink whose disk is full after the first units."""

    sink: RunSink

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        if unit.number > 3:
            raise StoreUnusable("runs: No space left on device")
        return self.sink.commit(unit, samples, verdicts, provenance)


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_leaves_whole_units(cluster: tuple[float, float], tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match=r"^runs: No space left on device$"):
        run(work(tmp_path), tmp_path, cluster, wrap=FullSink)
    assert run(work(tmp_path), tmp_path, cluster) == ()
    assert committed(tmp_path) == (240, 240, 24)


def test_a_sample_that_the_engine_failed_on_is_neither_right_nor_wrong(
    cluster: tuple[float, float], tmp_path: Path
) -> None:
    given = work(tmp_path)
    lines = (tmp_path / "samples.jsonl").read_text().splitlines()
    (tmp_path / "samples.jsonl").write_text("\n".join(line for line in lines if '"p1", "sample": 10,' not in line))
    assert run(given, tmp_path, cluster) == ()
    assert committed(tmp_path) == (240, 240, 23)
    with open_database(DirectoryStore(tmp_path / "run")) as db:
        faults = db.execute("SELECT problem_idx, sample_idx, passed FROM verdicts WHERE status = 'fault'").fetchall()
    assert faults == [(1, 10, None)]


@pytest.mark.slow
def test_a_model_that_never_starts_does_not_stop_the_others(cluster: tuple[float, float], tmp_path: Path) -> None:
    stored = ModelSpec(name="stored", path=str(tmp_path / "samples.jsonl"), engine="replay")
    broken = ModelSpec(name="broken", path=str(tmp_path / "missing.jsonl"), engine="replay")
    aside = run(work(tmp_path, stored, broken), tmp_path, cluster)
    assert {item.unit.model for item in aside} == {"broken"}
    assert "missing.jsonl" in aside[0].error
    assert committed(tmp_path) == (240, 240, 24)


@pytest.mark.slow
def test_no_engine_at_all_sets_everything_aside(cluster: tuple[float, float], tmp_path: Path) -> None:
    broken = ModelSpec(name="broken", path=str(tmp_path / "missing.jsonl"), engine="replay")
    aside = run(work(tmp_path, broken), tmp_path, cluster)
    assert len(aside) == 12
    assert all("missing.jsonl" in item.error for item in aside)


@pytest.mark.slow
def test_a_full_shard_is_compacted_on_the_way(
    cluster: tuple[float, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs 260 units of one sample: 256 of them become one file, in a task of its own."""
    monkeypatch.setattr("tests.cluster.test_pipeline.SAMPLES", 65)
    monkeypatch.setattr("tests.cluster.test_pipeline.PER_UNIT", 1)
    given = replace(work(tmp_path), open_shards={Shard("stored", "t", 0): 256})
    assert run(given, tmp_path, cluster) == ()
    store = DirectoryStore(tmp_path / "run")
    assert len(list(store.list("final/verdicts/"))) == 1
    assert len(list(store.list("verdicts/"))) == 4
    assert committed(tmp_path) == (260, 260, 28)


def test_a_sandbox_that_is_not_to_be_had_is_told_before_any_sampling(
    cluster: tuple[float, float], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="nonsense") as refused:
        run(replace(work(tmp_path), tier="nonsense"), tmp_path, cluster)
    while living("ray::VerifierWorker"):  # while it lives, it holds its cores
        time.sleep(0.05)
    assert refused.value.__cause__ is not None  # the error, which holds the verifier's handle, was kept all the time


@pytest.mark.slow
def test_a_spending_cap_stops_a_service_and_not_the_others(cluster: tuple[float, float], tmp_path: Path) -> None:
    """A unit could cost 10.24 dollars and costs 0.1: three start, one after the other; the fourth no longer fits."""
    with speaking(wants_key=False) as server:
        prices = Prices(per_million_prompt_tokens=0.0, per_million_tokens=1000.0)
        given = {"path": "served", "engine": "openai", "base_url": server.url, "prices": prices}
        paid = ModelSpec(name="paid", service=ServiceSettings(cap_usd=10.5), **given)  # type: ignore[arg-type]
        stored = ModelSpec(name="stored", path=str(tmp_path / "samples.jsonl"), engine="replay")
        left = run(work(tmp_path, paid, stored), tmp_path, cluster)
        assert len(server.seen) == 3 * PER_UNIT
    assert committed(tmp_path, "stored")[0] == 240
    assert committed(tmp_path, "paid")[0] == 3 * PER_UNIT
    assert [item.unit.model for item in left] == ["paid"] * 9
    spent = re.search(r"\$([0-9.]+) of \$10.5 are spent", left[0].error)
    assert spent and 3 * PER_UNIT * TOKENS * 1000 / 1e6 <= float(spent[1]) < 10.5  # a try that was lost counts too


@pytest.mark.slow
def test_engines_wait_for_slow_verifiers_and_the_status_line_says_so(
    cluster: tuple[float, float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.cluster.test_pipeline.PER_UNIT", 4)
    monkeypatch.setattr("cluster.backlog.BATCHES", 2)
    monkeypatch.setattr("cluster.backlog.BATCHES_PER_VERIFIER", 0)
    seen: list[Progress] = []
    assert run(replace(work(tmp_path), verifiers=1), tmp_path, cluster, seen.append) == ()
    assert committed(tmp_path) == (240, 240, 24)
    assert max(progress.backlog for progress in seen) <= (2 + UNITS_IN_FLIGHT) * 4
    assert any("bottleneck verifiers (" in summary_line(progress) for progress in seen)
    assert seen[-1].bottleneck == "", "nothing waits at the end"
