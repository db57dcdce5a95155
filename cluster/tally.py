"""The counts and rates that a person wants to see of a running pipeline: plain data, no Ray."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil

from cluster.batches import SampleHeader, VerdictHeader
from cluster.sink import Receipt
from sampling.samples import Unit

WINDOW_S = 15.0  # rates are means over this time
_HOLDING = {"starting", "sampling"}  # states in which an engine holds its share of the cluster


@dataclass(frozen=True, slots=True)
class EngineProgress:
    """One engine: ``state`` is waiting, starting, sampling, done or failed, for ``state_s`` seconds now.

    ``held_s`` is for how many seconds it has held its share of the cluster, ``tokens`` how many it has generated, both
    over all its starts.
    """

    name: str
    state: str
    state_s: float
    tokens_per_s: float
    restarts: int
    held_s: float = 0.0
    tokens: int = 0

    @property
    def model(self) -> str:
        return self.name.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class CellProgress:
    """One (model, task): ``coverage`` is the share of its problems with at least one pass among committed samples.

    It is None before any verdict. ``at_least`` means that it is a lower bound: earlier runs committed samples too,
    which were counted, but not read. ``cut`` is the share of samples that a limit of tokens cut, among the ``ended``
    ones that this run committed. With adaptive sampling, ``retired`` problems get no more samples, which has ``saved``
    so many of the ones that uniform sampling draws; ``planned`` grows.
    """

    model: str
    task: str
    problems: int
    planned: int
    committed: int
    coverage: float | None
    at_least: bool = False
    ended: int = 0
    cut: float = 0.0
    retired: int = 0
    saved: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot of the pipeline.

    ``left_s`` is None until a rate is known. ``balanced`` is the size of the verifier pool that would keep up with the
    present engines. ``bottleneck`` is the side that the others wait for: engines, verifiers, store or another driver;
    "" once nothing waits. ``idle`` is the share of the engines' time, from the start of each to its last sample, in
    which they had nothing to do: they had no work, or waited for verifiers or store. ``set_aside`` counts units.
    """

    elapsed_s: float
    planned: int
    committed: int
    sampled: int
    verified: int
    shared: int
    backlog: int
    bottleneck: str
    balanced: int | None
    left_s: float | None
    engines: tuple[EngineProgress, ...]
    cells: tuple[CellProgress, ...]
    set_aside: int
    tokens: int
    idle: float = 0.0
    judge_usd: float = 0.0


OnProgress = Callable[[Progress], None]
Enough = Callable[[Progress], bool]  # called with every snapshot; after True no further unit is started


def never(_: Progress) -> bool:
    """Lets a run end only with its last unit."""
    return False


class Rate:
    """The events per second over the last WINDOW_S seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, float]] = deque()

    def add(self, total: float) -> None:
        now = time.monotonic()
        self._points.append((now, total))
        while len(self._points) > 2 and now - self._points[0][0] > WINDOW_S:
            self._points.popleft()

    @property
    def value(self) -> float:
        return self.at(time.monotonic())

    def at(self, now: float) -> float:
        if len(self._points) < 2:
            return 0.0
        (t0, v0), (_, v1) = self._points[0], self._points[-1]
        return max(0.0, (v1 - v0) / (now - t0)) if now > t0 else 0.0


class EngineTally:
    """One engine's counts, over all its starts."""

    def __init__(self, name: str) -> None:
        self.name, self.restarts, self.start_s = name, 0, 0.0
        self.first_ready: float | None = None
        self.rate = Rate()
        self.tokens = self._tokens_of_this_start = 0
        self._held_s = 0.0
        self.state, self._since = "waiting", time.monotonic()
        self.starved_s = self.sampling_s = 0.0
        self._before = (0.0, 0.0)  # starved_s and sampling_s of earlier starts

    def set_state(self, state: str) -> None:
        now = time.monotonic()
        self._held_s, self.state, self._since = self.held_s(now), state, now

    def held_s(self, now: float) -> float:
        """Returns for how many seconds the engine has held its share of the cluster."""
        return self._held_s + (now - self._since if self.state in _HOLDING else 0.0)

    def ready(self, start_s: float) -> None:
        self.start_s = start_s
        self.first_ready = self.first_ready or time.monotonic()
        self.set_state("sampling")
        self.rate = Rate()
        self._tokens_of_this_start = 0
        self.rate.add(0)
        self._before = (self.starved_s, self.sampling_s)

    def add(self, header: SampleHeader) -> None:
        self.rate.add(header.engine_tokens)
        self.tokens += max(0, header.engine_tokens - self._tokens_of_this_start)
        self._tokens_of_this_start = max(self._tokens_of_this_start, header.engine_tokens)
        starved_s, sampling_s = self._before
        self.starved_s = starved_s + header.engine_starved_s
        self.sampling_s = sampling_s + time.monotonic() - self._since

    def progress(self, now: float) -> EngineProgress:
        rate = self.rate.at(now) if self.state == "sampling" else 0.0
        since, held_s = now - self._since, self.held_s(now)
        return EngineProgress(self.name, self.state, since, rate, self.restarts, held_s, self.tokens)


