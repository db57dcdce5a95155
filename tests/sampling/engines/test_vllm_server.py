"""The HTTP engine and whole runs against vLLM's own server, as `vllm serve` starts it.

It serves the demo's small model with marks of a thought among its tokens. The model has no chat template; the tests of
thoughts send one that opens them.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from sampling.engines.engine import Completion, Request
from sampling.engines.model_info import ModelInfo
from sampling.engines.start import start_engine
from sampling.errors import EngineError
from sampling.problems import Problem
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings
from tests.conftest import Troop, WriteSweep
from tests.support.places import DEMO
from tests.support.thinking_model import CLOSE, OPENS_IN_PROMPT, save_thinking_model

KEY = "sk-served"
PROMPT = "-3=9;0=0;2=4;5=25 >"
SMALL = ["--max-num-seqs", "64", "--kv-cache-memory-bytes", str(64 << 20), "--enforce-eager"]
THINKS = ["--reasoning-parser", "deepseek_r1", "--trust-request-chat-template"]
OWN_DEFAULTS = ["--override-generation-config", '{"top_k": 1}']  # as many models have; top_k 0 must reach the server

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # `vllm serve` itself asks for a distribution called vllm, which its CPU build is not; this is what it runs
    folder = save_thinking_model(tmp_path_factory.mktemp("model") / "small", None)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    command += ["--served-model-name", "small", "--host", "127.0.0.1", "--port", str(port), "--api-key", KEY]
    command += [*SMALL, *THINKS, *OWN_DEFAULTS]
    quiet = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    quiet |= {"TORCHDYNAMO_DISABLE": "1"}  # an eager engine has one function compiled, at its first log probability
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        server = subprocess.Popen(command, env=os.environ | quiet | {"OMP_NUM_THREADS": "1"}, stdout=out, stderr=out)
    try:
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()[-2000:]
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(timeout=60)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVED_KEY", KEY)
    monkeypatch.setattr("sampling.engines.pace.FIRST_WAIT_S", 0.01)


def sample(url: str, problem: dict[str, object], samples: int = 8, **changes: object) -> list[Completion]:
    given = {"name": "m", "path": "small", "engine": "openai", "base_url": url, "api_key_env": "SERVED_KEY", **changes}
    settings = SamplingSettings(max_tokens=16, seed="per_sample", logprobs=True)
    engine = start_engine(ModelSpec.model_validate(given), ModelInfo("r"), settings, Seeds(7, 11))
    whole = {"id": "a", "prompt": PROMPT, "verifier": "exact", "reference": {"answer": "x*x"}, **problem}
    try:
        engine.add(Request(1, Problem.model_validate(whole), 0, 0, samples))
        found: list[Completion] = []
        while engine.in_flight():
            found += engine.step()
    finally:
        engine.close()
    return sorted(found, key=lambda done: done.sample_idx)


def test_samples_are_those_of_the_model_with_their_tokens_and_seeds(base_url: str) -> None:
    first, again = sample(base_url, {}), sample(base_url, {})
    assert [done.text for done in first] == [done.text for done in again]
    assert len({done.text for done in first}) > 4  # not those of the default top_k: 1
    assert all(0 < done.tokens <= 16 and done.prompt_tokens > 5 for done in first)
    assert {done.finish_reason for done in first} <= {"stop", "length"}
    assert all(done.logprob is not None and done.logprob <= 0 for done in first)


def test_a_prompt_that_does_not_fit_is_told_as_what_it_is(base_url: str) -> None:
    """The engine ends, because nothing has succeeded yet and the settings may be wrong."""
    with pytest.raises(EngineError, match="maximum context length"):
        sample(base_url, {"prompt": "1" * 5000})


def test_a_model_without_a_chat_template_says_so(base_url: str) -> None:
    chat = {"prompt": None, "messages": [{"role": "user", "content": PROMPT}]}
    with pytest.raises(EngineError, match="chat template"):
        sample(base_url, chat)
    assert sample(base_url, chat, service={"endpoint": "completions"})[0].text


def test_a_wrong_model_and_a_wrong_key_end_the_engine(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match=r"404 .*nope"):
        sample(base_url, {}, path="nope")
    monkeypatch.setenv("SERVED_KEY", "sk-wrong")
    with pytest.raises(EngineError, match="401") as error:
        sample(base_url, {})
    assert "sk-" not in str(error.value)


def test_a_served_model_is_the_line_to_cross(base_url: str, troop: Troop, write_sweep: WriteSweep) -> None:
    problems = [json.loads(line) for line in (DEMO / "problems.jsonl").read_text().splitlines()[:4]]
    prices = {"per_million_prompt_tokens": 2.0, "per_million_tokens": 8.0}
    served = {"name": "served", "path": "small", "engine": "openai", "base_url": base_url, "k": 40, "baseline": True}
    served |= {"api_key_env": "SERVED_KEY", "prices": prices, "service": {"n_per_request": 10, "cap_usd": 0.5}}
    gold = {"name": "gold", "path": "gold", "engine": "replay", "k": 1}
    found = troop("run", write_sweep(problems, models=[gold, served], sampling={"max_tokens": 24}), "--local")
    assert found.code == 0, found.err
    report = json.loads(Path("runs/sums/report/report.json").read_text())
    cell = next(cell for cell in report["cells"] if cell["model"] == "served")
    assert (cell["samples"], cell["baseline"]) == (160, True)
    assert cell["coverage"][-1]["value"] > 0
    (crossover,) = report["crossovers"]
    assert (crossover["baseline"], crossover["k"]) == ("served", 1)
    assert crossover["usd_ratio"] is None  # the gold solutions have no price
    (session,) = (json.loads(path.read_text()) for path in Path("runs/sums/sessions").iterdir())
    query = "SELECT sum(prompt_tokens) AS prompt, sum(tokens) AS tokens FROM verdicts WHERE model = 'served'"
    counted = json.loads(troop("sql", "runs/sums", query, "--json").out)
    dollars = (counted["prompt"] * 2 + counted["tokens"] * 8) / 1e6
    assert session["usd"] == {"served": pytest.approx(dollars)}
    assert cell["usd"] == pytest.approx(dollars)


THOUGHTS = {"max_tokens": 12, "ignore_eos": True, "logit_bias": {str(CLOSE): 5.0}, "seed": "per_sample"}


def test_thoughts_are_kept_apart_and_their_tokens_counted(base_url: str, troop: Troop, write_sweep: WriteSweep) -> None:
    """The server itself tells thoughts from answers; half of the samples end inside a thought."""
    problem = json.loads((DEMO / "problems.jsonl").read_text().splitlines()[0]) | {"prompt": PROMPT.removesuffix(" >")}
    served = {"name": "served", "path": "small", "engine": "openai", "base_url": [base_url], "k": 48}
    served |= {"api_key_env": "SERVED_KEY", "service": {"extra": {"chat_template": OPENS_IN_PROMPT}}}
    tasks = [{"name": "sums", "kind": "jsonl", "path": "problems.jsonl", "style": "chat"}]
    found = troop(
        "run", write_sweep([problem], models=[served], sampling=THOUGHTS, tasks=tasks), "--local", "--no-report"
    )
    assert found.code == 0, found.err
    query = """SELECT text, reasoning, reasoning_tokens AS thought, s.tokens, s.prompt_tokens, status, reason
        FROM samples s JOIN verdicts USING (model, task, problem_idx, sample_idx)"""
    rows = [json.loads(line) for line in troop("sql", "runs/sums", query, "--json").out.splitlines()]
    unfinished = [row for row in rows if row["reason"] == "thought not finished"]
    finished = [row for row in rows if row not in unfinished]
    assert len(rows) == 48 and finished and unfinished
    assert {(row["tokens"], row["status"], row["text"]) for row in unfinished} == {(12, "invalid", "")}
    assert all(row["reasoning"] and row["thought"] >= 11 for row in unfinished)
    assert all(row["tokens"] == 12 and row["prompt_tokens"] > 5 and row["text"] for row in finished)
    assert all((row["thought"] or 0) < 12 for row in finished) and any(row["reasoning"] for row in finished)
    assert not any("think>" in row["text"] + (row["reasoning"] or "") for row in rows)
