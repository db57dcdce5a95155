"""Calls into libraries that the type checker cannot see: names and signatures as the installed libraries have them.

Calls that need no GPU and no network are made for real by the other tests here. A stand-in below takes its names and
signatures from the real function, so that a wrong one fails.
"""

import dataclasses
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import create_autospec

import pytest

from sampling.engines.devices import driver_trouble
from sampling.engines.gpu_memory import Allowance, GpuShare
from sampling.engines.hardware import Gpu, gpus_of, smallest_gpu
from sampling.engines.model_info import ModelInfo, inspect_model
from sampling.engines.vllm_engine import (
    device_name,
    engine_arguments,
    prepare_environment,
    prompt_tokens,
    start_in_turn,
)
from sampling.engines.weights import NOT_NEEDED, ONLY_OTHER_FORMATS, local_weights
from sampling.errors import EngineError
from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import SMALL_MODEL
from tests.support.reward_models import save_tokenizer

GIB = 1 << 30
SPEC = ModelSpec(name="m", path="owner/name")
SHARE, OVER_NODES = GpuShare(2, 80 * GIB, "NVIDIA H100"), GpuShare(16, 80 * GIB, "NVIDIA H100", nodes=2)

engine = pytest.mark.engine
pytestmark = pytest.mark.filterwarnings("default")  # torch, transformers and vLLM warn of their own business


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Any:
    """NVML's bindings with two GPUs and no driver: the installed ones, else the copy that vLLM carries."""
    try:
        real = importlib.import_module("pynvml")
    except ModuleNotFoundError:
        real = importlib.import_module("vllm.third_party.pynvml")
    double = create_autospec(real)
    double.NVMLError, double.NVMLError_NotSupported = real.NVMLError, real.NVMLError_NotSupported
    double.nvmlSystemGetDriverVersion.return_value = "570.86.15"
    double.nvmlDeviceGetCount.return_value = 2
    double.nvmlDeviceGetHandleByIndex.side_effect = lambda index: f"handle {index}"
    double.nvmlDeviceGetHandleByUUID.side_effect = real.NVMLError_NotFound()
    double.nvmlDeviceGetUUID.side_effect = lambda handle: f"GPU-{handle[-1]}"
    double.nvmlDeviceGetName.return_value = "NVIDIA H100"
    double.nvmlDeviceGetCudaComputeCapability.return_value = (9, 0)
    fields = {name for name, _ in real.c_nvmlMemory_t._fields_}
    memory = ModuleType("memory")
    vars(memory).update({name: {"total": 80 * GIB, "free": 79 * GIB}.get(name, 0) for name in fields})
    double.nvmlDeviceGetMemoryInfo.return_value = memory
    monkeypatch.setitem(sys.modules, "pynvml", double)
    return double


@engine
def test_a_gpu_without_memory_of_its_own_has_the_machines(nvml: Any) -> None:
    """GB10, Jetson and the like share the machine's memory, and NVML knows no size of theirs."""
    nvml.nvmlDeviceGetMemoryInfo.side_effect = nvml.NVMLError_NotSupported()
    (gpu,) = gpus_of(["0"]) or ()
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert gpu is not None and gpu.total_bytes == total and 0 < gpu.free_bytes <= total


@engine
def test_the_driver_is_asked_for_its_version(nvml: Any) -> None:
    assert str(driver_trouble()).startswith("driver 570.86.15 is older than 580")


