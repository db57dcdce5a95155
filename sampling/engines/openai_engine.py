"""An engine that asks a server with OpenAI's HTTP API: frontier baselines, served models.

The key goes from the environment variable that the sweep names into one header, and nowhere else: error texts of a
service are cleaned of it.
"""

import asyncio
import queue
import random
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import httpx

from sampling.engines.engine import Completion, Request
from sampling.engines.openai_api import Answer, Meaning, Reply, drawn_of, read_answer, request_of, top_k_of_all
from sampling.engines.openai_check import api_key, bearer
from sampling.engines.pace import Endpoint, Endpoints, Pace, backoff_s, retry_after_s
from sampling.engines.prices import most_prompt_tokens, most_usd, usd
from sampling.errors import EngineError
from sampling.seeds import Seeds, sample_seed
from sampling.settings import ModelSpec, SamplingSettings, settings_on
from sampling.thoughts import thoughts_of

TRIES = 8
LONGEST_RETRY_AFTER_S = 900.0  # a service that asks for a longer wait counts as down
CONNECT_S = 15.0
FAILED = {Meaning.TOO_LONG: "prompt_too_long", Meaning.FILTERED: "error", Meaning.REFUSED: "error"}


@dataclass(slots=True)
class Draw:
    """Samples of one HTTP request, and the US dollars that its lost replies may have cost.

    ``tried`` are the addresses that failed since the last wait.
    """

    request: Request
    indices: list[int]
    started: float
    lost_usd: float = 0.0
    tried: set[Endpoint] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Try:
    """Outcome of one try: where it went, what the answer means, and the seconds that the service asks to wait."""

    endpoint: Endpoint
    answer: Answer
    wait_s: float = 0.0

    @property
    def is_down(self) -> bool:
        """True where no request can succeed at that address."""
        return self.answer.meaning is Meaning.BROKEN or self.wait_s > LONGEST_RETRY_AFTER_S

    @property
    def said(self) -> str:
        return f"{self.endpoint.url}: {self.answer.said}"


