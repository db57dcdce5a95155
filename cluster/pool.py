"""The verifier pool.

Equal candidates go to the same verifier, and a dead verifier's batches are sent again. The pool grows and shrinks with
the backlog and with the nodes that have cores for it.
"""

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
from cluster.session import one_line
from cluster.sharing import fill
from sampling.errors import BadInput, TroopError, VerifierFault
from sampling.samples import Unit

TRIES = 4  # deaths of verifiers over one batch
START_TRIES = 10  # of the first verifiers: only a machine that cannot hold them should end a run at its start
START_PAUSE_S = 1.0  # between two tries: a busy cluster refuses ten of them within a second
LAG = 8  # batches
OPEN_S = 120.0  # a verifier whose cores someone else holds is given up, and tried again
FIRST = 2  # verifiers that a pool starts with, where it has slots for them
FIRST_SHARE = 4  # a large pool starts with one verifier for every FIRST_SHARE slots


@dataclass(eq=False, slots=True)
class Member:
    """One verifier of the pool: its actor, the node it was sent to, and how many batches wait for it."""

    actor: Any
    node_id: str | None
    waiting: int = 0


class VerifierPool:
    """Actors that each own a sandbox. ``fixed`` is the size that the user set, None lets it follow the backlog."""

    def __init__(self, makers: Actors, placement: Placement, fixed: int | None = None) -> None:
        self._makers, self._cpus, self._fixed = makers, placement.verifier_cpus, fixed
        self._members: list[Member] = []
        self._leaving: list[Member] = []
        self._refused: set[str | None] = set()  # nodes that came later and cannot provide a sandbox
        self._starting: dict[asyncio.Task[None], str | None] = {}
        self._size = PoolSize(fixed or max(min(FIRST, placement.verifiers), placement.verifiers // FIRST_SHARE))
        self._changed = asyncio.Condition()

    @property
    def size(self) -> int:
        return len(self._members)

    async def prepare(self, slots: Mapping[str, int]) -> None:
        """Starts the first verifiers; raises BadInput if a node cannot provide their sandbox.

        ``slots`` says how many verifiers each node holds, by node id.
        """
        count = min(self._size.size, sum(slots.values()) or 1)
        await asyncio.gather(*(self._open(node_id) for node_id in self._choose_nodes(slots, count)))

    def steer(self, slots: Mapping[str, int], waiting: int) -> None:
        """Follows the backlog of ``waiting`` batches and the nodes: starts verifiers, and retires others."""
        slots = {node_id: count for node_id, count in slots.items() if node_id not in self._refused}
        most = sum(slots.values()) or 1
        least = min(self._fixed or 1, most)
        self._size = self._size.after(waiting, least, min(self._fixed or most, most))
        self._retire(slots)
        for node_id in self._choose_nodes(slots, self._size.size - len(self._members) - len(self._starting)):
            task = asyncio.create_task(self._open_late(node_id))
            self._starting[task] = node_id
            task.add_done_callback(self._starting.pop)

    async def verify(self, batch: Ref, unit: Unit) -> tuple[VerdictHeader, Ref]:
        """Returns the header of a batch's verdicts and a reference to them.

        Raises VerifierFault after TRIES deaths of verifiers over this batch.
        """
        for _ in range(TRIES):
            member = await self._choose(unit)
            member.waiting += 1
            try:
                header, verdicts = member.actor.verify.options(num_returns=2).remote(batch)
                return await header, verdicts
            except RayTaskError as error:
                if isinstance(error, RayActorError):  # the sampler died before the batch had left it
                    raise
                raise VerifierFault(f"verifier: {str(error).strip().splitlines()[-1]}") from error
            except RayActorError:
                await self._drop(member)
            finally:
                member.waiting -= 1
        raise VerifierFault(f"verifiers died {TRIES} times over one batch")

    def stop(self) -> None:
        for task in self._starting:
            task.cancel()
        for member in self._members + self._leaving:
            self._makers.end(member.actor)

    async def _choose(self, unit: Unit) -> Member:
        """Returns the verifier with the unit's other candidates, as equal ones are verified once; unless it lags."""
        if not self._members:
            async with self._changed:
                await self._changed.wait_for(lambda: self._members)
        usual = self._members[unit.number % len(self._members)]
        if usual.waiting <= LAG:  # nearly always, so that a batch costs no look at a thousand members
            return usual
        idlest = min(self._members, key=lambda member: member.waiting)
        return usual if usual.waiting <= idlest.waiting + LAG else idlest

    def _choose_nodes(self, slots: Mapping[str, int], count: int) -> list[str | None]:
        """Returns nodes for ``count`` more verifiers. If no node has a core left, one shares the engines' cores."""
        if not slots:
            return [None] * min(1, count)
        taken = Counter(
            node for node in (*(member.node_id for member in self._members), *self._starting.values()) if node
        )
        return list(fill(slots, taken, count))

    def _retire(self, slots: Mapping[str, int]) -> None:
        """Drains verifiers on leaving nodes and surplus ones; ends each when it is idle."""
        staying = [member for member in self._members if not slots or member.node_id in slots][: self._size.size]
        self._leaving += [member for member in self._members if member not in staying]
        self._members = staying
        for member in [member for member in self._leaving if not member.waiting]:
            self._leaving.remove(member)
            self._makers.end(member.actor)

    async def _open_late(self, node_id: str | None) -> None:
        """Starts a verifier in mid-run. If it cannot start, a later look tries again, perhaps elsewhere."""
        try:
            await asyncio.wait_for(self._open(node_id, tries=1), OPEN_S)
        except (RayError, TroopError, TimeoutError) as error:
            if isinstance(error, BadInput):
                self._refused.add(node_id)

    async def _open(self, node_id: str | None, tries: int = START_TRIES) -> None:
        last = ""
        for _ in range(tries):
            actor = self._makers.new_verifier(self._cpus if node_id else 0, node_id)
            try:
                await actor.prepare.remote()
            except RayTaskError as error:
                self._makers.end(actor)  # the error keeps the actor's handle, and the handle its cores
                if isinstance(error.cause, BadInput):
                    raise error.cause from error
                raise
            except RayError as error:
                last = one_line(error)
                await asyncio.sleep(START_PAUSE_S)
                continue
            except asyncio.CancelledError:
                self._makers.end(actor)
                raise
            await self._add(Member(actor, node_id))
            return
        raise VerifierFault(f"verifiers died {tries} times at their start: {last}")

    async def _add(self, member: Member) -> None:
        async with self._changed:
            self._members.append(member)
            self._changed.notify_all()

    async def _drop(self, dead: Member) -> None:
        """Drops a dead verifier, which several batches may report; the next look starts a successor."""
        if dead in self._members:
            self._members.remove(dead)
