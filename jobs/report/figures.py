"""From counts to report.json.

Whatever cannot be said (no baseline, no price, too few successes, no samples at all) is a line of ``limits`` instead
of a number: a reader is never left to guess whether a figure is missing or zero.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import Rates, Spend, check_prices, rates, samples_drawn
from jobs.numbers.crossover import Crossover, common_problems, find_crossover
from jobs.numbers.doubts import doubts
from jobs.numbers.estimators import (
    RESAMPLES,
    Ints,
    coverage_bounds,
    coverage_curve,
    highest_after_none,
)
from jobs.numbers.fits import fit_power_law, why_no_fit
from jobs.report import estimates
from jobs.report.schema import (
    Bounds,
    Cell,
    CopyRates,
    Cost,
    CoveragePoint,
    CrossoverReport,
    Fit,
    Prediction,
    ProblemCounts,
    Report,
)
from sampling.errors import BadInput


def build_report(
    cells: Sequence[CellCounts],
    facts: Mapping[str, ModelFacts],
    *,
    run: str = "",
    provenance: Mapping[str, str] | None = None,
    predicted: Sequence[Prediction] = (),
    notes: Sequence[str] = (),
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Report:
    """All numbers of a run. ``facts`` is by model name, ``notes`` are limits that only the caller can know."""
    limits = list(notes) if cells else ["The run holds no samples yet: there is nothing to report.", *notes]
    known = {cell.model: facts.get(cell.model, ModelFacts(cell.model)) for cell in cells}
    for each in known.values():
        check_prices(each)
    return Report(
        run=run,
        cells=tuple(_cell(cell, known[cell.model], limits, resamples, seed) for cell in cells),
        crossovers=_crossovers(cells, known, limits, resamples, seed),
        limits=tuple(limits),
        warnings=doubts(cells),
        provenance=dict(provenance or {}),
        predicted=tuple(predicted),
    )


def _cell(cell: CellCounts, facts: ModelFacts, limits: list[str], resamples: int, seed: int) -> Cell:
    _check_counts(cell)
    held = np.flatnonzero(cell.n > 0)
    limits.extend(f"{cell.model} on {cell.task}: {line}" for line in _limits(cell, facts, held))
    cost, drawn = rates(cell, facts), samples_drawn(cell)
    total = cost.total(len(cell.problem_ids), drawn)
    weighted, weighted_by = estimates.weighted(cell, held, seed)
    return Cell(
        model=cell.model,
        task=cell.task,
        problems=len(cell.problem_ids),
        samples=drawn,
        coverage=_coverage(cell, held, resamples, seed),
        fit=_fit(cell, held, resamples, seed),
        majority=estimates.majority(cell, held, seed),
        best_of=estimates.best_of(cell, held),
        weighted=weighted,
        duplicate_rate=cell.duplicate_rate,
        status_counts=dict(cell.status_counts),
        tokens=cell.tokens + cell.prompt_tokens if cell.tokens else None,
        flops=total.flops,
        gpu_hours=total.gpu_hours,
        usd=total.usd,
        baseline=facts.baseline,
        bounds=_bounds(cell, held),
        prompt_cost=_cost(cost.prompt),
        sample_cost=_cost(cost.sample),
        tiers=dict(cell.tiers),
        version=cell.version,
        copies=CopyRates(near=cell.copies.near, far=cell.copies.far) if cell.copies else None,
        per_problem=_per_problem(cell),
        beta_binomial=estimates.beta_fit(cell, held),
        extrapolation=estimates.extrapolated(cell, held, seed),
        weighted_by=weighted_by,
        verifier_flaw=estimates.verifier_flaw(cell, held),
        stopped=estimates.stopped(cell, held) if len(held) else None,
        scores=cell.scores or None,
    )


def _check_counts(cell: CellCounts) -> None:
    """Refuses counts that contradict themselves, before anything is computed from them; raises BadInput."""
    where, problems = f"{cell.model} on {cell.task}", len(cell.problem_ids)
    arrays = {"n": cell.n, "c": cell.c, "faults": cell.faults, "timeouts": cell.timeouts}
    for name, counts in arrays.items():
        if counts.shape != (problems,):
            raise BadInput(f"{where}: {name} has shape {counts.shape} for {problems} problems")
        if (counts < 0).any():
            raise BadInput(f"{where}: {name} holds a negative count")
    over = np.flatnonzero(cell.c > cell.n)
    if len(over):
        i = over[0]
        raise BadInput(f"{where}: problem {cell.problem_ids[i]!r} has c={cell.c[i]} passes of n={cell.n[i]} samples")
    if cell.answers and len(cell.answers) != problems:
        raise BadInput(f"{where}: {len(cell.answers)} answer tables for {problems} problems")


def _limits(cell: CellCounts, facts: ModelFacts, held: Ints) -> list[str]:
    """What this cell's numbers do not say, one sentence each."""
    if not len(held):
        return ["no problem has a decided sample; there is no coverage."]
    n, c, lines = cell.n[held], cell.c[held], []
    if len(held) < len(cell.problem_ids):
        lines.append(f"{len(cell.problem_ids) - len(held)} problems have no decided sample and are left out.")
    if n.min() < n.max():
        lines.append(f"problems have {n.min():,} to {n.max():,} decided samples; coverage ends at k={n.min():,}.")
    if len(held) == 1:
        lines.append("one problem: there is nothing to resample, so no interval.")
    if not c.any():
        high = highest_after_none(len(held))
        lines.append(f"no sample passed; the exact binomial interval still allows coverage up to {high:.2g}.")
    if len(held) > 1 and c.all():
        low = 1 - highest_after_none(len(held))
        lines.append(f"every problem has a pass; the exact binomial interval still allows coverage down to {low:.2g}.")
    reason = why_no_fit(n, c)
    if reason and c.any():
        lines.append(f"{reason}.")
    lines.extend(estimates.limits_of(cell, held))
    if cell.faults.any():
        lines.append(f"{cell.faults.sum():,} verdicts are missing by our fault; see the bounds on coverage.")
    if facts.usd_per_million_tokens is not None and facts.usd_per_million_prompt_tokens is None:
        lines.append("prompt tokens have no price; dollars leave them out.")
    priced = facts.usd_per_engine_hour is not None or facts.usd_per_million_tokens is not None
    if cell.judge_usd and not priced:
        lines.append("dollars are the judge's alone: the model has no price.")
    if facts.parameters is not None and (facts.layers is None or facts.hidden is None):
        lines.append("the model's shape is unknown; FLOPs leave attention out.")
    return lines


