"""``troop report``: reads the counts of a stored run, computes the numbers and writes the page."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jobs.numbers.cells import CellCounts, ModelFacts
from jobs.numbers.costs import samples_drawn
from jobs.numbers.intervals import Population
from jobs.report.build import build_report
from jobs.report.cell_fields import Basis
from jobs.report.chart_process import ChartProcess
from jobs.report.outcomes import outcome_line
from jobs.report.page import write_report
from jobs.report.rounds import rounds_in_words
from jobs.report.samples import BrowserSample, most_of_each
from jobs.report.schema import Report
from jobs.report.text import (
    bounded_in_words,
    crossing,
    intervals_in_words,
    problems_in_words,
    selection_line,
    share,
    shares,
)
from jobs.store.base import Store
from jobs.store.catalogue import read_problems
from jobs.store.counts import read_planned_cells
from jobs.store.database import open_database
from jobs.store.encode import NO_VERIFIER
from jobs.store.folder import DirectoryStore
from jobs.store.layers import PlannedModel
from jobs.store.layout import REPORT
from jobs.store.open_cells import retry_on_compaction
from jobs.store.scores import read_scorers
from jobs.store.sessions import read_prediction
from jobs.store.stored_run import IMPORTED, StoredRun
from jobs.sweep import sweep_of
from sampling.checkers import checker_digests
from sampling.judged_by import JudgedBy, collect_rules
from verify.verifiers import KINDS, kind_versions, verifier_version

_FINISH_QUERY = "SELECT model, task, finish_reason, count(*) FROM samples GROUP BY ALL"


def report_run(stored: StoredRun, out: Path | None, population: Population = "problems") -> str:
    """Writes the report into ``out``, or into the run, and returns what to print: coverage, crossovers, the page."""
    with ChartProcess() as charts, tempfile.TemporaryDirectory(prefix="troop-report-") as folder:
        report, cells, problems = _build(stored, population)
        prompts = {(row["task"], row["problem_id"]): row["prompt"] for row in problems}
        samples = browser_samples(stored, most_of_each([int(n) for cell in cells for n in cell.n + cell.faults]))
        page = write_report(report, samples, out or Path(folder), charts, prompts)
        return _summary(report, str(page) if out else _store_report(page, stored.store), page.stat().st_size)


def read_report(stored: StoredRun, population: Population = "problems") -> Report:
    """Returns the numbers of a run, as report.json has them; raises BadInput where there is nothing to report."""
    return _build(stored, population)[0]


def _build(stored: StoredRun, population: Population) -> tuple[Report, list[CellCounts], list[dict[str, Any]]]:
    """Returns the report with what it was made from: the counts of each cell, and the problems."""
    cells, engines = with_finish_counts(stored, read_planned_cells(stored)), read_engines(stored)
    facts, origins = model_facts(stored, engines), provenance(stored, engines, cells)
    problems = read_problems(stored.store).to_pylist()
    rules = judged_by(stored, cells, problems)
    report = build_report(
        cells, facts, run=stored.store.uri, provenance=origins, judged_by=rules, basis=Basis(population)
    )
    return _with_predictions(report, stored.store), cells, problems


def with_finish_counts(stored: StoredRun, cells: Sequence[CellCounts]) -> list[CellCounts]:
    """Returns the cells with their finish reasons, read from the samples where older files do not count them."""
    known = (sum(cell.finish_counts.values()) >= samples_drawn(cell) or cell.version == IMPORTED for cell in cells)
    if all(known):
        return list(cells)
    found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for model, task, reason, count in _rows(stored, _FINISH_QUERY):
        found[model, task][reason] = count
    return [replace(cell, finish_counts=found.get((cell.model, cell.task), {})) for cell in cells]


def _with_predictions(report: Report, store: Store) -> Report:
    costs = [cell.usd for cell in report.cells]
    rows, limit = read_prediction(store, None if None in costs else sum(usd or 0.0 for usd in costs))
    limits = (*report.limits, limit) if limit else report.limits
    return report.model_copy(update={"predicted": rows, "limits": limits})


@dataclass(frozen=True, slots=True)
class EngineUsed:
    """An engine that drew a model's first samples; ``gpus`` is the largest share that it had, None if unknown."""

    model: str
    device: str
    version: str
    gpus: float | None


def read_engines(stored: StoredRun) -> list[EngineUsed]:
    """Returns each kind of engine once, read from the samples of the first problem."""
    query = """SELECT model, device, engine_version, max(gpus::DOUBLE) FROM samples WHERE problem_idx = 0
        GROUP BY model, device, engine_version ORDER BY ALL"""
    return [EngineUsed(*row) for row in _rows(stored, query)]


def model_facts(stored: StoredRun, engines: Sequence[EngineUsed]) -> dict[str, ModelFacts]:
    """Returns each model's planned size and present prices. An engine without a GPU costs no GPU hours."""
    planned = {model.name: model for layer in stored.layers for model in layer.models}
    return {
        name: _facts(model, [engine for engine in engines if engine.model == name], stored)
        for name, model in planned.items()
    }


