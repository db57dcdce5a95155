from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.planning import UNIT_ROWS, Wanted, extend, find_surplus, retract
from jobs.store.layers import Layer, PlannedModel, all_units, layer_key, planned_units
from sampling.errors import BadInput
from sampling.problems import Problem


def problem(name: str, prompt: str = "1+1=", answer: str = "2") -> Problem:
    return Problem.model_validate({"id": name, "prompt": prompt, "verifier": "exact", "reference": {"answer": answer}})


def model(name: str = "small", temperature: float = 1.0) -> PlannedModel:
    sampling = {"temperature": temperature}
    return PlannedModel(
        name=name, distribution={"path": name}, sampling=sampling, revision="r", sampling_hash=f"{name}{temperature}"
    )


def wanted(problems: list[Problem], k: int, *models: PlannedModel) -> Wanted:
    chosen = models or (model(),)
    return Wanted(chosen, {"t": problems}, {(m.name, "t"): k for m in chosen})


def grow(layers: list[Layer], want: Wanted) -> list[Layer]:
    layer = extend(layers, want, created="now", code_version="v", sweep={})
    return layers if layer is None else [*layers, layer]


def rows(layers: list[Layer]) -> Counter[tuple[str, int, int]]:
    return Counter(
        (unit.model, problem_idx, sample)
        for unit in planned_units(layers)
        for problem_idx in range(unit.first_problem, unit.last_problem)
        for sample in range(unit.first_sample, unit.last_sample)
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 60)), min_size=1, max_size=4))
def test_every_sample_is_planned_exactly_once_however_the_sweep_grows(steps: list[tuple[int, int]]) -> None:
    layers: list[Layer] = []
    expected: dict[int, int] = {}
    for count, k in steps:
        layers = grow(layers, wanted([problem(f"p{i}") for i in range(count)], k))
        for idx in range(count):
            expected[idx] = max(expected.get(idx, 0), k)
    assert rows(layers) == Counter(("small", idx, sample) for idx, k in expected.items() for sample in range(k))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(1, 9000), st.sets(st.integers(0, 60)), st.sets(st.integers(0, 11)))
def test_parts_of_a_plan_are_what_filtering_its_units_would_give(
    count: int, k: int, done: set[int], named: set[int]
) -> None:
    layers = grow([], wanted([problem(f"p{i}") for i in range(count)], k, model("small"), model("large")))
    units = list(planned_units(layers))
    left = [unit for unit in units if unit.model == "large" or unit.number not in done]
    missing = planned_units(layers).without({("small", "t"): done})
    assert (list(missing), len(missing)) == (left, len(left))
    assert missing.rows == sum(unit.rows for unit in left)
    assert list(missing.of("small", "t")) == [unit for unit in left if unit.model == "small"]
    runnable = [u for u in left if u.model == "large" and named.issuperset(range(u.first_problem, u.last_problem))]
    assert list(missing.among({"large"}, {"t": named})) == runnable


def test_shuffled_units_are_the_same_ones() -> None:
    units = planned_units(grow([], wanted([problem(f"p{n}") for n in range(40)], 3000)))
    assert set(units.shuffled()) == set(units) and list(units.shuffled()) != list(units)
    assert (len(units.shuffled()), units.shuffled().rows) == (len(units), units.rows)


def test_units_have_names_of_their_own_that_never_change() -> None:
    first = grow([], wanted([problem(f"p{i}") for i in range(5)], 1000))
    second = grow(first, wanted([problem(f"p{i}") for i in range(9)], 3000))
    before, after = list(planned_units(first)), list(planned_units(second))
    assert after[: len(before)] == before
    assert [unit.number for unit in after] == list(range(len(after)))
    assert max(unit.rows for unit in after) <= UNIT_ROWS


@pytest.mark.parametrize(
    ("problems", "k", "units"), [(1, 10, 1), (128, 16, 8), (164, 100, 17), (32, 400, 16), (100, 10_000, 500)]
)
def test_a_small_run_has_units_for_many_engines(problems: int, k: int, units: int) -> None:
    layers = grow([], wanted([problem(f"p{i}") for i in range(problems)], k))
    assert len(planned_units(layers)) == units


