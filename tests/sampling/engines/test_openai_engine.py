"""The HTTP engine against a real server on loopback that speaks the API, and misbehaves where a prompt tells it to."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from sampling.engines.engine import Completion, Request
from sampling.engines.openai_engine import TRIES, OpenAIEngine
from sampling.errors import EngineError
from sampling.problems import Problem
from sampling.seeds import Seeds
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.service import Prices, ServiceSettings
from tests.support.speaking_server import (
    KEY,
    PROMPT_TOKENS,
    TOKENS,
    Handler,
    SpeakingServer,
    answers,
    cuts,
    dawdles,
    speaking,
)

OVERLOADED = {"error": {"message": "slow down"}}
TOO_LONG = {"error": {"message": "This model's maximum context length is 8 tokens."}}
FAULTS = {
    "busy": answers(429, OVERLOADED, Retry_After="0.1"),
    "down": answers(500, OVERLOADED, first=2),
    "dead": answers(500, OVERLOADED, first=99),
    "cut": cuts,
    "slow": dawdles,
    "garbled": answers(200, b"<html>", first=1),
    "empty": answers(200, {"choices": []}, first=1),
    "long": answers(400, TOO_LONG, first=99),
    "refused": answers(400, {"error": {"message": "no such parameter"}}, first=99),
    "filtered": answers(400, {"error": {"code": "content_filter", "message": "no"}}, first=99),
    "broke": answers(429, {"error": {"code": "insufficient_quota"}}, first=99),
    "later": answers(429, OVERLOADED, Retry_After="7200"),
    "uncounted": answers(200, {"choices": [{"text": "x"}]}, first=99),
}
PRICES = Prices(per_million_prompt_tokens=100.0, per_million_tokens=1000.0)
EACH_USD = (PROMPT_TOKENS * 100 + TOKENS * 1000) / 1e6


@pytest.fixture(scope="module")
def server() -> Iterator[SpeakingServer]:
    with speaking(FAULTS) as server:
        yield server


@pytest.fixture
def start(server: SpeakingServer, monkeypatch: pytest.MonkeyPatch) -> Iterator["type[OpenAIEngine]"]:
    """Starts an engine with these settings; waits between tries are short."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr("sampling.engines.pace.FIRST_WAIT_S", 0.01)
    server.seen.clear()
    server.times.clear()
    engines: list[OpenAIEngine] = []

    def started(
        sampling: SamplingSettings | None = None, url: str | list[str] = server.url, **spec: object
    ) -> OpenAIEngine:
        given = {"name": "m", "path": "served", "engine": "openai", "base_url": url, "api_key_env": "TEST_KEY", **spec}
        settings = sampling or SamplingSettings(temperature=0.7, max_tokens=9)
        engines.append(OpenAIEngine(ModelSpec.model_validate(given), settings, Seeds(1, 2)))
        return engines[-1]

    yield started  # type: ignore[misc]
    for engine in engines:
        engine.close()


def ask(engine: OpenAIEngine, samples: int = 1, **prompt: object) -> list[Completion]:
    problem = {"id": "p", "verifier": "exact", "reference": {"answer": "x"}, "stop": ["\n"], **prompt}
    engine.add(Request(1, Problem.model_validate(problem), 0, 0, samples))
    found: list[Completion] = []
    while engine.in_flight():
        found += engine.step()
    return sorted(found, key=lambda done: done.sample_idx)


def test_each_sample_is_a_request_with_the_sweeps_settings(start, server: SpeakingServer) -> None:
    found = ask(start(), 5, prompt="hello")
    assert [(done.sample_idx, done.text, done.tokens) for done in found] == [(i, "<hello>", TOKENS) for i in range(5)]
    sent = server.seen[0]
    assert (sent["path"], sent["auth"]) == ("/v1/completions", f"Bearer {KEY}")
    assert (sent["model"], sent["temperature"], sent["max_tokens"], sent["stop"]) == ("served", 0.7, 9, ["\n"])


def test_a_chat_goes_to_the_chat_endpoint_and_a_text_where_it_is_told(start, server: SpeakingServer) -> None:
    assert ask(start(), messages=[{"role": "user", "content": "hi"}])[0].text == "<hi>"
    assert ask(start(service={"endpoint": "chat", "extra": {"reasoning_effort": "low"}}), prompt="text")[0].text
    assert ask(start(service={"endpoint": "completions"}), messages=[{"role": "user", "content": "yo"}])[0].text
    paths = [sent["path"] for sent in server.seen]
    assert paths == ["/v1/chat/completions", "/v1/chat/completions", "/v1/completions"]
    assert server.seen[1]["messages"] == [{"role": "user", "content": "text"}]
    assert server.seen[1]["reasoning_effort"] == "low"