def _coverage(cell: CellCounts, held: Ints, resamples: int, seed: int) -> tuple[CoveragePoint, ...]:
    if not len(held):
        return ()
    curve = coverage_curve(cell.n[held], cell.c[held], resamples=resamples, seed=seed)
    alone = len(held) == 1
    return tuple(
        CoveragePoint(k=int(k), value=float(v), low=None if alone else float(low), high=None if alone else float(high))
        for k, v, low, high in zip(curve.ks, curve.value, curve.low, curve.high, strict=True)
    )


def _fit(cell: CellCounts, held: Ints, resamples: int, seed: int) -> Fit | None:
    law = fit_power_law(cell.n[held], cell.c[held], resamples, seed) if len(held) else None
    if law is None:
        return None
    return Fit(
        a=law.a, b=law.b, loss=law.loss, a_low=law.a_low, a_high=law.a_high, b_low=law.b_low, b_high=law.b_high,
        error_mean=law.error_mean, error_sd=law.error_sd,
    )  # fmt: skip


def _bounds(cell: CellCounts, held: Ints) -> Bounds | None:
    """Bounds at the largest k, problems without any decided sample included; None where nothing is hidden."""
    hidden = cell.faults.any() or cell.timeouts.any()
    drawn = cell.n + cell.faults
    if not hidden or not len(held) or not drawn.min():
        return None
    k = int(min(cell.n[held].min(), drawn.min()))
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


def _crossovers(
    cells: Sequence[CellCounts], facts: Mapping[str, ModelFacts], limits: list[str], resamples: int, seed: int
) -> tuple[CrossoverReport, ...]:
    """Every model against every baseline of its task."""
    found = []
    if cells and not any(each.baseline for each in facts.values()):
        limits.append("No model is marked as a baseline: there is no crossover.")
    for baseline in (cell for cell in cells if facts[cell.model].baseline):
        for model in (cell for cell in cells if cell.task == baseline.task and not facts[cell.model].baseline):
            reason = _why_no_crossover(model, baseline)
            if reason:
                limits.append(f"{model.model} against {baseline.model} on {model.task}: {reason}")
            else:
                cross = find_crossover(model, baseline, resamples, seed)
                found.append(_crossover(model, baseline, cross, facts))
    return tuple(found)


def _why_no_crossover(model: CellCounts, baseline: CellCounts) -> str | None:
    _, there = common_problems(model, baseline)
    if not len(there):
        return "no problem with decided samples of both; there is no crossover."
    if not baseline.c[there].any():
        return "the baseline solved nothing; any model reaches that with one sample."
    return None


def _crossover(
    model: CellCounts, baseline: CellCounts, cross: Crossover, facts: Mapping[str, ModelFacts]
) -> CrossoverReport:
    ours, theirs = rates(model, facts[model.model]), rates(baseline, facts[baseline.model])
    alone = cross.problems == 1
    return CrossoverReport(
        model=model.model,
        baseline=baseline.model,
        task=model.task,
        k=cross.k,
        low=None if alone else cross.low,
        high=None if alone else cross.high,
        censored=cross.censored,
        usd_ratio=_ratio(ours, theirs, cross.k, "usd"),
        flops_ratio=_ratio(ours, theirs, cross.k, "flops"),
        n=cross.n,
        problems=cross.problems,
        target=cross.target.value,
        target_low=None if alone else cross.target.low,
        target_high=None if alone else cross.target.high,
        reached=cross.reached,
        usd=_usd(ours, cross.k),
        usd_low=None if alone else _usd(ours, cross.low),
        usd_high=None if alone else _usd(ours, cross.high),
        baseline_usd=_usd(theirs, 1),
        one_try=cross.one_try.value,
        one_try_low=None if alone else cross.one_try.low,
        one_try_high=None if alone else cross.one_try.high,
    )


def _usd(cost: Rates, k: int | None) -> float | None:
    """What k samples of a problem cost; None beyond the samples there are."""
    return None if k is None else cost.at(k).usd


def _ratio(ours: Rates, theirs: Rates, k: int | None, what: str) -> float | None:
    """What k samples of ours cost over one of theirs; None where either is unknown, or free."""
    mine, single = getattr(ours.at(k or 0), what), getattr(theirs.at(1), what)
    return None if k is None or mine is None or not single else float(mine / single)
