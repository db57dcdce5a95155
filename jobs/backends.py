"""The two ways to do a run's work: in this process, or on a Ray cluster.

A backend is opened, and has accepted the work, before anything is written: what it cannot do is refused in time.
"""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cluster.batches import Work
from cluster.placement import Placement
from cluster.queue import Allowance, SetAside
from cluster.sink import Rounds
from cluster.spending import Spending
from cluster.tally import OnProgress, Progress, Tally
from jobs.budget import Budget, LimitCheck, check_limits
from jobs.doctor.cluster import Needs, refuse_unfit
from jobs.store.commit import RunSink
from jobs.store.leases import Leases
from jobs.sweep import Stop
from sampling.engines.hardware import Formats, formats_here

if TYPE_CHECKING:
    from cluster.actors import RayActors

Result = tuple[tuple[SetAside, ...], str | None]  # the units set aside, and the limit that was reached
Limits = Callable[[Mapping[str, float]], Budget]  # takes the GPUs that one engine of each model holds


@dataclass(frozen=True)
class Job:
    """Everything that a pipeline needs on any backend."""

    work: Work
    sink: RunSink
    leases: Leases
    tally: Tally
    spending: Spending
    limits: Limits
    show: OnProgress
    rounds: Rounds


class ReadyBackend(Protocol):
    """A backend that has accepted the work."""

    def start_engines(self, work: Work) -> None:
        """Starts engines before it is certain that they will have work; ``run`` takes them over."""

    def run(self, job: Job) -> Result:
        """Works until every unit is committed or set aside, or a limit is reached."""


class Backend(Protocol):
    """One of LocalBackend and RayBackend."""

    def prepare(self, work: Work, stop: Stop) -> ReadyBackend:
        """Accepts the work; raises BadInput for work that the backend can never do, or a limit it can never reach."""

    def check(self, needs: Needs) -> None:
        """Raises BadInput where a machine that would do the work lacks something."""

    def formats(self) -> Sequence[tuple[str, Formats]]:
        """Returns type of GPU ("" where unknown) and native number formats of each machine for engines."""


@contextmanager
def open_backend(address: str | None, *, local: bool) -> Iterator[Backend]:
    """Opens the backend that the command line names, with a connection to Ray; raises BadInput when none answers."""
    if local:
        yield LocalBackend()
        return
    from cluster.session import connect_ray

    with connect_ray(address) as (cpus, gpus):
        yield RayBackend(cpus, gpus, address or os.environ.get("RAY_ADDRESS"))


def _drawn(work: Work, tally: Tally) -> int:
    """Returns how many samples the models of a sweep have, over all calls; imported ones do not count."""
    drawing = {member.model.name for shared in work.models for member in shared.members}
    return sum(cell.committed for cell in tally.cells.values() if cell.model in drawing)


class LocalBackend:
    """The backend in this process, without Ray."""

    def check(self, needs: Needs) -> None:
        """Checks nothing: resolving the sweep has looked at this machine."""

    def formats(self) -> Sequence[tuple[str, Formats]]:
        return [("", formats_here())]

    def prepare(self, work: Work, stop: Stop) -> "LocalBackend":
        check_limits(stop, {})
        return self

    def start_engines(self, work: Work) -> None:
        """Starts none: this process has other things to do first."""

    def run(self, job: Job) -> Result:
        from cluster.local import run_local

        limit = LimitCheck(job.limits({}), drawn := _drawn(job.work, job.tally))
        if limit.reached:
            return (), limit.reached
        allowed = Allowance(limit.budget.samples_left(drawn))
        aside = run_local(job.work, job.sink, job.tally, job.show, limit, job.spending, job.leases, job.rounds, allowed)
        limit.check_samples(_drawn(job.work, job.tally))
        return aside, limit.reached


@dataclass(frozen=True)
class RayBackend:
    """The backend on the connected cluster, with its cores and GPUs; ``address`` is None where we have started it."""

    cpus: float
    gpus: float
    address: str | None = None

    def check(self, needs: Needs) -> None:
        if self.address is not None:
            refuse_unfit(needs, self.address)

    def formats(self) -> Sequence[tuple[str, Formats]]:
        from cluster.nodes import list_formats

        return list_formats() if self.address is not None else [("", formats_here())]

    def prepare(self, work: Work, stop: Stop) -> "ReadyRay":
        from cluster.nodes import check_mark, list_nodes, survey
        from cluster.placement import place

        ready = ReadyRay(place(work.models, self.cpus, self.gpus, work.verifiers, survey(work.models)))
        check_limits(stop, ready.gpus_held(work))
        check_mark(work.verifier_nodes, list_nodes())
        return ready


@dataclass
class ReadyRay:
    """The connected cluster, shared out among models and verifiers. ``early`` has started engines of this work."""

    placement: Placement
    early: "tuple[Work, RayActors] | None" = None

    def start_engines(self, work: Work) -> None:
        from cluster.actors import RayActors

        self.early = work, RayActors(work)
        self.early[1].start_early(self.placement.engines)

    def _actors(self, job: Job) -> "RayActors":
        """Returns the makers with the engines that were started for the same work, or new ones."""
        from cluster.actors import RayActors

        if self.early and _same_engines(self.early[0], job.work):
            actors = self.early[1]
            actors.commit_to(job.sink)
            return actors
        if self.early:
            self.early[1].end_early()
        return RayActors(job.work, job.sink)

    def run(self, job: Job) -> Result:
        from cluster.metrics import Metrics
        from cluster.pipeline import Pipeline

        limit = LimitCheck(job.limits(self.gpus_held(job.work)), drawn := _drawn(job.work, job.tally))
        if limit.reached:
            return (), limit.reached
        metrics = Metrics(
            job.sink.store.uri, lambda progress: limit.budget.spent(progress.engines).usd + progress.judge_usd
        )
        actors = self._actors(job)
        allowed = Allowance(limit.budget.samples_left(drawn))
        pipeline = Pipeline(job.work, actors, self.placement, job.tally, job.spending, job.leases, job.rounds, allowed)

        def show(progress: Progress) -> None:
            job.show(progress)
            metrics(progress)

        try:
            aside = asyncio.run(pipeline.run(show, limit))
        finally:
            actors.end_early()
        limit.check_samples(_drawn(job.work, job.tally))
        return aside, limit.reached

    def gpus_held(self, work: Work) -> dict[str, float]:
        """Returns the GPUs that one engine of each model holds, by model."""
        return {part.model.name: slot.all_gpus for part, slot in zip(work.models, self.placement.engines, strict=True)}


def _same_engines(early: Work, work: Work) -> bool:
    """Tells whether engines started for ``early`` are the ones of ``work``; another driver may have planned since."""
    started = {part.model.name: part.info for part in early.models}
    return early.problems is work.problems and all(started.get(m.model.name) == m.info for m in work.models)
