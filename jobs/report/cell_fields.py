"""Builds one cell of report.json, with one function per field that an estimator fills.

``decided`` holds the indices of the problems that have a decided sample. A field is empty or None where the counts hold
nothing that it could be made of; jobs/report/limits.py says why.
"""

import numpy as np

from jobs.numbers import beta_binomial
from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import Spend, rates, samples_drawn
from jobs.numbers.estimators import (
    ONE_TWO_FIVE,
    Floats,
    Ints,
    coverage,
    coverage_bounds,
    coverage_curve,
    first_try_when_stopped,
    k_grid,
    stopped_at,
)
from jobs.numbers.extrapolate import extrapolations
from jobs.numbers.fits import fit_power_law
from jobs.numbers.selection import best_of_k, first_accepted, right_among_accepted, transform_of, weighted_at_k
from jobs.numbers.votes import majority_at_k
from jobs.report.schema import (
    BetaFit,
    Bounds,
    Cell,
    CopyRates,
    Cost,
    CoveragePoint,
    ExtrapolationPoint,
    Fit,
    FlawPoint,
    ProblemCounts,
    SelectionPoint,
    Stopped,
)
from sampling.judged_by import JudgedBy, in_words

FLAWS = (0.001, 0.01, 0.05)  # false-positive rates that a reader may ask about; the verifiers' own rate is unknown


def build_cell(
    cell: CellCounts, facts: ModelFacts, resamples: int, seed: int, judged_by: tuple[JudgedBy, ...] = ()
) -> Cell:
    """Computes all numbers of one model on one task, and says how its problems were judged."""
    decided = decided_problems(cell)
    cost, drawn = rates(cell, facts), samples_drawn(cell)
    total = cost.total(len(cell.problem_ids), drawn)
    weighted, weighted_by = _weighted(cell, decided, seed)
    return Cell(
        model=cell.model,
        task=cell.task,
        problems=len(cell.problem_ids),
        samples=drawn,
        coverage=_coverage(cell, decided, resamples, seed),
        fit=_fit(cell, decided, resamples, seed),
        majority=_majority(cell, decided, seed),
        best_of=_best_of(cell, decided),
        weighted=weighted,
        duplicate_rate=cell.duplicate_rate,
        status_counts=dict(cell.status_counts),
        tokens=cell.tokens + cell.prompt_tokens if cell.tokens else None,
        flops=total.flops,
        gpu_hours=total.gpu_hours,
        usd=total.usd,
        baseline=facts.baseline,
        bounds=_bounds(cell, decided),
        prompt_cost=_cost(cost.prompt),
        sample_cost=_cost(cost.sample),
        tiers=dict(cell.tiers),
        version=cell.version,
        copies=CopyRates(near=cell.copies.near, far=cell.copies.far) if cell.copies else None,
        per_problem=_per_problem(cell),
        beta_binomial=_beta_fit(cell, decided),
        extrapolation=_extrapolated(cell, decided, seed),
        weighted_by=weighted_by,
        verifier_flaw=_verifier_flaw(cell, decided),
        stopped=stopped(cell, decided),
        scores=cell.scores or None,
        policy=in_words(judged_by),
        judged_by=judged_by,
    )


def decided_problems(cell: CellCounts) -> Ints:
    """Returns the indices of the problems that have a decided sample."""
    return np.flatnonzero(cell.n > 0)


def stopped(cell: CellCounts, decided: Ints) -> Stopped | None:
    """Returns both estimates of pass@1 where sampling seems to have stopped at a number of passes, else None."""
    n, c = cell.n[decided], cell.c[decided]
    successes = stopped_at(n, c) if len(decided) else None
    if successes is None:
        return None
    one_try = first_try_when_stopped(n, c, successes)
    return Stopped(successes=successes, one_try=float(one_try.mean()), biased=float((c / n).mean()))


def _coverage(cell: CellCounts, decided: Ints, resamples: int, seed: int) -> tuple[CoveragePoint, ...]:
    if not len(decided):
        return ()
    curve = coverage_curve(cell.n[decided], cell.c[decided], resamples=resamples, seed=seed)
    alone = len(decided) == 1
    return tuple(
        CoveragePoint(k=int(k), value=float(v), low=None if alone else float(low), high=None if alone else float(high))
        for k, v, low, high in zip(curve.ks, curve.value, curve.low, curve.high, strict=True)
    )


