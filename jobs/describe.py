"""``troop plan``: describes what a run would do, without doing it."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.calibrate import predict_rest, read_evidence, small_part
from jobs.messages import lines_of
from jobs.numbers.costs import rates, samples_drawn
from jobs.numbers.prediction import Prediction
from jobs.numbers.rounds_ahead import look_ahead
from jobs.planning import moved_services
from jobs.remaining import Remaining, find_remaining, next_layer, run_version, surplus_line
from jobs.report.text import amount, between
from jobs.reporting import model_facts, read_engines
from jobs.resolve import Resolved, format_notes, resolve, with_formats
from jobs.rounds.cells import Tried
from jobs.run import Say, find_tried, run_resolved, with_paces
from jobs.store.base import Store
from jobs.store.counts import read_cells
from jobs.store.encode import prompt_text
from jobs.store.layers import Layer, planned_units
from jobs.store.open import open_store
from jobs.store.sessions import store_prediction
from jobs.store.stored_run import StoredRun, list_committed, read_layers_to_extend, read_run
from jobs.sweep import Sweep
from sampling.engines.hardware import formats_here
from sampling.errors import EngineError
from sampling.judged_by import JudgedBy, collect_rules, in_words, rules_of
from sampling.settings import Adaptive, SamplingSettings, settings_on
from sampling.validate import Plain
from sampling.words import many, printable
from verify.verifiers import kind_versions

LONGEST_VALUE = 60  # characters of a setting in the plan's text; `--json` has all
BYTES_PER_VERDICT, BYTES_PER_TOKEN = 2, 4  # upper bounds of what is stored; text is compressed


class RoundsAhead(Plain):
    """Prediction of what adaptive sampling draws until its last round, from the verdicts so far."""

    samples: int
    """Samples in all, those already committed included."""
    low: int
    """Lower end of the 95 % interval for these problems."""
    high: int
    """Upper end of the same interval."""
    uniform: int
    """Samples that uniform sampling draws: k for each problem."""
    share: float
    """Samples divided by the ones of uniform sampling."""

    def as_line(self) -> str:
        """Returns ``about 47,000 of uniform sampling's 128,000 samples (36.7%, 30.1% to 45.0%)``."""
        low, high = (f"{end / max(self.uniform, 1):.1%}" for end in (self.low, self.high))
        return (
            f"about {self.samples:,} of uniform sampling's {self.uniform:,} samples when all rounds are over "
            f"({self.share:.1%}, {low} to {high})"
        )


class CellPlan(Plain):
    """The plan of one model on one task."""

    model: str
    """Name of the model in the sweep."""
    task: str
    """Name of the task in the sweep."""
    problems: int
    """Problems of the task."""
    k: int
    """Samples per problem."""
    units: int
    """Planned units, those already committed included."""
    samples: int
    """Planned samples, those already committed included."""
    units_to_do: int
    """Units that are not yet committed."""
    samples_to_do: int
    """Samples that are not yet committed."""
    sampling: SamplingSettings
    """Sampling settings of the model on this task."""
    addresses: tuple[str, ...] = ()
    """Addresses of the service that draws the samples; empty for an engine of Troop's own."""
    rounds: Adaptive | None = None
    """Policy of adaptive sampling; None where every problem gets k samples."""
    adaptive: RoundsAhead | None = None
    """Samples that adaptive sampling will come to; None before the run has some, and without `adaptive`."""
    from_model: tuple[str, ...] = ()
    """Sampling keys whose values come from the model's own generation_config.json."""


class TaskPlan(Plain):
    """One task of the plan, with the first prompt that a model would see."""

    task: str
    """Name of the task in the sweep."""
    problems: int
    """Problems of the task."""
    verifiers: tuple[str, ...]
    """Kinds of verifiers that its problems name, sorted: `math`, `python`, …"""
    first_prompt: str
    """Prompt of the first problem as text."""
    stop: tuple[str, ...] = ()
    """Strings at which a completion of the first problem ends; empty for the model's own end alone."""
    preset: dict[str, Any] | None = None
    """Keys and values that the task's preset sets; None without a preset."""
    judged_by: tuple[JudgedBy, ...] = ()
    """Verifiers with the rules by which they judge, one entry per kind of verifier."""

    def as_lines(self) -> list[str]:
        """Formats the answer policy, the preset, and the first prompt with its stop strings."""
        ends = f" (ends at {', '.join(map(repr, self.stop))})" if self.stop else ""
        lines = [f"answers of {self.task}, {many(self.problems, 'problem')}: {in_words(self.judged_by)}"]
        if self.preset:
            lines.append(f"preset of {self.task}: {_settings(self.preset)}; keys in the sweep override these")
        lines.append(f"first prompt of {self.task}{ends}:")
        return lines + [
            f"  | {printable(line.expandtabs(4))}" for line in self.first_prompt.removesuffix("\n").split("\n")
        ]


