"""Models whose engines would start alike are one work: the order of its units, and whose samples they are."""

from dataclasses import replace

from cluster.batches import ModelWork, Turns, share_engines
from cluster.placement import place
from cluster.spending import Spending
from sampling.engines.model_info import AdapterInfo, ModelInfo
from sampling.samples import Provenance, Unit
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.model import Adapter


def unit(model: str, number: int) -> Unit:
    return Unit(model, "t", number, 0, 1, number, number + 1)


def work(name: str, units: int, adapter: str = "", path: str = "p", **settings: object) -> ModelWork:
    given = Adapter(name=adapter, path=adapter) if adapter else None
    model = ModelSpec(name=name, path=path, adapter=given, series={"name": name})
    info = ModelInfo("base", adapter=AdapterInfo(f"files of {adapter}", 4) if adapter else None)
    drawing = SamplingSettings.model_validate(settings)
    return ModelWork(model, info, drawing, f"hash of {name}", tuple(unit(name, number) for number in range(units)))


def test_the_points_of_a_grid_and_the_adapters_of_a_model_are_one_work_each() -> None:
    given = [
        work("cold", 2, temperature=0), work("x+a", 1, "a"), work("warm", 3, max_tokens=2048), work("x+b", 2, "b"),
        work("other", 1, path="q"),
    ]  # fmt: skip
    grid, adapters, other = share_engines(given)
    assert [[one.model.name for one in shared.members] for shared in (grid, adapters, other)] == [
        ["cold", "warm"], ["x+a", "x+b"], ["other"],
    ]  # fmt: skip
    assert other is given[-1]
    assert (grid.model.name, grid.model.weight, grid.settings.max_tokens) == ("cold", 2, 2048)
    assert [(one.model, one.settings) for one in grid.members] == [(one.model, one.settings) for one in given[:3:2]]
    assert not any(one.units for one in grid.members)  # each engine's process is sent all of them


def test_units_of_models_that_share_come_in_turns() -> None:
    parts = [work("a", 1).units, work("b", 3).units, (), work("c", 2).units]
    turns = Turns(parts)
    assert [(one.model, one.number) for one in turns] == [("a", 0), ("b", 0), ("c", 0), ("b", 1), ("c", 1), ("b", 2)]
    assert len(turns) == 6 and list(turns) == list(turns)
    assert unit("b", 2) in turns and unit("a", 1) not in turns


def test_each_unit_has_the_provenance_of_its_own_model() -> None:
    (shared,) = share_engines([work("x+a", 1, "a"), work("x+b", 1, "b")])
    engine = Provenance("x+a", "base+files of a", "vllm", "0.33", "hash of x+a", "code", "node", "cpu")
    found = shared.origin(unit("x+b", 0), engine)
    assert found == replace(engine, model="x+b", revision="base+files of b", sampling_hash="hash of x+b", adapter="b")
    plain = work("m", 1)
    assert plain.origin(unit("m", 0), replace(engine, model="m")).adapter is None


def test_shared_engines_are_placed_once_and_every_model_is_paid_for() -> None:
    shared = share_engines([work(f"x+{name}", 9, name) for name in "abc"])
    (slot,) = place(shared, 8, 0, 1).engines
    assert slot.count == place([work("alone", 27)], 8, 0, 1).engines[0].count
    from cluster.batches import Work

    spending = Spending(Work(shared, {"t": {}}, 0, None, 1, "test"), {}, lambda _: None)
    assert spending._models.keys() == {"x+a", "x+b", "x+c"}
