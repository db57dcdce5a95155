"""Each sampling key changes what vLLM draws, not only what it is told. One engine of the demo's small model."""

from collections.abc import Iterator
from typing import Any

import pytest

from sampling.engines.engine import Completion, Engine, Request
from sampling.engines.model_info import inspect_model
from sampling.engines.start import start_engine
from sampling.problems import Problem
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling
from tests.support.places import SMALL_MODEL

MODEL = ModelSpec(name="small", path=str(SMALL_MODEL), max_num_seqs=64)
SETTINGS = SamplingSettings(temperature=1.0, max_tokens=16, seed="per_sample")
SAMPLES = 24

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = start_engine(MODEL, inspect_model(MODEL, "models.small"), SETTINGS, Seeds(run=7, engine=11))
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def token_of() -> dict[str, int]:
    from transformers import AutoTokenizer

    return dict(AutoTokenizer.from_pretrained(SMALL_MODEL).get_vocab())


def draw(engine: Engine, **sampling: Any) -> list[Completion]:
    """Draws samples of one problem; the seeds are the same each time."""
    given = {"id": "a", "prompt": "-3=9;0=0;2=4;5=25 >", "verifier": "exact", "reference": {"answer": "x*x"}}
    problem = Problem.model_validate(given)
    if sampling:
        problem = problem.model_copy(update={"sampling": TaskSampling.model_validate(sampling)})
    engine.add(Request(1, problem, 0, 0, SAMPLES))
    found: list[Completion] = []
    while engine.in_flight():
        found += engine.step()
    return sorted(found, key=lambda done: done.sample_idx)


def texts(found: list[Completion]) -> list[str]:
    return [done.text for done in found]


def test_min_p_of_one_leaves_the_most_probable_token(engine: Engine) -> None:
    assert len({*texts(draw(engine))}) > 10
    assert len({*texts(draw(engine, min_p=1.0))}) <= 2  # two, where bfloat16 makes two tokens equally probable


@pytest.mark.parametrize(
    ("key", "value"), [("presence_penalty", -2), ("frequency_penalty", -2), ("repetition_penalty", 0.2)]
)
def test_penalties_below_their_default_make_a_text_repeat_itself(engine: Engine, key: str, value: float) -> None:
    def characters(found: list[Completion]) -> int:
        return sum(len({*text}) for text in texts(found))

    long = {"max_tokens": 64, "ignore_eos": True}
    assert characters(draw(engine, **long, **{key: value})) < characters(draw(engine, **long))


def test_min_tokens_and_ignore_eos_put_off_the_end(engine: Engine) -> None:
    assert min(done.tokens for done in draw(engine)) < 10
    assert min(done.tokens for done in draw(engine, min_tokens=10)) >= 10
    assert {(done.tokens, done.finish_reason) for done in draw(engine, ignore_eos=True)} == {(16, "length")}


def test_tokens_and_words_that_end_or_never_come(engine: Engine, token_of: dict[str, int]) -> None:
    assert any("x" in text for text in texts(draw(engine)))
    ends = [number for token, number in token_of.items() if token in "0123456789"]
    assert {len(text) for text in texts(draw(engine, stop_token_ids=list(token_of.values())))} <= {0, 1, 2, 3, 4}
    assert not any(character in text[:-1] for text in texts(draw(engine, stop_token_ids=ends)) for character in "0123")
    assert not any("x" in text.replace("max(", "") for text in texts(draw(engine, bad_words=["x"])))  # max( is a token
    assert {*texts(draw(engine, logit_bias={token_of["x"]: 100.0}))} == {"x" * 16}


@pytest.mark.parametrize(
    ("form", "allowed"),
    [
        ({"choice": ["x+1", "x*x"]}, {"x+1", "x*x"}),
        ({"regex": "[23]"}, {"2", "3"}),
        ({"grammar": 'root ::= "7"'}, {"7"}),
    ],
)
def test_a_form_holds_for_every_completion(engine: Engine, form: dict[str, Any], allowed: set[str]) -> None:
    assert {*texts(draw(engine, structured_outputs=form))} <= allowed


def test_special_tokens_are_kept_where_asked(engine: Engine) -> None:
    padding = {"logit_bias": {0: 100.0}}
    assert {*texts(draw(engine, **padding))} == {""}
    assert {*texts(draw(engine, **padding, skip_special_tokens=False))} == {"<pad>" * 16}
