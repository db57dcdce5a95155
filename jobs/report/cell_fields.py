"""Builds one cell of report.json, with one function per field that an estimator fills.

``decided`` holds the indices of the problems that have a decided sample. A field is empty or None where the counts hold
nothing that it could be made of; jobs/report/limits.py says why.
"""

from dataclasses import dataclass

import numpy as np

from jobs.numbers import beta_binomial, selection, votes
from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import Spend, rates, samples_drawn
from jobs.numbers.estimators import ONE_TWO_FIVE, RESAMPLES, Curve, Floats, Ints, coverage_bounds, k_grid
from jobs.numbers.extrapolate import Extrapolation, extrapolate, why_not_identified
from jobs.numbers.fits import fit_power_law
from jobs.numbers.intervals import Population, curve_over_problems
from jobs.numbers.selection import best_of_k, first_accepted, right_among_accepted, transform_of, weighted_at_k
from jobs.numbers.tally import Tally, bounds_over_all, coverage_curve, tally_of
from jobs.numbers.votes import majority_at_k
from jobs.report.metrics import metrics_of
from jobs.report.points import (
    BetaFit,
    BoundedPoint,
    Bounds,
    CopyRates,
    Cost,
    CoveragePoint,
    Extrapolated,
    ExtrapolationPoint,
    Fit,
    FlawPoint,
    ProblemCounts,
    SelectionPoint,
    Stopped,
)
from jobs.report.rounds import rounds_of
from jobs.report.schema import Cell
from sampling.judged_by import JudgedBy, in_words


@dataclass(frozen=True)
class Basis:
    """Settings by which the numbers of a report are computed."""

    population: Population = "problems"
    resamples: int = RESAMPLES
    seed: int = 0

    def alone(self, problems: int) -> bool:
        """Tells whether so many problems give no interval."""
        return problems == 1 and self.population == "problems"


FLAWS = (0.001, 0.01, 0.05)  # false-positive rates that a reader may ask about; the verifiers' own rate is unknown


def build_cell(
    cell: CellCounts,
    facts: ModelFacts,
    basis: Basis,
    judged_by: tuple[JudgedBy, ...] = (),
    compared: CellCounts | None = None,
) -> Cell:
    """Computes all numbers of one model on one task, and says how its problems were judged.

    Estimates are over the problems of ``compared``, the part of ``cell`` that all models of the task have.
    """
    part = compared or cell
    decided = decided_problems(part)
    tally = tally_of(part, decided)
    cost, drawn = rates(cell, facts), samples_drawn(cell)
    total = cost.total(len(cell.problem_ids), drawn)
    weighted, weighted_by = _weighted(part, decided, basis.seed)
    predicted, reason = _predicted(tally, basis.seed)
    curve, majority = _coverage(tally, basis), _majority(part, decided, basis.seed)
    return Cell(
        model=cell.model,
        task=cell.task,
        problems=max(len(cell.problem_ids), cell.planned_problems),
        samples=drawn,
        coverage=curve,
        bounded=_bounded(cell, basis),
        compared=len(decided),
        planned_samples=cell.planned_samples,
        unfinished=cell.unfinished,
        fit=_fit(tally, basis),
        majority=majority,
        best_of=_best_of(part, decided),
        weighted=weighted,
        duplicate_rate=cell.duplicate_rate,
        status_counts=dict(cell.status_counts),
        tokens=cell.tokens + cell.prompt_tokens if cell.tokens else None,
        flops=total.flops,
        gpu_hours=total.gpu_hours,
        usd=total.usd,
        baseline=facts.baseline,
        bounds=_bounds(part, decided),
        prompt_cost=_cost(cost.prompt),
        sample_cost=_cost(cost.sample),
        tiers=dict(cell.tiers),
        version=cell.version,
        copies=CopyRates(near=cell.copies.near, far=cell.copies.far) if cell.copies else None,
        per_problem=_per_problem(cell),
        beta_binomial=_beta_fit(tally),
        extrapolation=_extrapolation(predicted),
        extrapolated=_extrapolated(predicted),
        not_identified=reason,
        weighted_by=weighted_by,
        verifier_flaw=_verifier_flaw(tally),
        stopped=stopped(part, decided),
        rounds=rounds_of(cell),
        scores=cell.scores or None,
        policy=in_words(judged_by),
        judged_by=judged_by,
        finish_counts=dict(cell.finish_counts),
        cut=cell.cut,
        nothing_extracted=cell.nothing_extracted,
        invalid_reasons=dict(cell.invalid_reasons),
        metrics=metrics_of(part, decided, curve, majority),
        series=dict(facts.series),
    )


