"""Samplers see only their own device: as plain data, and on real Ray nodes with declared GPUs."""

import asyncio
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from cluster.actors import RayActors
from cluster.batches import ModelWork, Work
from cluster.nodes import survey
from cluster.pipeline import Pipeline
from cluster.placement import EngineSlot, Node, Placement
from cluster.sampler import Sampler
from cluster.session import alive_nodes, connect_ray
from cluster.tally import CellTally, Tally
from jobs.store.commit import RunSink
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from sampling.engines.devices import Given, device_trouble, located, look, look_across, refuse_wrong, too_old
from sampling.engines.gpu_memory import GpuShare
from sampling.engines.hardware import Gpu
from sampling.engines.model_info import ModelInfo
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.samples import Provenance, Unit
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import SMALL_MODEL

GIB = 1 << 30
FIRST, SECOND = (Gpu(f"GPU-{n}", "NVIDIA H100", 80 * GIB, 79 * GIB, (9, 0)) for n in (1, 2))


@pytest.mark.parametrize(
    ("given", "trouble"),
    [
        (Given(1, ("3",), ("3",), (FIRST,)), None),
        (Given(0.25, ("3",), ("3",), (FIRST,)), None),
        (Given(2, ("0", "1"), ("1", "0"), (FIRST, SECOND)), None),
        (Given(0), None),
        (Given(1, ("0",), ("0",)), None),  # declared, without a driver
        (Given(1, ("0",)), None),  # GPUs that are not NVIDIA's
        (Given(2, ("0",), ("0",), (FIRST,)), "asked for 2 GPUs, given 0"),
        (
            Given(2, ("MIG-1", "MIG-2"), ("MIG-1", "MIG-2"), (FIRST, SECOND)),
            "given MIG-1,MIG-2; an engine cannot join MIG",
        ),
        (Given(0, ("0",), ("0",), (FIRST,)), "asked for 0 GPUs, given 0"),
        (Given(1, ("0",), None, (FIRST,)), "given GPU 0, but every GPU is visible"),
        (Given(1, ("0",), ("0", "1"), (FIRST,)), "given GPU 0, but CUDA_VISIBLE_DEVICES is 0,1"),
        (Given(1, ("7",), ("7",), (None,)), "given GPU 7, which the driver does not have; join with the true"),
        (Given(2, ("0", "GPU-1"), ("0", "GPU-1"), (FIRST, FIRST)), "given GPU 0,GPU-1, which are one and the same"),
    ],
)
def test_a_wrong_device_is_named(given: Given, trouble: str | None) -> None:
    assert (device_trouble(given) or "").startswith(trouble or "") and (device_trouble(given) is None) == (
        trouble is None
    )
    if trouble:
        with pytest.raises(EngineRefused, match="wrong device: "):
            refuse_wrong(given)


def test_what_an_engine_got_is_provenance_and_its_room() -> None:
    given = Given(2, ("0", "1"), ("0", "1"), (FIRST, replace(SECOND, total_bytes=40 * GIB)), "abc")
    kept = located(Provenance(*"abcdefgh"), given)
    assert (kept.node_id, kept.gpus, kept.gpu_ids) == ("abc", "2", "0,1")
    assert (kept.gpu_uuids, kept.gpu_memory) == ("GPU-1,GPU-2", "40.0 GiB")
    assert given.allowance(1).share == GpuShare(2, 40 * GIB, "NVIDIA H100")


def test_an_engine_over_nodes_sees_what_its_workers_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # Ray's, for a process that asked for no GPU
    monkeypatch.setattr("sampling.engines.devices.all_gpus", lambda: {"0": FIRST, "1": SECOND})
    given = look_across(2, 3, "abc")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    assert device_trouble(given) is None
    share = given.allowance(1).share
    assert share and (share.gpus, share.nodes, share.total_bytes) == (6, 3, FIRST.total_bytes)
    kept = located(Provenance(*"abcdefgh"), given)
    assert (kept.gpus, kept.gpu_ids, kept.gpu_uuids, kept.node_id) == ("6", None, None, "abc")


def test_without_ray_the_environment_says_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    assert (look(1).ids, look(1).visible) == (("4",), ("4",))
    assert look(0).ids == ()


