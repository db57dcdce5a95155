"""The wheels of requirements/gpu.txt without a GPU: every model's module, devices and configurations behind the stub.

No kernel runs here. `make check-gpu` installs the wheels into an environment of their own and runs this there.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.places import ROOT, SMALL_MODEL

pytestmark = [
    pytest.mark.skipif("TROOP_CHECK_GPU" not in os.environ, reason="make check-gpu installs the GPU wheels for this"),
    pytest.mark.timeout(900),
]
HERE = Path(__file__).parent
H100, A100, GB10 = "NVIDIA H100 80GB HBM3:79.6:9.0", "NVIDIA A100-SXM4-80GB:79.2:8.0", "NVIDIA GB10:0:12.1"
# Modules that do not load: two want packages that vLLM leaves to the user, one wants FlashAttention's kernels.
NOT_LOADED = {"kanana_v": "timm", "terratorch": "terratorch", "dots3_note": "compile_flash_attn"}
# What an engine has that LLM's default has not: its share of the GPU's memory, and the processes of several GPUs.
OURS = {"cache_config.gpu_memory_utilization", "scheduler_config.max_num_seqs"}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    for source, library in (("nvml.c", "libnvidia-ml.so.1"), ("cuda.c", "libcuda.so.1")):
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", folder / library, HERE / source], check=True)
    return folder


def run(script: str, *words: str, **environment: str) -> dict[str, Any]:
    quiet = {"VLLM_LOGGING_LEVEL": "ERROR", "PYTHONPATH": str(ROOT), "VLLM_NO_USAGE_STATS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", f"tests.gpu.{script}", *words],
        env=os.environ | quiet | environment, capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def probe(driver: Path, gpus: str, each: float = 1, **more: str) -> Mapping[str, Any]:
    return run("probe", str(SMALL_MODEL), str(each), LD_LIBRARY_PATH=str(driver), STUB_GPUS=gpus, **more)


def test_every_module_of_the_registry_loads() -> None:
    found = run("modules")
    assert found["modules"] > 250
    unexpected = {name: why for name, why in found["failed"].items() if NOT_LOADED.get(name, "\0") not in why}
    assert unexpected == {}


@pytest.mark.parametrize(("gpu", "seqs", "tokens"), [(H100, 1024, 16384), (A100, 256, 8192)])
def test_a_whole_gpu_is_configured_as_llm_does_it(driver: Path, gpu: str, seqs: int, tokens: int) -> None:
    found = probe(driver, gpu)
    assert (found["seqs"], found["tokens"], found["trouble"], found["driver"]) == (seqs, tokens, None, None)
    assert found["fields"] > 200
    assert set(found["different"]) <= OURS - {"scheduler_config.max_num_seqs"}


def test_an_engine_over_two_gpus_is_configured_as_llm_does_it(driver: Path) -> None:
    found = probe(driver, f"{H100},{H100}", 2)
    assert (found["seqs"], found["tokens"], found["trouble"], found["visible"]) == (1024, 16384, None, "0,1")
    assert found["arguments"]["tensor_parallel_size"] == 2
    assert set(found["different"]) <= OURS - {"scheduler_config.max_num_seqs"}


def test_a_slice_of_a_gpu_is_configured_by_its_own_memory(driver: Path) -> None:
    found = probe(driver, H100, STUB_MIG="3x9.5", CUDA_VISIBLE_DEVICES="MIG-0")
    assert (found["visible"], found["trouble"]) == ("MIG-0", None)
    assert {gpu["total_bytes"] for gpu in found["gpus"]} == {int(9.5 * 2**30)}
    assert set(found["different"]) <= OURS - {"scheduler_config.max_num_seqs"}


def test_four_engines_share_a_gpu(driver: Path) -> None:
    found = probe(driver, H100, 0.25)
    assert found["arguments"]["gpu_memory_utilization"] == pytest.approx(0.23, abs=0.01)
    assert (found["seqs"], found["tokens"]) == (256, 16384)
    assert {name for name in found["different"] if not name.startswith("compilation_config")} <= OURS


def test_an_engine_takes_the_gpu_that_is_free_and_hides_the_others(driver: Path) -> None:
    found = probe(driver, f"{A100},{H100}")
    assert [gpu["name"] for gpu in found["gpus"]] == ["NVIDIA A100-SXM4-80GB", "NVIDIA H100 80GB HBM3"]
    assert found["visible"] == "1"  # the one with more free memory
    assert found["seqs"] == 1024


def test_a_gpu_without_memory_of_its_own_has_the_machines(driver: Path) -> None:
    (gpu,) = probe(driver, GB10)["gpus"]
    assert gpu["total_bytes"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def test_a_driver_that_is_too_old_is_told(driver: Path) -> None:
    assert "install nvidia-driver-580" in probe(driver, H100, STUB_DRIVER="570.86.15")["driver"]
