"""Scoring of stored samples with a reward model: engines in Ray actors, or one in this process.

An actor reads a unit's samples, scores them and commits the scores by itself: only receipts pass the driver. Each actor
has two units at a time, so that its engine works on one while the other is read or committed. A failed unit is tried
again, by another actor if its own has died; after three failures it is set aside. An actor takes units once it has its
share of the cluster, so that a lost node delays only what it was scoring.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from cluster.batches import ModelWork
from cluster.placement import EngineSlot, local_slot, place
from cluster.queue import ENGINE_TRIES, SetAside, UnitQueue
from cluster.session import connect_ray, granted, one_line
from sampling.engines import devices
from sampling.engines.gpu_memory import taken_bytes
from sampling.engines.reward import RewardModel, Score, Text
from sampling.engines.reward_engine import RewardEngine
from sampling.errors import BadInput, EngineError, StoreError, StoreUnusable
from sampling.samples import Unit
from sampling.settings import SamplingSettings

AT_ONCE = 2  # units of one actor
PATIENCE_S = 1800.0  # for a node with room for an engine
OnCount = Callable[[int, int], None]  # how many samples are done, of how many


class HasUnit(Protocol):
    """One item to score: anything that knows its unit."""

    @property
    def unit(self) -> Unit: ...


Item = TypeVar("Item", bound=HasUnit)
Taken = TypeVar("Taken", bound=HasUnit, contravariant=True)
ScoreTexts = Callable[[Sequence[Text]], tuple[list[Score], float]]  # and the engine's seconds


@dataclass(frozen=True, slots=True)
class ScoreReceipt:
    """A unit whose scores are committed.

    ``won`` is False if another attempt was first; ``reasons`` counts the samples without a score, by reason.
    """

    unit: Unit
    won: bool
    rows: int
    reasons: tuple[tuple[str, int], ...] = ()


class ScoreSink(Protocol[Taken]):
    """Reads a unit, has it scored and commits its scores. Picklable."""

    def score(self, item: Taken, engine: ScoreTexts) -> ScoreReceipt: ...


@dataclass(frozen=True)
class ScoreWork(Generic[Item]):
    """One reward model and the items that it has to score."""

    model: RewardModel
    sink: ScoreSink[Item]
    items: tuple[Item, ...]

    @property
    def as_model(self) -> ModelWork:
        """Converts the work to the form that the placement takes."""
        units = tuple(item.unit for item in self.items)
        return ModelWork(self.model.spec, self.model.info, SamplingSettings(), self.model.version, units)


class ScoreTally(Generic[Item]):
    """The items of one scoring and what has become of them."""

    def __init__(self, items: Sequence[Item], show: OnCount) -> None:
        self.receipts: list[ScoreReceipt] = []
        self._items, self._show = {item.unit: item for item in items}, show
        self._queue = UnitQueue(self._items.keys())
        self._breaks = 0  # of engines, since the last scored unit
        self._total = sum(unit.rows for unit in self._items)

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    @property
    def set_aside(self) -> list[SetAside]:
        return self._queue.set_aside

    def take(self) -> Item:
        """Hands out a waiting item."""
        return self._items[self._queue.take()]

    def done(self, receipt: ScoreReceipt) -> None:
        self._breaks = 0
        self._queue.close(receipt.unit)
        self.receipts.append(receipt)
        self._show(sum(each.rows for each in self.receipts), self._total)

    def failed(self, item: Item, error: Exception) -> None:
        self._queue.fail(item.unit, str(error))

    def broke(self, items: Sequence[Item], error: EngineError) -> None:
        """Counts the death of an engine as a failure of each of its items, as nobody knows which one caused it.

        Raises the error after ENGINE_TRIES deaths in a row.
        """
        self._breaks += 1
        if self._breaks >= ENGINE_TRIES:
            raise error
        for item in items:
            self.failed(item, error)


class Scorer:
    """One engine of a reward model, and the units it scores: a plain class, which Ray makes an actor."""

    def __init__(self, model: RewardModel, sink: ScoreSink[Any], slot: EngineSlot) -> None:
        self._model, self._sink, self._slot = model, sink, slot
        self._engine: RewardEngine | None = None

    def score(self, item: HasUnit) -> ScoreReceipt:
        """Scores and commits one unit; the first one starts the engine. Raises EngineError when the engine breaks."""
        return self._sink.score(item, self._score)

    def stop(self) -> None:
        """Ends the engine."""
        if self._engine is not None:
            self._engine.close()

    def _score(self, texts: Sequence[Text]) -> tuple[list[Score], float]:
        self._engine = engine = self._engine or self._start_engine()
        begun = time.monotonic()
        return engine.score(texts), time.monotonic() - begun

    def _start_engine(self) -> RewardEngine:
        given = devices.look(self._slot.gpus, granted())
        devices.refuse_wrong(given)
        allowance = given.allowance(self._slot.threads)
        if allowance.share:
            devices.wait_for_memory(given, taken_bytes(self._model.spec, self._model.info, allowance.share))
        return RewardEngine(self._model, allowance)


class ScorerActor(Scorer):
    """A Scorer that takes several units at once; one thread does all of the engine's work."""

    def __init__(self, model: RewardModel, sink: ScoreSink[Any], slot: EngineSlot) -> None:
        super().__init__(model, sink, slot)
        self._thread = ThreadPoolExecutor(1)

    def is_placed(self) -> bool:
        """Returns True, as soon as this actor has its share of the cluster."""
        return True

    def _score(self, texts: Sequence[Text]) -> tuple[list[Score], float]:
        return self._thread.submit(super()._score, texts).result()


