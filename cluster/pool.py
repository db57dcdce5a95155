"""The verifier pool: equal candidates meet the same verifier, and a dead one's batches are sent again."""

import asyncio
from typing import Any

from ray.exceptions import RayActorError, RayTaskError

from cluster.actors import Actors, Ref
from cluster.batches import VerdictHeader
from cluster.placement import Placement
from sampling.errors import BadInput, VerifierFault
from sampling.samples import Unit

TRIES = 4  # of a batch
START_TRIES = 10  # of a verifier: before a run has begun, only a machine that cannot hold it should end it
LAG = 8  # batches


class VerifierPool:
    """Actors that each own a sandbox."""

    def __init__(self, makers: Actors, placement: Placement) -> None:
        self._makers, self._cpus = makers, placement.verifier_cpus
        self._actors: list[Any] = [makers.new_verifier(self._cpus) for _ in range(placement.verifiers)]
        self._waiting = [0] * len(self._actors)

    async def prepare(self) -> None:
        """Opens every sandbox that will be needed; raises BadInput where a node cannot give it."""
        await asyncio.gather(*(self._prepare(place) for place in range(len(self._actors))))

    async def _prepare(self, place: int) -> None:
        for _ in range(START_TRIES):
            actor = self._actors[place]
            try:
                await actor.prepare.remote()
                return
            except RayTaskError as error:
                if isinstance(error.cause, BadInput):
                    raise error.cause from error
                raise
            except RayActorError:
                self._replace(place, actor)
        raise VerifierFault(f"verifiers died {START_TRIES} times at their start")

    async def judge(self, batch: Ref, unit: Unit) -> tuple[VerdictHeader, Ref]:
        """The header of the batch's verdicts and a reference to them; raises VerifierFault after TRIES deaths."""
        for _ in range(TRIES):
            chosen = self._choose(unit)
            actor = self._actors[chosen]
            self._waiting[chosen] += 1
            try:
                header, verdicts = actor.judge.options(num_returns=2).remote(batch)
                return await header, verdicts
            except RayTaskError as error:
                if isinstance(error, RayActorError):  # the sampler died before the batch had left it
                    raise
                raise VerifierFault(f"verifier: {str(error).strip().splitlines()[-1]}") from error
            except RayActorError:
                self._replace(chosen, actor)
            finally:
                self._waiting[chosen] -= 1
        raise VerifierFault(f"verifiers died {TRIES} times over one batch")

    def stop(self) -> None:
        for actor in self._actors:
            self._makers.end(actor)

    def _choose(self, unit: Unit) -> int:
        """The verifier that knows the unit's other candidates, as equal ones are judged once; unless it lags."""
        usual, idlest = unit.number % len(self._actors), min(self._waiting)
        return usual if self._waiting[usual] <= idlest + LAG else self._waiting.index(idlest)

    def _replace(self, place: int, dead: Any) -> None:
        """Many batches learn of one death; the first of them starts the successor."""
        if self._actors[place] is dead:
            self._actors[place] = self._makers.new_verifier(self._cpus)
