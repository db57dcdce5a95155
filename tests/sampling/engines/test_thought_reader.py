"""Thoughts of a real vLLM engine: a tiny model whose template thinks, marks as plain and as special tokens."""

from pathlib import Path
from typing import Any

import pytest

from cluster.verifier import without_answer
from sampling.engines.engine import Request
from sampling.engines.engine_loop import EngineLoop
from sampling.engines.model_info import inspect_model
from sampling.engines.start import start_engine
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.samples import Sample
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.thinking_model import CLOSE, OPEN, OPENS_IN_PROMPT, OPENS_ITSELF, save_thinking_model

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]
SAMPLES = 64
CHAT = {"id": "a", "messages": [{"role": "user", "content": "-3=9;0=0;2=4;5=25"}], "verifier": "exact"}
END_SOON = {CLOSE: 5.0}


def draw(model: ModelSpec, settings: SamplingSettings, **sampling: Any) -> list[Sample]:
    problem = Problem.model_validate({**CHAT, "reference": {"answer": "x*x"}, "sampling": sampling or None})
    loop = EngineLoop(lambda: start_engine(model, inspect_model(model, "m"), settings, Seeds(run=7, engine=11)))
    try:
        return [sample for part in loop.submit([Request(1, problem, 0, 0, SAMPLES)]) for sample in part]
    finally:
        loop.close()


def spec(folder: Path, **changes: Any) -> ModelSpec:
    return ModelSpec(name="m", path=str(folder), max_num_seqs=64, **changes)


def check(found: list[Sample]) -> None:
    """Some samples finish their thought and some don't; no mark is left, and no token is counted twice."""
    finished = [sample for sample in found if not sample.is_unfinished]
    unfinished = [sample for sample in found if sample.is_unfinished]
    assert len(finished) + len(unfinished) == SAMPLES and finished and unfinished
    for sample in found:
        assert sample.reasoning is not None and "think>" not in sample.reasoning + sample.text
        assert 0 <= (sample.reasoning_tokens or 0) <= sample.tokens
    assert all(sample.reasoning_tokens == sample.tokens for sample in unfinished)
    verdicts = [without_answer(sample) for sample in unfinished]
    assert {verdict and verdict.reason for verdict in verdicts} == {"thought not finished"}
    assert all(without_answer(sample) is None for sample in finished)


@pytest.mark.parametrize("special", [False, True])
def test_a_template_that_opens_the_thought(tmp_path: Path, special: bool) -> None:
    folder = save_thinking_model(tmp_path / "m", OPENS_IN_PROMPT, special=special)
    check(draw(spec(folder), SamplingSettings(max_tokens=12), logit_bias=END_SOON, ignore_eos=True))


def test_a_budget_ends_every_thought(tmp_path: Path) -> None:
    folder = save_thinking_model(tmp_path / "m", OPENS_IN_PROMPT)
    settings = SamplingSettings(max_tokens=24, thinking_token_budget=4, ignore_eos=True, logit_bias={OPEN: -100.0})
    found = draw(spec(folder), settings)
    assert all(sample.reasoning is not None and sample.text for sample in found)
    assert max(sample.reasoning_tokens or 0 for sample in found) <= 6


@pytest.mark.slow
def test_own_marks_and_no_marks(tmp_path: Path) -> None:
    folder = save_thinking_model(tmp_path / "m", OPENS_ITSELF, marks=("<why>", "</why>"))
    bias = {"logit_bias": {CLOSE: 12.0}, "ignore_eos": True}
    own = draw(spec(folder, thinking={"start": "<why>", "end": "</why>"}), SamplingSettings(max_tokens=12), **bias)
    assert any(sample.reasoning and "</why>" not in sample.text for sample in own)
    whole = draw(spec(folder, thinking="none"), SamplingSettings(max_tokens=12), **bias)
    assert {sample.reasoning for sample in whole} == {None} and any("</why>" in sample.text for sample in whole)
    with pytest.raises(EngineRefused, match="shows no marks of a thought"):
        draw(spec(folder), SamplingSettings(thinking_token_budget=4))
