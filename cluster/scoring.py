"""Scoring stored samples with a reward model: engines in Ray actors, or one in this process.

An actor reads a unit's samples, scores them and commits the scores by itself: nothing but receipts passes the driver.
Each has two units at a time, so that its engine works on one while the other is read or committed. What dies or fails
is tried again, elsewhere where need be; a unit that fails three times is set aside.
"""

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from cluster.batches import ModelWork, SetAside
from cluster.placement import EnginePlace, place, place_here
from cluster.session import connected, granted
from sampling.engines import devices
from sampling.engines.gpu_memory import taken_bytes
from sampling.engines.reward import RewardModel, Score, Text
from sampling.engines.reward_engine import RewardEngine
from sampling.errors import BadInput, EngineError, StoreError, StoreUnusable
from sampling.samples import Unit
from sampling.settings import SamplingSettings

TRIES = 3  # of a unit; and of an engine, between two units
AT_ONCE = 2  # units of one actor
OnCount = Callable[[int, int], None]  # samples that are done, of all


class HasUnit(Protocol):
    """What is scored: whatever knows its unit."""

    @property
    def unit(self) -> Unit: ...


Item = TypeVar("Item", bound=HasUnit)
Taken = TypeVar("Taken", bound=HasUnit, contravariant=True)
ScoreTexts = Callable[[Sequence[Text]], tuple[list[Score], float]]  # and the engine's seconds


@dataclass(frozen=True, slots=True)
class ScoreReceipt:
    """A unit whose scores are there. ``won`` is false where another attempt was first; ``reasons`` counts by reason the
    samples without a score."""

    unit: Unit
    won: bool
    rows: int
    reasons: tuple[tuple[str, int], ...] = ()


class ScoreSink(Protocol[Taken]):
    """Where texts come from and scores go: reads a unit, has it scored and commits it. Picklable."""

    def score(self, item: Taken, engine: ScoreTexts) -> ScoreReceipt: ...


@dataclass(frozen=True)
class ScoreWork(Generic[Item]):
    """All that the engines are told."""

    model: RewardModel
    sink: ScoreSink[Item]
    items: tuple[Item, ...]

    @property
    def as_model(self) -> ModelWork:
        """The same as the placement knows it."""
        units = tuple(item.unit for item in self.items)
        return ModelWork(self.model.spec, self.model.info, SamplingSettings(), self.model.version, units)


@dataclass
class ScoreTally(Generic[Item]):
    """What has come of the units: what to do next, what is done, what was given up."""

    items: tuple[Item, ...]
    show: OnCount
    receipts: list[ScoreReceipt] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting = deque(self.items)
        self._failures: Counter[Unit] = Counter()
        self._breaks = 0
        self._total = sum(item.unit.rows for item in self.items)

    def done(self, receipt: ScoreReceipt) -> None:
        self._breaks = 0
        self.receipts.append(receipt)
        self.show(sum(each.rows for each in self.receipts), self._total)

    def failed(self, item: Item, error: Exception) -> None:
        """Puts the unit last in the queue, or aside when it has failed TRIES times."""
        self._failures[item.unit] += 1
        if self._failures[item.unit] < TRIES:
            self.waiting.append(item)
        else:
            self.set_aside.append(SetAside(item.unit, str(error)))

    def broke(self, items: Sequence[Item], error: EngineError) -> None:
        """An engine died with these units: nobody knows whose fault it was. Raises its error when it is one too many in
        a row."""
        self._breaks += 1
        if self._breaks >= TRIES:
            raise error
        for item in items:
            self.failed(item, error)


class Scorer:
    """One reward model's engine, and the units it scores. A plain class: Ray makes it an actor."""

    def __init__(self, model: RewardModel, sink: ScoreSink[Any], where: EnginePlace) -> None:
        self._model, self._sink, self._place = model, sink, where
        self._engine: RewardEngine | None = None

    def score(self, item: HasUnit) -> ScoreReceipt:
        """Scores and commits one unit; the first one starts the engine. Raises EngineError when that breaks."""
        return self._sink.score(item, self._score)

    def stop(self) -> None:
        """Ends the engine."""
        if self._engine is not None:
            self._engine.close()

    def _score(self, texts: Sequence[Text]) -> tuple[list[Score], float]:
        self._engine = engine = self._engine or self._started()
        begun = time.monotonic()
        return engine.score(texts), time.monotonic() - begun

    def _started(self) -> RewardEngine:
        given = devices.look(self._place.gpus, granted())
        devices.refuse_wrong(given)
        allowance = given.allowance(self._place.threads)
        if allowance.share:
            devices.wait_for_memory(given, taken_bytes(self._model.spec, self._model.info, allowance.share))
        return RewardEngine(self._model, allowance)