def test_without_ray_and_variable_an_engine_takes_the_emptiest_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with NVIDIA GPUs and no scheduler: `--local` and `score --local`."""
    free = {"0": FIRST, "1": replace(SECOND, free_bytes=5 * GIB), "2": replace(FIRST, uuid="GPU-3")}
    monkeypatch.setattr("sampling.engines.devices.all_gpus", lambda: free)
    monkeypatch.setattr("sampling.engines.devices.gpus_of", lambda ids: tuple(free[name] for name in ids))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that the test gives back what was there
    for asked, ids in ((0.5, ("0",)), (1, ("0",)), (2, ("0", "2"))):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        given = look(asked)
        assert (given.ids, given.visible, device_trouble(given)) == (ids, ids, None)


@pytest.mark.parametrize(("driver", "old"), [("570.86.15", True), ("580.65.06", False), ("610", False), ("?", False)])
def test_a_driver_older_than_the_wheels_is_named(driver: str, old: bool) -> None:
    assert bool(too_old(driver)) is old
    assert not old or "install nvidia-driver-580" in str(too_old(driver))


@pytest.fixture(scope="module")
def nodes() -> Iterator[str]:
    """Starts a cluster of two nodes with two declared GPUs each."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 2, "include_dashboard": False})
    cluster.add_node(num_cpus=1, num_gpus=2)
    with connect_ray(cluster.address):
        yield cluster.address
    cluster.shutdown()


PROBLEM = Problem.model_validate(
    {"id": "p", "prompt": "?", "verifier": "exact", "reference": {"answer": "a"}, "solution": "a"}
)


def run(model: ModelSpec, info: ModelInfo, slot: EngineSlot, folder: Path) -> Tally:
    """Runs sixteen units of four samples on engines that each hold a GPU or a part of one."""
    units = tuple(Unit(model.name, "t", n, 0, 1, 4 * n, 4 * n + 4) for n in range(16))
    work = Work((ModelWork(model, info, SamplingSettings(), "h", units),), {"t": {0: PROBLEM}}, 0, None, 1, "test")
    tally, sink = Tally([CellTally(model.name, "t", 1, 64, 0, set())]), RunSink(DirectoryStore(folder), "v1")

    async def go() -> None:
        await Pipeline(work, RayActors(work, sink), Placement((slot,), 1, 0.1), tally).run(lambda progress: None)

    asyncio.run(go())
    return tally


def devices(folder: Path) -> set[tuple[str, str, str, str]]:
    with open_database(DirectoryStore(folder)) as db:
        return set(db.execute("SELECT DISTINCT node, node_id, gpu_ids, gpus FROM samples").fetchall())


GOLD = ModelSpec(name="gold", path="gold", engine="replay")


def test_every_sampler_sees_only_its_device(nodes: str) -> None:
    """Four samplers on four GPUs: each checks its own GPU, and the test checks that no two have the same."""
    assert [(node.cpus, node.gpus) for node in survey(())] == [(1, 2), (1, 2)]
    work = ModelWork(GOLD, ModelInfo("r"), SamplingSettings(), "h", (Unit("gold", "t", 0, 0, 1, 0, 4),))
    new = ray.remote(Sampler).options(num_cpus=0.1, num_gpus=1).remote
    actors = [new(work, {"t": {0: PROBLEM}}, 0, "test", EngineSlot(4, 0.1, 1, 1)) for _ in range(4)]
    seen = [ready.provenance for ready in ray.get([actor.start.remote() for actor in actors])]
    for actor in actors:
        ray.kill(actor)
    ids = {node["NodeID"] for node in alive_nodes()}
    assert {(each.node_id, each.gpu_ids) for each in seen} == {(node, gpu) for node in ids for gpu in ("0", "1")}
    assert len(ids) == 2 and {each.gpus for each in seen} == {"1"}


def test_an_engine_of_two_gpus_has_both_of_one_node(nodes: str, tmp_path: Path) -> None:
    run(GOLD, ModelInfo("r"), EngineSlot(1, 0.1, 2, 1), tmp_path)
    assert {row[2:] for row in devices(tmp_path)} == {("0,1", "2")}


def test_engines_that_share_a_gpu_are_told_their_share(nodes: str, tmp_path: Path) -> None:
    run(GOLD, ModelInfo("r"), EngineSlot(2, 0.1, 0.5, 1), tmp_path)
    assert {row[3] for row in devices(tmp_path)} == {"0.5"}


def test_an_engine_that_can_never_run_ends_the_run_at_once(nodes: str, tmp_path: Path) -> None:
    """vLLM's CPU build on a GPU that is only declared: one line, exit code 2, no second try."""
    model = ModelSpec(name="small", path=str(SMALL_MODEL))
    with pytest.raises(EngineRefused, match="given a GPU, but PyTorch sees none") as refused:
        run(model, ModelInfo("r"), EngineSlot(1, 0.1, 1, 1), tmp_path)
    assert refused.value.exit_code == 2 and "\n" not in str(refused.value)


def test_gpu_memory_is_asked_of_every_node_where_a_model_leaves_their_sharing_to_us(nodes: str) -> None:
    auto = ModelWork(ModelSpec(name="m", path="p", engines_per_gpu="auto"), ModelInfo("r"), SamplingSettings(), "h", ())
    assert survey([auto]) == (Node(1, 2, None),) * 2  # there is no driver here to tell
