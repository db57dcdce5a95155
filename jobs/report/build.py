"""Builds report.json from counts.

A number that cannot be given (no baseline, no price, too few successes, no samples at all) is missing, and a sentence
in ``limits`` says why: a reader never has to guess whether a figure is missing or zero.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.common import on_common_problems
from jobs.numbers.costs import Rates, check_prices, rates, samples_drawn
from jobs.numbers.crossover import common_problems, find_crossover
from jobs.numbers.doubts import doubts
from jobs.numbers.prediction import Prediction
from jobs.numbers.tally import mean_tries, tally_of
from jobs.report.cell_fields import Basis, build_cell
from jobs.report.limits import cell_limits
from jobs.report.schema import CrossoverReport, Report
from jobs.report.series import series_of
from sampling.errors import BadInput
from sampling.judged_by import JudgedBy
from sampling.words import many

DEFAULT_BASIS = Basis()
EMPTY = "The run holds no samples yet: there is nothing to report."


def build_report(
    cells: Sequence[CellCounts],
    facts: Mapping[str, ModelFacts],
    *,
    run: str = "",
    provenance: Mapping[str, str] | None = None,
    predicted: Sequence[Prediction] = (),
    notes: Sequence[str] = (),
    judged_by: Mapping[tuple[str, str], tuple[JudgedBy, ...]] | None = None,
    basis: Basis = DEFAULT_BASIS,
) -> Report:
    """Computes all numbers of a run. ``facts`` is by model name; ``notes`` are limits that only the caller knows.
    ``judged_by`` has the rules that verdicts were given by, by (model, task).

    Raises BadInput for counts that contradict themselves and for negative prices.
    """
    known = {cell.model: facts.get(cell.model, ModelFacts(cell.model)) for cell in cells}
    for each in known.values():
        check_prices(each)
    for cell in cells:
        check_counts(cell)
    compared, rules = on_common_problems(cells), judged_by or {}
    costs = {(cell.model, cell.task): rates(cell, known[cell.model]) for cell in cells}
    crossovers, missing = _crossovers(compared, known, costs, basis)
    of_cells = [
        f"{c.model} on {c.task}: {line}"
        for c, part in zip(cells, compared, strict=True)
        for line in cell_limits(c, part, known[c.model])
    ]
    built = tuple(
        build_cell(cell, known[cell.model], basis, rules.get((cell.model, cell.task), ()), part)
        for cell, part in zip(cells, compared, strict=True)
    )
    return Report(
        run=run,
        unfinished=progress(cells),
        population=basis.population,
        cells=built,
        crossovers=crossovers,
        series=series_of(built),
        limits=(*([] if cells else [EMPTY]), *notes, *missing, *of_cells),
        warnings=doubts(cells),
        provenance=dict(provenance or {}),
        predicted=tuple(predicted),
    )


def progress(cells: Sequence[CellCounts]) -> str:
    """Returns how far an unfinished run is, as ``12 of 40 samples``; empty where nothing is missing."""
    if not any(cell.unfinished for cell in cells):
        return ""
    drawn = [min(samples_drawn(cell), cell.planned_samples or samples_drawn(cell)) for cell in cells]
    planned = sum(max(cell.planned_samples, each) for cell, each in zip(cells, drawn, strict=True))
    still = sum(cell.open_problems for cell in cells)
    rounds = f" of the rounds so far, {many(still, 'problem')} still open" if still else ""
    return f"{sum(drawn):,} of {planned:,} samples{rounds}"


def check_counts(cell: CellCounts) -> None:
    """Raises BadInput for counts that contradict themselves, before anything is computed from them."""
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


Costs = Mapping[tuple[str, str], Rates]


def _crossovers(
    cells: Sequence[CellCounts], facts: Mapping[str, ModelFacts], costs: Costs, basis: Basis
) -> tuple[tuple[CrossoverReport, ...], list[str]]:
    """Returns the crossover of every model against every baseline of its task, and why others are missing."""
    found, missing = [], [*_absent_baselines(cells, facts)]
    for baseline in (cell for cell in cells if facts[cell.model].baseline):
        for model in (cell for cell in cells if cell.task == baseline.task and not facts[cell.model].baseline):
            reason = _why_no_crossover(model, baseline)
            if reason:
                missing.append(f"{model.model} against {baseline.model} on {model.task}: {reason}")
            else:
                found.append(_crossover(model, baseline, costs, basis))
    return tuple(found), missing


def _absent_baselines(cells: Sequence[CellCounts], facts: Mapping[str, ModelFacts]) -> Iterable[str]:
    """Yields a sentence for each task that a baseline, or every baseline, is absent from; one where there is none."""
    tasks = dict.fromkeys(cell.task for cell in cells)
    found = {task: {c.model for c in cells if c.task == task and facts[c.model].baseline} for task in tasks}
    every = dict.fromkeys(cell.model for cell in cells if facts[cell.model].baseline)
    if cells and not every:
        yield "No model is marked as a baseline: there is no crossover."
        return
    for task, there in found.items():
        if not there:
            yield f"{task}: no baseline has samples of this task; there is no crossover."
        else:
            yield from (f"{task}: the baseline {name} is not asked this task; no model is compared with it here."
                        for name in every if name not in there)  # fmt: skip


def _why_no_crossover(model: CellCounts, baseline: CellCounts) -> str | None:
    _, there = common_problems(model, baseline)
    if not len(there):
        return "no problem has decided samples of both models; there is no crossover."
    if not baseline.c[there].any():
        return "the baseline solved nothing; any model reaches that with one sample."
    return None


def _crossover(model: CellCounts, baseline: CellCounts, costs: Costs, basis: Basis) -> CrossoverReport:
    cross = find_crossover(model, baseline, basis.population)
    ours, theirs = costs[model.model, model.task], costs[baseline.model, baseline.task]
    alone = basis.alone(cross.problems)
    low, high = (None, None) if alone else (cross.low, cross.high)
    tries = None if cross.k is None else mean_tries(tally_of(model, common_problems(model, baseline)[0]), cross.k)
    return CrossoverReport(
        model=model.model,
        baseline=baseline.model,
        task=model.task,
        k=cross.k,
        low=low,
        high=high,
        censored=cross.censored,
        best_k=cross.best_k,
        usd_ratio=_ratio(ours, theirs, cross.k, "usd"),
        usd_ratio_low=_ratio(ours, theirs, low, "usd"),
        usd_ratio_high=_ratio(ours, theirs, high, "usd"),
        flops_ratio=_ratio(ours, theirs, cross.k, "flops"),
        flops_ratio_low=_ratio(ours, theirs, low, "flops"),
        flops_ratio_high=_ratio(ours, theirs, high, "flops"),
        tries=tries,
        tries_usd_ratio=_ratio(ours, theirs, tries, "usd"),
        tries_flops_ratio=_ratio(ours, theirs, tries, "flops"),
        n=cross.n,
        problems=cross.problems,
        target=cross.target.value,
        target_low=None if alone else cross.target.low,
        target_high=None if alone else cross.target.high,
        reached=cross.reached,
        usd=_usd(ours, cross.k),
        usd_low=_usd(ours, low),
        usd_high=_usd(ours, high),
        baseline_usd=_usd(theirs, 1),
        one_try=cross.one_try.value,
        one_try_low=None if alone else cross.one_try.low,
        one_try_high=None if alone else cross.one_try.high,
    )


def _usd(cost: Rates, k: int | None) -> float | None:
    """Returns the dollars of k samples of one problem; None where k or a price is."""
    return None if k is None else cost.at(k).usd


def _ratio(ours: Rates, theirs: Rates, k: float | None, what: str) -> float | None:
    """Divides the cost of k samples of ours by the cost of one of theirs; None where either is unknown, or free."""
    mine, single = getattr(ours.at(k or 0), what), getattr(theirs.at(1), what)
    return None if k is None or mine is None or not single else float(mine / single)