def test_several_samples_in_one_request_pay_for_one_prompt(start, server: SpeakingServer) -> None:
    found = ask(start(service={"n_per_request": 4}, prices=PRICES.model_dump()), 10, prompt="many")
    assert [sent.get("n") for sent in sorted(server.seen, key=lambda sent: -sent.get("n", 1))] == [4, 4, 2]
    assert sum(done.tokens for done in found) == 10 * TOKENS
    assert [done.prompt_tokens for done in found] == [3, 0, 0, 0, 3, 0, 0, 0, 3, 0]
    assert sum(done.usd for done in found) == pytest.approx((3 * PROMPT_TOKENS * 100 + 10 * TOKENS * 1000) / 1e6)


def test_a_server_that_returns_fewer_is_asked_again(monkeypatch: pytest.MonkeyPatch, start) -> None:
    with speaking(most_choices=1) as single:
        found = ask(start(url=single.url, service={"n_per_request": 3}), 6, prompt="few")
    assert [(done.sample_idx, done.text) for done in found] == [(i, "<few>") for i in range(6)]
    assert sorted(sent.get("n", 1) for sent in single.seen) == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize(("prompt", "tries"), [("busy", 2), ("down", 3), ("cut", 2), ("garbled", 2), ("empty", 2)])
def test_what_may_pass_is_tried_again(start, server: SpeakingServer, prompt: str, tries: int) -> None:
    assert ask(start(), prompt=prompt)[0].text == f"<{prompt}>"
    assert len(server.seen) == tries


def test_requests_leave_no_faster_than_the_limit(start) -> None:
    """Six requests at ten a second: the last one waits for five others, on any machine."""
    begun = time.monotonic()
    ask(start(service={"requests_per_minute": 600}), 6, prompt="many")
    assert time.monotonic() - begun >= 5 * 0.1


def test_an_answer_that_takes_too_long_is_asked_for_again(start, server: SpeakingServer) -> None:
    found = ask(start(service={"timeout_s": 0.3}), prompt="slow")
    assert (found[0].text, len(server.seen)) == ("<slow>", 2)


def test_a_lost_answer_counts_at_its_worst(start) -> None:
    """A service may bill an answer that never came."""
    (done,) = ask(start(prices=PRICES.model_dump()), prompt="cut")
    worst = ((len("cut") + 16) * 100 + 9 * 1000) / 1e6
    assert done.usd == pytest.approx(EACH_USD + worst)
    assert (done.prompt_tokens, done.tokens) == (PROMPT_TOKENS, TOKENS)


def test_a_unit_spends_no_more_than_its_samples_could_at_worst(start, server: SpeakingServer) -> None:
    """The lost answer may have used up the money that was reserved for the sample, so there is no second try."""
    engine = start(prices=PRICES.model_dump(), service={"cap_usd": 1.0})
    (done,) = ask(engine, prompt="cut")
    assert (done.finish_reason, len(server.seen)) == ("error", 1)


def test_what_a_working_service_refuses_is_a_failed_generation(start) -> None:
    engine = start()
    assert ask(engine, prompt="fine")[0].text
    reasons = [ask(engine, prompt=prompt)[0].finish_reason for prompt in ("long", "refused", "filtered")]
    assert reasons == ["prompt_too_long", "error", "error"]


