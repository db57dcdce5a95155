"""Where a run's work is done: in this process, or on a Ray cluster.

A place is opened before anything is written, so that what it cannot do is refused in time.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from cluster.batches import SetAside, Work
from cluster.placement import Placement
from cluster.spending import Spending
from cluster.tally import OnProgress, Progress, Tally
from jobs.budget import Budget, Watch, check_limits
from jobs.store.commit import RunSink
from jobs.sweep import Stop

Ended = tuple[tuple[SetAside, ...], str | None]  # the units set aside, and the limit that was reached
Limits = Callable[[Mapping[str, float]], Budget]  # from the GPUs that one engine of each model holds


@dataclass(frozen=True)
class Job:
    """All that a pipeline needs, wherever it runs."""

    work: Work
    sink: RunSink
    tally: Tally
    spending: Spending
    limits: Limits
    show: OnProgress


class Place(Protocol):
    """One of ``Here`` and ``OnRay``."""

    def check(self, work: Work, stop: Stop) -> None:
        """Raises BadInput for work that this place can never do, or a limit that it can never reach."""

    def run(self, job: Job) -> Ended:
        """Works until every unit is committed or set aside, or a limit is reached."""


@contextmanager
def opened(address: str | None, *, local: bool) -> Iterator[Place]:
    """The place that the command line names; raises BadInput where no cluster answers."""
    if local:
        yield Here()
        return
    from cluster.session import connected

    with connected(address) as (cpus, gpus):
        yield OnRay(cpus, gpus)


class Here:
    """This process, without Ray."""

    def check(self, work: Work, stop: Stop) -> None:
        check_limits(stop, {})

    def run(self, job: Job) -> Ended:
        from cluster.local import run_local

        watch = Watch(job.limits({}))
        if watch.reached:
            return (), watch.reached
        return run_local(job.work, job.sink, job.tally, job.show, watch, job.spending), watch.reached


class OnRay:
    """The cluster that this process is connected to, and its cores and GPUs. ``check`` comes before ``run``."""

    def __init__(self, cpus: float, gpus: float) -> None:
        self._cpus, self._gpus = cpus, gpus
        self._placement: Placement

    def check(self, work: Work, stop: Stop) -> None:
        from cluster.census import check_mark, look
        from cluster.nodes import survey
        from cluster.placement import place

        self._placement = place(work.models, self._cpus, self._gpus, work.verifiers, survey(work.models))
        check_limits(stop, self._held(work))
        check_mark(work.verifier_nodes, look())

    def run(self, job: Job) -> Ended:
        from cluster.actors import RayActors
        from cluster.metrics import Metrics
        from cluster.pipeline import Pipeline

        watch = Watch(job.limits(self._held(job.work)))
        if watch.reached:
            return (), watch.reached
        metrics = Metrics(
            job.sink.store.uri, lambda progress: watch.budget.spent(progress.engines).usd + progress.judge_usd
        )
        pipeline = Pipeline(job.work, RayActors(job.work, job.sink), self._placement, job.tally, job.spending)

        def tell(progress: Progress) -> None:
            job.show(progress)
            metrics(progress)

        return asyncio.run(pipeline.run(tell, watch)), watch.reached

    def _held(self, work: Work) -> dict[str, float]:
        """By model, what one engine holds of GPUs."""
        return {part.model.name: place.gpus for part, place in zip(work.models, self._placement.engines, strict=True)}
