"""LoRA adapters and numbers by token through the real vLLM: one engine serves three adapters of a model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sampling.engines.adapters import Variant, inspect_adapted, start_key
from sampling.engines.engine import Completion, Engine, Request
from sampling.engines.start import start_engine
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.samples import NO_LISTS
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.model import Adapter
from tests.support.adapters import save_adapter, save_merged, save_small_model

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]

GREEDY = SamplingSettings(temperature=0, max_tokens=12, logprobs=3, token_ids=True)
WARM = SamplingSettings(temperature=1.0, max_tokens=8, seed="per_sample", logprobs=True)
PROMPTS = ["-3=9;0=0;2=4;5=25 >", "-2=-4;0=0;1=2;4=8 >", "-3=-3;0=0;7=7;9=9 >", "0=1;1=2;2=3;5=6 >"]


def variant(path: Path, adapter: Path | None = None, settings: SamplingSettings = GREEDY, note: str = "") -> Variant:
    given = adapter and Adapter(name=adapter.name, path=str(adapter))
    name = f"{path.name}+{adapter.name}{note}" if adapter else path.name
    model = ModelSpec(name=name, path=str(path), adapter=given, max_num_seqs=64, dtype="float32")
    return Variant(model, inspect_adapted(model, name), settings)


def started(*variants: Variant) -> Engine:
    assert len({start_key(one) for one in variants}) == 1
    first = variants[0]
    return start_engine(first.model, first.info, first.settings, Seeds(run=7, engine=11), sharing=variants)


def draw(engine: Engine, *models: str, samples: int = 1) -> dict[str, list[Completion]]:
    """Draws samples of each prompt from each model, all at the same time."""
    given = {"verifier": "exact", "reference": {"answer": "x"}}
    problems = [Problem.model_validate({"id": text, "prompt": text, **given}) for text in PROMPTS]
    for place, problem in enumerate(problems):
        for tag, model in enumerate(models):
            engine.add(Request(tag, problem, place, 0, samples, model))
    found: list[Completion] = []
    while engine.in_flight():
        found += engine.step()
    found.sort(key=lambda done: (done.tag, done.problem_idx, done.sample_idx))
    return {model: [done for done in found if done.tag == tag] for tag, model in enumerate(models)}


def texts(found: list[Completion]) -> list[str]:
    return [done.text for done in found]


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lora")
    save_small_model(folder / "base")
    save_merged(folder / "merged", 1)
    for seed, rank in ((1, 4), (2, 4), (3, 12)):
        save_adapter(folder / f"a{seed}", seed, rank)
    return folder


@pytest.fixture(scope="module")
def merged(places: Path) -> list[Completion]:
    """Samples of the model with the first adapter merged in. Its engine ends before the others start."""
    engine = started(variant(places / "merged"))
    found = draw(engine, "merged")["merged"]
    engine.close()
    return found


@pytest.fixture(scope="module")
def engine(places: Path, merged: list[Completion]) -> Iterator[Engine]:
    base, first = places / "base", places / "a1"
    shared = [variant(base, places / f"a{seed}") for seed in (1, 2, 3)]
    engine = started(*shared, variant(base, first, WARM, "@warm"))
    yield engine
    engine.close()


def test_an_adapter_draws_what_the_merged_model_draws(engine: Engine, merged: list[Completion]) -> None:
    found = draw(engine, "base+a1", "base+a2", "base+a3")
    assert len({tuple(texts(drawn)) for drawn in found.values()}) == 3
    assert texts(found["base+a1"]) == texts(merged)
    assert sum(done.tokens for done in merged) > 16
    sums = [[done.logprob for done in drawn] for drawn in (found["base+a1"], merged)]
    assert sums[0] == pytest.approx(sums[1], rel=1e-3)


def test_numbers_by_token_are_of_the_tokens_that_were_drawn(engine: Engine) -> None:
    for done in draw(engine, "base+a1")["base+a1"]:
        ids, chosen, top, logprobs = (
            done.lists.token_ids, done.lists.token_logprobs, done.lists.top_token_ids, done.lists.top_logprobs,
        )  # fmt: skip
        assert ids and chosen and top and logprobs
        assert (len(ids), len(chosen), len(top), len(logprobs)) == (done.tokens,) * 2 + (3 * done.tokens,) * 2
        assert sum(chosen) == pytest.approx(done.logprob, rel=1e-5)
        assert (list(top[::3]), list(logprobs[::3])) == (list(ids), list(chosen))  # temperature 0 takes the first
        assert all(logprobs[at] >= logprobs[at + 1] >= logprobs[at + 2] for at in range(0, len(logprobs), 3))


def test_each_model_of_a_shared_engine_has_its_own_settings(engine: Engine) -> None:
    found = draw(engine, "base+a1", "base+a1@warm", samples=20)
    assert len({*texts(found["base+a1"])}) <= len(PROMPTS) < len({*texts(found["base+a1@warm"])})
    assert max(done.tokens for done in found["base+a1@warm"]) <= 8
    assert all(done.lists == NO_LISTS and done.logprob is not None for done in found["base+a1@warm"])
    again = draw(engine, "base+a1@warm", samples=20)
    assert texts(again["base+a1@warm"]) == texts(found["base+a1@warm"])  # its own seeds too


def test_an_adapter_that_vllm_does_not_load_is_refused_at_the_start(places: Path, tmp_path: Path) -> None:
    bad = save_adapter(tmp_path / "bad", 1)
    found = variant(places / "base", bad)
    (bad / "adapter_model.safetensors").write_bytes(b"damaged since")
    with pytest.raises(EngineRefused, match=r"model base\+bad: vLLM does not load the adapter"):
        started(found)
