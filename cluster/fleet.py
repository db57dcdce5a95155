"""The engines of all models on the cluster as it is now: they join when GPUs appear, leave nodes that drain, and take
over what a finished model no longer needs."""

import asyncio
import time
from collections.abc import Callable, Sequence

from cluster.actors import Actors
from cluster.batches import ModelWork, SetAside
from cluster.census import Census
from cluster.handle import SamplerHandle, UnitQueue
from cluster.placement import EnginePlace, Placement
from cluster.sharing import Demand, fits, share_out, worth_joining
from cluster.tally import EngineTally, Tally
from sampling.errors import EngineError, EngineRefused
from sampling.samples import Unit

NEWS_S = 1.0  # a process may be seen to die before its node is
HAND_BACK_S = 15.0  # before a draining node goes
PATIENCE_S = 1800.0  # for a node that could hold an engine, where the last one has left

StartUnit = Callable[[Unit, SamplerHandle], None]


class Fleet:
    """One crew for each model, sized by ``steer``."""

    def __init__(
        self, models: Sequence[ModelWork], placement: Placement, makers: Actors, tally: Tally, start_unit: StartUnit
    ) -> None:
        self._makers, self._tally, self._start_unit = makers, tally, start_unit
        self.census = Census()
        places = zip(models, placement.engines, strict=True)
        self._crews = [Crew(UnitQueue(work), place, self._tally) for work, place in places]

    @property
    def open(self) -> bool:
        return any(crew.queue.open for crew in self._crews)

    async def look(self) -> None:
        self.census.update(await asyncio.to_thread(self._makers.look))

    async def lost(self, node_id: str | None) -> bool:
        await asyncio.sleep(NEWS_S)
        await self.look()
        return self.census.lost(node_id)

    def steer(self, group: asyncio.TaskGroup) -> None:
        """Starts and ends engines, as many as each model gets of the nodes that stay."""
        nodes = self.census.staying
        counts = share_out([crew.demand() for crew in self._crews], nodes)
        for crew, count in zip(self._crews, counts, strict=True):
            crew.look_again(self.census.changes)
            crew.leave_nodes(self.census)
            crew.wait_for_room(not count or fits(crew.place, nodes))
            for _ in range(crew.resize(count)):
                handle = self._new_handle(crew)
                crew.handles.append(handle)
                group.create_task(crew.serve(handle))
            crew.give_up()

    def drop_waiting(self) -> None:
        """No further unit is started, of any model."""
        for crew in self._crews:
            crew.queue.drop_waiting()

    def close(self) -> None:
        """Every unit is closed: engines that still wait for their place need it no more."""
        for crew in self._crews:
            crew.resize(0)

    def _new_handle(self, crew: "Crew") -> SamplerHandle:
        return SamplerHandle(crew.queue, crew.next_tally(), self._makers, crew.place, self._start_unit, self.lost)


class Crew:
    """The engines of one model."""

    def __init__(self, queue: UnitQueue, place: EnginePlace, tally: Tally) -> None:
        self.queue, self.place, self._tally = queue, place, tally
        self.handles: list[SamplerHandle] = []
        self._tallies: list[EngineTally] = []
        self._errors: list[EngineError | EngineRefused] = []
        self._no_room_since: float | None = None
        self._nodes_as_of = 0

    def look_again(self, changes: int) -> None:
        """Failures count against the nodes that there were: on others an engine may do."""
        if changes != self._nodes_as_of:
            self._nodes_as_of = changes
            self._errors.clear()

    def demand(self) -> Demand:
        """As many engines as the user asked for; else as there are units, where an engine takes GPUs or cores."""
        model, open_units = self.queue.work.model, self.queue.open
        asked = open_units if model.engines == "auto" else int(model.engines)
        if model.engines == "auto" and model.engine != "vllm" and not self.place.gpus:
            asked = self.place.count
        present = len([handle for handle in self.handles if not handle.leaving])
        most = asked if self._worth_joining(present) else min(asked, present)
        return Demand(self.place, model.weight, min(most, open_units))

    def _worth_joining(self, present: int) -> bool:
        """As far as the engines so far let it be told."""
        closed = len(self.queue.work.units) - self.queue.open
        if not present or not closed:
            return True
        unit_s = sum(tally.sampling_s for tally in self._tallies) / closed
        return worth_joining(self.queue.waiting, present, unit_s, max(tally.start_s for tally in self._tallies))

    def resize(self, count: int) -> int:
        """How many engines to start: one that has failed for good is not replaced. Of too many the idlest leave."""
        staying = [handle for handle in self.handles if not handle.leaving]
        if len(staying) > count:
            staying.sort(key=lambda handle: (handle.tally.state == "sampling", handle.units))
            for handle in staying[: len(staying) - count]:
                handle.leave()
        return count - len(self._errors) - len(staying)

    def leave_nodes(self, census: Census) -> None:
        """Drains what is on draining nodes, and hands back what would not be finished in time."""
        for handle in self.handles:
            if census.lost(handle.node_id):
                handle.leave()
                if census.seconds_left(handle.node_id) < HAND_BACK_S:
                    handle.hand_back()

    def wait_for_room(self, fits: bool) -> None:
        """Nodes may come back; but not for ever."""
        self._no_room_since = None if fits else self._no_room_since or time.monotonic()
        if self._no_room_since and time.monotonic() - self._no_room_since > PATIENCE_S:
            self._errors.append(EngineError(f"no node with {self.place.gpus:g} GPUs for {PATIENCE_S:g} s"))
            for handle in self.handles:
                handle.leave()

    def give_up(self) -> None:
        """Once the last engine has failed, the units that nobody works on are set aside.

        Raises EngineRefused where none of the model could ever run: no second try would change it.
        """
        refused = [error for error in self._errors if isinstance(error, EngineRefused)]
        untouched = self.queue.open == len(self.queue.work.units)
        if refused and untouched and not self.handles and self.queue.waiting:
            raise refused[0]
        while self._errors and not self.handles and self.queue.waiting:
            unit = self.queue.take()
            self._tally.set_aside.append(SetAside(unit, f"model {unit.model}: {self._errors[0]}"))
            self.queue.close_one()

    async def serve(self, handle: SamplerHandle) -> None:
        try:
            await handle.run()
        except (EngineError, EngineRefused) as error:
            self._errors.append(error)
        finally:
            self.handles.remove(handle)

    def next_tally(self) -> EngineTally:
        """That of an engine that has left, or a new one."""
        left = next((tally for tally in self._tallies if tally.state == "done"), None)
        if left is None:
            left = EngineTally(f"{self.queue.work.model.name}/{len(self._tallies)}")
            self._tallies.append(left)
            self._tally.engines.append(left)
        left.set_state("waiting")
        return left
