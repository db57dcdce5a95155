"""Any server that speaks OpenAI's HTTP API behind the Engine protocol: frontier baselines, served models."""

import asyncio
import os
import queue
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from typing import Any

import httpx

from sampling.engine import Completion, Request
from sampling.errors import EngineError
from sampling.settings import ModelSpec, SamplingSettings

TRIES = 6
WAIT_S = (1.0, 60.0)  # first and longest wait between tries
REFUSED = {400, 413, 422}  # this one prompt, not the service: a failed generation
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504}


class OpenAIEngine:
    """One request per sample, at most ``model.parallel`` at a time; rate limits and server errors are tried again."""

    device = "service"

    def __init__(self, model: ModelSpec, settings: SamplingSettings, seed: int) -> None:
        self._model, self._settings, self._seed = model, settings, seed
        self.version = f"openai {model.base_url}"
        self._done: queue.Queue[Completion | EngineError] = queue.Queue()
        self._tasks: dict[tuple[int, int, int], Future[None]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-engine", daemon=True)
        self._thread.start()
        self._client = self._run(self._open())
        self._slots = asyncio.Semaphore(model.parallel)

    def add(self, request: Request) -> None:
        for index in range(request.first_sample, request.last_sample):
            work = self._sample(request, index)
            key = (request.tag, request.problem_idx, index)
            self._tasks[key] = asyncio.run_coroutine_threadsafe(work, self._loop)

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
            if self._tasks.pop((result.tag, result.problem_idx, result.sample_idx), None) is not None:
                completions.append(result)
        return completions

    def in_flight(self) -> int:
        return len(self._tasks)

    def abort(self, tag: int) -> None:
        for key in [key for key in self._tasks if key[0] == tag]:
            self._tasks.pop(key).cancel()

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
        key = os.environ.get(self._model.api_key_env or "", "")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.AsyncClient(base_url=self._model.base_url or "", headers=headers, timeout=600)

    async def _sample(self, request: Request, index: int) -> None:
        try:
            async with self._slots:
                started = time.monotonic()
                answer = await self._post(request, index)
            self._done.put(self._completion(request, index, answer, time.monotonic() - started))
        except (EngineError, httpx.HTTPError, KeyError, ValueError) as error:
            self._done.put(error if isinstance(error, EngineError) else EngineError(f"{self.version}: {error!r}"))

    async def _post(self, request: Request, index: int) -> dict[str, Any]:
        path, body = self._body(request, index)
        wait = WAIT_S[0]
        for attempt in range(1, TRIES + 1):
            try:
                reply = await self._client.post(path, json=body)
            except httpx.TransportError as error:
                if attempt == TRIES:
                    raise EngineError(f"{self.version}: cannot be reached ({error})") from error
            else:
                if reply.status_code == httpx.codes.OK:
                    return dict(reply.json())
                if reply.status_code in REFUSED:
                    return {"choices": [{"text": "", "finish_reason": "error"}]}
                if reply.status_code not in RETRIED or attempt == TRIES:
                    raise EngineError(f"{self.version}: {reply.status_code} {reply.text[:200]}")
                wait = max(wait, _retry_after(reply))
            await asyncio.sleep(min(wait, WAIT_S[1]))
            wait *= 2
        raise AssertionError("unreachable")

    def _body(self, request: Request, index: int) -> tuple[str, dict[str, Any]]:
        settings, problem = self._settings, request.problem
        body: dict[str, Any] = {
            "model": self._model.path,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_tokens,
        }
        if stop := [*settings.stop, *problem.stop]:
            body["stop"] = stop
        if problem.messages is None:
            return "completions", body | {"prompt": problem.prompt}
        return "chat/completions", body | {"messages": [message.model_dump() for message in problem.messages]}

    def _completion(self, request: Request, index: int, answer: dict[str, Any], seconds: float) -> Completion:
        choice, usage = answer["choices"][0], answer.get("usage") or {}
        text = choice["text"] if "text" in choice else choice["message"].get("content")
        return Completion(
            tag=request.tag,
            problem_idx=request.problem_idx,
            sample_idx=index,
            text=text or "",
            finish_reason=choice.get("finish_reason") or "stop",
            prompt_tokens=usage.get("prompt_tokens") or 0,
            tokens=usage.get("completion_tokens") or 0,
            seed=self._seed,
            gen_s=seconds,
        )


def _retry_after(reply: httpx.Response) -> float:
    try:
        return float(reply.headers.get("retry-after", 0))
    except ValueError:  # the header may hold a date
        return 0.0
