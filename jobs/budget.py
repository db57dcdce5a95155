"""The limits of a run: dollars, GPU hours, samples, or time. At the first one reached no further unit is started.

Units in flight are finished and committed, so a limit is passed by their cost at most. Raise the limit, and the
same command goes on.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cluster.tally import EngineProgress, Progress
from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import MILLION, SECONDS_AN_HOUR, rates, samples_drawn
from jobs.sweep import Stop, Sweep
from sampling.errors import BadInput
from sampling.settings import ModelSpec


@dataclass(frozen=True, slots=True)
class Spent:
    """Amounts in dollars and GPU hours."""

    usd: float = 0.0
    gpu_hours: float = 0.0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.usd + other.usd, self.gpu_hours + other.gpu_hours)


@dataclass(frozen=True)
class Budget:
    """The limits, what earlier calls have spent (``before``), and by model its settings and the GPUs of one engine."""

    stop: Stop
    models: Mapping[str, ModelSpec]
    gpus: Mapping[str, float]
    before: Spent = Spent()

    def spent(self, engines: Iterable[EngineProgress]) -> Spent:
        """Returns what these engines have spent."""
        return sum((self._engine(engine) for engine in engines), Spent())

    def _engine(self, engine: EngineProgress) -> Spent:
        """Counts all time for which an engine held its share of the cluster, its start included, and all its tokens."""
        model, hours = self.models[engine.model], engine.held_s / SECONDS_AN_HOUR
        tokens = engine.tokens / MILLION
        usd = (model.prices.per_engine_hour or 0.0) * hours + (model.prices.per_million_tokens or 0.0) * tokens
        return Spent(usd, self.gpus.get(model.name, 0.0) * hours)

    def samples_left(self, drawn: int) -> int | None:
        """Returns how many samples may still be drawn; None without a limit."""
        return None if self.stop.samples is None else max(0, self.stop.samples - drawn)

    def reached(self, engines: Iterable[EngineProgress], now: datetime, judge_usd: float = 0.0) -> str | None:
        """Says which limit is reached; returns None if none is."""
        spent = self.before + self.spent(engines) + Spent(judge_usd)
        if self.stop.usd is not None and spent.usd >= self.stop.usd:
            return f"stop.usd: {spent.usd:.2f} of {self.stop.usd:g} dollars are spent"
        if self.stop.gpu_hours is not None and spent.gpu_hours >= self.stop.gpu_hours:
            return f"stop.gpu_hours: {spent.gpu_hours:.3g} of {self.stop.gpu_hours:g} GPU hours are used"
        if self.stop.until is not None and now >= self.stop.until:
            return f"stop.until: it is {self.stop.until.isoformat(sep=' ')}"
        return None


class LimitCheck:
    """Checks a budget before the first engine starts and at every snapshot; keeps the limit that ended the run."""

    def __init__(self, budget: Budget, drawn: int = 0) -> None:
        self.budget = budget
        self.reached = budget.reached((), datetime.now(UTC))
        self.check_samples(drawn)

    def check_samples(self, drawn: int) -> None:
        """Looks at the samples that the run has; the pipeline itself starts no unit beyond the limit."""
        if not self.reached and self.budget.samples_left(drawn) == 0:
            self.reached = f"stop.samples: {drawn:,} of {self.budget.stop.samples:,} samples are drawn"

    def __call__(self, progress: Progress) -> bool:
        self.reached = self.reached or self.budget.reached(progress.engines, datetime.now(UTC), progress.judge_usd)
        return self.reached is not None


def check_limits(stop: Stop, gpus: Mapping[str, float]) -> None:
    """Raises BadInput for a limit that can never be reached; ``gpus`` is how many an engine of each model holds."""
    if stop.gpu_hours is not None and not any(gpus.values()):
        raise BadInput("stop.gpu_hours: there is no GPU here; allowed: stop.usd, stop.samples, stop.until")


def open_budget(sweep: Sweep, *, gpus: Mapping[str, float], earlier: Callable[[], Spent]) -> Budget:
    """Returns the budget of a sweep; ``earlier`` is called only if a limit needs what earlier calls have spent."""
    stop, models = sweep.stop, {model.name: model for model in sweep.models}
    counts = stop.usd is not None or stop.gpu_hours is not None
    return Budget(stop, models, gpus, earlier() if counts else Spent())


def committed_spend(cells: Iterable[CellCounts], facts: Mapping[str, ModelFacts]) -> Spent:
    """Returns what the committed samples cost, as the report counts it: without lost units and engine starts."""
    costs = [rates(c, facts[c.model]).total(len(c.problem_ids), samples_drawn(c)) for c in cells]
    return Spent(sum(cost.usd or 0.0 for cost in costs), sum(cost.gpu_hours or 0.0 for cost in costs))
