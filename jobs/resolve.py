"""From a sweep to what it means here: models that exist, problems that load, prompts that fit. Writes nothing."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.planning import Wanted
from jobs.store.layers import PlannedModel
from jobs.store.layout import quote
from jobs.sweep import Sweep
from sampling.engines.model_info import ModelInfo, inspect_model, prompt_too_long
from sampling.engines.openai_check import check_service
from sampling.engines.prices import most_unit_rows, most_usd, rows_for
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.settings import ModelSpec, distribution_digest
from verify.verifiers import NO_JUDGE


@dataclass(frozen=True)
class Resolved:
    """A sweep with its models inspected and its problems loaded."""

    sweep: Sweep
    infos: Mapping[str, ModelInfo]
    problems: Mapping[str, tuple[Problem, ...]]

    @property
    def wanted(self) -> Wanted:
        """What the plan has to hold."""
        models = tuple(self._planned(model) for model in self.sweep.models)
        k = {(m.name, t.title): self.sweep.k_of(m, t) for m in self.sweep.models for t in self.sweep.tasks_of(m)}
        rows = {model.name: self._most_unit_rows(model) for model in self.sweep.models}
        return Wanted(models, self.problems, k, {name: most for name, most in rows.items() if most is not None})

    def _most_unit_rows(self, model: ModelSpec) -> int | None:
        problems = [problem for task in self.sweep.tasks_of(model) for problem in self.problems[task.title]]
        rows = [most_unit_rows(model, self.sweep.settings_of(model), problems)]
        if judge := self.sweep.judge:
            rows.append(rows_for(max(map(judge.most_usd, problems), default=0.0), judge.service.cap_usd))
        return min((most for most in rows if most is not None), default=None)

    def most_usd(self, model: ModelSpec, problem: Problem, samples: int) -> float:
        """What these samples could cost at worst, with what judges them."""
        judging = self.sweep.judge.most_usd(problem) if self.sweep.judge else 0.0
        return most_usd(model, self.sweep.settings_of(model), problem, samples) + samples * judging

    def sampling_hash(self, model: ModelSpec) -> str:
        """Names the distribution of a model's samples."""
        return distribution_digest(model, self.sweep.settings_of(model), self.infos[model.name].revision)

    def _planned(self, model: ModelSpec) -> PlannedModel:
        info = self.infos[model.name]
        return PlannedModel(
            name=model.name,
            distribution=model.distribution,
            sampling=self.sweep.settings_of(model).model_dump(mode="json"),
            revision=info.revision,
            sampling_hash=self.sampling_hash(model),
            parameters=info.parameters,
            layers=info.layers or None,
            hidden=info.hidden or None,
        )


def resolve(sweep: Sweep) -> Resolved:
    """Raises BadInput for a model or a task that cannot be used, or a prompt that no model here could take."""
    infos = {model.name: inspect_model(model, f"models.{model.name}") for model in sweep.models}
    problems = {task.title: task.load(sweep.sampling_on(task)) for task in sweep.tasks}
    for name in [*infos, *problems]:
        quote(name)
    for model in sweep.models:
        for task in sweep.tasks_of(model):
            trouble = prompt_too_long(model, infos[model.name], problems[task.title])
            if trouble is not None:
                raise BadInput(f"task {task.title}, {trouble}; shorten it, or raise max_model_len")
    _check_judge(sweep, problems)
    return Resolved(sweep, infos, problems)


def _check_judge(sweep: Sweep, problems: Mapping[str, tuple[Problem, ...]]) -> None:
    """A judge that is needed is there, and takes the key."""
    needing = [task for task, given in problems.items() if any(problem.verifier == "judge" for problem in given)]
    if needing and sweep.judge is None:
        raise BadInput(f"task {needing[0]}: {NO_JUDGE}")
    if needing and sweep.judge and sweep.judge.service.check:
        check_service(sweep.judge, "judge")


def code_version() -> str:
    """The commit this runs from, with + where files differ from it; unknown where there is no repository."""
    folder = Path(__file__).parent
    try:
        words = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
