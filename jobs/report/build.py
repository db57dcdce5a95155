"""Builds report.json from counts.

A number that cannot be given (no baseline, no price, too few successes, no samples at all) is missing, and a sentence
in ``limits`` says why: a reader never has to guess whether a figure is missing or zero.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import Rates, check_prices, rates
from jobs.numbers.crossover import Crossover, common_problems, find_crossover
from jobs.numbers.doubts import doubts
from jobs.numbers.estimators import RESAMPLES
from jobs.numbers.predict import Prediction
from jobs.report.cell_fields import build_cell
from jobs.report.limits import cell_limits
from jobs.report.schema import CrossoverReport, Report
from sampling.errors import BadInput
from sampling.judged_by import JudgedBy

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
    seed: int = 0,
    resamples: int = RESAMPLES,
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
    crossovers, missing = _crossovers(cells, known, resamples, seed)
    of_cells = [f"{c.model} on {c.task}: {line}" for c in cells for line in cell_limits(c, known[c.model])]
    rules = judged_by or {}
    return Report(
        run=run,
        cells=tuple(
            build_cell(cell, known[cell.model], resamples, seed, rules.get((cell.model, cell.task), ()))
            for cell in cells
        ),
        crossovers=crossovers,
        limits=(*([] if cells else [EMPTY]), *notes, *of_cells, *missing),
        warnings=doubts(cells),
        provenance=dict(provenance or {}),
        predicted=tuple(predicted),
    )


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


def _crossovers(
    cells: Sequence[CellCounts], facts: Mapping[str, ModelFacts], resamples: int, seed: int
) -> tuple[tuple[CrossoverReport, ...], list[str]]:
    """Returns the crossover of every model against every baseline of its task, and why others are missing."""
    found, missing = [], []
    if cells and not any(each.baseline for each in facts.values()):
        missing.append("No model is marked as a baseline: there is no crossover.")
    for baseline in (cell for cell in cells if facts[cell.model].baseline):
        for model in (cell for cell in cells if cell.task == baseline.task and not facts[cell.model].baseline):
            reason = _why_no_crossover(model, baseline)
            if reason:
                missing.append(f"{model.model} against {baseline.model} on {model.task}: {reason}")
            else:
                cross = find_crossover(model, baseline, resamples, seed)
                found.append(_crossover(model, baseline, cross, facts))
    return tuple(found), missing


def _why_no_crossover(model: CellCounts, baseline: CellCounts) -> str | None:
    _, there = common_problems(model, baseline)
    if not len(there):
        return "no problem has decided samples of both models; there is no crossover."
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
    """Returns the dollars of k samples of one problem; None where k or a price is."""
    return None if k is None else cost.at(k).usd


def _ratio(ours: Rates, theirs: Rates, k: int | None, what: str) -> float | None:
    """Divides the cost of k samples of ours by the cost of one of theirs; None where either is unknown, or free."""
    mine, single = getattr(ours.at(k or 0), what), getattr(theirs.at(1), what)
    return None if k is None or mine is None or not single else float(mine / single)