def decided_problems(cell: CellCounts) -> Ints:
    """Returns the indices of the problems that have a decided sample."""
    return np.flatnonzero(cell.n > 0)


def stopped(cell: CellCounts, decided: Ints) -> Stopped | None:
    """Returns both estimates of pass@1 where sampling stopped at a number of passes, else None."""
    tally = tally_of(cell, decided)
    if tally.stopping is None or not len(decided):
        return None
    one_try, biased = tally.mean(1), float((tally.c / tally.n).mean())
    return Stopped(successes=tally.stopping.retire_at, one_try=one_try, biased=biased, cap=tally.stopping.cap)


def _coverage(tally: Tally, basis: Basis) -> tuple[CoveragePoint, ...]:
    if not len(tally.n):
        return ()
    curve = coverage_curve(tally, population=basis.population)
    return tuple(
        CoveragePoint(k=int(k), value=float(v), low=low, high=high)
        for k, v, low, high in zip(curve.ks, curve.value, *_ends(curve, basis.alone(len(tally.n))), strict=True)
    )


def _ends(curve: Curve, alone: bool) -> tuple[list[float | None], list[float | None]]:
    """Returns both ends of a curve's interval; None where there is nothing to compute it from."""
    low, high = ([None if alone else float(end) for end in ends] for ends in (curve.low, curve.high))
    return low, high


def _bounded(cell: CellCounts, basis: Basis) -> tuple[BoundedPoint, ...]:
    """Computes bounds over all planned problems, at each k that some problem has too few samples for."""
    tally, unmet = tally_of(cell, decided_problems(cell)), cell.unmet
    if not len(tally.n) or (not unmet and tally.largest == tally.furthest):
        return ()
    ks = k_grid(tally.furthest)
    ks = ks if unmet else ks[ks > tally.largest]
    worst, best, low, high = bounds_over_all(tally, unmet, ks, basis.population)
    alone = basis.alone(len(tally.n) + unmet)
    return tuple(
        BoundedPoint(k=int(k), worst=float(worst[i]), best=float(best[i]), low=None if alone else float(low[i]),
                     high=None if alone else float(high[i]), short=int((tally.reach < k).sum()) + unmet)
        for i, k in enumerate(ks)
    )  # fmt: skip


def _fit(tally: Tally, basis: Basis) -> Fit | None:
    law = fit_power_law(tally.without_short(), basis.resamples, basis.seed) if len(tally.n) else None
    if law is None:
        return None
    return Fit(
        a=law.a, b=law.b, loss=law.loss, a_low=law.a_low, a_high=law.a_high, b_low=law.b_low, b_high=law.b_high,
        error_mean=law.error_mean, error_sd=law.error_sd,
    )  # fmt: skip


def _selection_ks(n: Ints) -> Ints:
    return k_grid(int(n.min()), ONE_TWO_FIVE)


def _majority(cell: CellCounts, decided: Ints, seed: int) -> tuple[SelectionPoint, ...]:
    if not cell.answers or not len(decided):
        return ()
    n, ks = cell.selectable[decided], _selection_ks(cell.selectable[decided])
    return _mean_points(ks, majority_at_k([votes.one_right_answer(cell.answers[i]) for i in decided], n, ks, seed))


def _best_of(cell: CellCounts, decided: Ints) -> tuple[SelectionPoint, ...]:
    """Computes best of k. Where the task has answers, a sample without one is no candidate, whatever its score."""
    if not cell.scored or not len(decided):
        return ()
    n, ks = cell.selectable[decided], _selection_ks(cell.selectable[decided])
    scored = [cell.scored[i].with_answer() if cell.answers else cell.scored[i] for i in decided]
    return _mean_points(ks, best_of_k(scored, n, ks))


