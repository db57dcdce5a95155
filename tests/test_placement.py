import pytest

from cluster.batches import ModelWork
from cluster.placement import place
from sampling.errors import BadInput
from sampling.models import ModelInfo
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings


def work(units: int = 100, **spec: object) -> ModelWork:
    model = ModelSpec.model_validate({"name": "m", "path": "p", **spec})
    numbered = tuple(Unit("m", "t", number, 0, 1, 0, 1) for number in range(units))
    return ModelWork(model, ModelInfo("r"), SamplingSettings(), "h", numbered)


@pytest.mark.parametrize("cpus", [1, 2, 4, 16, 64])
@pytest.mark.parametrize("models", [1, 2, 3])
def test_everything_fits_on_a_machine_without_a_gpu(cpus: float, models: int) -> None:
    placement = place([work() for _ in range(models)], cpus, 0, None)
    engines = sum(p.count * p.cpus for p in placement.engines)
    assert engines + placement.verifiers * placement.verifier_cpus <= cpus + 1e-9
    assert placement.verifiers >= 1
    assert all(p.count >= 1 and p.threads >= 1 for p in placement.engines)


def test_each_engine_holds_one_gpu_by_default() -> None:
    placement = place([work(), work()], 64, 8, None)
    assert [(p.count, p.gpus) for p in placement.engines] == [(4, 1.0), (4, 1.0)]
    assert placement.verifiers == 56


def test_a_gpu_is_shared_or_several_are_joined_when_asked() -> None:
    assert place([work(gpus=0.25)], 16, 2, None).engines[0].count == 8
    assert place([work(gpus=2)], 16, 8, None).engines[0].count == 4


def test_no_more_engines_than_units() -> None:
    assert place([work(units=1)], 64, 8, None).engines[0].count == 1


def test_more_gpus_than_there_are_is_refused() -> None:
    with pytest.raises(BadInput, match=r"gpus is 4, but no node has more than 2"):
        place([work(gpus=4)], 16, 2, None)