def score_here(work: ScoreWork[Item], show: OnCount) -> ScoreTally[Item]:
    """Scores one unit after another in this process, without Ray; raises EngineError when the engine breaks."""
    tally = ScoreTally(work.items, show)
    scorer = Scorer(work.model, work.sink, local_slot(work.model.spec))
    try:
        while tally.waiting:
            item = tally.take()
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
    """Scores on the cluster at ``address``, with all engines that fit; raises BadInput, EngineError, StoreUnusable."""
    from cluster.nodes import survey

    tally = ScoreTally(work.items, show)
    with connect_ray(address) as (cpus, gpus):
        model = work.as_model
        slot = place((model,), cpus, gpus, 1, survey((model,))).engines[0]
        _Team(work, slot, tally).run()
    return tally


class _Team(Generic[Item]):
    """The actors, and the units that each is working on."""

    def __init__(self, work: ScoreWork[Item], slot: EngineSlot, tally: ScoreTally[Item]) -> None:
        import ray

        self._work, self._slot, self._tally = work, slot, tally
        self._sink = ray.put(work.sink)
        self._running: dict[Any, tuple[Any, Item]] = {}  # reference -> actor, unit
        self._placing: dict[Any, Any] = {}  # reference -> actor that waits for its share of the cluster
        self._idle: deque[Any] = deque()  # actors, once for each unit that they can take now
        for _ in range(slot.count):
            self._place_actor()

    def run(self) -> None:
        import ray

        while self._tally.waiting or self._running:
            self._hand_out()
            patience_s = None if self._running else PATIENCE_S
            ready, _ = ray.wait([*self._running, *self._placing], num_returns=1, timeout=patience_s)
            if not ready:
                raise EngineError(f"no node had room for an engine for {PATIENCE_S:g} s")
            if ready[0] in self._placing:
                self._placed(ready[0])
            else:
                self._take(ready[0], *self._running.pop(ready[0]))

    def _hand_out(self) -> None:
        """Gives waiting units to actors that have their share of the cluster, the one that is idle longest first."""
        while self._idle and self._tally.waiting:
            actor, item = self._idle.popleft(), self._tally.take()
            self._running[actor.score.remote(item)] = (actor, item)

    def _placed(self, reference: Any) -> None:
        """Lets an actor take units. One that dies first is placed again: its node may have left."""
        import ray
        from ray.exceptions import RayError

        actor = self._placing.pop(reference)
        try:
            ray.get(reference)
        except RayError as error:
            self._tally.broke([], EngineError(one_line(error)))
            self._place_actor()
        else:
            self._idle.appendleft(actor)  # every actor gets one unit before any gets a second
            self._idle.extend([actor] * (AT_ONCE - 1))

    def _take(self, ready: Any, actor: Any, item: Item) -> None:
        import ray
        from ray.exceptions import RayActorError, RayError

        try:
            self._tally.done(ray.get(ready))
            self._idle.append(actor)
        except RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, BadInput | StoreUnusable):
                raise cause from error
            if isinstance(error, RayActorError) or isinstance(cause, EngineError):
                self._replace(actor, item, error)
            else:
                self._tally.failed(item, cause or error)
                self._idle.append(actor)

    def _replace(self, actor: Any, item: Item, error: Exception) -> None:
        import ray

        lost = [ref for ref, (owner, _) in self._running.items() if owner is actor]
        items = [item, *(self._running.pop(ref)[1] for ref in lost)]
        ray.kill(actor)
        self._idle = deque(other for other in self._idle if other is not actor)
        self._place_actor()
        self._tally.broke(items, EngineError(one_line(error)))

    def _place_actor(self) -> None:
        import ray

        made: Any = ray.remote(ScorerActor)
        actor = made.options(**self._slot.options, max_concurrency=AT_ONCE).remote(
            self._work.model, self._sink, self._slot
        )
        self._placing[actor.is_placed.remote()] = actor