@engine
@pytest.mark.parametrize("toolkit", [True, False])
def test_flashinfer_samples_only_where_it_can_be_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, toolkit: bool
) -> None:
    import torch
    from vllm import envs

    assert "VLLM_USE_FLASHINFER_SAMPLER" in envs.environment_variables
    if toolkit:
        (tmp_path / "nvcc").touch(mode=0o755)
    for name, value in (("PATH", str(tmp_path)), ("CUDA_HOME", str(tmp_path / "none"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VLLM_USE_FLASHINFER_SAMPLER", "")  # so that the test gives back what was there
    monkeypatch.delenv("VLLM_USE_FLASHINFER_SAMPLER")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert prepare_environment(1)
    assert os.environ.get("VLLM_USE_FLASHINFER_SAMPLER") == (None if toolkit else "0")


@engine
def test_nvml_is_asked_for_names_uuids_and_memory(nvml: Any) -> None:
    assert gpus_of(("1", "GPU-none")) == (Gpu("GPU-1", "NVIDIA H100", 80 * GIB, 79 * GIB, (9, 0)), None)
    assert smallest_gpu() == 80 * GIB
    assert nvml.nvmlInit.call_count == nvml.nvmlShutdown.call_count == 2


@engine
def test_torch_names_a_gpu_whose_name_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    named = create_autospec(torch.cuda.get_device_name, return_value="NVIDIA L4")
    monkeypatch.setattr(torch.cuda, "get_device_name", named)
    assert device_name(GpuShare(1)) == "NVIDIA L4"
    assert (device_name(SHARE), device_name(None)) == ("NVIDIA H100", "cpu")


@engine
def test_torch_says_whether_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "")
    threads = torch.get_num_threads()
    seen = create_autospec(torch.cuda.is_available, side_effect=[True, False])
    monkeypatch.setattr(torch.cuda, "is_available", seen)
    assert prepare_environment(1)
    assert not prepare_environment(1)
    assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)


@engine
@pytest.mark.parametrize("share", [None, GpuShare(0.5, 80 * GIB), SHARE, OVER_NODES])
def test_vllm_takes_the_arguments_of_an_engine(share: GpuShare | None) -> None:
    """Real engines start in other tests, but only without GPUs."""
    import vllm

    arguments = engine_arguments(SPEC, ModelInfo("r"), SMALL_MODEL, 1, share)
    assert arguments.keys() <= {field.name for field in dataclasses.fields(vllm.EngineArgs)}
    sizes = tuple(arguments.get(f"{kind}_parallel_size") for kind in ("tensor", "pipeline"))
    assert sizes == {SHARE: (2, None), OVER_NODES: (8, 2)}.get(share or SHARE, (None, None)) or share is None


@engine
def test_engines_on_one_gpu_start_in_turn_around_vllms_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CACHE_ROOT", str(tmp_path / "vllm"))
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path / "troop"))
    half = Allowance(1, GpuShare(0.5, 80 * GIB, "NVIDIA H100"), ("GPU-1",))
    assert start_in_turn({"model": "a"}, half, lambda: 5) == 5
    assert len(list((tmp_path / "vllm/torch_compile_cache").iterdir())) == 1
    locks = {path.name.partition("-")[0] for path in (tmp_path / "troop/locks").iterdir()}
    assert locks == {"gpu", "compile"}


@engine
def test_every_client_of_vllms_engine_can_be_shut_down() -> None:
    from vllm.v1.engine import core_client

    assert callable(core_client.InprocClient.shutdown)
    assert callable(core_client.SyncMPClient.shutdown)


def test_a_chat_goes_through_the_models_template(tmp_path: Path) -> None:
    chat: dict[str, Any] = {"id": "a", "verifier": "exact", "reference": {"answer": "4"}}
    problem = Problem.model_validate({**chat, "messages": [{"role": "user", "content": "2+2?"}]})
    tokenizer = save_tokenizer(tmp_path / "chat", chat=True)
    shown = tokenizer.decode(prompt_tokens(tokenizer, problem, SamplingSettings()))
    assert shown == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n"
    assert (
        tokenizer.decode(prompt_tokens(tokenizer, Problem.model_validate({**chat, "prompt": "2+"}), SamplingSettings()))
        == "2+"
    )


def test_weights_are_fetched_from_the_hub_by_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other formats are fetched only where the commit has no safetensors."""
    import huggingface_hub

    monkeypatch.setenv("TROOP_CACHE", str(tmp_path / "cache"))
    fetch = create_autospec(huggingface_hub.snapshot_download, return_value=str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert local_weights("owner/name", "abc") == tmp_path
    ignored = [call.kwargs["ignore_patterns"] for call in fetch.call_args_list]
    assert ignored == [list(NOT_NEEDED), list(ONLY_OTHER_FORMATS)]
    (tmp_path / "model.safetensors").touch()
    assert local_weights("owner/name", "abc") == tmp_path and fetch.call_count == 3
    fetch.side_effect = huggingface_hub.errors.LocalEntryNotFoundError("no network")
    with pytest.raises(EngineError, match=r"model 'owner/name' cannot be fetched from the hub \(no network\)"):
        local_weights("owner/name", "abc")


def test_a_hub_models_config_is_read_and_its_folder_is_the_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    fetch = create_autospec(huggingface_hub.hf_hub_download, return_value=str(SMALL_MODEL / "config.json"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    info = inspect_model(SPEC, "models.m")
    assert info.revision == SMALL_MODEL.name and info.layers > 0 and info.floats is None
