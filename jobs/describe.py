"""``troop plan``: what a run would do, before it does anything."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.calibrate import evidence, predict_rest, small_part
from jobs.messages import lines_of
from jobs.numbers.costs import rates, samples_drawn
from jobs.remaining import Remaining, current_version, find_remaining, next_layer
from jobs.report.schema import Prediction
from jobs.report.text import amount, between
from jobs.reporting import model_facts, read_engines
from jobs.resolve import Resolved, resolve
from jobs.run import Say, run_resolved
from jobs.store.base import Store
from jobs.store.counts import read_cells
from jobs.store.encode import prompt_text
from jobs.store.layers import Layer, planned_units
from jobs.store.open import open_store
from jobs.store.predictions import keep_prediction
from jobs.store.stored_run import StoredRun, committed_numbers, layers_to_extend, stored_run
from jobs.sweep import Sweep
from sampling.errors import EngineError
from sampling.settings import SamplingSettings, settings_on
from sampling.validate import Plain
from sampling.words import many

BYTES_PER_VERDICT, BYTES_PER_TOKEN = 2, 4  # stored, at most: text is compressed


class CellPlan(Plain):
    """One (model, task): samples per problem, units and samples that are planned and that are still to be drawn."""

    model: str
    task: str
    problems: int
    k: int
    units: int
    samples: int
    units_to_do: int
    samples_to_do: int
    sampling: SamplingSettings


class TaskPlan(Plain):
    """A task and the first prompt that a model would see.

    ``preset`` is all that its preset stands for; ``extraction`` the way to find answers where it is not ``kind``.
    """

    task: str
    problems: int
    verifiers: tuple[str, ...]
    first_prompt: str
    stop: tuple[str, ...] = ()
    preset: dict[str, Any] | None = None
    extraction: str | None = None

    def as_lines(self) -> list[str]:
        stop = f", ends at {', '.join(map(repr, self.stop))}" if self.stop else ""
        found = f", extraction: {self.extraction}" if self.extraction else ""
        judged = f"{many(self.problems, 'problem')}, judged by {', '.join(self.verifiers)}{found}{stop}"
        lines = [
            f"first prompt of {self.task} ({judged}):",
            *(f"  | {line}" for line in self.first_prompt.splitlines()),
        ]
        if self.preset:
            lines.insert(0, f"preset of {self.task}: {_settings(self.preset)}; the sweep's own keys go first")
        return lines


class PlanDescription(Plain):
    """All that a dry run tells."""

    run: str
    cells: tuple[CellPlan, ...]
    tasks: tuple[TaskPlan, ...]
    samples_to_do: int
    most_tokens: int
    most_bytes: int
    most_usd: float | None = None
    measured: int = 0
    predicted: tuple[Prediction, ...] = ()

    def as_text(self) -> str:
        lines = [f"{self.run}: {many(self.samples_to_do, 'sample')} to draw"]
        for cell in self.cells:
            lines.append(
                f"  {cell.model} on {cell.task}: {many(cell.problems, 'problem')} × k={cell.k:,} = "
                f"{many(cell.samples, 'sample')} in {many(cell.units, 'unit')}; "
                f"{many(cell.samples_to_do, 'sample')} in {many(cell.units_to_do, 'unit')} to do"
            )
            lines.append(f"    with {_settings(cell.sampling.model_dump())}")
        dollars = f", {amount(self.most_usd, '$')} for tokens" if self.most_usd else ""
        lines.append(f"at most {self.most_tokens:,} tokens{dollars} and {self.most_bytes / 1e6:,.1f} MB to store")
        lines += self._predicted()
        lines += [line for task in self.tasks for line in task.as_lines()]
        return "\n".join(lines)

    def _predicted(self) -> list[str]:
        if not self.predicted:
            done = "nothing is left to draw" if not self.samples_to_do else "unknown before some are drawn: --calibrate"
            return [f"hours, dollars and verifiers: {done}"]
        rows = [f"{row.what} {amount(row.predicted, row.unit)} {_interval(row)}".rstrip() for row in self.predicted]
        return [f"predicted from {self.measured:,} samples of this run, on what drew them:", *(f"  {r}" for r in rows)]


def calibrate(sweep: Sweep, *, address: str | None, local: bool, say: Say) -> PlanDescription:
    """Draws a few samples of the sweep where it has none yet, predicts the rest and keeps the prediction in the run.

    Raises BadInput where a run would, and EngineError where a (model, task) still has no samples to predict from.
    """
    resolved = resolve(sweep)
    if not _describe(resolved).predicted:
        outcome = run_resolved(small_part(resolved), address=address, local=local, say=say)
        for line in lines_of(outcome.set_aside):
            say(line)
    found = _describe(resolved)
    if found.samples_to_do and not found.predicted:
        raise EngineError("calibrate: not every model has samples on every task; `troop status` says what went wrong")
    if found.samples_to_do:
        store = open_store(sweep.run_uri, sweep.store_options)
        keep_prediction(store, found.samples_to_do, _usd_so_far(stored_run(store)), found.predicted)
    return found


def describe_plan(sweep: Sweep) -> PlanDescription:
    """Raises BadInput exactly where a run would; writes nothing."""
    return _describe(resolve(sweep))


def _describe(resolved: Resolved) -> PlanDescription:
    sweep = resolved.sweep
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    known = layers_to_extend(store)
    layers = (*known, *filter(None, [next_layer(resolved, known)]))
    done = committed_numbers(store, current_version(sweep.judge))
    cells = _cells(resolved, find_remaining(resolved, layers, done))
    most = sum(cell.samples_to_do * cell.sampling.max_tokens for cell in cells)
    rows = sum(cell.samples_to_do for cell in cells)
    measured, predicted = _predict(store, known, cells)
    return PlanDescription(
        run=store.uri,
        cells=cells,
        tasks=tuple(_task(name, resolved) for name in resolved.problems),
        samples_to_do=rows,
        most_tokens=most,
        most_bytes=rows * BYTES_PER_VERDICT + most * BYTES_PER_TOKEN,
        most_usd=sum(_most_usd(resolved, cell) for cell in cells),
        measured=measured,
        predicted=predicted,
    )


def _predict(store: Store, layers: Sequence[Layer], cells: Sequence[CellPlan]) -> tuple[int, tuple[Prediction, ...]]:
    """How many samples the run has, and what the rest will take by them; nothing where it has none."""
    to_do = {(cell.model, cell.task): cell.samples_to_do for cell in cells}
    if not layers or not any(to_do.values()):
        return 0, ()
    stored = stored_run(store)
    found = evidence(stored, model_facts(stored, read_engines(stored)))
    if found is None:
        return 0, ()
    return found.samples, predict_rest(found, to_do)


def _usd_so_far(stored: StoredRun) -> float | None:
    """What the run has cost; None where a price is missing."""
    facts = model_facts(stored, read_engines(stored))
    costs = [
        rates(cell, facts[cell.model]).total(len(cell.problem_ids), samples_drawn(cell)).usd
        for cell in read_cells(stored.store, stored.version)
    ]
    return None if None in costs else sum(usd or 0.0 for usd in costs)


def _most_usd(resolved: Resolved, cell: CellPlan) -> float:
    """What the tokens of a cell's missing samples, and of a judge of theirs, cost at worst."""
    model = next(model for model in resolved.sweep.models if model.name == cell.model)
    problems = resolved.problems[cell.task]
    whole = sum(resolved.most_usd(model, problem, 1) for problem in problems)
    return whole / len(problems) * cell.samples_to_do