def test_a_sample_that_never_comes_is_a_failed_generation_while_others_do(start, monkeypatch) -> None:
    engine = start(parallel=2)
    dead = {"id": "d", "prompt": "dead", "verifier": "exact", "reference": {"answer": "x"}}
    engine.add(Request(2, Problem.model_validate(dead), 1, 0, 1))
    found = []
    while engine.in_flight():
        found += ask(engine, prompt="fine") if len(found) < 400 else engine.step()
    assert {done.finish_reason for done in found if done.problem_idx == 1} == {"error"}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("refused", "400 no such parameter"),  # before anything has succeeded, it is about the settings
        ("dead", r"500 slow down \(8 tries\)"),
        ("broke", "insufficient_quota"),
        ("later", "429 slow down"),
    ],
)
def test_a_service_that_cannot_work_ends_the_engine(start, prompt: str, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        ask(start(), prompt=prompt)


def test_dollars_that_nobody_counts_are_refused(start) -> None:
    assert ask(start(), prompt="uncounted")[0].tokens == 0
    with pytest.raises(EngineError, match="count no tokens"):
        ask(start(prices=PRICES.model_dump()), prompt="uncounted")


def test_a_wrong_model_ends_the_engine(start) -> None:
    with pytest.raises(EngineError, match="The model nope does not exist"):
        ask(start(path="nope"), prompt="x")


def test_a_service_that_is_not_there_ends_the_engine(start) -> None:
    with pytest.raises(EngineError, match="cannot be reached"):
        ask(start(url="http://127.0.0.1:9/v1"), prompt="x")


def test_a_wrong_key_ends_the_engine_and_is_not_told(start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-wrong\n")
    with pytest.raises(EngineError, match=r"401 wrong key Bearer \[key\]"):
        ask(start(), prompt="x")


@pytest.mark.parametrize("value", ["", " ", "sk-\nbad", "sk-ключ"])
def test_what_is_no_key_is_refused_without_showing_it(start, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TEST_KEY", value)
    with pytest.raises(EngineError) as error:
        start()
    assert "sk" not in str(error.value)


def test_a_sample_with_its_own_seed_says_so_to_the_service(start, server: SpeakingServer) -> None:
    found = ask(start(SamplingSettings(seed="per_sample"), service={"n_per_request": 9}), 3, prompt="seeded")
    assert sorted(sent["seed"] for sent in server.seen) == sorted(done.seed for done in found)
    assert len({done.seed for done in found}) == 3


def test_a_cap_needs_prices() -> None:
    given = {"name": "m", "path": "x", "engine": "openai", "base_url": "http://h/v1"}
    with pytest.raises(ValueError, match="cap_usd needs prices"):
        ModelSpec(**given, service=ServiceSettings(cap_usd=1.0))  # type: ignore[arg-type]


DOWN = "http://127.0.0.1:9/v1"


@pytest.fixture
def pair() -> Iterator[tuple[SpeakingServer, SpeakingServer]]:
    """Two servers of one model; prompts that begin with `first` fail at the first alone."""
    with speaking({"first": answers(500, OVERLOADED, first=99)}) as one, speaking() as other:
        yield one, other


def test_several_addresses_share_the_requests(start, pair: tuple[SpeakingServer, SpeakingServer]) -> None:
    one, other = pair
    found = ask(start(url=[one.url, other.url], parallel=4), 40, prompt="many")
    assert [(done.sample_idx, done.text) for done in found] == [(i, "<many>") for i in range(40)]
    assert len(one.seen) + len(other.seen) == 40 and min(len(one.seen), len(other.seen)) >= 3
    assert {sent["auth"] for sent in [*one.seen, *other.seen]} == {f"Bearer {KEY}"}


def test_an_address_that_is_not_there_costs_no_sample(start, server: SpeakingServer) -> None:
    found = ask(start(url=[DOWN, server.url]), 20, prompt="many")
    assert {done.finish_reason for done in found} == {"stop"} and len(server.seen) == 20


def test_an_address_that_fails_is_left_out_and_tried_again(start, pair, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = pair
    monkeypatch.setattr("sampling.engines.pace.FIRST_WAIT_S", 60.0)
    engine = start(url=[one.url, other.url], parallel=1)
    assert {done.text for done in ask(engine, 9, prompt="first")} == {"<first>"}
    assert (len(one.seen), len(other.seen)) == (1, 9)
    engine._endpoints.all[0].back_at = 0.0  # its minute is over
    assert {done.text for done in ask(engine, 9, prompt="second")} == {"<second>"}
    assert len(one.seen) > 3 and len(other.seen) > 9 + 3


def test_requests_under_way_at_a_server_that_dies_go_elsewhere(start, server: SpeakingServer) -> None:
    def hangs(handler: Handler, times: int) -> bool:
        reached.set()
        dies.wait(20)
        handler.connection.shutdown(socket.SHUT_RDWR)
        return True

    reached, dies = threading.Event(), threading.Event()
    with speaking({"many": hangs}) as dying:
        engine = start(url=[dying.url, server.url], parallel=6)
        problem = {"id": "p", "prompt": "many", "verifier": "exact", "reference": {"answer": "x"}}
        engine.add(Request(1, Problem.model_validate(problem), 0, 0, 12))
        assert reached.wait(20)
        dying.server_close()
        dies.set()
        found: list[Completion] = []
        while engine.in_flight():
            found += engine.step()
    assert {done.text for done in found} == {"<many>"} and len(server.seen) == 12
    assert {sent["path"] for sent in dying.seen} == {"/v1/completions"}


def test_addresses_share_one_rate_limit(start, pair) -> None:
    begun = time.monotonic()
    ask(start(url=[one.url for one in pair], service={"requests_per_minute": 600}), 6, prompt="many")
    assert time.monotonic() - begun >= 5 * 0.1


def test_an_address_that_asks_for_a_wait_does_not_hold_up_the_others(start, pair) -> None:
    one, other = pair
    one.faults["busy"] = answers(429, OVERLOADED, first=99, Retry_After="600")
    found = ask(start(url=[one.url, other.url], parallel=2), 10, prompt="busy")
    assert {done.text for done in found} == {"<busy>"} and len(one.seen) <= 2


def test_an_address_without_the_model_does_not_end_the_others_work(start, pair) -> None:
    one, other = pair
    one.faults["other"] = answers(404, {"error": {"message": "no such model"}}, first=99)
    engine = start(url=[one.url, other.url], parallel=2)
    assert {done.text for done in ask(engine, 10, prompt="other")} == {"<other>"}
    other.faults["other"] = answers(401, {"error": {"message": "key expired"}}, first=99)
    with pytest.raises(EngineError) as error:
        ask(engine, prompt="other")
    assert f"{one.url}: 404 no such model; {other.url}: 401 key expired" in str(error.value)


def test_when_all_addresses_are_down_each_is_named(start, server: SpeakingServer) -> None:
    with pytest.raises(EngineError) as error:
        ask(start(url=[DOWN, server.url]), prompt="dead")
    said = str(error.value)
    assert f"{DOWN}: cannot be reached" in said and f"{server.url}: 500 slow down (8 tries)" in said


def test_a_request_that_fails_everywhere_is_a_failed_generation_while_others_succeed(start, pair) -> None:
    for one in pair:
        one.faults["poison"] = answers(500, OVERLOADED, first=999)
    engine = start(url=[one.url for one in pair], parallel=2)
    bad = {"id": "d", "prompt": "poison", "verifier": "exact", "reference": {"answer": "x"}}
    engine.add(Request(2, Problem.model_validate(bad), 1, 0, 1))
    found: list[Completion] = []
    while engine.in_flight():
        found += ask(engine, prompt="fine") if len(found) < 400 else engine.step()
    assert {done.finish_reason for done in found if done.problem_idx == 1} == {"error"}
    assert sum(sent["prompt"] == "poison" for one in pair for sent in one.seen) <= 2 * TRIES


def test_each_address_is_told_of_all_tokens_in_its_own_way(start, pair) -> None:
    """The hole: of an address that was down at the start nobody knew that it is vLLM, which fills in its own top_k."""
    one, other = pair
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = free.getsockname()
    one.owner = "vllm"
    engine = start(url=[one.url, other.url, f"http://127.0.0.1:{place[1]}/v1"], parallel=1)
    ask(engine, 6, prompt="many")
    assert {sent.get("top_k") for sent in one.seen} == {-1} and {sent.get("top_k") for sent in other.seen} == {None}
    with speaking(place=place) as late:
        late.owner = "vllm"
        time.sleep(0.05)
        ask(engine, 12, prompt="late")
    assert {sent.get("top_k") for sent in late.seen} == {-1}


def test_an_address_that_takes_no_connection_is_waited_for_once(start, server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty requests that each waited for it in turn would take half a minute."""
    monkeypatch.setattr("sampling.engines.openai_engine.CONNECT_S", 1.0)
    with socket.socket() as deaf, contextlib.ExitStack() as waiting:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):  # they fill its queue
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(deaf.getsockname())
        begun = time.monotonic()
        found = ask(
            start(url=[f"http://127.0.0.1:{deaf.getsockname()[1]}/v1", server.url], parallel=60), 60, prompt="many"
        )
    assert len(server.seen) == len(found) == 60
    assert time.monotonic() - begun < 15