class CellTally:
    """The counts of one (model, task); ``solved`` holds the problems that passed in earlier runs, None if unknown."""

    def __init__(
        self, model: str, task: str, problems: int, planned: int, committed: int, solved: set[int] | None
    ) -> None:
        self.model, self.task, self.problems = model, task, problems
        self.planned, self.committed, self.solved = planned, committed, solved or set()
        self._at_least = committed > 0 and solved is None
        self._finish: Counter[str] = Counter()
        self.retired = self.saved = 0

    def add(self, receipt: Receipt) -> None:
        self.committed += receipt.rows
        self._finish.update(dict(receipt.finish))
        self.solved |= {idx for idx, _, passed in receipt.passed if passed}

    def progress(self) -> CellProgress:
        coverage = len(self.solved) / self.problems if self.committed and self.problems else None
        ended = self._finish.total()
        cut = self._finish["length"] / ended if ended else 0.0
        return CellProgress(
            self.model, self.task, self.problems, self.planned, self.committed, coverage, self._at_least, ended, cut,
            self.retired, self.saved,
        )  # fmt: skip


class Tally:
    """The counts of one pipeline, except the fate of its units, which their queues hold."""

    def __init__(self, cells: list[CellTally]) -> None:
        self.cells = {(cell.model, cell.task): cell for cell in cells}
        self.engines: list[EngineTally] = []
        self.sampled = self.verified = self.shared = self.tokens = self.stored_bytes = self.elsewhere = 0
        self.verifier_busy_s = self.judge_usd = 0.0
        self.verifiers = 1  # in the pool
        self.statuses: Counter[str] = Counter()
        self._before = self.committed  # by earlier calls
        self._started = time.monotonic()
        self._sampling, self._verifying = Rate(), Rate()
        self._fastest = 0.0

    @property
    def committed(self) -> int:
        return sum(cell.committed for cell in self.cells.values())

    @property
    def committed_here(self) -> int:
        """Samples that this pipeline has committed; other drivers have committed ``elsewhere`` meanwhile."""
        return self.committed - self._before - self.elsewhere

    @property
    def ready_s(self) -> float:
        """Seconds from the start until the first engine was up; later ones may come at any time of a run."""
        ready = [engine.first_ready for engine in self.engines if engine.first_ready is not None]
        return min(ready, default=self._started) - self._started

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    def add_samples(self, engine: EngineTally | None, header: SampleHeader) -> None:
        """Counts a batch. ``engine`` is None if it has restarted since: the header's totals are of an earlier start."""
        self.sampled += header.rows
        if engine is not None:
            engine.add(header)

    def add_verdicts(self, header: VerdictHeader) -> None:
        self.verified += header.rows
        self.shared += header.shared
        self.verifier_busy_s += header.busy_s

    def add_receipt(self, receipt: Receipt) -> None:
        self.cells[receipt.unit.model, receipt.unit.task].add(receipt)
        self.elsewhere += 0 if receipt.won else receipt.rows
        self.tokens += receipt.tokens
        self.stored_bytes += receipt.stored_bytes
        self.judge_usd += receipt.judge_usd
        self.statuses.update(dict(receipt.status_counts))

    def add_rounds(self, units: Iterable[Unit], standing: Mapping[tuple[str, str], tuple[int, int]]) -> None:
        """Counts units that were planned since, and the problems that get no more."""
        for unit in units:
            self.cells[unit.model, unit.task].planned += unit.rows
        for cell, (retired, saved) in standing.items():
            self.cells[cell].retired, self.cells[cell].saved = retired, saved

    def snapshot(self, *, engines_wait: bool, set_aside: int, bottleneck: str | None = None) -> Progress:
        """Returns the present state; ``engines_wait`` means that generation pauses until verifiers have caught up.

        ``bottleneck`` is for a caller that knows what each side still has to do; None goes by the counts.
        """
        planned = sum(cell.planned for cell in self.cells.values())
        self._sampling.add(self.sampled)
        self._verifying.add(self.verified)
        rate, now = self._verifying.value, time.monotonic()
        return Progress(
            elapsed_s=self.elapsed_s,
            planned=planned,
            committed=self.committed,
            sampled=self.sampled,
            verified=self.verified,
            shared=self.shared,
            backlog=self.sampled - self.verified,
            bottleneck=self._bottleneck(engines_wait, planned) if bottleneck is None else bottleneck,
            balanced=self._balanced(),
            left_s=(planned - self.committed) / rate if rate else None,
            engines=tuple(engine.progress(now) for engine in self.engines),
            cells=tuple(cell.progress() for cell in self.cells.values()),
            set_aside=set_aside,
            tokens=self.tokens,
            idle=self._idle(),
            judge_usd=self.judge_usd,
        )

    def _bottleneck(self, engines_wait: bool, planned: int) -> str:
        if not engines_wait and self.sampled < planned - self._before:
            return "engines"
        if engines_wait or self.sampled > self.verified:
            return "verifiers"
        return "store" if self.committed < planned else ""

    def _idle(self) -> float:
        sampling_s = sum(engine.sampling_s for engine in self.engines)
        return sum(engine.starved_s for engine in self.engines) / sampling_s if sampling_s else 0.0

    def _balanced(self) -> int | None:
        """Uses the fastest sampling seen: while engines wait, their rate is only the verifiers' rate."""
        self._fastest = max(self._fastest, self._sampling.value)
        return ceil(self._fastest * self.verifier_busy_s / self.verified) if self.verified else None
