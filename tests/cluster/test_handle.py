from cluster.batches import ModelWork
from cluster.handle import TRIES, UnitQueue
from sampling.engines.model_info import ModelInfo
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings

UNITS = tuple(Unit("m", "t", number, 0, 1, number, number + 1) for number in range(3))


def queue() -> UnitQueue:
    return UnitQueue(ModelWork(ModelSpec(name="m", path="m"), ModelInfo("r"), SamplingSettings(), "h", UNITS))


def test_units_are_taken_in_their_order_and_failed_ones_last() -> None:
    units = queue()
    first = units.take()
    assert units.put_back(first)
    assert [units.take() for _ in range(units.waiting)] == [*UNITS[1:], first]
    assert (units.waiting, units.open) == (0, 3)


def test_a_unit_is_given_up_after_its_last_try() -> None:
    units = queue()
    (bad, *_) = (units.take() for _ in range(3))
    answers = []
    for _ in range(TRIES):
        answers.append(units.put_back(bad))
        if answers[-1]:
            assert units.take() == bad
    assert answers == [True] * (TRIES - 1) + [False]
    assert (units.waiting, units.open) == (0, 2)


def test_who_listens_hears_of_every_change() -> None:
    units = queue()
    event = units.listen()
    units.put_back(units.take())
    assert event.is_set()


def test_what_a_lost_node_costs_is_not_charged_to_the_unit() -> None:
    units = queue()
    first = units.take()
    for _ in range(TRIES):
        assert units.put_back(first, charged=False)
        assert [units.take() for _ in range(units.waiting)][-1] == first
    assert units.put_back(first)
