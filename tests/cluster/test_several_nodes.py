"""One real vLLM engine over two nodes of a real Ray: its workers hold one declared GPU of each, and compute on CPUs.

vLLM's CPU build has no word for Ray's resources; a platform of this test, found like any other plug-in, says "GPU". Nor
can it divide layers among nodes (0.32), so each layer is divided: the same workers, messages and placement.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster
from ray.util import placement_group_table

from cluster.actors import RayActors
from cluster.batches import ModelWork, Work
from cluster.pipeline import Pipeline
from cluster.placement import EngineSlot, Placement
from cluster.sampler import Sampler
from cluster.session import connect_ray
from cluster.tally import CellTally, Tally
from jobs.store.commit import RunSink
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from sampling.engines.model_info import inspect_folder
from sampling.problems import Problem
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import SMALL_MODEL

OVER_TWO = EngineSlot(1, 0.5, 1, 1, nodes=2)
PLATFORM = """
from vllm.platforms.cpu import CpuPlatform


class Declared(CpuPlatform):
    ray_device_key = "GPU"


def plugin():
    return "declared_platform.Declared"
"""
ON_CPUS = {
    "pipeline_parallel_size": 1, "tensor_parallel_size": 2, "enforce_eager": True, "kv_cache_memory_bytes": 64 << 20,
}  # fmt: skip


class OnCpus(Sampler):
    """A sampler whose declared GPU is no GPU: it leaves out the look for one."""

    def start(self) -> Any:
        from sampling.engines import vllm_engine

        vllm_engine.check_build = lambda sees_gpu, share: None
        vllm_engine.device_name = lambda share: "cpu"
        return super().start()


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    packages = tmp_path / "packages"
    (info := packages / "declared-1.dist-info").mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: declared\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[vllm.platform_plugins]\ndeclared = declared_platform:plugin\n")
    (packages / "declared_platform.py").write_text(PLATFORM)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    for _ in range(2):
        made.add_node(num_cpus=1, num_gpus=1)
    with connect_ray(made.address):
        yield made
    made.shutdown()


@pytest.mark.slow
def test_an_engine_over_two_nodes_samples_and_gives_them_back(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.actors.Sampler", OnCpus)
    model = ModelSpec(name="wide", path=str(SMALL_MODEL), nodes=2, dtype="float32", vllm=ON_CPUS)
    info, settings = inspect_folder(SMALL_MODEL, "models.wide"), SamplingSettings(max_tokens=8)
    unit = Unit("wide", "t", 0, 0, 1, 0, 4)
    task = {"id": "p", "prompt": "1 + 1 =", "verifier": "exact", "reference": {"answer": "2"}}
    given = Work(
        (ModelWork(model, info, settings, "h", (unit,)),), {"t": {0: Problem.model_validate(task)}}, 0, None, 1, "test"
    )
    actors = RayActors(given, RunSink(DirectoryStore(tmp_path / "run"), "v1"))
    tally = Tally([CellTally("wide", "t", 1, 4, 0, set())])

    async def go() -> object:
        return await Pipeline(given, actors, Placement((OVER_TWO,), 1, 0.1), tally).run(lambda progress: None)

    assert asyncio.run(go()) == ()
    with open_database(DirectoryStore(tmp_path / "run")) as db:
        rows = db.execute("SELECT count(*), count(DISTINCT sample_idx), any_value(gpus) FROM samples").fetchall()
    assert rows == [(4, 4, "2")]
    (group,) = placement_group_table().values()
    assert len(set(group["bundles_to_node_id"].values())) == 2
    assert group["state"] == "REMOVED"
    assert not [actor for actor in ray.util.list_named_actors(all_namespaces=True) if "vllm" in actor["name"]]
