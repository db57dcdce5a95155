"""The driver's metrics for Prometheus, through Ray's metrics agent: one table of names, one class that sets them.

Ray puts ``ray_`` before every name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cluster.tally import Progress


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric's name and meaning, and how to read it from a snapshot."""

    name: str
    meaning: str
    read: Callable[[Progress], float]


MEASURES = (
    Measure("troop_planned_samples", "samples that the run asks for", lambda p: p.planned),
    Measure("troop_committed_samples", "samples committed, by earlier calls too", lambda p: p.committed),
    Measure("troop_sampled_samples", "samples that engines of this driver have drawn", lambda p: p.sampled),
    Measure("troop_verified_samples", "samples that verifiers of this driver have verified", lambda p: p.verified),
    Measure("troop_backlog_samples", "samples that wait for a verdict", lambda p: p.backlog),
    Measure("troop_tokens", "tokens that engines have generated", lambda p: sum(e.tokens for e in p.engines)),
    Measure("troop_tokens_per_second", "tokens/s of all engines", lambda p: sum(e.tokens_per_s for e in p.engines)),
    Measure("troop_engines", "engines that sample now", lambda p: sum(e.state == "sampling" for e in p.engines)),
    Measure("troop_starved_share", "share of ready engines' time without work", lambda p: p.idle),
    Measure("troop_engine_restarts", "restarts of engines", lambda p: sum(e.restarts for e in p.engines)),
    Measure("troop_set_aside_units", "units set aside in this call", lambda p: p.set_aside),
    Measure(
        "troop_engine_seconds", "seconds for which engines held their share", lambda p: sum(e.held_s for e in p.engines)
    ),
)
USD = "troop_usd"


class Metrics:
    """Sets every measure from a snapshot; needs a connected Ray.

    ``run`` is the tag that tells runs apart, ``usd`` reads the dollars that this driver's engines have cost.
    """

    def __init__(self, run: str, usd: Callable[[Progress], float]) -> None:
        from ray.util.metrics import Gauge

        self._tags = {"run": run}
        self._measures = (*MEASURES, Measure(USD, "dollars that this driver's engines have cost", usd))
        self._gauges: dict[str, Any] = {
            each.name: Gauge(each.name, description=each.meaning, tag_keys=("run",)) for each in self._measures
        }

    def __call__(self, progress: Progress) -> None:
        for measure in self._measures:
            self._gauges[measure.name].set(measure.read(progress), tags=self._tags)