class PlanDescription(Plain):
    """Everything that `troop plan` tells; `--json` prints it."""

    run: str
    """Path or URI of the run."""
    cells: tuple[CellPlan, ...]
    """One entry per (model, task)."""
    tasks: tuple[TaskPlan, ...]
    """One entry per task."""
    samples_to_do: int
    """Samples that are not yet committed, over all cells."""
    most_tokens: int
    """Upper bound of their completion tokens: every sample ends at max_tokens."""
    most_bytes: int
    """Upper bound of the bytes that they add to the store."""
    most_usd: float | None = None
    """Upper bound of the dollars for their tokens, a paid judge included; 0 where no price per token is given."""
    measured: int = 0
    """Samples of this run that the prediction is made from; 0 where there is no prediction."""
    notes: tuple[str, ...] = ()
    """Lines on what could be read in two ways, and on keys of problems that are left out."""
    predicted: tuple[Prediction, ...] = ()
    """Predicted totals of the samples to do; empty before a session of this run has drawn some (`--calibrate` does)."""
    surplus: str | None = None
    """One line on samples that an earlier, larger k left, which `troop run` asks about; None where there are none."""
    warnings: tuple[str, ...] = ()
    """Settings that are surely not meant, one line each; `troop plan` and `troop run` say them on standard error."""

    def as_text(self) -> str:
        """Formats the plan for a terminal."""
        lines = [f"{self.run}: {many(self.samples_to_do, 'sample')} to draw"]
        for cell in self.cells:
            lines.append(
                f"  {cell.model} on {cell.task}: {many(cell.problems, 'problem')} × k={cell.k:,} "
                f"{f'at most by rounds {cell.rounds.words}; so far' if cell.rounds else '='} "
                f"{many(cell.samples, 'sample')} in {many(cell.units, 'unit')}; "
                f"{many(cell.samples_to_do, 'sample')} in {many(cell.units_to_do, 'unit')} to do"
            )
            lines.append(f"    with {_settings(cell.sampling.model_dump(mode='json'), cell.from_model)}")
            lines += [f"    adaptive: {cell.adaptive.as_line()}"] if cell.adaptive else []
            lines += [f"    asked at {', '.join(cell.addresses)}"] if cell.addresses else []
        lines += [self.surplus] if self.surplus else []
        dollars = f", {amount(self.most_usd, '$')} for tokens" if self.most_usd else ""
        lines.append(f"at most {self.most_tokens:,} tokens{dollars} and {self.most_bytes / 1e6:,.1f} MB to store")
        lines += self._predicted() + list(self.notes)
        lines += [line for task in self.tasks for line in task.as_lines()]
        return "\n".join(lines)

    def _predicted(self) -> list[str]:
        if not self.predicted:
            done = (
                "nothing is left to draw"
                if not self.samples_to_do
                else "unknown until some samples are drawn; --calibrate draws a few"
            )
            return [f"hours, dollars and verifiers: {done}"]
        rows = [f"{row.what} {amount(row.predicted, row.unit)} {_interval(row)}".rstrip() for row in self.predicted]
        made = f"predicted from {self.measured:,} samples of this run, for the engines and verifiers that made them:"
        return [made, *(f"  {row}" for row in rows)]


def calibrate(sweep: Sweep, *, address: str | None, local: bool, say: Say) -> PlanDescription:
    """Predicts what is left of the sweep and stores the prediction in the run; draws a few samples first if needed.

    Raises BadInput where `troop run` would, and EngineError where a (model, task) still has no sample to predict from.
    """
    resolved = resolve(sweep)
    if not _describe(resolved).predicted:
        outcome = run_resolved(small_part(resolved), address=address, local=local, say=say, surplus="keep")
        for line in lines_of(outcome.set_aside):
            say(line)
    found = _describe(resolved)
    if found.samples_to_do and not found.predicted:
        raise EngineError("calibrate: a (model, task) still has no samples; `troop status RUN` lists the failed units")
    if found.samples_to_do:
        store = open_store(sweep.run_uri, sweep.store_options)
        store_prediction(store, found.samples_to_do, _usd_so_far(read_run(store)), found.predicted)
    return found


def describe_plan(sweep: Sweep) -> PlanDescription:
    """Describes what `troop run` would do, and writes nothing; raises BadInput exactly where it would."""
    return _describe(resolve(sweep))


def _describe(resolved: Resolved) -> PlanDescription:
    sweep = resolved.sweep
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    known = read_layers_to_extend(store)
    resolved = with_formats(with_paces(resolved, store, known), lambda: [("", formats_here())])
    done = list_committed(store, run_version(resolved, store, known))
    tried = find_tried(resolved, store, known, done)
    layers = (*known, *filter(None, [next_layer(resolved, known, tried=tried)]))
    cells = with_rounds_ahead(resolved, store, _cells(resolved, find_remaining(resolved, layers, done)), tried)
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
        notes=(*resolved.notes, *format_notes(resolved), *moved_services(known, resolved.addresses)),
        predicted=predicted,
        surplus=surplus_line(resolved, known, done),
        warnings=resolved.warnings,
    )


