"""The numbers of one cell beyond coverage: selection by scores, flawed verifiers, the second fit, extrapolation.

Each is empty or None where the cell has nothing that it could be made of; jobs/report/figures.py says so in ``limits``.
"""

import numpy as np

from jobs.numbers import beta_binomial
from jobs.numbers.cells import CellCounts
from jobs.numbers.estimators import (
    ONE_TWO_FIVE,
    Floats,
    Ints,
    coverage,
    first_try_when_stopped,
    k_grid,
    stopped_at,
)
from jobs.numbers.extrapolate import extrapolations
from jobs.numbers.selection import best_of_k, first_accepted, right_among_accepted, transform_of, weighted_at_k
from jobs.numbers.votes import majority_at_k
from jobs.report.schema import BetaFit, ExtrapolationPoint, FlawPoint, SelectionPoint, Stopped

FLAWS = (0.001, 0.01, 0.05)  # false-positive rates: none is known to be ours, these are what a reader may ask about


def selection_ks(n: Ints) -> Ints:
    return k_grid(int(n.min()), ONE_TWO_FIVE)


def majority(cell: CellCounts, held: Ints, seed: int) -> tuple[SelectionPoint, ...]:
    if not cell.answers or not len(held):
        return ()
    n, ks = cell.n[held], selection_ks(cell.n[held])
    return _points(ks, majority_at_k([cell.answers[i] for i in held], n, ks, seed))


def best_of(cell: CellCounts, held: Ints) -> tuple[SelectionPoint, ...]:
    """Where a task has answers at all, a sample without one is no candidate, however it scores."""
    if not cell.scored or not len(held):
        return ()
    n, ks = cell.n[held], selection_ks(cell.n[held])
    scored = [cell.scored[i].with_answer() if cell.answers else cell.scored[i] for i in held]
    return _points(ks, best_of_k(scored, n, ks))


def weighted(cell: CellCounts, held: Ints, seed: int) -> tuple[tuple[SelectionPoint, ...], str | None]:
    """The weighted vote, and the transform that made weights of scores."""
    if not cell.scored or not cell.answers or not len(held):
        return (), None
    n, ks, scored = cell.n[held], selection_ks(cell.n[held]), [cell.scored[i] for i in held]
    transform = transform_of(scored)
    return _points(ks, weighted_at_k(scored, n, ks, transform, seed)), transform


def beta_fit(cell: CellCounts, held: Ints) -> BetaFit | None:
    fit = beta_binomial.fit_beta_binomial(cell.n[held], cell.c[held]) if len(held) else None
    if fit is None:
        return None
    return BetaFit(alpha=fit.alpha, beta=fit.beta, loss=beta_binomial.LOSS, error_mean=fit.error_mean,
                   error_sd=fit.error_sd)  # fmt: skip


def extrapolated(cell: CellCounts, held: Ints, seed: int) -> tuple[ExtrapolationPoint, ...]:
    found = extrapolations(cell.n[held], cell.c[held], seed) if len(held) else ()
    return tuple(
        ExtrapolationPoint(kind=each.kind, k=each.k, value=each.value, prefix=each.prefix,
                           measured_k=each.measured_k, error=each.error)
        for each in found
    )  # fmt: skip


def verifier_flaw(cell: CellCounts, held: Ints) -> tuple[FlawPoint, ...]:
    """At the largest k: by then a further sample hardly changes which is accepted first."""
    if not len(held) or not cell.c[held].any():
        return ()
    n, c = cell.n[held], cell.c[held]
    k = int(n.min())
    found = float(coverage(n, c, [k])[0])
    values = {rate: first_accepted(n, c, right_among_accepted(n, c, rate), [k]).mean() for rate in FLAWS}
    return tuple(
        FlawPoint(false_positive_rate=rate, k=k, value=float(value), coverage=found) for rate, value in values.items()
    )


def stopped(cell: CellCounts, held: Ints) -> Stopped | None:
    n, c = cell.n[held], cell.c[held]
    successes = stopped_at(n, c)
    if successes is None:
        return None
    one_try = first_try_when_stopped(n, c, successes)
    return Stopped(successes=successes, one_try=float(one_try.mean()), biased=float((c / n).mean()))


def limits_of(cell: CellCounts, held: Ints) -> list[str]:
    """What these numbers do not say, one sentence each."""
    lines, found = [], stopped(cell, held)
    if found is not None:
        end = "the first success" if found.successes == 1 else f"{found.successes} successes"
        lines.append(
            f"sampling seems to have been stopped at {end}, so n depends on the outcome and pass@k is biased upwards "
            f"(pass@1 is shown as {found.biased:.3g}; the unbiased estimate is {found.one_try:.3g})."
        )
    if cell.unscorable:
        lines.append(f"{cell.unscorable}.")
    return lines


def _points(ks: Ints, values: Floats) -> tuple[SelectionPoint, ...]:
    """The mean over problems."""
    return tuple(SelectionPoint(k=int(k), value=float(v)) for k, v in zip(ks, np.mean(values, axis=0), strict=True))
