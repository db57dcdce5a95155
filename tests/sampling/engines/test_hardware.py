"""NVIDIA's own bindings before a library compiled here in place of the driver's: GPUs, and the slices of one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sampling.engines.hardware import best_format, cpu_formats, gpu_formats
from tests.support.places import ROOT

SCRIPT = """
import importlib, json, sys
try:
    import pynvml
except ImportError:
    sys.modules["pynvml"] = importlib.import_module("vllm.third_party.pynvml")
from sampling.engines.devices import device_trouble, look
from sampling.engines.hardware import all_gpus
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


X86 = "processor\t: 0\nflags\t\t: fpu sse avx2 avx512f {}\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ALL = {"float32", "float16", "bfloat16"}


@pytest.mark.parametrize(
    ("cpuinfo", "formats"),
    [
        (X86.format(""), {"float32"}),  # up to Ice Lake and Zen 3
        (X86.format("avx512_bf16"), {"float32", "bfloat16"}),  # Cooper Lake, Zen 4
        (X86.format("avx512_bf16 avx512_fp16 amx_bf16"), ALL),  # Sapphire Rapids
        ("Features\t: fp asimd asimdhp\n", {"float32", "float16"}),  # Graviton 2
        ("Features\t: fp asimd asimdhp bf16\n", ALL),  # Graviton 3
        ("processor : 0\n", ALL),  # nothing is known: vLLM decides
        ("", ALL),
    ],
)
def test_cores_compute_in_the_formats_of_their_flags(cpuinfo: str, formats: set[str]) -> None:
    assert cpu_formats(cpuinfo) == formats


@pytest.mark.parametrize(
    ("compute", "formats"), [((5, 2), {"float32"}), ((7, 5), {"float32", "float16"}), ((8, 0), ALL), ((10, 3), ALL)]
)
def test_gpus_compute_in_the_formats_of_their_generation(compute: tuple[int, int], formats: set[str]) -> None:
    assert gpu_formats(compute) == formats


@pytest.mark.parametrize(
    ("own", "machines", "gpus", "half", "best"),
    [
        ("bfloat16", [ALL, ALL], False, True, "bfloat16"),
        ("bfloat16", [ALL, {"float32"}], False, True, "float32"),  # one format for the whole run
        ("bfloat16", [{"float32", "float16"}], False, True, "float32"),  # float16 holds smaller numbers
        ("float16", [ALL], False, True, "float16"),
        ("float16", [{"float32", "bfloat16"}], False, True, "float32"),
        ("float32", [ALL], False, True, "bfloat16"),  # as vLLM
        ("float32", [{"float32"}], False, True, "float32"),
        ("bfloat16", [ALL, {"float32", "float16"}], True, True, "float16"),  # an A100 and a T4
        ("bfloat16", [{"float32", "float16"}], True, False, "float32"),  # Gemma
        ("float16", [ALL], True, True, "float16"),
    ],
)
def test_the_best_format_is_native_everywhere(
    own: str, machines: list[set[str]], gpus: bool, half: bool, best: str
) -> None:
    assert best_format(own, map(frozenset, machines), gpus=gpus, half=half) == best