def provenance(stored: StoredRun, engines: Sequence[EngineUsed], cells: Sequence[CellCounts]) -> dict[str, str]:
    """Returns the origins of the numbers, as lines by name: code, engines, models, sampling, verifiers, scores."""
    first, last = stored.layers[0], stored.layers[-1]
    origins = {"run": stored.store.uri, "started": first.created, "code": last.code_version}
    origins |= {f"engine of {engine.model}": f"{engine.version} on {engine.device}" for engine in engines}
    for model in (model for layer in stored.layers for model in layer.models):
        settings = [f"{key} {value}" for key, value in model.sampling.items() if value not in ([], False, 0)]
        origins[f"model {model.name}"] = ", ".join([f"{model.distribution.get('path')} ({model.revision})", *settings])
    judged = [cell for cell in cells if cell.problem_ids]
    origins |= {f"verdicts of {cell.model} on {cell.task}": f"verifiers {cell.version}" for cell in judged}
    scored = [cell for cell in cells if cell.scores]
    made = read_scorers(stored.store) if scored else {}
    for cell in scored:
        by = f": {made[cell.scores].words}" if cell.scores in made else ""
        origins[f"scores of {cell.model} on {cell.task}"] = cell.scores + by
    return origins


def judged_by(
    stored: StoredRun, cells: Sequence[CellCounts], problems: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, str], tuple[JudgedBy, ...]]:
    """Returns the rules that each cell's verdicts were given by, from the stored problems; imported ones have none.

    A verifier's own version is named where the verdicts are of the version that this Troop's verifiers have together.
    """
    given: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for row in problems:
        if row["verifier"] != NO_VERIFIER:
            given.setdefault(row["task"], []).append((row["verifier"], json.loads(row["reference"])))
    references = (SimpleNamespace(**reference) for rows in given.values() for _, reference in rows)
    present = verifier_version(KINDS, sweep_of(stored.layers).judge, checkers=checker_digests(references))
    names = kind_versions()
    return {
        (cell.model, cell.task): collect_rules(given[cell.task], names if cell.version == present else None)
        for cell in cells
        if cell.task in given and cell.version != IMPORTED
    }


def browser_samples(stored: StoredRun, per_problem: int) -> Iterator[BrowserSample]:
    """Yields the first samples of every problem with their verdicts; reads them when the first is asked for."""
    query = """
        SELECT s.model, s.task, p.problem_id, s.sample_idx, v.status, s.text, coalesce(v.reason, ''), v.answer,
            s.tokens, s.finish_reason
        FROM samples s
        JOIN verdicts v USING (model, task, problem_idx, sample_idx)
        JOIN problems p USING (task, problem_idx)
        WHERE s.sample_idx < ? AND v.sample_idx < ? ORDER BY s.task, s.problem_idx, s.model, s.sample_idx"""
    yield from (BrowserSample(*row) for row in _rows(stored, query, [per_problem, per_problem]))


def _facts(model: PlannedModel, engines: Sequence[EngineUsed], stored: StoredRun) -> ModelFacts:
    device = engines[-1].device if engines else "cpu"
    gpus = max((engine.gpus or 0.0 for engine in engines), default=0.0)
    spec = next((spec for spec in sweep_of(stored.layers).models if spec.name == model.name), None)
    prices = spec.prices if spec else None
    return ModelFacts(
        name=model.name,
        parameters=model.parameters,
        layers=model.layers,
        hidden=model.hidden,
        gpus=gpus or (spec.gpus if spec and device not in {"cpu", "none", "service"} else 0.0),
        usd_per_engine_hour=prices.per_engine_hour if prices else None,
        usd_per_million_prompt_tokens=prices.per_million_prompt_tokens if prices else None,
        usd_per_million_tokens=prices.per_million_tokens if prices else None,
        series=spec.series if spec else {},
        baseline=bool(spec and spec.baseline),
    )


def _rows(stored: StoredRun, query: str, arguments: Sequence[object] = ()) -> list[Any]:
    def read() -> list[Any]:
        with open_database(stored.store, stored.version) as db:
            return db.execute(query, list(arguments)).fetchall()

    return retry_on_compaction(read)


def _store_report(page: Path, store: Store) -> str:
    """Puts a report's files into the run; returns the path or URI of the page."""
    for file in sorted(page.parent.iterdir()):
        store.put(REPORT + file.name, file.read_bytes())
    where = str(store.root) if isinstance(store, DirectoryStore) else store.uri
    return f"{where}/{REPORT}{page.name}"


def _summary(report: Report, page: str, size: int) -> str:
    """Returns what to print; ``size`` is the page's in bytes."""
    lines = [f"  unfinished: {report.unfinished}"] if report.unfinished else []
    lines += [f"  warning: {line}" for line in report.warnings]
    for cell in report.cells:
        curve = [point for point in cell.coverage if str(point.k).strip("0") == "1" or point is cell.coverage[-1]]
        said = "  ".join(f"k={point.k:,} {share(point.value)} {shares(point.low, point.high)}" for point in curve)
        lines.append(f"  {cell.model} on {cell.task}, {problems_in_words(cell)}: {said or 'no samples yet'}")
        if cell.bounded:
            lines.append(f"    {bounded_in_words(cell)}")
        if line := outcome_line(cell):
            lines.append(f"    {line}")
        if cell.rounds:
            lines.append(f"    {rounds_in_words(cell.rounds)}")
        if cell.policy:
            lines.append(f"    judged by {cell.policy}")
    lines += [f"  {selection_line(cell)}" for cell in report.cells if cell.scores]
    lines += [f"  {crossing(cross)}" for cross in report.crossovers]
    lines += [f"  note: {line}" for line in report.limits]
    return "\n".join([f"coverage ({intervals_in_words(report)}):", *lines, f"report: {page} ({size / 1e6:.1f} MB)"])
