"""A real cluster of several nodes with declared GPUs. Its nodes come, go and drain in mid-run, its engines hang."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from cluster.actors import RayActors
from cluster.batches import Work
from cluster.handle import AHEAD
from cluster.nodes import list_nodes
from cluster.pipeline import Pipeline
from cluster.placement import GPU_TYPE, EngineSlot, Placement
from cluster.queue import SetAside
from cluster.session import connect_ray
from cluster.sink import Receipt
from cluster.tally import CellTally, Progress, Tally
from jobs.backends import RayBackend
from jobs.store.commit import RunSink
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.sweep import Stop
from sampling.errors import BadInput
from sampling.samples import Unit
from sampling.settings import ModelSpec
from tests.cluster import test_pipeline
from tests.cluster.test_pipeline import committed, work
from tests.support.living import living

ON_A_GPU = EngineSlot(1, 0.1, 1, 1)
PER_UNIT, IN_FLIGHT = 4, 8
SAMPLED_BY_ONE = (AHEAD + IN_FLIGHT + 4) * PER_UNIT  # one engine samples less than this while nothing is committed


@dataclass(frozen=True, kw_only=True)
class HeldSink(RunSink):
    """A sink that commits one unit of ``model``; its others wait for a file ``open``, so no engine can do them all."""

    gate: Path
    model: str

    def commit(self, unit: Unit, *given: Any) -> Receipt:
        if unit.model == self.model and not self._is_first():
            while not (self.gate / "open").exists():
                time.sleep(0.05)
        return super().commit(unit, *given)

    def _is_first(self) -> bool:
        try:
            (self.gate / "first").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@pytest.fixture(autouse=True)
def small_units_and_quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.cluster.test_pipeline.PER_UNIT", PER_UNIT)
    monkeypatch.setattr("cluster.pipeline.TICK_S", 0.2)
    monkeypatch.setattr("cluster.handle.UNITS_IN_FLIGHT", IN_FLIGHT)  # or one engine takes all of them


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without a GPU, so that engines run elsewhere."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    with connect_ray(cluster.address):
        yield cluster
    cluster.shutdown()


@pytest.fixture
def node(cluster: Cluster) -> Iterator[Callable[..., Any]]:
    """Adds nodes with one GPU; removes them after the test."""
    added: list[Any] = []

    def add(gpu_type: str = "H100") -> Any:
        added.append(cluster.add_node(num_cpus=1, num_gpus=1, labels={GPU_TYPE: gpu_type}, wait=False))
        return added[-1]

    yield add
    for each in added:
        if each in cluster.worker_nodes:
            cluster.remove_node(each)
    while any(each.gpus for each in list_nodes()):  # the next test's engines would be sent there
        time.sleep(0.1)


def several_sample(progress: Progress) -> bool:
    return progress.sampled > SAMPLED_BY_ONE


def run(
    given: Work,
    tmp_path: Path,
    show: Callable[[Progress], None],
    held: str = "stored",
    but_one: bool = True,
    until: Callable[[Progress], bool] = several_sample,
    slots: tuple[EngineSlot, ...] = (),
) -> tuple[SetAside, ...]:
    """Runs the work; holds the units of the model ``held`` (``but_one``) before their commit, ``until`` says so."""
    import asyncio

    (gate := tmp_path / "gate").mkdir()
    if not but_one:
        (gate / "first").touch()

    def show_and_open(progress: Progress) -> None:
        show(progress)
        if until(progress):
            (gate / "open").touch()

    rows = test_pipeline.PROBLEMS * test_pipeline.SAMPLES
    tally = Tally([CellTally(part.model.name, "t", test_pipeline.PROBLEMS, rows, 0, set()) for part in given.models])
    actors = RayActors(given, HeldSink(DirectoryStore(tmp_path / "run"), "v1", gate=gate, model=held))
    placement = Placement(slots or (ON_A_GPU,) * len(given.models), 1, 1.0)

    async def go() -> tuple[SetAside, ...]:
        return await Pipeline(given, actors, placement, tally).run(show_and_open)

    return asyncio.run(go())


def start_to_drain(cluster: Cluster, node_id: str, seconds: float = 0) -> None:
    ends_ms = int((time.time() + seconds) * 1000) if seconds else 0
    accepted, why = ray._raylet.GcsClient(address=cluster.address).drain_node(node_id, 2, "test", ends_ms)
    assert accepted, why


def nodes_used(tmp_path: Path) -> set[str]:
    with open_database(DirectoryStore(tmp_path / "run")) as db:
        return {row[0] for row in db.execute("SELECT DISTINCT node FROM samples").fetchall()}


def test_a_node_that_goes_and_one_that_comes(cluster: Cluster, node: Callable[[], Any], tmp_path: Path) -> None:
    first = node()
    seen: list[Progress] = []

    def swap(progress: Progress) -> None:
        seen.append(progress)
        if progress.committed and first in cluster.worker_nodes:
            cluster.remove_node(first, allow_graceful=False)
            node()

    assert run(work(tmp_path), tmp_path, swap) == ()
    assert committed(tmp_path) == (240, 240, 24)
    assert len(nodes_used(tmp_path)) == 2
    assert all(engine.state == "done" for engine in seen[-1].engines)


@pytest.mark.slow
def test_a_finished_models_gpu_goes_to_the_other(node: Callable[[], Any], tmp_path: Path) -> None:
    node(), node()
    path = str(tmp_path / "samples.jsonl")
    short, long = (ModelSpec(name=name, path=path, engine="replay") for name in ("short", "long"))
    given = work(tmp_path, short, long)
    few = replace(given.models[0], units=given.models[0].units[:2])
    seen: list[Progress] = []
    assert run(replace(given, models=(few, given.models[1])), tmp_path, seen.append, held="long", but_one=False) == ()
    assert committed(tmp_path, "long") == (240, 240, 24)
    assert {engine.name for engine in seen[-1].engines} == {"short/0", "long/0", "long/1"}


@pytest.mark.slow
def test_models_of_two_types_of_gpu_run_each_on_its_own(node: Callable[..., Any], tmp_path: Path) -> None:
    nodes = {gpu_type: node(gpu_type).node_id for gpu_type in ("L4", "H100")}
    path = str(tmp_path / "samples.jsonl")
    models = [ModelSpec(name=name, path=path, engine="replay", gpu=name) for name in nodes]
    slots = tuple(replace(ON_A_GPU, gpu_type=name) for name in nodes)
    assert run(work(tmp_path, *models), tmp_path, lambda _: None, held="nobody", slots=slots) == ()
    with open_database(DirectoryStore(tmp_path / "run")) as db:
        used = db.execute("SELECT DISTINCT model, node_id FROM samples").fetchall()
    assert sorted(used) == sorted(nodes.items())


@pytest.mark.slow
def test_an_engine_of_two_nodes_waits_for_both_of_its_type_and_leaves_when_one_drains(
    cluster: Cluster, node: Callable[..., Any], tmp_path: Path
) -> None:
    slot = replace(ON_A_GPU, gpu_type="H100", nodes=2)
    node("L4"), node("H100")
    later: list[Any] = []

    def add_and_drain(progress: Progress) -> None:
        if not later:
            later.append(node("H100"))
        elif progress.committed and len(later) == 1:
            later.append(node("H100"))
            start_to_drain(cluster, later[0].node_id)

    assert run(work(tmp_path), tmp_path, add_and_drain, slots=(slot,)) == ()
    assert committed(tmp_path) == (240, 240, 24)


@pytest.mark.slow
def test_a_pod_that_is_told_to_go_loses_no_unit(cluster: Cluster, node: Callable[[], Any], tmp_path: Path) -> None:
    """Does what Kubernetes does with our manifests: preStop drains the node, SIGTERM ends it within its grace."""
    first, seen = node(), list[Progress]()
    asked_at = 0.0

    def end_pod(progress: Progress) -> None:
        nonlocal asked_at
        seen.append(progress)
        if progress.committed and not asked_at:
            asked_at = time.monotonic()
            start_to_drain(cluster, first.node_id, seconds=GRACE_S)
            node()
        elif first in cluster.worker_nodes and sampled_by_two(progress):
            assert time.monotonic() - asked_at < GRACE_S
            cluster.remove_node(first)  # by SIGTERM

    assert run(work(tmp_path), tmp_path, end_pod, until=lambda _: first not in cluster.worker_nodes) == ()
    assert restarts(seen[-1]) == 0  # every unit was finished or handed back, none was lost
    assert committed(tmp_path) == (240, 240, 24)
    assert len(nodes_used(tmp_path)) == 2


GRACE_S = 120.0


def sampled_by_two(progress: Progress) -> bool:
    """Tells whether a second engine samples: the first has left."""
    return progress.sampled > SAMPLED_BY_ONE


def restarts(progress: Progress) -> int:
    return sum(engine.restarts for engine in progress.engines)


@pytest.mark.slow
def test_an_engine_that_hangs_is_replaced(node: Callable[[], Any], tmp_path: Path) -> None:
    node()
    path = str(tmp_path / "samples.jsonl")
    frozen: list[int] = []
    seen: list[Progress] = []

    def freeze(progress: Progress) -> None:
        seen.append(progress)
        if progress.committed and not frozen:
            for process in living("ray::Sampler")[:1]:
                frozen.append(process.pid)
                os.kill(process.pid, signal.SIGSTOP)

    model = ModelSpec(name="stored", path=path, engine="replay", stall_timeout_s=2)
    assert run(work(tmp_path, model), tmp_path, freeze, until=lambda progress: restarts(progress) > 0) == ()
    assert frozen and restarts(seen[-1]) == 1
    assert committed(tmp_path) == (240, 240, 24)


def test_a_label_that_no_node_carries_is_told(cluster: Cluster, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"verify.nodes: no node carries 'role=cpu'"):
        RayBackend(4, 0).prepare(replace(work(tmp_path), verifier_nodes="role=cpu"), Stop())