def _predict(store: Store, layers: Sequence[Layer], cells: Sequence[CellPlan]) -> tuple[int, tuple[Prediction, ...]]:
    """Returns how many samples the run has, and what the rest takes by them; (0, ()) where nothing can be predicted."""
    to_do = {(cell.model, cell.task): _samples_ahead(cell) for cell in cells}
    if not layers or not any(to_do.values()):
        return 0, ()
    stored = read_run(store)
    found = read_evidence(stored, model_facts(stored, read_engines(stored)))
    if found is None:
        return 0, ()
    return found.samples, predict_rest(found, to_do)


def with_rounds_ahead(
    resolved: Resolved, store: Store, cells: Sequence[CellPlan], tried: Tried | None
) -> tuple[CellPlan, ...]:
    """Returns the cells with what adaptive sampling will draw, where the run has samples to predict it from."""
    policy = resolved.sweep.adaptive
    if policy is None or tried is None or not tried.cells:
        return tuple(cells)
    counts = {(cell.model, cell.task): cell for cell in read_cells(store, tried.version, texts=False)}
    found = []
    for cell in cells:
        known = counts.get((cell.model, cell.task))
        ahead = known and look_ahead(known, policy, cell.k, cell.problems)
        said = ahead and RoundsAhead(samples=round(ahead.samples), low=round(ahead.low), high=round(ahead.high),
                                     uniform=ahead.uniform, share=ahead.share)  # fmt: skip
        found.append(cell.model_copy(update={"adaptive": said}))
    return tuple(found)


def _samples_ahead(cell: CellPlan) -> int:
    """Returns the samples that are still to draw, later rounds included where they are predicted."""
    committed = cell.samples - cell.samples_to_do
    return max(cell.samples_to_do, cell.adaptive.samples - committed if cell.adaptive else 0)


def _usd_so_far(stored: StoredRun) -> float | None:
    """Returns the dollars that the run has cost so far; None where a price is missing."""
    facts = model_facts(stored, read_engines(stored))
    costs = [
        rates(cell, facts[cell.model]).total(len(cell.problem_ids), samples_drawn(cell)).usd
        for cell in read_cells(stored.store, stored.version, texts=False)
    ]
    return None if None in costs else sum(usd or 0.0 for usd in costs)


def _most_usd(resolved: Resolved, cell: CellPlan) -> float:
    """Returns the most that the tokens of a cell's missing samples can cost, a paid judge included, in dollars."""
    model = next(model for model in resolved.sweep.models if model.name == cell.model)
    problems = resolved.problems[cell.task]
    whole = sum(resolved.most_usd(model, problem, 1) for problem in problems)
    return whole / len(problems) * cell.samples_to_do


def _settings(given: Mapping[str, Any], from_model: Sequence[str] = ()) -> str:
    """Formats the settings that are set: ``temperature 0.6, max_tokens 512``; marks those ``from_model``."""
    unset = {"top_k": 0, "generation_config": "none"}
    shown = {
        key: value
        for key, value in given.items()
        if not (value is None or value is False or value in ((), []) or unset.get(key) == value)
    }
    return ", ".join(f"{key} {_value(value)}{' (the model’s)' * (key in from_model)}" for key, value in shown.items())


def _value(value: Any) -> str:
    if type(value) is int:
        return f"{value:,}"
    text = printable(str(value))
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _interval(row: Prediction) -> str:
    return "" if row.low is None else between(row.low, row.high)


def _cells(resolved: Resolved, remaining: Remaining) -> tuple[CellPlan, ...]:
    cells, models = [], {model.name: model for model in resolved.sweep.models}
    for (model, task), k in resolved.wanted.k.items():
        settings, asked = resolved.settings_of(models[model]), resolved.problems[task][0].sampling
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
                sampling=settings_on(models[model], settings, asked),
                rounds=resolved.sweep.adaptive,
                addresses=models[model].base_urls,
                from_model=tuple(resolved.from_model(models[model], asked)),
            )
        )
    return tuple(cells)


def _task(name: str, resolved: Resolved) -> TaskPlan:
    problems = resolved.problems[name]
    preset = next(task for task in resolved.sweep.tasks if task.title == name).from_preset
    return TaskPlan(
        task=name,
        problems=len(problems),
        verifiers=tuple(sorted({problem.verifier for problem in problems})),
        first_prompt=prompt_text(problems[0]),
        stop=problems[0].stop,
        preset=preset.settings if preset else None,
        judged_by=collect_rules(map(rules_of, problems), kind_versions()),
    )
