"""The engines of all models on the cluster as it is now.

They join when GPUs appear, leave nodes that drain, and take over what a finished model no longer needs.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any

from cluster.actors import Actors
from cluster.batches import ModelWork
from cluster.handle import RunningEngine, SamplerHandle, StartUnit
from cluster.nodes import Census
from cluster.placement import EngineSlot, Placement
from cluster.queue import UnitQueue, UnitQueues
from cluster.sharing import Demand, fits, share_out, worth_joining
from cluster.tally import EngineTally, Tally
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Unit

NEWS_S = 1.0  # a process may be seen to die before its node is
HAND_BACK_S = 15.0  # before a draining node goes
PATIENCE_S = 1800.0  # for a node that can hold an engine, after the last such node has left

FollowUnit = Callable[[Unit, RunningEngine], Coroutine[Any, Any, None]]


class Fleet:
    """One crew for each model, sized by ``steer``. ``follow`` is the coroutine that sees one unit to its end."""

    def __init__(
        self,
        models: Sequence[ModelWork],
        queues: UnitQueues,
        placement: Placement,
        makers: Actors,
        tally: Tally,
        follow: FollowUnit,
    ) -> None:
        self._makers, self._follow = makers, follow
        self.census = Census()
        parts = zip(models, queues, placement.engines, strict=True)
        self._crews = [Crew(work, queue, slot, tally) for work, queue, slot in parts]

    async def update_census(self) -> None:
        self.census.update(await asyncio.to_thread(self._makers.list_nodes))

    async def lost(self, node_ids: Collection[str]) -> bool:
        """Looks at the cluster again, and returns whether one of the nodes has left it."""
        await asyncio.sleep(NEWS_S)
        await self.update_census()
        return self.census.lost(node_ids)

    def steer(self, tasks: asyncio.TaskGroup, *, verifiers_lag: bool) -> None:
        """Starts and ends engines: each model gets as many as its share of the nodes that stay.

        ``verifiers_lag`` says that more batches wait for a verdict than there are verifiers.
        """

        def start_unit(unit: Unit, engine: RunningEngine) -> None:
            tasks.create_task(self._follow(unit, engine))

        nodes = self.census.staying
        counts = share_out([crew.demand(verifiers_lag) for crew in self._crews], nodes)
        for crew, count in zip(self._crews, counts, strict=True):
            crew.forgive_failures(self.census.changes)
            crew.leave_nodes(self.census)
            crew.wait_for_nodes(not count or fits(crew.slot, nodes))
            for _ in range(crew.resize(count)):
                handle = crew.new_handle(self._makers, start_unit, self.lost)
                tasks.create_task(crew.serve(handle))
            crew.give_up()

    def close(self) -> None:
        """Ends all engines, as every unit is closed: some may still wait for their share of the cluster."""
        for crew in self._crews:
            crew.resize(0)


class Crew:
    """The engines of one model."""

    def __init__(self, work: ModelWork, queue: UnitQueue, slot: EngineSlot, tally: Tally) -> None:
        self.queue, self.slot, self._work, self._tally = queue, slot, work, tally
        self.handles: list[SamplerHandle] = []
        self._tallies: list[EngineTally] = []
        self._errors: list[EngineError | EngineRefused] = []
        self._no_node_since: float | None = None
        self._nodes_as_of = 0

    def forgive_failures(self, changes: int) -> None:
        """Forgets failed engines once the nodes have changed: on other nodes an engine may work."""
        if changes != self._nodes_as_of:
            self._nodes_as_of = changes
            self._errors.clear()

    def demand(self, verifiers_lag: bool) -> Demand:
        """Asks for as many engines as the user set. ``auto`` asks for one a unit if an engine takes GPUs or cores."""
        model, open_units = self._work.model, self.queue.open
        asked = open_units if model.engines == "auto" else int(model.engines)
        if model.engines == "auto" and model.engine != "vllm" and not self.slot.gpus:
            asked = self.slot.count
        present = len([handle for handle in self.handles if not handle.leaving])
        most = asked if self._worth_joining(present, verifiers_lag) else min(asked, present)
        return Demand(self.slot, model.weight, min(most, open_units), grows=model.device == "gpu")

    def _worth_joining(self, present: int, verifiers_lag: bool) -> bool:
        """Estimates from finished units whether one more engine helps; True before any has finished.

        An engine on cores helps nobody while verifiers lag: it would take the cores that they want.
        """
        if not present or not self.queue.closed:
            return True
        if verifiers_lag and not self.slot.gpus:
            return False
        unit_s = sum(tally.sampling_s for tally in self._tallies) / self.queue.closed
        return worth_joining(self.queue.waiting, present, unit_s, max(tally.start_s for tally in self._tallies))

    def resize(self, count: int) -> int:
        """Tells surplus engines to leave, the idlest first; returns how many engines to start.

        An engine that has failed for good is not replaced.
        """
        staying = [handle for handle in self.handles if not handle.leaving]
        if len(staying) > count:
            staying.sort(key=lambda handle: (handle.tally.state == "sampling", handle.units))
            for handle in staying[: len(staying) - count]:
                handle.leave()
        return count - len(self._errors) - len(staying)

    def leave_nodes(self, census: Census) -> None:
        """Lets engines on draining nodes finish their units; hands back units that would not end in time."""
        for handle in self.handles:
            if census.lost(handle.node_ids):
                handle.leave()
                if census.seconds_left(handle.node_ids) < HAND_BACK_S:
                    handle.hand_back()

    def wait_for_nodes(self, fits: bool) -> None:
        """Waits PATIENCE_S for a node that can hold an engine; then counts this as a failed engine."""
        self._no_node_since = None if fits else self._no_node_since or time.monotonic()
        if self._no_node_since and time.monotonic() - self._no_node_since > PATIENCE_S:
            self._errors.append(
                EngineError(f"no {_nodes(self.slot)} with {self.slot.gpus:g} GPUs for {PATIENCE_S:g} s")
            )
            for handle in self.handles:
                handle.leave()

    def give_up(self) -> None:
        """Sets aside the waiting units once the last engine has failed.

        Raises EngineRefused if no unit was started or closed: no engine of the model can run, so a retry is no use.
        """
        refused = [error for error in self._errors if isinstance(error, EngineRefused)]
        untouched = not self.queue.closed
        if refused and untouched and not self.handles and self.queue.waiting:
            raise refused[0]
        while self._errors and not self.handles and self.queue.waiting:
            unit = self.queue.take()
            self.queue.give_up(unit, f"model {unit.model}: {self._errors[0]}")

    def new_handle(
        self, makers: Actors, start_unit: StartUnit, lost: Callable[[Collection[str]], Coroutine[Any, Any, bool]]
    ) -> SamplerHandle:
        handle = SamplerHandle(self._work, self.queue, self._next_tally(), makers, self.slot, start_unit, lost)
        self.handles.append(handle)
        return handle

    async def serve(self, handle: SamplerHandle) -> None:
        """Runs an engine to its end, and keeps the error that ended it."""
        try:
            await handle.run()
        except (EngineError, EngineRefused) as error:
            self._errors.append(error)
        finally:
            self.handles.remove(handle)

    def _next_tally(self) -> EngineTally:
        """Reuses a departed engine's tally, else creates one."""
        left = next((tally for tally in self._tallies if tally.state == "done"), None)
        if left is None:
            left = EngineTally(f"{self._work.model.name}/{len(self._tallies)}")
            self._tallies.append(left)
            self._tally.engines.append(left)
        left.set_state("waiting")
        return left


def _nodes(slot: EngineSlot) -> str:
    return "node" if slot.nodes == 1 else f"{slot.nodes} nodes"
