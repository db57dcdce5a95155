"""NVIDIA's own bindings before a library compiled here in place of the driver's: GPUs, and the slices of one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT

SCRIPT = """
import importlib, json, sys
try:
    import pynvml
except ImportError:
    sys.modules["pynvml"] = importlib.import_module("vllm.third_party.pynvml")
from sampling.engines.devices import device_trouble, look
from sampling.engines.nvml import all_gpus
found = {name: (gpu.uuid, round(gpu.total_bytes / 2**30, 1), gpu.compute) for name, gpu in all_gpus().items()}
given = look(float(sys.argv[1]))
share = given.allowance(1).share
print(json.dumps([found, given.visible, device_trouble(given), round(share.total_bytes / 2**30, 1)]))
"""
A100, H100 = "NVIDIA A100-SXM4-80GB:79.2:8.0", "NVIDIA H100 80GB HBM3:79.6:9.0"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("driver")
    source = ROOT / "tests/gpu/nvml.c"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / "libnvidia-ml.so.1", source], check=True)
    return folder


def ask(driver: Path, asked: float, **stub: str) -> Any:
    environment = {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **stub}
    words = [sys.executable, "-c", SCRIPT, str(asked)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_gpus_of_a_machine_and_the_emptiest_of_them(driver: Path) -> None:
    found, visible, trouble, total = ask(driver, 1, STUB_GPUS=f"{A100},{H100}")
    assert found == {"0": ["GPU-0", 79.2, [8, 0]], "1": ["GPU-1", 79.6, [9, 0]]}
    assert (visible, trouble, total) == (["1"], None, 79.6)


@pytest.mark.slow
def test_slices_of_a_gpu_are_devices_of_their_own(driver: Path) -> None:
    found, visible, trouble, total = ask(driver, 1, STUB_GPUS=f"{A100},{H100}", STUB_MIG="3x9.5")
    assert found == {f"MIG-{n}": [f"MIG-{n}", 9.5, [8, 0]] for n in range(3)} | {"1": ["GPU-1", 79.6, [9, 0]]}
    assert visible == ["1"]
    found, visible, trouble, total = ask(driver, 1, STUB_GPUS=A100, STUB_MIG="3x9.5")
    assert (visible, trouble, total) == (["MIG-0"], None, 9.5)


def test_an_engine_never_joins_slices(driver: Path) -> None:
    *_, trouble, _ = ask(driver, 2, STUB_GPUS=A100, STUB_MIG="3x9.5")
    assert trouble == "given MIG-0,MIG-1; an engine cannot join MIG devices: set gpus to 1"


@pytest.mark.slow
def test_a_slice_is_chosen_by_the_environment_as_ray_does_it(driver: Path) -> None:
    _, visible, trouble, total = ask(driver, 0.5, STUB_GPUS=A100, STUB_MIG="3x9.5", CUDA_VISIBLE_DEVICES="MIG-2,MIG-1")
    assert (visible, trouble, total) == (["MIG-2"], None, 9.5)
    _, _, trouble, _ = ask(driver, 1, STUB_GPUS=A100, STUB_MIG="1x9.5", CUDA_VISIBLE_DEVICES="MIG-4")
    assert "which the driver does not have" in trouble
