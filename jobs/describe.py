"""``troop plan``: what a run would do, before it does anything."""

from collections.abc import Sequence

from jobs.plan import Layer, Units, planned_units
from jobs.resolve import Resolved, resolve
from jobs.run import current_version, next_layer, runnable
from jobs.runs import layers_to_extend, missing_units
from jobs.schema import prompt_text
from jobs.spec import Sweep
from jobs.store import open_store
from sampling.validate import Plain

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


class TaskPlan(Plain):
    """A task and the first prompt that a model would see."""

    task: str
    problems: int
    verifiers: tuple[str, ...]
    first_prompt: str


class PlanDescription(Plain):
    """All that a dry run tells."""

    run: str
    cells: tuple[CellPlan, ...]
    tasks: tuple[TaskPlan, ...]
    samples_to_do: int
    most_tokens: int
    most_bytes: int

    def as_text(self) -> str:
        lines = [f"{self.run}: {self.samples_to_do:,} samples to draw"]
        for cell in self.cells:
            lines.append(
                f"  {cell.model} on {cell.task}: {cell.problems} problems × k={cell.k:,} = {cell.samples:,} samples in "
                f"{cell.units:,} units; {cell.samples_to_do:,} samples in {cell.units_to_do:,} units to do"
            )
        lines.append(f"at most {self.most_tokens:,} tokens and {self.most_bytes / 1e6:,.1f} MB to store")
        for task in self.tasks:
            lines += [f"first prompt of {task.task} ({task.problems} problems, judged by {', '.join(task.verifiers)}):"]
            lines += [f"  | {line}" for line in task.first_prompt.splitlines()]
        return "\n".join(lines)


def describe_plan(sweep: Sweep) -> PlanDescription:
    """Raises BadInput exactly where a run would; writes nothing."""
    resolved = resolve(sweep)
    store = open_store(sweep.run_uri, sweep.store_options)
    store.check()
    layers = layers_to_extend(store)
    layer = next_layer(resolved, layers)
    layers = (*layers, layer) if layer else layers
    cells = _cells(resolved, layers, runnable(missing_units(store, layers, current_version()), resolved, layers))
    most = sum(cell.samples_to_do * _max_tokens(resolved, cell.model) for cell in cells)
    rows = sum(cell.samples_to_do for cell in cells)
    return PlanDescription(
        run=store.uri,
        cells=cells,
        tasks=tuple(_task(name, resolved) for name in resolved.problems),
        samples_to_do=rows,
        most_tokens=most,
        most_bytes=rows * BYTES_PER_VERDICT + most * BYTES_PER_TOKEN,
    )


def _cells(resolved: Resolved, layers: Sequence[Layer], missing: Units) -> tuple[CellPlan, ...]:
    cells = []
    for (model, task), k in resolved.wanted.k.items():
        planned, to_do = planned_units(layers).of(model, task), missing.of(model, task)
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
            )
        )
    return tuple(cells)


def _task(name: str, resolved: Resolved) -> TaskPlan:
    problems = resolved.problems[name]
    return TaskPlan(
        task=name,
        problems=len(problems),
        verifiers=tuple(sorted({problem.verifier for problem in problems})),
        first_prompt=prompt_text(problems[0]),
    )


def _max_tokens(resolved: Resolved, name: str) -> int:
    model = next(model for model in resolved.sweep.models if model.name == name)
    return resolved.sweep.settings_of(model).max_tokens
