"""Sizes by hand: a model of 0.5 billion 16-bit numbers, 24 layers with 128 numbers each of keys and of values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.engines.gpu_memory import CONTEXT_BYTES, GpuShare, engines_that_fit, need, taken_bytes, utilization
from sampling.engines.model_info import ModelInfo
from sampling.errors import EngineRefused
from sampling.settings import ModelSpec, SamplingSettings

GIB = 1 << 30
SMALL = ModelInfo("r", 32_768, 500_000_000, 24, 896, 128, full_layers=24, floats=500_000_000)
LARGE = ModelInfo("r", 8_192, 70_000_000_000, 80, 8192, 1024, full_layers=80, floats=70_000_000_000)


def spec(**changes: object) -> ModelSpec:
    return ModelSpec.model_validate({"name": "m", "path": "p", **changes})


def test_a_need_is_weights_and_keys_and_values() -> None:
    wanted = need(spec(), SMALL, 1)
    assert wanted is not None
    assert (wanted.weights, wanted.kv_least, wanted.kv_most) == (1_000_000_000, 24 * 2 * 128 * 2, 24 * 2 * 128 * 2)
    wide = need(spec(dtype="float32"), SMALL, 1)
    assert wide is not None and wide.weights == 2_000_000_000
    halves = need(spec(), LARGE, 2)
    assert halves is not None and halves.weights == 70_000_000_000


def test_what_does_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(EngineRefused) as refused:
        utilization(spec(), LARGE, GpuShare(1, 80 * GIB, "NVIDIA H100"))
    assert str(refused.value) == (
        "model m does not fit: weights 130.4 GiB + keys and values of one sequence of 8,192 tokens 2.5 GiB exceed the "
        "73.6 GiB that 1 of NVIDIA H100 with 80.0 GiB gives; raise gpus, or lower max_model_len"
    )
    assert refused.value.exit_code == 2
    assert utilization(spec(), LARGE, GpuShare(2, 80 * GIB)) == pytest.approx(0.92)


def test_a_share_too_small_for_any_engine_is_refused() -> None:
    with pytest.raises(EngineRefused, match="no room for an engine"):
        utilization(spec(), ModelInfo("r"), GpuShare(0.01, 16 * GIB))


@pytest.mark.parametrize("argument", ["quantization", "cpu_offload_gb", "load_format"])
def test_sizes_that_tell_nothing_refuse_nothing(argument: str) -> None:
    assert utilization(spec(vllm={argument: 1}), LARGE, GpuShare(1, 80 * GIB)) == pytest.approx(0.92)
    assert utilization(spec(), ModelInfo("r"), GpuShare(0.5)) == 0.46


@given(engines=st.integers(1, 16), total=st.integers(16 * GIB, 288 * GIB))
def test_engines_of_one_gpu_never_reach_into_each_others_share(engines: int, total: int) -> None:
    each = taken_bytes(spec(), ModelInfo("r"), GpuShare(1 / engines, total)) + CONTEXT_BYTES
    assert engines * each <= total + engines


def test_the_users_own_share_is_what_must_be_free() -> None:
    assert taken_bytes(spec(vllm={"gpu_memory_utilization": 0.5}), SMALL, GpuShare(1, 80 * GIB)) == 40 * GIB


@pytest.mark.parametrize(("total", "engines"), [(80 * GIB, 4), (16 * GIB, 2), (4 * GIB, 1), (None, 1)])
def test_auto_packs_small_models_where_all_their_sequences_fit(total: int | None, engines: int) -> None:
    assert engines_that_fit(spec(), SMALL, SamplingSettings(), total) == engines
    assert engines_that_fit(spec(), LARGE, SamplingSettings(), total) == 1