class OpenAIEngine:
    """An engine with at most ``model.parallel`` requests open at a time; requests that may succeed later are retried.

    A sample that keeps failing while others succeed becomes a failed generation; where nothing succeeds, the service
    counts as broken. A unit never spends more than its samples could cost at worst, which a driver has reserved. Of
    several addresses each request takes the one with the least in flight; one that fails is left out for a while.
    """

    device = "service"
    dtype = None

    def __init__(self, model: ModelSpec, settings: SamplingSettings, seeds: Seeds) -> None:
        self._model, self._settings, self._seeds = model, settings, seeds
        self.version = f"openai {', '.join(model.base_urls)}"
        self._key = api_key(model)
        self._thoughts = thoughts_of(model.thinking)
        self._done: queue.Queue[Completion | EngineError] = queue.Queue()
        self._tasks: dict[tuple[int, int, int], Future[None]] = {}
        self._purses: dict[int, float] = {}  # by tag: dollars that may still be spent
        self._granted: dict[int, float] = {}  # by tag: dollars that were reserved at the start
        self._requests, self._tokens = Pace(model.service.requests_per_minute), Pace(model.service.tokens_per_minute)
        self._last_success = float("-inf")
        self._rng = random.Random()
        self._endpoints = Endpoints(model.base_urls, self._rng)
        self.concurrency = model.parallel
        self._slots = asyncio.Semaphore(model.parallel)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-engine", daemon=True)
        self._thread.start()
        self._client = self._run(self._open())

    def add(self, request: Request) -> None:
        samples = range(request.first_sample, request.last_sample)
        worst = most_usd(self._model, self._settings, request.problem, len(samples))
        for account in (self._purses, self._granted):
            account[request.tag] = account.get(request.tag, 0.0) + worst
        each = 1 if self._settings.seed == "per_sample" else self._model.service.n_per_request
        for first in range(0, len(samples), each):
            part = list(samples[first : first + each])
            work = asyncio.run_coroutine_threadsafe(self._draw(request, part), self._loop)
            self._tasks |= {(request.tag, request.problem_idx, index): work for index in part}

    def step(self) -> Sequence[Completion]:
        try:
            first = self._done.get(timeout=0.2)
        except queue.Empty:
            return []
        results = [first, *(self._done.get() for _ in range(self._done.qsize()))]
        completions = []
        for result in results:
            if isinstance(result, EngineError):
                raise result
            del self._tasks[result.tag, result.problem_idx, result.sample_idx]
            completions.append(result)
        return completions

    def in_flight(self) -> int:
        return len(self._tasks)

    def settle(self, tag: int) -> float:
        """Closes the account of a tag and returns the most US dollars that were spent on it."""
        return self._granted.pop(tag, 0.0) - self._purses.pop(tag, 0.0)

    def close(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        self._run(self._client.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=bearer(self._key),
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=self._model.parallel),
        )

    async def _draw(self, request: Request, indices: list[int]) -> None:
        """Puts every sample into ``_done``; asks again where a service returns fewer than it was asked for."""
        try:
            while indices:
                async with self._slots:
                    found = await self._ask(Draw(request, indices, time.monotonic()))
                indices = indices[len(found) :]
                for completion in found:
                    self._done.put(completion)
        except EngineError as error:
            self._done.put(error)

    async def _ask(self, draw: Draw) -> list[Completion]:
        """Tries one request until it is answered, and returns some or all of its samples; raises EngineError.

        It waits before a further try, unless an address that it has not tried since may take it at once.
        """
        waits = 0
        while self._reserve(draw):
            done = await self._try(draw)
            if done.answer.reply is not None:
                return self._completions(draw, done.answer.reply)
            self._count_lost(draw, done)
            if reason := self._failure(done):
                return self._failed(draw, reason)
            draw.tried.add(done.endpoint)
            if self._endpoints.has_another(time.monotonic(), draw.tried):
                continue
            waits += 1
            if waits == TRIES:
                if self._last_success < draw.started:
                    raise self._broken(f"{self._endpoints.trouble or done.said} ({TRIES} tries)")
                break
            draw.tried.clear()
            await asyncio.sleep(backoff_s(waits, done.wait_s, self._rng))
        return self._failed(draw, "error")

    def _failure(self, done: Try) -> str | None:
        """Returns why a request must not be tried again, if so; raises EngineError where none can succeed."""
        meaning = done.answer.meaning
        if meaning in FAILED:
            if meaning is Meaning.FILTERED or self._has_succeeded:
                return FAILED[meaning]
            raise self._broken(done.said)
        if self._endpoints.are_down:
            raise self._broken(self._endpoints.trouble)
        return None

    async def _try(self, draw: Draw) -> Try:
        """Sends a request once, to the address that is chosen for it, and notes how that address does."""
        most = self._most_tokens(draw)
        endpoint = await self._turn(most, draw)
        endpoint.in_flight += 1
        try:
            done = await self._send(endpoint, draw, most)
        finally:
            endpoint.in_flight -= 1
        now = time.monotonic()
        if done.answer.meaning is Meaning.AGAIN or done.is_down:
            self._endpoints.failed(endpoint, done.answer.said, now, done.wait_s, is_down=done.is_down)
            if not done.is_down:
                endpoint.not_before = max(endpoint.not_before, now + done.wait_s)  # it holds for all requests
        else:
            self._endpoints.worked(endpoint)
        return done

    async def _send(self, endpoint: Endpoint, draw: Draw, most: int) -> Try:
        try:
            await self._learn(endpoint)
            path, body = self._body(draw, endpoint)
            async with asyncio.timeout(self._model.service.timeout_s):
                got = await self._client.post(f"{endpoint.url}/{path}", json=body)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            endpoint.is_known = False  # another server may come in its place
            return Try(endpoint, Answer(Meaning.AGAIN, f"cannot be reached ({_words(error)})"))
        except (httpx.TransportError, TimeoutError) as error:
            return Try(endpoint, Answer(Meaning.AGAIN, f"no answer ({_words(error)})", may_cost=True))
        answer = read_answer(got.status_code, got.content)
        usage = answer.reply.usage if answer.reply else None
        self._tokens.give_back(most - (usage.prompt_tokens + usage.completion_tokens if usage else 0))
        return Try(endpoint, answer, retry_after_s(got.headers.get("retry-after"), time.time()))

    async def _learn(self, endpoint: Endpoint) -> None:
        """Asks once what stands for all tokens at an address; raises httpx.ConnectError where nobody is there.

        Requests that waited for an answer which did not come fail with the one that asked, not one after the other.
        """
        failures = endpoint.failures
        async with endpoint.asking:
            if endpoint.is_known:
                return
            if endpoint.failures > failures:
                raise httpx.ConnectError(endpoint.unreachable)
            try:
                listed = await self._client.get(f"{endpoint.url}/models", timeout=CONNECT_S)
                endpoint.all_tokens = top_k_of_all(listed.content)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                endpoint.unreachable = _words(error)
                raise
            except httpx.HTTPError:  # a service that cannot list its models may still draw
                pass
            endpoint.is_known = True

    async def _turn(self, tokens: int, draw: Draw) -> Endpoint:
        """Waits until the rate limits allow a request, and returns the address that it goes to."""
        now = time.monotonic()
        await asyncio.sleep(max(self._requests.book(now, 1), self._tokens.book(now, tokens)))
        while True:
            endpoint = self._endpoints.choose(time.monotonic(), draw.tried)
            if (left := endpoint.not_before - time.monotonic()) <= 0:
                return endpoint
            await asyncio.sleep(
                left * self._rng.uniform(1.0, 1.2)
            )  # spread, so that requests do not leave at the same moment

    def _body(self, draw: Draw, endpoint: Endpoint) -> tuple[str, dict[str, Any]]:
        seed = None
        if self._settings.seed == "per_sample":
            seed = self._seed_of(draw, draw.indices[0])
        problem, samples = draw.request.problem, len(draw.indices)
        return request_of(self._model, self._settings, problem, samples, seed, endpoint.all_tokens)

    def _seed_of(self, draw: Draw, index: int) -> int:
        if self._settings.seed != "per_sample":
            return self._seeds.engine
        return sample_seed(self._seeds.run, self._model.name, draw.request.problem.id, index)

    def _completions(self, draw: Draw, reply: Reply) -> list[Completion]:
        """Returns the samples of a reply; the first carries the prompt's tokens and the cost, which are billed once."""
        self._last_success = time.monotonic()
        if reply.usage is None and self._is_priced:
            said = "its answers count no tokens (usage), so their dollars cannot be counted"
            raise self._broken(f"{', '.join(self._model.base_urls)}: {said}")
        prompt, tokens = (reply.usage.prompt_tokens, reply.usage.completion_tokens) if reply.usage else (0, 0)
        cost = usd(self._model.prices, prompt, tokens)
        self._settle(draw, cost)
        found = []
        for index, drawn in zip(draw.indices, drawn_of(reply, len(draw.indices), self._thoughts), strict=False):
            done = self._completion(draw, index, drawn.text, drawn.finish_reason, drawn.tokens)
            done = replace(done, reasoning=drawn.reasoning, reasoning_tokens=drawn.reasoning_tokens)
            found.append(replace(done, logprob=drawn.logprob))
        found[0] = replace(found[0], prompt_tokens=prompt, usd=cost + draw.lost_usd)
        return found

    def _failed(self, draw: Draw, reason: str) -> list[Completion]:
        found = [self._completion(draw, index, "", reason, 0) for index in draw.indices]
        return [replace(found[0], usd=draw.lost_usd), *found[1:]]

    def _completion(self, draw: Draw, index: int, text: str, reason: str, tokens: int) -> Completion:
        seconds = time.monotonic() - draw.started
        tag, idx = draw.request.tag, draw.request.problem_idx
        return Completion(tag, idx, index, text, reason, 0, tokens, self._seed_of(draw, index), seconds)

    @property
    def _has_succeeded(self) -> bool:
        """True after the first success. A refusal before it is about the settings: every request would get it."""
        return self._last_success > float("-inf")

    @property
    def _is_priced(self) -> bool:
        return usd(self._model.prices, 1, 1) > 0

    def _most_tokens(self, draw: Draw) -> int:
        problem = draw.request.problem
        most = settings_on(self._model, self._settings, problem.sampling).max_tokens
        return most_prompt_tokens(problem) + len(draw.indices) * most

    def _worst(self, draw: Draw) -> float:
        prompt = most_prompt_tokens(draw.request.problem)
        return usd(self._model.prices, prompt, self._most_tokens(draw) - prompt)

    def _reserve(self, draw: Draw) -> bool:
        """Reserves the money for one more try; returns False where lost replies have used up the unit's money."""
        tag, worst = draw.request.tag, self._worst(draw)
        if self._model.service.cap_usd is not None and self._purses[tag] < worst * (1 - 1e-9):
            return False
        self._purses[tag] -= worst
        return True

    def _count_lost(self, draw: Draw, done: Try) -> None:
        """Counts what a try without a reply may have cost."""
        lost = self._worst(draw) if done.answer.may_cost else 0.0
        self._settle(draw, lost)
        draw.lost_usd += lost

    def _settle(self, draw: Draw, spent: float) -> None:
        """Gives back the money that was reserved for a try and not spent."""
        if draw.request.tag in self._purses:
            self._purses[draw.request.tag] += self._worst(draw) - spent

    def _broken(self, said: str) -> EngineError:
        clean = said.replace(self._key, "[key]") if self._key else said
        return EngineError(f"model {self._model.name}: {clean}")


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
