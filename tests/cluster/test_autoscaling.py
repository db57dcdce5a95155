"""Ray's own autoscaler with nodes on this machine: a run that waits for GPUs adds nodes, its end removes them."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray._private.authentication.authentication_utils import get_authentication_mode, get_authentication_mode_name

from cluster.actors import RayActors
from cluster.nodes import list_nodes
from cluster.pipeline import Pipeline
from cluster.placement import EngineSlot, Placement
from cluster.session import connect_ray
from cluster.tally import CellTally, Progress, Tally
from jobs.store.folder import DirectoryStore
from sampling.settings import ModelSpec
from tests.cluster import test_pipeline
from tests.cluster.test_elastic import HeldSink
from tests.cluster.test_pipeline import committed, work

NODES = 4
IDLE_MINUTES, PATIENCE_S = 0.1, 180.0


def config(folder: Path, address: str) -> Path:
    """Writes what `ray up` would: Ray's provider for tests starts nodes as processes of this machine."""
    worker = {"resources": {"CPU": 1, "GPU": 1}, "node_config": {}, "min_workers": 0, "max_workers": NODES}
    head = {"resources": {"CPU": 2}, "node_config": {}, "max_workers": 0}
    flags = dict.fromkeys(("use_node_id_as_ip", "disable_node_updaters", "disable_launch_config_check"), True)
    nothing = ("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands")
    path = folder / "autoscaling.json"
    path.write_text(
        json.dumps(
            {
                "cluster_name": "test", "max_workers": NODES, "upscaling_speed": 1.0,
                "idle_timeout_minutes": IDLE_MINUTES,
                "provider": {"type": "fake_multinode", "gcs_address": address, **flags},
                "auth": {}, "docker": {}, "file_mounts": {},
                "available_node_types": {"ray.head.default": head, "gpu": worker},
                "head_node_type": "ray.head.default",
                **{name: [] for name in (*nothing, "head_start_ray_commands", "worker_start_ray_commands")},
                "cluster_synced_files": [], "rsync_exclude": [], "rsync_filter": [],
            }
        )
    )  # fmt: skip
    return path


@pytest.fixture
def autoscaler(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A head without a GPU, and up to four nodes with one each; none at first. Other clusters here stay as they are."""
    monkeypatch.setattr("tests.cluster.test_pipeline.PER_UNIT", 4)
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets lie below it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--head",
        f"--port={port}",
        "--num-cpus=2",
        "--block",
        "--node-ip-address=127.0.0.1",
    ]
    words += [
        f"--temp-dir={folder}",
        f"--autoscaling-config={config(folder, f'127.0.0.1:{port}')}",
        "--include-dashboard=false",
    ]
    environment = os.environ | {"AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_FAKE_CLUSTER": "1"}
    # Ray reads its mode once a process; where driver and cluster differ in it, the cluster ends the driver's actors.
    environment |= {"RAY_AUTH_MODE": get_authentication_mode_name(get_authentication_mode())}
    with (folder / "log").open("w") as log:
        head = subprocess.Popen(words, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "Ray runtime started" not in (folder / "log").read_text():
            assert head.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.2)
        with connect_ray(f"127.0.0.1:{port}"):
            yield
    finally:
        head.terminate()
        head.wait(30)
        for process in psutil.process_iter(["cmdline"]):  # nodes that the autoscaler has started
            if any(str(folder) in word for word in process.info["cmdline"] or ()):
                process.kill()
        shutil.rmtree(folder, ignore_errors=True)


def gpu_nodes() -> int:
    return sum(node.gpus > 0 for node in list_nodes())


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.usefixtures("autoscaler")
def test_a_run_grows_a_cluster_from_no_gpu_to_four_and_leaves_none(tmp_path: Path) -> None:
    assert gpu_nodes() == 0
    given = work(
        tmp_path, ModelSpec(name="stored", path=str(tmp_path / "samples.jsonl"), engine="replay", device="gpu")
    )
    (gate := tmp_path / "gate").mkdir()
    most = 0

    def show(progress: Progress) -> None:
        nonlocal most
        most = max(most, gpu_nodes())
        if most == NODES:  # till then a single unit is committed, so that there is work for all
            (gate / "open").touch()

    rows = test_pipeline.PROBLEMS * test_pipeline.SAMPLES
    tally = Tally([CellTally("stored", "t", test_pipeline.PROBLEMS, rows, 0, set())])
    actors = RayActors(given, HeldSink(DirectoryStore(tmp_path / "run"), "v1", gate=gate, model="stored"))
    placement = Placement((EngineSlot(1, 0.1, 1, 1),), 1, 1.0)
    assert asyncio.run(Pipeline(given, actors, placement, tally).run(show)) == ()
    assert most == NODES
    assert committed(tmp_path) == (240, 240, 24)
    deadline = time.monotonic() + PATIENCE_S
    while gpu_nodes() and time.monotonic() < deadline:
        time.sleep(0.5)
    assert gpu_nodes() == 0
