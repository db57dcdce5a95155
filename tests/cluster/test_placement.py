"""The placement: what engines and verifiers get of a cluster, and what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.batches import ModelWork
from cluster.placement import Node, batch_s, local_slot, place
from sampling.engines.model_info import ModelInfo
from sampling.errors import BadInput
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


@pytest.mark.parametrize(("there", "engines"), [((8, 8), 1), ((8, 8, 8, 8), 2), ((16,), 1), ((8, 4, 8), 1)])
def test_an_engine_of_several_nodes_takes_gpus_of_each(there: tuple[int, ...], engines: int) -> None:
    nodes = [Node(32, gpus) for gpus in there]
    (slot,) = place([work(gpus=8, nodes=2)], 32 * len(there), sum(there), None, nodes).engines
    assert (slot.count, slot.gpus, slot.nodes, slot.all_gpus) == (engines, 8, 2, 16)
    assert sum(bundle["GPU"] for bundle in slot.bundles) == 16
    assert all(bundle["GPU"] == 1 for bundle in slot.bundles)  # vLLM refuses others


@pytest.mark.parametrize("there", [(8,), (8, 4), (0,)])
def test_an_engine_of_more_nodes_than_there_are_is_refused_with_what_there_is(there: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"^model m: nodes is 2, but \d have 8 GPUs \(of"):
        place([work(gpus=8, nodes=2)], 32, sum(there), None, [Node(32, gpus) for gpus in there])
    (slot,) = place(
        [work(gpus=8, nodes=2, device="gpu")], 32, sum(there), None, [Node(32, gpus) for gpus in there]
    ).engines
    assert (slot.count, slot.nodes) == (1, 2)  # an autoscaler may bring the others


def test_an_engine_of_several_nodes_needs_ray() -> None:
    with pytest.raises(BadInput, match=r"^model m: nodes is 2, which needs Ray; leave out --local$"):
        local_slot(work(nodes=2).model)


@pytest.mark.parametrize("wrong", [{"gpus": 0.5}, {"engines_per_gpu": 2}, {"device": "cpu"}, {"engine": "replay"}])
def test_several_nodes_give_whole_gpus_to_vllm(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="nodes"):
        work(nodes=2, **wrong)


@pytest.mark.parametrize(("layers", "hidden", "engines"), [(2, 128, 2), (5, 192, 2), (12, 768, 1), (0, 0, 1)])
def test_without_a_gpu_tiny_models_get_an_engine_a_core_and_others_threads(
    layers: int, hidden: int, engines: int
) -> None:
    shaped = replace(work(), info=ModelInfo("r", layers=layers, hidden=hidden))
    (engine,) = place([shaped], 2, 0, None).engines
    assert (engine.count, engine.count * engine.threads) == (engines, 2)


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


def test_a_type_of_gpu_that_no_node_has_is_refused_with_those_that_are() -> None:
    nodes = [Node(8, 2, gpu_type="L4"), Node(64, 8, gpu_type="H100"), Node(8, 0)]
    slot = place([work(gpu="H100")], 80, 10, None, nodes).engines[0]
    assert (slot.count, slot.options["label_selector"]) == (8, {"ray.io/accelerator-type": "H100"})
    with pytest.raises(BadInput, match=r"gpu is 'B200', but no node has such GPUs; there are H100, L4; `ray list"):
        place([work(gpu="B200")], 80, 10, None, nodes)
    with pytest.raises(BadInput, match="there are none"):
        place([work(gpu="B200")], 80, 0, None)
    assert place([work(gpu="B200", device="gpu")], 80, 10, None, nodes).engines[0].gpu_type == "B200"  # it may come


def test_an_engine_stays_within_one_node() -> None:
    nodes = [Node(8, 2), Node(8, 2)]
    assert place([work(gpus=2)], 16, 4, None, nodes).engines[0].count == 2
    message = r"model m: gpus is 4, but no node has more than 2 \(of 2 nodes with 4 together\)"
    with pytest.raises(BadInput, match=message):
        place([work(gpus=4)], 16, 4, None, nodes)


@pytest.mark.parametrize(("engines", "share"), [(1, 1.0), (2, 0.5), (3, 0.3333), (7, 0.1428)])
def test_engines_per_gpu_is_a_share_that_ray_can_count(engines: int, share: float) -> None:
    (slot,) = place([work(engines_per_gpu=engines)], 64, 4, None).engines
    assert (slot.gpus, slot.count) == (share, 4 * engines)


def test_engines_never_wait_for_cores_that_no_node_has() -> None:
    (engine,) = place([work()], 4, 8, None, [Node(2, 4), Node(2, 4)]).engines
    assert engine.count * engine.cpus <= 4 * 0.5


def test_auto_goes_by_the_smallest_gpu_and_the_cores() -> None:
    small = ModelInfo("r", 4096, 500_000_000, 24, 896, 128, 24, 500_000_000)
    packed = replace(work(engines_per_gpu="auto"), info=small)
    assert place([packed], 64, 2, None, [Node(32, 1, 80 << 30), Node(32, 1, 80 << 30)]).engines[0].gpus == 0.25
    assert place([packed], 64, 2, None, [Node(32, 1, 80 << 30), Node(32, 1)]).engines[0].gpus == 1
    assert place([packed], 4, 1, None, [Node(2, 1, 80 << 30)]).engines[0].gpus == 0.5


def test_a_share_is_said_once() -> None:
    with pytest.raises(ValueError, match="give gpus or engines_per_gpu, not both"):
        work(gpus=0.5, engines_per_gpu=2)


@given(st.integers(1, 100_000), st.integers(1, 100_000))
def test_more_engines_hand_over_less_often(one: int, other: int) -> None:
    few, many = sorted((one, other))
    assert 1 <= batch_s(few) <= batch_s(many) <= 20
    assert batch_s(100) == 1 and batch_s(4000) == 10 and batch_s(10_000) == 20
