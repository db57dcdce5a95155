"""A thread that steps an engine, so that several units are in flight on it and no unit waits for another."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sampling.engines.engine import Completion, Engine, Request
from sampling.errors import EngineError, EngineRefused, TroopError
from sampling.samples import Sample

MAX_UNREAD = 16_384  # finished samples that nobody has taken yet; above that, generation pauses
IDLE_S = 0.02


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Totals since the engine started: tokens generated, busy seconds, and starved seconds.

    An engine is starved while it has no work, or while nobody takes its finished samples.
    """

    tokens: int
    busy_s: float
    starved_s: float = 0.0


Item = list[Sample] | TroopError


class EngineLoop:
    """Owner of one engine: a single thread makes all calls to it. ``submit`` may be called from any thread."""

    def __init__(self, start: Callable[[], Engine]) -> None:
        self._start = start
        self._inbox: queue.Queue[Sequence[Request] | None] = queue.Queue()
        self._outboxes: dict[int, queue.Queue[Item]] = {}
        self._unread = 0
        self._lock = threading.Lock()
        self._unpaid_s = 0.0  # busy time not yet attributed to a finished sample
        self._stats = EngineStats(0, 0.0)
        self._idle, self._moved, self._starved_s = True, time.monotonic(), 0.0
        self._broken: TroopError | None = None
        self._ready: queue.Queue[Engine | TroopError] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)
        self._thread.start()
        first = self._ready.get()
        if isinstance(first, TroopError):
            raise first
        self.engine = first

    @property
    def stats(self) -> EngineStats:
        return self._stats

    @property
    def stalled_s(self) -> float:
        """Seconds since the last step ended; 0 while the engine has no work."""
        return 0.0 if self._idle else time.monotonic() - self._moved

    def submit(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """Yields the samples of ``requests``, all of one tag, in lists as they finish; raises EngineError."""
        outbox: queue.Queue[Item] = queue.Queue()
        with self._lock:
            if self._broken is not None:
                raise self._broken
            self._outboxes[requests[0].tag] = outbox
            self._inbox.put(requests)
        left = sum(request.last_sample - request.first_sample for request in requests)
        while left:
            item = outbox.get()
            if isinstance(item, TroopError):
                raise item
            left -= len(item)
            self._count_unread(-len(item))
            yield item
        with self._lock:
            del self._outboxes[requests[0].tag]

    def close(self) -> None:
        """Ends the thread and the engine."""
        self._inbox.put(None)
        self._thread.join(timeout=30)

    def _run(self) -> None:
        try:
            engine = self._start()
        except Exception as error:  # noqa: BLE001 - the caller waits for an engine or an error, whatever ends this thread
            self._ready.put(_as_engine_error(error))
            return
        self._moved = time.monotonic()
        self._ready.put(engine)
        try:
            while self._accept(engine):
                self._step(engine)
        except Exception as error:  # noqa: BLE001 - submitters wait for samples or an error
            self._fail(_as_engine_error(error))
        finally:
            engine.close()

    def _accept(self, engine: Engine) -> bool:
        """Adds all submitted requests to the engine; waits only while it is idle. Returns False once it is closed."""
        idle = self._idle = not engine.in_flight()
        while True:
            try:
                item = self._inbox.get(block=idle)
            except queue.Empty:
                return True
            if item is None:
                return False
            if self._idle:
                now = time.monotonic()
                self._starved_s += now - self._moved
                self._idle, self._moved = False, now
            self._add(engine, item)
            idle = False

    def _add(self, engine: Engine, requests: Sequence[Request]) -> None:
        """Adds the requests of one submission; one that the engine refuses ends its submission and no other."""
        try:
            for request in requests:
                engine.add(request)
        except EngineRefused as error:
            with self._lock:
                self._outboxes.pop(requests[0].tag).put(error)

    def _step(self, engine: Engine) -> None:
        if self._unread > MAX_UNREAD:
            time.sleep(IDLE_S)
            now = time.monotonic()
            self._starved_s += now - self._moved
            self._moved = now  # the engine waits for its readers: that is no stall
            return
        started = time.monotonic()
        completions = engine.step()
        self._moved = time.monotonic()
        seconds = self._moved - started
        tokens = sum(completion.tokens for completion in completions)
        self._stats = EngineStats(self._stats.tokens + tokens, self._stats.busy_s + seconds, self._starved_s)
        self._unpaid_s += seconds
        if completions:
            self._hand_out(completions, self._unpaid_s / max(tokens, 1))
            self._unpaid_s = 0.0

    def _hand_out(self, completions: Sequence[Completion], seconds_per_token: float) -> None:
        """Hands samples to their submitters, each with its share of the busy time, by tokens.

        Single shares are rough; their sum is exact.
        """
        by_tag: dict[int, list[Sample]] = {}
        for completion in completions:
            by_tag.setdefault(completion.tag, []).append(_sample(completion, seconds_per_token))
        for tag, samples in by_tag.items():
            if outbox := self._outboxes.get(tag):  # none where the rest of the submission was refused
                self._count_unread(len(samples))
                outbox.put(samples)

    def _count_unread(self, change: int) -> None:
        with self._lock:
            self._unread += change

    def _fail(self, error: TroopError) -> None:
        with self._lock:
            self._broken = error
            for outbox in self._outboxes.values():
                outbox.put(error)


def _as_engine_error(error: Exception) -> TroopError:
    return error if isinstance(error, TroopError) else EngineError(f"{type(error).__name__}: {error}")


def _sample(done: Completion, seconds_per_token: float) -> Sample:
    return Sample(
        problem_idx=done.problem_idx,
        sample_idx=done.sample_idx,
        text=done.text,
        finish_reason=done.finish_reason,
        prompt_tokens=done.prompt_tokens,
        tokens=done.tokens,
        seed=done.seed,
        gen_s=done.gen_s,
        engine_s=done.tokens * seconds_per_token,
        logprob=done.logprob,
        usd=done.usd,
        reasoning=done.reasoning,
        reasoning_tokens=done.reasoning_tokens,
        lists=done.lists,
    )
