"""The verifier pool: equal candidates meet the same verifier, a dead one's batches are sent again, and it grows and
shrinks with the backlog and with the nodes that have room for it."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.exceptions import RayActorError, RayError, RayTaskError

from cluster.actors import Actors, Ref
from cluster.backlog import PoolSize
from cluster.batches import VerdictHeader
from cluster.placement import Placement
from cluster.sharing import fill
from sampling.errors import BadInput, TroopError, VerifierFault
from sampling.samples import Unit

TRIES = 4  # of a batch
START_TRIES = 10  # of a verifier: before a run has begun, only a machine that cannot hold it should end it
LAG = 8  # batches
OPEN_S = 120.0  # a place whose cores someone else holds is given up, and tried again
FIRST_SHARE = 4  # one of so many verifiers that there is room for is there from the start


@dataclass(eq=False, slots=True)
class Seat:
    """One verifier: its actor, the node that it was sent to, and how many batches it has."""

    actor: Any
    node_id: str | None
    waiting: int = 0


class VerifierPool:
    """Actors that each own a sandbox. ``fixed`` is its size, where the user has said one."""

    def __init__(self, makers: Actors, placement: Placement, fixed: int | None = None) -> None:
        self._makers, self._cpus, self._fixed = makers, placement.verifier_cpus, fixed
        self._seats: list[Seat] = []
        self._leaving: list[Seat] = []
        self._refused: set[str | None] = set()  # nodes that came later, and cannot give a sandbox
        self._starting: dict[asyncio.Task[None], str | None] = {}
        self._size = PoolSize(fixed or max(1, placement.verifiers // FIRST_SHARE))
        self._changed = asyncio.Condition()

    @property
    def size(self) -> int:
        return len(self._seats)

    async def prepare(self, rooms: Mapping[str, int]) -> None:
        """Opens the first sandboxes; raises BadInput where a node cannot give them.

        ``rooms`` says how many verifiers each node holds.
        """
        count = min(self._size.size, sum(rooms.values()) or 1)
        await asyncio.gather(*(self._open(node_id) for node_id in self._nodes(rooms, count)))

    def steer(self, rooms: Mapping[str, int], waiting: int) -> None:
        """Follows the backlog, of ``waiting`` batches, and the nodes: starts verifiers, lets others go."""
        rooms = {node_id: room for node_id, room in rooms.items() if node_id not in self._refused}
        most = sum(rooms.values()) or 1
        least = min(self._fixed or 1, most)
        self._size = self._size.after(waiting, least, min(self._fixed or most, most))
        self._retire(rooms)
        for node_id in self._nodes(rooms, self._size.size - len(self._seats) - len(self._starting)):
            task = asyncio.create_task(self._open_late(node_id))
            self._starting[task] = node_id
            task.add_done_callback(self._starting.pop)

    async def judge(self, batch: Ref, unit: Unit) -> tuple[VerdictHeader, Ref]:
        """The header of the batch's verdicts and a reference to them; raises VerifierFault after TRIES deaths."""
        for _ in range(TRIES):
            seat = await self._choose(unit)
            seat.waiting += 1
            try:
                header, verdicts = seat.actor.judge.options(num_returns=2).remote(batch)
                return await header, verdicts
            except RayTaskError as error:
                if isinstance(error, RayActorError):  # the sampler died before the batch had left it
                    raise
                raise VerifierFault(f"verifier: {str(error).strip().splitlines()[-1]}") from error
            except RayActorError:
                await self._replace(seat)
            finally:
                seat.waiting -= 1
        raise VerifierFault(f"verifiers died {TRIES} times over one batch")

    def stop(self) -> None:
        for task in self._starting:
            task.cancel()
        for seat in self._seats + self._leaving:
            self._makers.end(seat.actor)

    async def _choose(self, unit: Unit) -> Seat:
        """The verifier that knows the unit's other candidates, as equal ones are judged once; unless it lags."""
        if not self._seats:
            async with self._changed:
                await self._changed.wait_for(lambda: self._seats)
        usual = self._seats[unit.number % len(self._seats)]
        if usual.waiting <= LAG:  # nearly always: not all of a thousand are looked at for each batch
            return usual
        idlest = min(self._seats, key=lambda seat: seat.waiting)
        return usual if usual.waiting <= idlest.waiting + LAG else idlest

    def _nodes(self, rooms: Mapping[str, int], count: int) -> list[str | None]:
        """Where ``count`` more go. Where no node has a core left, one verifier shares those of the engines."""
        if not rooms:
            return [None] * min(1, count)
        taken = Counter(node for node in (*(seat.node_id for seat in self._seats), *self._starting.values()) if node)
        return list(fill(rooms, taken, count))

    def _retire(self, rooms: Mapping[str, int]) -> None:
        """Those on nodes that leave, and those that are too many, get nothing new, and end once they have nothing."""
        staying = [seat for seat in self._seats if not rooms or seat.node_id in rooms][: self._size.size]
        self._leaving += [seat for seat in self._seats if seat not in staying]
        self._seats = staying
        for seat in [seat for seat in self._leaving if not seat.waiting]:
            self._leaving.remove(seat)
            self._makers.end(seat.actor)

    async def _open_late(self, node_id: str | None) -> None:
        """In mid-run a verifier that cannot start is one less; the next look tries again, or elsewhere."""
        try:
            await asyncio.wait_for(self._open(node_id, tries=1), OPEN_S)
        except (RayError, TroopError, TimeoutError) as error:
            if isinstance(error, BadInput):
                self._refused.add(node_id)

    async def _open(self, node_id: str | None, tries: int = START_TRIES) -> None:
        for _ in range(tries):
            actor = self._makers.new_verifier(self._cpus if node_id else 0, node_id)
            try:
                await actor.prepare.remote()
            except RayTaskError as error:
                self._makers.end(actor)  # the error keeps its handle, and that its cores
                if isinstance(error.cause, BadInput):
                    raise error.cause from error
                raise
            except RayError:
                continue
            except asyncio.CancelledError:
                self._makers.end(actor)
                raise
            await self._add(Seat(actor, node_id))
            return
        raise VerifierFault(f"verifiers died {tries} times at their start")

    async def _add(self, seat: Seat) -> None:
        async with self._changed:
            self._seats.append(seat)
            self._changed.notify_all()

    async def _replace(self, dead: Seat) -> None:
        """Many batches learn of one death; the first of them lets the next look start a successor."""
        if dead in self._seats:
            self._seats.remove(dead)