class ScorerActor(Scorer):
    """Takes several units at once, but all that the engine does is done by one thread."""

    def __init__(self, model: RewardModel, sink: ScoreSink[Any], where: EnginePlace) -> None:
        super().__init__(model, sink, where)
        self._thread = ThreadPoolExecutor(1)

    def _score(self, texts: Sequence[Text]) -> tuple[list[Score], float]:
        return self._thread.submit(super()._score, texts).result()


def score_here(work: ScoreWork[Item], show: OnCount) -> ScoreTally[Item]:
    """One unit after another in this process, without Ray; raises EngineError when the engine breaks."""
    tally = ScoreTally(work.items, show)
    scorer = Scorer(work.model, work.sink, place_here(work.model.spec))
    try:
        while tally.waiting:
            item = tally.waiting.popleft()
            try:
                tally.done(scorer.score(item))
            except StoreUnusable:
                raise
            except StoreError as error:
                tally.failed(item, error)
    finally:
        scorer.stop()
    return tally


def score_on_ray(work: ScoreWork[Item], show: OnCount, address: str | None) -> ScoreTally[Item]:
    """On the cluster at ``address``, as many engines as have room; raises BadInput, EngineError, StoreUnusable."""
    from cluster.nodes import survey

    tally = ScoreTally(work.items, show)
    with connected(address) as (cpus, gpus):
        model = work.as_model
        where = place((model,), cpus, gpus, 1, survey((model,))).engines[0]
        _Team(work, where, tally).run()
    return tally


class _Team(Generic[Item]):
    """The actors, and what each is working on."""

    def __init__(self, work: ScoreWork[Item], where: EnginePlace, tally: ScoreTally[Item]) -> None:
        import ray

        self._work, self._place, self._tally = work, where, tally
        self._sink = ray.put(work.sink)
        self._running: dict[Any, tuple[Any, Item]] = {}  # reference -> actor, unit
        self._actors = [self._new_actor() for _ in range(where.count)]

    def run(self) -> None:
        import ray

        while self._tally.waiting or self._running:
            self._hand_out()
            (ready,), _ = ray.wait(list(self._running), num_returns=1)
            actor, item = self._running.pop(ready)
            self._take(ready, actor, item)

    def _hand_out(self) -> None:
        """In turns, so that all have one unit before any has two."""
        for most in range(1, AT_ONCE + 1):
            for actor in self._actors:
                mine = sum(owner is actor for owner, _ in self._running.values())
                if mine < most and self._tally.waiting:
                    item = self._tally.waiting.popleft()
                    self._running[actor.score.remote(item)] = (actor, item)

    def _take(self, ready: Any, actor: Any, item: Item) -> None:
        import ray
        from ray.exceptions import RayActorError, RayError

        try:
            self._tally.done(ray.get(ready))
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, BadInput | StoreUnusable):
                raise cause from error
            if isinstance(error, RayActorError) or isinstance(cause, EngineError):
                self._replace(actor, item, error)
            else:
                self._tally.failed(item, cause or error)

    def _replace(self, actor: Any, item: Item, error: Exception) -> None:
        import ray

        from cluster.handle import one_line

        lost = [ref for ref, (owner, _) in self._running.items() if owner is actor]
        items = [item, *(self._running.pop(ref)[1] for ref in lost)]
        ray.kill(actor)
        self._actors[self._actors.index(actor)] = self._new_actor()
        self._tally.broke(items, EngineError(one_line(error)))

    def _new_actor(self) -> Any:
        import ray

        made: Any = ray.remote(ScorerActor)
        options = {"num_cpus": self._place.cpus, "num_gpus": self._place.gpus, "max_concurrency": AT_ONCE}
        return made.options(**options).remote(self._work.model, self._sink, self._place)