def test_the_same_sweep_again_adds_nothing() -> None:
    want = wanted([problem("a"), problem("b")], 10)
    assert grow(grow([], want), want) == grow([], want)


def test_a_smaller_sweep_adds_nothing() -> None:
    layers = grow([], wanted([problem("a"), problem("b")], 10))
    assert grow(layers, wanted([problem("b")], 5)) == layers


STEPS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 5000), st.booleans(), st.integers(0, 9)), max_size=5)


@given(STEPS)
@settings(deadline=None)
def test_what_is_given_up_is_never_drawn_and_each_sample_has_its_own_number(
    steps: list[tuple[int, int, bool, int]],
) -> None:
    """Grows and shrinks a sweep; some units are committed before each step, in any order."""
    layers: list[Layer] = []
    done: dict[tuple[str, str], set[int]] = {("small", "t"): set()}
    for problems, k, drop, share in steps:
        done["small", "t"] |= {unit.number for unit in planned_units(layers) if unit.number * 7 % 10 < share}
        want = wanted([problem(f"p{n}") for n in range(problems)], k)
        gone = retract(find_surplus(layers, want, done)) if drop else ()
        layer = extend(layers, want, created="now", code_version="v", sweep={}, retracted=gone)
        layers += [layer] if layer else []
        if drop:
            assert len(find_surplus(layers, want, done)) == 0
        assert max(rows(layers).values()) == 1
        assert set(all_units(layers)) >= set(planned_units(layers))
        have = Counter(idx for _, idx, _ in rows(layers))
        assert all(have[idx] >= k for idx in range(problems))


def test_a_smaller_k_plans_again_what_it_asks_for() -> None:
    layers = grow([], wanted([problem("a"), problem("b")], 5000))
    want = wanted([problem("a"), problem("b")], 10)
    first = next(iter(planned_units(layers)))
    gone = retract(find_surplus(layers, want, {("small", "t"): {first.number}}))
    layer = extend(layers, want, created="now", code_version="v", sweep={}, retracted=gone)
    assert layer is not None
    have = Counter(idx for _, idx, _ in rows([*layers, layer]))
    assert have == {0: first.rows, 1: 10}  # b's ten, and of a what was committed before
    assert extend([*layers, layer], want, created="now", code_version="v", sweep={}) is None


def test_a_new_model_gets_its_own_units() -> None:
    layers = grow([], wanted([problem("a")], 10))
    layers = grow(layers, wanted([problem("a")], 10, model(), model("large")))
    assert Counter(unit.model for unit in planned_units(layers)) == {"small": 1, "large": 1}


@pytest.mark.parametrize(
    ("want", "names"),
    [
        (wanted([problem("a")], 10, model(temperature=0.5)), ["small", "temperature was 1.0, is 0.5"]),
        (wanted([problem("a", prompt="other")], 10), ["prompt", "'a'"]),
        (wanted([problem("a", answer="3")], 10), ["reference", "'a'"]),
    ],
)
def test_a_changed_distribution_is_refused_with_the_difference(want: Wanted, names: list[str]) -> None:
    layers = grow([], wanted([problem("a")], 10))
    with pytest.raises(BadInput) as error:
        grow(layers, want)
    assert all(name in str(error.value) for name in [*names, "new name"])


def test_a_million_units_are_planned_from_a_few_numbers() -> None:
    want = wanted([problem(f"p{i}") for i in range(200)], 10_240_000)
    (layer,) = grow([], want)
    assert sum(block.unit_count for block in layer.blocks) == 1_000_000
    assert len(layer.model_dump_json()) < 30_000


def test_layers_are_named_in_order() -> None:
    assert [layer_key(number) for number in (0, 1, 12)] == ["plan.json", "plan.0001.json", "plan.0012.json"]
