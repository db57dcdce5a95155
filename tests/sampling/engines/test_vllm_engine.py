"""The real vLLM with the demo's small model, started once for all tests here."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampling.engines.engine import Completion, Engine, Request
from sampling.engines.model_info import ModelInfo, inspect_model
from sampling.engines.start import start_engine
from sampling.errors import EngineError
from sampling.problems import Problem
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import ROOT, SMALL_MODEL

MODEL = ModelSpec(name="small", path=str(SMALL_MODEL), max_num_seqs=64)
SETTINGS = SamplingSettings(temperature=1.0, max_tokens=16, seed="per_sample", logprobs=True)
PROMPT = "-3=9;0=0;2=4;5=25 >"

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # torch and vLLM warn of their own business
]


def problem(name: str = "a", prompt: str = PROMPT, stop: tuple[str, ...] = ()) -> Problem:
    return Problem.model_validate(
        {"id": name, "prompt": prompt, "verifier": "exact", "reference": {"answer": "x*x"}, "stop": list(stop)}
    )


def sample(engine: Engine, *requests: Request) -> list[Completion]:
    for request in requests:
        engine.add(request)
    found: list[Completion] = []
    while engine.in_flight():
        found += engine.step()
    return sorted(found, key=lambda done: (done.tag, done.problem_idx, done.sample_idx))


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    info = inspect_model(MODEL, "models.small")
    engine = start_engine(MODEL, info, SETTINGS, Seeds(run=7, engine=11))
    yield engine
    engine.close()


def test_every_sample_comes_once_and_they_differ(engine: Engine) -> None:
    found = sample(engine, Request(1, problem(), 0, 0, 100), Request(1, problem("b"), 1, 5, 10))
    assert [(done.problem_idx, done.sample_idx) for done in found] == [(0, i) for i in range(100)] + [
        (1, i) for i in range(5, 10)
    ]
    assert len({done.text for done in found}) > 1
    assert all(0 < done.tokens <= 16 and done.prompt_tokens > 5 for done in found)
    assert {done.finish_reason for done in found} <= {"stop", "length"}
    assert all(done.logprob is not None and done.logprob <= 0 for done in found)


def test_a_sample_with_its_own_seed_can_be_drawn_again(engine: Engine) -> None:
    first = sample(engine, Request(2, problem(), 0, 0, 20))
    again = sample(engine, Request(3, problem(), 0, 0, 20))
    assert [done.text for done in first] == [done.text for done in again]
    assert len({done.seed for done in first}) == 20


def test_stop_strings_end_a_sample_and_are_not_part_of_it(engine: Engine) -> None:
    found = sample(engine, Request(4, problem(stop=("x",)), 0, 0, 30))
    assert all("x" not in done.text for done in found)


def test_a_prompt_longer_than_the_context_is_an_outcome(engine: Engine) -> None:
    found = sample(engine, Request(5, problem("long", "1" * 5000), 0, 0, 3), Request(5, problem(), 1, 0, 3))
    assert [done.finish_reason for done in found[:3]] == ["prompt_too_long"] * 3
    assert all(done.finish_reason != "prompt_too_long" for done in found[3:])


def test_a_prompt_without_tokens_is_an_outcome_and_the_engine_goes_on(engine: Engine) -> None:
    without = [problem("none", ""), problem("turns").model_copy(update={"prompt": None, "messages": ()})]
    refused = [Request(6, asked, place, 0, 2) for place, asked in enumerate(without)]
    found = sample(engine, *refused, Request(6, problem(), 2, 0, 2))
    assert [done.finish_reason for done in found[:4]] == ["prompt_refused"] * 4
    assert all(done.finish_reason in {"stop", "length"} for done in found[4:])


def test_a_model_that_vllm_refuses_is_an_engine_error() -> None:
    model = MODEL.model_copy(update={"vllm": {"quantization": "nonsense"}})
    with pytest.raises(EngineError, match="model small: vLLM does not start"):
        start_engine(model, ModelInfo("r"), SETTINGS, Seeds(0, 0))


@pytest.mark.slow
def test_an_engine_process_that_fails_is_quoted(tmp_path: Path) -> None:
    """vLLM's own exception says only that its process ended; the reason is in the log."""
    broken = shutil.copytree(SMALL_MODEL, tmp_path / "model")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    code = (
        "from sampling.engines.model_info import ModelInfo, inspect_model\n"
        "from sampling.engines.start import start_engine\n"
        "from sampling.seeds import Seeds\nfrom sampling.settings import ModelSpec, SamplingSettings\n"
        f"model, whole = (ModelSpec(name='m', path=path) for path in ({str(broken)!r}, {str(SMALL_MODEL)!r}))\n"
        "try: start_engine(model, inspect_model(whole, 'm'), SamplingSettings(), Seeds(run=1, engine=1))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = os.environ | {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "PYTHONPATH": str(ROOT)}
    log = tmp_path / "worker.out"
    with log.open("w") as out:
        subprocess.run([sys.executable, "-c", code], env=environment, stdout=out, stderr=subprocess.DEVNULL, check=True)
    told = log.read_text().splitlines()[-1]
    assert told.startswith("EngineError model m: vLLM does not start (") and told.endswith(f"log: {log})")
    assert "Error" in told.partition("start (")[2] and "root cause" not in told