def _fit(cell: CellCounts, decided: Ints, resamples: int, seed: int) -> Fit | None:
    law = fit_power_law(cell.n[decided], cell.c[decided], resamples, seed) if len(decided) else None
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
    n, ks = cell.n[decided], _selection_ks(cell.n[decided])
    return _mean_points(ks, majority_at_k([cell.answers[i] for i in decided], n, ks, seed))


def _best_of(cell: CellCounts, decided: Ints) -> tuple[SelectionPoint, ...]:
    """Computes best of k. Where the task has answers, a sample without one is no candidate, whatever its score."""
    if not cell.scored or not len(decided):
        return ()
    n, ks = cell.n[decided], _selection_ks(cell.n[decided])
    scored = [cell.scored[i].with_answer() if cell.answers else cell.scored[i] for i in decided]
    return _mean_points(ks, best_of_k(scored, n, ks))


def _weighted(cell: CellCounts, decided: Ints, seed: int) -> tuple[tuple[SelectionPoint, ...], str | None]:
    """Computes the weighted vote; returns it with the name of the transform that made weights of scores."""
    if not cell.scored or not cell.answers or not len(decided):
        return (), None
    n, ks, scored = cell.n[decided], _selection_ks(cell.n[decided]), [cell.scored[i] for i in decided]
    transform = transform_of(scored)
    return _mean_points(ks, weighted_at_k(scored, n, ks, transform, seed)), transform


def _mean_points(ks: Ints, values: Floats) -> tuple[SelectionPoint, ...]:
    """Returns the mean of ``values`` (P, K) over problems as points."""
    return tuple(SelectionPoint(k=int(k), value=float(v)) for k, v in zip(ks, np.mean(values, axis=0), strict=True))


def _bounds(cell: CellCounts, decided: Ints) -> Bounds | None:
    """Returns bounds at the largest k, over all problems; None where nothing is hidden or a problem has no sample."""
    hidden = cell.faults.any() or cell.timeouts.any()
    drawn = cell.n + cell.faults
    if not hidden or not len(decided) or not drawn.min():
        return None
    k = int(min(cell.n[decided].min(), drawn.min()))
    curve = coverage_bounds(cell.n, cell.c, cell.faults, cell.timeouts, [k])
    return Bounds(k=k, low=float(curve.low[0]), high=float(curve.high[0]))


def _per_problem(cell: CellCounts) -> tuple[ProblemCounts, ...]:
    columns = zip(cell.problem_ids, cell.n, cell.c, cell.faults, cell.timeouts, strict=True)
    return tuple(
        ProblemCounts(id=name, n=int(n), c=int(c), faults=int(faults), timeouts=int(timeouts))
        for name, n, c, faults, timeouts in columns
    )


def _cost(spend: Spend) -> Cost:
    return Cost(tokens=spend.tokens, flops=spend.flops, gpu_hours=spend.gpu_hours, usd=spend.usd)


def _beta_fit(cell: CellCounts, decided: Ints) -> BetaFit | None:
    fit = beta_binomial.fit_beta_binomial(cell.n[decided], cell.c[decided]) if len(decided) else None
    if fit is None:
        return None
    return BetaFit(alpha=fit.alpha, beta=fit.beta, loss=beta_binomial.LOSS, error_mean=fit.error_mean,
                   error_sd=fit.error_sd)  # fmt: skip


def _extrapolated(cell: CellCounts, decided: Ints, seed: int) -> tuple[ExtrapolationPoint, ...]:
    found = extrapolations(cell.n[decided], cell.c[decided], seed) if len(decided) else ()
    return tuple(
        ExtrapolationPoint(kind=each.kind, k=each.k, value=each.value, prefix=each.prefix,
                           measured_k=each.measured_k, error=each.error)
        for each in found
    )  # fmt: skip


def _verifier_flaw(cell: CellCounts, decided: Ints) -> tuple[FlawPoint, ...]:
    """Computes one point per assumed rate, at the largest k: one more sample hardly changes the first accepted one."""
    if not len(decided) or not cell.c[decided].any():
        return ()
    n, c = cell.n[decided], cell.c[decided]
    k = int(n.min())
    found = float(coverage(n, c, [k])[0])
    values = {rate: first_accepted(n, c, right_among_accepted(n, c, rate), [k]).mean() for rate in FLAWS}
    return tuple(
        FlawPoint(false_positive_rate=rate, k=k, value=float(value), coverage=found) for rate, value in values.items()
    )
