"""The fate of units: handed out, committed, failed, set aside, or left to the next run."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from cluster.batches import ModelWork
from cluster.queue import LEAST_RECALLED, RECALLS, UNIT_TRIES, Allowance, OpenShards, SetAside, UnitQueue, UnitQueues
from sampling.engines.model_info import ModelInfo
from sampling.samples import Shard, Unit
from sampling.settings import ModelSpec, SamplingSettings

UNITS = tuple(Unit("m", "t", number, 0, 1, number, number + 1) for number in range(3))


def test_units_are_taken_in_their_order_and_failed_ones_last() -> None:
    queue = UnitQueue(UNITS)
    first = queue.take()
    queue.fail(first, "once")
    assert [queue.take() for _ in range(queue.waiting)] == [*UNITS[1:], first]
    assert (queue.waiting, queue.in_flight, queue.open, queue.failures[first]) == (0, 3, 3, 1)


def test_a_unit_is_set_aside_with_its_error_after_its_last_try() -> None:
    queue = UnitQueue(UNITS)
    (bad, *_) = (queue.take() for _ in range(3))
    for number in range(UNIT_TRIES):
        assert queue.set_aside == []
        queue.fail(bad, f"error {number}")
        if number < UNIT_TRIES - 1:
            assert queue.take() == bad
    assert queue.set_aside == [SetAside(bad, f"error {UNIT_TRIES - 1}")]
    assert (queue.waiting, queue.open, queue.closed) == (0, 2, 1)


def test_a_unit_that_could_never_run_is_set_aside_at_once() -> None:
    queue = UnitQueue(UNITS)
    queue.give_up(unit := queue.take(), "no money")
    assert (queue.set_aside, queue.open) == ([SetAside(unit, "no money")], 2)


def test_units_of_another_driver_wait_until_no_other_unit_does() -> None:
    queue = UnitQueue(UNITS)
    queue.postpone(theirs := queue.take())
    queue.recall()
    assert (queue.waiting, queue.in_flight, queue.open, list(queue.held)) == (2, 0, 3, [theirs])
    others = [queue.take(), queue.take()]
    event = queue.listen()
    queue.recall()
    assert (event.is_set(), queue.waiting, queue.in_flight, len(queue.held)) == (True, 1, 2, 0)
    queue.postpone(queue.take())
    for unit in others:
        queue.close(unit)
    queue.stop()
    assert (queue.open, queue.closed, len(queue.held)) == (0, 3, 0)


def test_many_held_units_are_recalled_in_turns() -> None:
    queue = UnitQueue([Unit("m", "t", number, 0, 1, number, number + 1) for number in range(1000)])
    while queue.waiting:
        queue.postpone(queue.take())
    seen = Counter[Unit]()
    for _ in range(2 * RECALLS):
        queue.recall()
        assert LEAST_RECALLED <= queue.waiting <= 1000 / RECALLS
        while queue.waiting:
            seen[unit := queue.take()] += 1
            queue.postpone(unit)
    assert len(seen) >= 1000 - RECALLS and max(seen.values()) == 2


def test_a_listener_hears_of_returned_units_and_of_the_last_one() -> None:
    queue = UnitQueue(UNITS[:2])
    event = queue.listen()
    queue.put_back(queue.take())
    assert event.is_set()
    event.clear()
    queue.close(queue.take())
    assert not event.is_set()  # others may be waiting for a unit: none has come
    queue.close(queue.take())
    assert event.is_set()
    queue.forget(event)


def test_what_a_lost_node_costs_is_not_charged_to_the_unit() -> None:
    queue = UnitQueue(UNITS)
    first = queue.take()
    for _ in range(UNIT_TRIES):
        queue.put_back(first)
        assert [queue.take() for _ in range(queue.waiting)][-1] == first
    queue.fail(first, "once")
    assert (queue.set_aside, queue.waiting) == ([], 1)


def test_a_stopped_queue_leaves_units_to_the_next_run_and_sets_none_aside() -> None:
    queue = UnitQueue(UNITS)
    event = queue.listen()
    first, second = queue.take(), queue.take()
    queue.stop()
    assert event.is_set()
    assert (queue.waiting, queue.open) == (0, 2)
    queue.close(first)
    queue.fail(second, "late")
    assert (queue.open, queue.waiting, queue.set_aside) == (0, 0, [])


@given(st.lists(st.sampled_from(["close", "fail", "put_back", "give_up"]), max_size=60))
def test_no_unit_is_lost_or_counted_twice(fates: list[str]) -> None:
    queue, committed = UnitQueue(UNITS), Counter[Unit]()
    for fate in fates:
        if not queue.waiting:
            break
        unit = queue.take()
        if fate == "close":
            committed[unit] += 1
        getattr(queue, fate)(unit, *(["error"] if fate in {"fail", "give_up"} else []))
        assert queue.closed == committed.total() + len(queue.set_aside)
        assert queue.in_flight == 0 and queue.open == queue.waiting
    left = [queue.take() for _ in range(queue.waiting)]
    assert sorted([*committed.elements(), *(item.unit for item in queue.set_aside), *left]) == list(UNITS)


def test_queues_of_all_models_are_counted_and_stopped_together() -> None:
    model = ModelSpec(name="m", path="m")
    queues = UnitQueues([ModelWork(model, ModelInfo("r"), SamplingSettings(), "h", UNITS)] * 2)
    first, second = queues
    second.give_up(second.take(), "bad")
    assert (queues.open, [item.error for item in queues.set_aside]) == (5, ["bad"])
    queues.stop()
    assert (queues.open, first.stopped, second.stopped) == (0, True, True)


def test_a_shard_is_full_with_the_last_unit_that_it_lacked() -> None:
    shards = OpenShards({Shard("m", "t", 0): 2})
    assert [shards.filled_by(unit) for unit in UNITS] == [False, True, False]
    assert not OpenShards({}).filled_by(UNITS[0])


def at(number: int, first_sample: int, model: str = "m") -> Unit:
    return Unit(model, "t", number, 0, 1, first_sample, first_sample + 1)


def test_units_that_are_added_go_by_the_samples_of_their_problems() -> None:
    queue = UnitQueue([at(0, 0), at(1, 0), at(2, 8)])
    assert queue.take() == at(0, 0)
    queue.add([at(3, 4)])  # another problem's second round
    queue.add([at(4, 2), at(5, 9)])
    assert (queue.planned, queue.waiting, queue.open) == (6, 5, 6)
    assert [queue.take().number for _ in range(queue.waiting)] == [1, 4, 3, 2, 5]


def test_units_go_to_the_queue_of_their_model_and_to_none_that_has_stopped() -> None:
    def work(name: str) -> ModelWork:
        spec = ModelSpec(name=name, path="gold", engine="replay")
        return ModelWork(spec, ModelInfo("r"), SamplingSettings(), "h", ())

    queues = UnitQueues([work("a"), work("b")])
    first, second = queues
    assert queues.hungry
    assert queues.add([[at(0, 0, "b")], [at(1, 0, "unknown")]]) == [at(0, 0, "b")]
    assert (first.waiting, second.waiting, queues.hungry) == (0, 1, False)
    queues.stop()
    queues.add([[at(2, 0, "a")]])
    assert (queues.open, queues.stopped) == (0, True)


def test_an_allowance_lets_units_start_while_a_sample_is_left() -> None:
    allowance = Allowance(10)
    assert allowance.take(8) and allowance.take(8) and not allowance.take(1)
    allowance.give_back(8)
    assert allowance.take(1)
    assert Allowance().take(1 << 40)
