"""The HTTP engine against a server on loopback that speaks the API, and sometimes refuses to."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from sampling.engine import Completion, Request
from sampling.errors import EngineError
from sampling.openai_engine import OpenAIEngine
from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings


class Handler(BaseHTTPRequestHandler):
    """Answers with the prompt; the first request of each prompt that starts with "busy" is told to come back."""

    seen: list[dict[str, Any]]
    told: set[str]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.seen.append({"path": self.path, "auth": self.headers["Authorization"], **body})
        prompt = body.get("prompt") or body["messages"][-1]["content"]
        if prompt.startswith("busy") and prompt not in self.told:
            self.told.add(prompt)
            return self.answer(429, {"error": "slow down"})
        if prompt.startswith(("refused", "forbidden")):
            return self.answer(400 if prompt.startswith("refused") else 401, {"error": "no"})
        choice = {"text": f"<{prompt}>"} if "prompt" in body else {"message": {"content": f"<{prompt}>"}}
        usage = {"prompt_tokens": 3, "completion_tokens": 5}
        return self.answer(200, {"choices": [{**choice, "finish_reason": "stop"}], "usage": usage})

    def answer(self, code: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIEngine]:
    monkeypatch.setenv("TEST_KEY", "secret")
    Handler.seen, Handler.told = [], set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/v1/"
        spec = ModelSpec(name="m", path="served", engine="openai", base_url=url, api_key_env="TEST_KEY")
        engine = OpenAIEngine(spec, SamplingSettings(temperature=0.7, max_tokens=9), seed=1)
        yield engine
        engine.close()
        server.shutdown()


def ask(engine: OpenAIEngine, samples: int = 1, **prompt: object) -> list[Completion]:
    problem = {"id": "p", "verifier": "exact", "reference": {"answer": "x"}, "stop": ["\n"], **prompt}
    engine.add(Request(1, Problem.model_validate(problem), 0, 0, samples))
    found: list[Completion] = []
    while engine.in_flight():
        found += engine.step()
    return sorted(found, key=lambda done: done.sample_idx)


def test_each_sample_is_a_request_with_the_sweeps_settings(engine: OpenAIEngine) -> None:
    found = ask(engine, 5, prompt="hello")
    assert [(done.sample_idx, done.text, done.tokens) for done in found] == [(i, "<hello>", 5) for i in range(5)]
    sent = Handler.seen[0]
    assert (sent["path"], sent["auth"]) == ("/v1/completions", "Bearer secret")
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["stop"]) == ("served", 0.7, 9, ["\n"])


def test_a_chat_goes_to_the_chat_endpoint(engine: OpenAIEngine) -> None:
    assert ask(engine, messages=[{"role": "user", "content": "hi"}])[0].text == "<hi>"
    assert Handler.seen[0]["path"] == "/v1/chat/completions"


def test_a_rate_limit_is_waited_out(engine: OpenAIEngine) -> None:
    assert ask(engine, prompt="busy")[0].text == "<busy>"
    assert len(Handler.seen) == 2


def test_a_refused_prompt_is_a_failed_generation(engine: OpenAIEngine) -> None:
    assert ask(engine, prompt="refused")[0].finish_reason == "error"


def test_a_wrong_key_ends_the_engine(engine: OpenAIEngine) -> None:
    with pytest.raises(EngineError, match="401"):
        ask(engine, prompt="forbidden")