def _settings(given: Mapping[str, Any]) -> str:
    """``temperature 0.6, max_tokens 512``: those that say something."""
    said = {
        key: value for key, value in given.items() if value not in ((), False, None) and (key, value) != ("top_k", 0)
    }
    return ", ".join(f"{key} {value:,}" if type(value) is int else f"{key} {value}" for key, value in said.items())


def _interval(row: Prediction) -> str:
    return "" if row.low is None else between(row.low, row.high)


def _cells(resolved: Resolved, remaining: Remaining) -> tuple[CellPlan, ...]:
    cells, models = [], {model.name: model for model in resolved.sweep.models}
    for (model, task), k in resolved.wanted.k.items():
        settings = resolved.sweep.settings_of(models[model])
        planned, to_do = planned_units(remaining.layers).of(model, task), remaining.to_do.of(model, task)
        cells.append(
            CellPlan(
                model=model,
                task=task,
                problems=len(resolved.problems[task]),
                k=k,
                units=len(planned),
                samples=planned.rows,
                units_to_do=len(to_do),
                samples_to_do=to_do.rows,
                sampling=settings_on(models[model], settings, resolved.problems[task][0].sampling),
            )
        )
    return tuple(cells)


def _task(name: str, resolved: Resolved) -> TaskPlan:
    problems = resolved.problems[name]
    preset = next(task for task in resolved.sweep.tasks if task.title == name).from_preset
    ways = {getattr(problem.reference, "extraction", "kind") for problem in problems}
    return TaskPlan(
        task=name,
        problems=len(problems),
        verifiers=tuple(sorted({problem.verifier for problem in problems})),
        first_prompt=prompt_text(problems[0]),
        stop=problems[0].stop,
        preset=preset.settings if preset else None,
        extraction=", ".join(sorted(ways)) if ways != {"kind"} else None,
    )
