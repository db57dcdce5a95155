"""The shares of GPUs, cores and verifier slots as nodes come and go."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.nodes import Census, NodeState, check_mark
from cluster.placement import GPU_TYPE, EngineSlot
from cluster.sharing import Demand, fill, fits, share_out, verifier_slots, worth_joining
from sampling.errors import BadInput

SHARES = st.sampled_from([0.1, 0.25, 0.3, 0.5, 1, 2, 4])
DEMANDS = st.lists(
    st.builds(
        Demand,
        st.builds(lambda gpus: EngineSlot(1, 1.0, gpus, 1), SHARES),
        st.floats(0.1, 10),
        st.integers(1, 40),
    ),
    min_size=1,
    max_size=4,
)
NODES = st.lists(st.integers(0, 8), max_size=12).map(lambda sizes: [node(str(n), gpus=g) for n, g in enumerate(sizes)])


def node(name: str, cpus: float = 16, gpus: float = 0, **more: object) -> NodeState:
    return NodeState(name, cpus, gpus, **more)  # type: ignore[arg-type]


def on_gpus(gpus: float = 1, weight: float = 1, most: int = 1000) -> Demand:
    return Demand(EngineSlot(1, 1.0, gpus, 1), weight, most)


@given(DEMANDS, NODES)
def test_no_gpu_is_given_twice_and_none_that_is_wanted_left(demands: list[Demand], nodes: list[NodeState]) -> None:
    counts = share_out(demands, nodes)
    assert all(1 <= count <= demand.most for count, demand in zip(counts, demands, strict=True))
    beyond = sum(demand.slot.gpus for demand in demands)  # the first engine of each model may have to wait
    assert sum(c * d.slot.gpus for c, d in zip(counts, demands, strict=True)) <= sum(n.gpus for n in nodes) + beyond
    ones = [d for d in demands if d.slot.gpus == 1]
    if len(ones) == len(demands):
        total = int(sum(n.gpus for n in nodes))
        assert sum(counts) >= min(total, sum(d.most for d in demands))


def test_models_share_by_weight_and_take_over_what_others_do_not_need() -> None:
    nodes = [node(str(n), gpus=8) for n in range(4)]
    assert share_out([on_gpus(), on_gpus()], nodes) == (16, 16)
    assert share_out([on_gpus(weight=3), on_gpus()], nodes) == (24, 8)
    assert share_out([on_gpus(most=2), on_gpus()], nodes) == (2, 30)
    assert share_out([on_gpus(2), on_gpus(0.25)], nodes) == (8, 64)


def test_an_engine_of_several_nodes_takes_them_together_or_not_at_all() -> None:
    wide = Demand(EngineSlot(1, 1.0, 8, 1, nodes=2), 1, 1000)
    three = [node(str(n), gpus=8) for n in range(3)]
    assert share_out([wide, on_gpus()], three) == (1, 8)  # the third node is for others
    assert share_out([wide, on_gpus()], three[:1]) == (1, 8)  # the first engine waits
    assert fits(wide.slot, three) and not fits(wide.slot, three[:1])
    assert not fits(replace(wide.slot, gpu_type="L4"), three)


def test_a_model_that_grows_waits_for_as_many_engines_as_fit() -> None:
    """Checks that an autoscaler doubles the nodes: 0, 1, 2, 4, 8. Other models wait for their first engine alone."""
    grows = Demand(EngineSlot(1, 1.0, 1, 1), 1, 1000, grows=True)
    for there, wanted in ((0, 1), (1, 2), (2, 4), (4, 8)):
        nodes = [node(str(n), gpus=1) for n in range(there)]
        assert share_out([grows], nodes) == (wanted,)
        assert share_out([on_gpus()], nodes) == (max(1, there),)
    assert share_out([Demand(grows.slot, 1, 3, grows=True)], [node("a", gpus=2)]) == (3,)


def test_an_engine_of_two_gpus_stays_on_one_node() -> None:
    assert share_out([on_gpus(2)], [node("a", gpus=3), node("b", gpus=3)]) == (2,)
    assert not fits(EngineSlot(1, 1, 4, 1), [node("a", gpus=3), node("b", gpus=3)])


def test_a_model_gets_gpus_of_its_type_alone() -> None:
    nodes = [node("a", gpus=4, labels={GPU_TYPE: "H100"}), node("b", gpus=2, labels={GPU_TYPE: "L4"})]
    typed = [Demand(EngineSlot(1, 1.0, gpus, 1, gpu_type=name), 1, 100) for name, gpus in (("H100", 1), ("L4", 0.5))]
    assert share_out(typed, nodes) == (4, 4)
    assert share_out([typed[0]], nodes) == (4,)
    assert share_out([on_gpus(), typed[1]], nodes[1:]) == (1, 2)
    assert fits(typed[1].slot, nodes) and not fits(typed[1].slot, nodes[:1])
    on_l4 = EngineSlot(1, 2.0, 1, 1, gpu_type="L4")
    assert verifier_slots(nodes, [on_l4], 1.0, None) == {"a": 16, "b": 12}


def test_cores_are_shared_where_there_is_no_gpu() -> None:
    demand = Demand(EngineSlot(1, 1.0, 0, 1), 1, 100)
    assert share_out([demand], [node("a", cpus=2)]) == (1,)
    assert share_out([demand], [node("a", cpus=2), node("b", cpus=4)]) == (3,)


def test_verifiers_leave_the_engines_their_cores() -> None:
    slot = EngineSlot(8, 1.0, 1, 1)
    nodes = [node("gpu", cpus=16, gpus=8), node("cpu", cpus=32, labels={"role": "cpu"}), node("full", cpus=4, gpus=4)]
    assert verifier_slots(nodes, [slot], 1.0, None) == {"gpu": 8, "cpu": 32}
    assert verifier_slots(nodes, [slot], 1.0, "role=cpu") == {"cpu": 32}
    assert verifier_slots([node("a", cpus=2)], [EngineSlot(1, 1.0, 0, 1)], 0.5, None) == {"a": 2}


def test_verifiers_go_to_the_nodes_with_most_free_slots() -> None:
    assert fill({"a": 2, "b": 5}, {"b": 2}, 2) == ["b", "a"]
    assert sorted(fill({"a": 1, "b": 1}, {}, 5)) == ["a", "b"]


def test_a_label_or_resource_that_no_node_carries_is_told_with_those_that_are() -> None:
    nodes = [node("a", labels={"role": "gpu", "ray.io/node-id": "x"}, resources=frozenset({"fast"}))]
    for known in (None, "role=gpu", "fast"):
        check_mark(known, nodes)
    with pytest.raises(BadInput, match=r"^verify.nodes: no node carries 'role=cpu'; there are fast, role=gpu$"):
        check_mark("role=cpu", nodes)


def test_a_node_that_drains_counts_as_lost_once() -> None:
    census = Census()
    census.update([node("a"), node("b")])
    assert not census.lost(["a"]) and not census.lost(())
    census.update([node("a", leaves_at=inf), node("b")])
    assert (census.losses, census.lost(["b", "a"]), census.seconds_left(["a"]), census.seconds_left(["b"])) == (
        1,
        True,
        inf,
        inf,
    )
    census.update([node("b"), node("c")])
    assert (census.losses, census.lost(["a"]), census.lost(["c"])) == (1, True, False)


def test_no_engine_is_started_for_what_is_done_before_it_is_ready() -> None:
    assert worth_joining(waiting=10, engines=2, unit_s=60, start_s=50)
    assert not worth_joining(waiting=3, engines=2, unit_s=60, start_s=50)
    assert worth_joining(waiting=1, engines=1, unit_s=1, start_s=0)
