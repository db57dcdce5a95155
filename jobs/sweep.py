"""The sweep: the one YAML file that a user writes. Unknown keys are refused with the allowed ones."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AwareDatetime, Field, model_validator

from jobs.store.base import StoreOptions
from sampling.errors import BadInput
from sampling.problems import read_text
from sampling.settings import ModelSpec, SamplingSettings, TaskSampling
from sampling.tasks.task import TaskSpec
from sampling.validate import Plain, parse
from verify.judge_settings import JudgeSettings

DEFAULT_K = 100
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class VerifySettings(Plain):
    """``tier`` refuses to start where the sandbox is weaker; ``workers`` is the size of the verifier pool.

    ``nodes`` is a label (``key=value``) or a custom resource of the nodes that verifiers go to; without it they go to
    nodes without GPUs where these have room, and beside the engines.
    ``audit`` is how many gold solutions of each task have to pass before engines start; 0 tries none.
    """

    tier: Literal["isolated", "confined"] | None = None
    workers: int | None = Field(default=None, ge=1)
    nodes: str | None = Field(default=None, min_length=1)
    audit: int = Field(default=8, ge=0)


class Stop(Plain):
    """Limits that end a run cleanly: dollars and GPU hours of all its calls together, and a time with its zone."""

    usd: float | None = Field(default=None, gt=0)
    gpu_hours: float | None = Field(default=None, gt=0)
    until: AwareDatetime | None = None


class Sweep(Plain):
    """Models × tasks × sampling settings. ``k`` is samples per problem, ``sampling`` how they are drawn.

    Of both, what a model says itself goes first, then a task, then the sweep, then the task's preset.
    """

    name: Annotated[str, Field(pattern=NAME)]
    store: str = "runs"
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    k: int | None = Field(default=None, ge=1)
    sampling: SamplingSettings = SamplingSettings()
    seed: int = Field(default=0, ge=0)
    verify: VerifySettings = VerifySettings()
    judge: JudgeSettings | None = None
    stop: Stop = Stop()
    store_options: StoreOptions = StoreOptions()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Sweep":
        for kind, names in (("model", [m.name for m in self.models]), ("task", [t.title for t in self.tasks])):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{kind} name {twice!r} occurs more than once; names must be unique")
        return self

    @model_validator(mode="after")
    def _the_judge_is_told_apart(self) -> "Sweep":
        judge = self.judge
        if judge and any(model.name == judge.name for model in self.models):
            raise ValueError(f"judge.name: a model is called {judge.name!r} too, and dollars are counted by name")
        limited = judge and (judge.service.requests_per_minute or judge.service.tokens_per_minute)
        if limited and self.verify.workers is None:
            raise ValueError("judge.service: a rate limit is shared among the verifiers; say how many: verify.workers")
        return self

    @model_validator(mode="after")
    def _dollars_need_a_price(self) -> "Sweep":
        prices = [model.prices for model in self.models] + ([self.judge.prices] if self.judge else [])
        if self.stop.usd and not any(price.per_engine_hour or price.per_million_tokens for price in prices):
            raise ValueError("stop.usd: no model has prices.per_engine_hour or prices.per_million_tokens to count by")
        return self

    @model_validator(mode="after")
    def _models_name_tasks(self) -> "Sweep":
        titles = [task.title for task in self.tasks]
        for model in self.models:
            unknown = next((name for name in model.tasks or () if name not in titles), None)
            if unknown is not None:
                raise ValueError(f"models.{model.name}.tasks: no task {unknown!r}; there are: {', '.join(titles)}")
        return self

    @property
    def run_uri(self) -> str:
        """Where the run is stored: a folder or an s3:// prefix."""
        return f"{self.store.rstrip('/')}/{self.name}"

    def tasks_of(self, model: ModelSpec) -> tuple[TaskSpec, ...]:
        """Those that a model is asked."""
        return tuple(task for task in self.tasks if model.tasks is None or task.title in model.tasks)

    def k_of(self, model: ModelSpec, task: TaskSpec) -> int:
        preset = task.from_preset
        return model.k or task.k or self.k or (preset.k if preset else DEFAULT_K)

    def settings_of(self, model: ModelSpec) -> SamplingSettings:
        """What holds on every task that says nothing else."""
        return model.sampling or self.sampling

    def sampling_on(self, task: TaskSpec) -> TaskSampling | None:
        """What a task says of sampling; its preset leaves alone what the sweep says itself."""
        preset, own = task.from_preset, task.sampling or TaskSampling()
        filled = preset.sampling.model_dump(exclude_none=True, exclude=self.sampling.model_fields_set) if preset else {}
        return TaskSampling(**filled | own.model_dump(exclude_none=True)) if preset or task.sampling else None


def load_sweep(path: Path, assignments: Sequence[str] = ()) -> Sweep:
    """The sweep in a YAML file, after ``a.b=value`` assignments; raises BadInput.

    Paths of models and tasks are relative to the file, ``store`` to the current folder.
    """
    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise BadInput(f"{path}: not valid YAML ({_yaml_words(error)})") from error
    if not isinstance(data, dict):
        raise BadInput(f"{path}: a sweep is a mapping with the keys {', '.join(Sweep.model_fields)}")
    for assignment in assignments:
        _assign(data, assignment)
    return _with_absolute_paths(parse(Sweep, data, str(path)), path.parent)


def _yaml_words(error: yaml.YAMLError) -> str:
    """What is wrong and where, in one line."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{getattr(error, 'problem', None) or ' '.join(str(error).split())}"


def _assign(data: dict[str, Any], assignment: str) -> None:
    """Sets ``models.0.k=5`` or, by name, ``models.small.k=5``; the value is YAML."""
    place, equals, text = assignment.partition("=")
    if not equals or not place:
        raise BadInput(f"--set {assignment!r}: write it as key.subkey=value")
    *parents, last = place.split(".")
    node: Any = data
    for part in parents:
        node = _child(node, part, assignment)
    if not isinstance(node, dict):
        raise BadInput(f"--set {assignment!r}: {'.'.join(parents)} takes no keys")
    try:
        node[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set {assignment!r}: the value is not valid YAML") from error


def _child(node: Any, part: str, assignment: str) -> Any:
    if isinstance(node, dict):
        return node.setdefault(part, {})
    if isinstance(node, list):
        named = [item for item in node if isinstance(item, dict) and part in {item.get("name"), item.get("kind")}]
        if named:
            return named[0]
        if part.isdigit() and int(part) < len(node):
            return node[int(part)]
    raise BadInput(f"--set {assignment!r}: there is no {part!r} here")


def _with_absolute_paths(sweep: Sweep, folder: Path) -> Sweep:
    models = [model.model_copy(update={"path": _model_path(model, folder)}) for model in sweep.models]
    tasks = [task.under(folder) for task in sweep.tasks]
    return sweep.model_copy(update={"models": tuple(models), "tasks": tuple(tasks)})


def _model_path(model: ModelSpec, folder: Path) -> str:
    """A path beside the sweep, where it or its folder is there; anything else is a hub id or a service's name."""
    beside = folder / model.path
    local = beside.exists() or (beside.parent != folder and beside.parent.is_dir())
    return str(beside.resolve()) if model.engine != "openai" and local else model.path