def _weighted(cell: CellCounts, decided: Ints, seed: int) -> tuple[tuple[SelectionPoint, ...], str | None]:
    """Computes the weighted vote; returns it with the name of the transform that made weights of scores."""
    if not cell.scored or not cell.answers or not len(decided):
        return (), None
    n, ks, scored = (
        cell.selectable[decided],
        _selection_ks(cell.selectable[decided]),
        [selection.one_right_answer(cell.scored[i]) for i in decided],
    )
    transform = transform_of(scored)
    return _mean_points(ks, weighted_at_k(scored, n, ks, transform, seed)), transform


def _mean_points(ks: Ints, values: Floats) -> tuple[SelectionPoint, ...]:
    """Returns the mean of ``values`` (P, K) over problems as points."""
    curve = curve_over_problems(ks, np.clip(values, 0.0, 1.0))
    return tuple(
        SelectionPoint(k=int(k), value=float(v), low=low, high=high)
        for k, v, low, high in zip(ks, curve.value, *_ends(curve, len(values) == 1), strict=True)
    )


def _bounds(cell: CellCounts, decided: Ints) -> Bounds | None:
    """Returns bounds at the largest k, over all problems; None where nothing is hidden or a problem has no sample.

    Adaptive sampling has them at the end of its first round.
    """
    part = cell.rounds.first if cell.rounds else cell  # later rounds are drawn because of earlier outcomes
    hidden = part.faults.any() or part.timeouts.any()
    drawn = part.n + part.faults
    if not hidden or not len(decided) or not drawn.min() or not part.n[decided].min():
        return None
    k = int(min(part.n[decided].min(), drawn.min()))
    curve = coverage_bounds(part.n, part.c, part.faults, part.timeouts, [k])
    return Bounds(k=k, low=float(curve.low[0]), high=float(curve.high[0]))


def _per_problem(cell: CellCounts) -> tuple[ProblemCounts, ...]:
    columns = zip(cell.problem_ids, cell.n, cell.c, cell.faults, cell.timeouts, strict=True)
    return tuple(
        ProblemCounts(id=name, n=int(n), c=int(c), faults=int(faults), timeouts=int(timeouts))
        for name, n, c, faults, timeouts in columns
    )


def _cost(spend: Spend) -> Cost:
    return Cost(tokens=spend.tokens, flops=spend.flops, gpu_hours=spend.gpu_hours, usd=spend.usd)


def _beta_fit(tally: Tally) -> BetaFit | None:
    fit = beta_binomial.fit_beta_binomial(tally.without_short()) if len(tally.n) else None
    if fit is None:
        return None
    return BetaFit(alpha=fit.alpha, beta=fit.beta, loss=beta_binomial.LOSS, error_mean=fit.error_mean,
                   error_sd=fit.error_sd)  # fmt: skip


def _predicted(tally: Tally, seed: int) -> tuple[Extrapolation | None, str]:
    """Returns the extrapolation, or the reason why there is none."""
    if not len(tally.n):
        return None, "not identified: no sample is decided"
    long = tally.without_short()
    return extrapolate(long, seed), why_not_identified(long) or ""


def _extrapolation(found: Extrapolation | None) -> tuple[ExtrapolationPoint, ...]:
    if found is None:
        return ()
    return tuple(
        ExtrapolationPoint(kind=kind, k=found.k, value=value, prefix=found.prefix, measured_k=found.measured_k,
                           error=found.error)
        for kind, value in found.anchored.items()
    )  # fmt: skip


def _extrapolated(found: Extrapolation | None) -> Extrapolated | None:
    if found is None:
        return None
    return Extrapolated(k=found.k, value=found.value, low=found.low, high=found.high, error=found.error)


def _verifier_flaw(tally: Tally) -> tuple[FlawPoint, ...]:
    """Computes one point per assumed rate, at the largest k: one more sample hardly changes the first accepted one.

    Empty where sampling stopped at a number of passes: counts then say too little about the rejected samples.
    """
    if not len(tally.n) or not tally.c.any() or tally.stopping:
        return ()
    n, c = tally.n, tally.c
    k = tally.largest
    found = tally.mean(k)
    values = {rate: first_accepted(n, c, right_among_accepted(n, c, rate), [k]).mean() for rate in FLAWS}
    return tuple(
        FlawPoint(false_positive_rate=rate, k=k, value=float(value), coverage=found) for rate, value in values.items()
    )
