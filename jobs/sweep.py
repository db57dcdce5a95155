"""The sweep: the one YAML file that a user writes. Its keys, how it is read, and the run that it names.

The docstring under a field is its text in docs/sweep.md, in the JSON Schema (`troop schema`) and in error messages.
"""

import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AwareDatetime, Field, field_validator, model_validator

from jobs.store.base import Store, StoreOptions
from jobs.store.layers import Layer, layer_key
from jobs.store.open import open_store
from jobs.store.stored_run import StoredRun, read_run
from jobs.sweep_file import assign_all, keep_texts, read_sweep_file, with_k
from sampling.errors import BadInput
from sampling.packages import PackageEntry, under_folder
from sampling.places import expand_home, local_path, model_place
from sampling.problems import Problem, read_text
from sampling.settings import Adaptive, ModelSpec, SamplingSettings, TaskSampling, unread_key
from sampling.settings.grid import expand
from sampling.settings.model import ADAPTER_CONFIG, Adapter, over
from sampling.tasks.task import TaskSpec
from sampling.validate import Plain, parse
from verify.judge_settings import JudgeSettings

DEFAULT_K = 100
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
SWEEP_FILES = (".yaml", ".yml")
DEMO_ROUNDS = ("name=demo-adaptive", "adaptive={first: 50, grow: 2, retire_at: 5}")
DEMO = Path(__file__).parent.parent / "examples" / "demo" / "sweep.yaml"


class VerifySettings(Plain):
    """The sandbox that verdicts need, the pool of verifier processes, and the check before a run."""

    tier: Literal["isolated", "confined"] | None = None
    """Weakest sandbox that is accepted. Where a machine cannot give it, nothing starts.

    Default: the strongest tier that each machine has. `troop doctor` shows the tiers of this machine.
    """
    workers: int | None = Field(default=None, ge=1)
    """Number of verifier processes. Default: the pool follows the work, up to the cores that engines leave free.

    A judge with a rate limit needs the number, because the processes share the limit.
    """
    nodes: str | None = Field(default=None, min_length=1)
    """Nodes that verifiers go to: a Ray label (`role=cpu`) or the name of a custom resource (`verifiers`).

    Default: nodes without GPUs, else free cores beside the engines.
    """
    audit: int = Field(default=8, ge=0)
    """Gold solutions of each task that must pass before engines start. 0 tries none, as `--no-audit` does."""
    packages: tuple[PackageEntry, ...] | None = None
    """Packages that candidates may import, on tasks and problems without `packages` of their own.

    Each is the name of a distribution that is installed beside Troop on every machine that verifies, or the path of a
    folder that holds packages (with a slash; relative to the sweep's file). Requirements come with a distribution.
    Default: NumPy alone, where it is installed. Example: `[numpy, sortedcontainers]`.
    """


class Stop(Plain):
    """Limits that end a run cleanly. Units in flight are finished; the same command continues after a raise."""

    usd: float | None = Field(default=None, gt=0)
    """Most dollars that all calls of this run may spend together. Needs `prices` on at least one model."""
    gpu_hours: float | None = Field(default=None, gt=0)
    """Most GPU hours that all calls of this run may use together."""
    until: AwareDatetime | None = None
    """Time after which no further unit starts, with its time zone: `2026-08-01T06:00:00+02:00`."""
    samples: int | None = Field(default=None, ge=1)
    """Most samples that all calls of this run may draw together, over all models. Example: `100000`.

    With `adaptive`, the problems with the fewest samples come first, so what is drawn is spread over the unsolved ones.
    """


class WandbSettings(Plain):
    """Run of Weights & Biases; the key comes from `wandb login` or WANDB_API_KEY, never from here."""

    project: str = Field(default="troop", min_length=1)
    """Project that the run belongs to."""
    entity: str | None = Field(default=None, min_length=1)
    """User or team of the project. Default: the account's own."""
    mode: Literal["online", "offline"] = "online"
    """Place that the run goes to: the service or, with `offline`, `dir`/wandb, from where `wandb sync` sends it."""
    dir: str | None = Field(default=None, min_length=1)
    """Folder of W&B's files, relative to the current one. Default: the current folder."""


class MlflowSettings(Plain):
    """Run of MLflow; credentials come from its own variables, never from here."""

    experiment: str = Field(default="troop", min_length=1)
    """Experiment that the run belongs to; it is made where there is none."""
    uri: str | None = Field(default=None, min_length=1)
    """Tracking server or database: `http://host:5000`, `sqlite:///mlflow.db`. Default: MLFLOW_TRACKING_URI."""

    @field_validator("uri")
    @classmethod
    def _holds_no_credentials(cls, value: str | None) -> str | None:
        if value is not None and ("@" in urlsplit(value).netloc or urlsplit(value).query):
            raise ValueError("an address without user, password and query; MLflow reads them from its variables")
        return value


class Track(Plain):
    """Trackers that get a run's progress and numbers. One that fails is told in one line and never fails the run."""

    wandb: WandbSettings | None = None
    """Weights & Biases (`pip install wandb`). Example: `{project: nightly}`."""
    mlflow: MlflowSettings | None = None
    """MLflow (`pip install mlflow`). Example: `{uri: "http://mlflow:5000"}`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the trackers, which are those of their packages."""
        return tuple(name for name in ("wandb", "mlflow") if getattr(self, name) is not None)

    def check(self) -> None:
        """Raises BadInput where the package of a tracker is missing."""
        for name in self.names:
            if importlib.util.find_spec(name) is None:
                raise BadInput(f"track.{name}: not installed here; `{sys.executable} -m pip install {name}`")


class Sweep(Plain):
    """A sweep: models × tasks × sampling settings.

    For `k` and `sampling`, the model's own value goes first, then the task's, then the sweep's, then the preset's.
    """

    name: Annotated[str, Field(pattern=NAME)]
    """Name of the run: letters, digits, `.`, `_` and `-`. The run is stored at `store`/`name`."""
    store: str = Field(default="runs", min_length=1)
    """Place of the runs: a folder, relative to the current one, or a prefix such as `s3://bucket/runs`."""
    unit: int | None = Field(default=None, ge=1, le=2048)
    """Most samples in a unit, which is committed whole: what a crash loses at most of each unit that was under way.

    Default: 2,048, and fewer where samples are long or engines slow, so that a unit takes an engine minutes: see
    [Sizes of units](#sizes-of-units). A unit that is planned keeps its size. Example: `256`.
    """
    models: tuple[ModelSpec, ...] = Field(min_length=1)
    """Models to sample, at least one. Their names must differ."""
    tasks: tuple[TaskSpec, ...] = Field(min_length=1)
    """Tasks to sample, at least one. Their names must differ; a task without a name is called by its kind."""
    k: int | None = Field(default=None, ge=1)
    """Samples per problem; `n` is another name. Default: the preset's, else 100. A larger k later continues the run."""
    sampling: SamplingSettings = SamplingSettings()
    """Sampling settings of all models and tasks that have no settings of their own."""
    adaptive: Adaptive | None = None
    """Rounds by which problems that pass often get fewer samples. Default: every problem gets k.

    Example: `{first: 100, grow: 2, retire_at: 5}`. A run keeps the policy that it began with.
    """
    seed: int = Field(default=0, ge=0)
    """Seed from which every engine's random stream is derived."""
    verify: VerifySettings = VerifySettings()
    """Verifiers: sandbox tier, number of processes, nodes, and the check before a run."""
    judge: JudgeSettings | None = None
    """Language model that verifies the problems whose verifier is `judge`. Default: no judge, and no such problems."""
    stop: Stop = Stop()
    """Limits that end the run: dollars, GPU hours, samples, a time. Default: no limits."""
    track: Track = Track()
    """Trackers: Weights & Biases, MLflow. Default: none."""
    store_options: StoreOptions = StoreOptions()
    """Connection to an S3 store: endpoint, region, profile. A folder needs none."""
    _notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Sweep":
        for kind, names in (("model", [m.name for m in self.models]), ("task", [t.title for t in self.tasks])):
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise ValueError(f"{kind} name {twice!r} occurs more than once; names must be unique")
        return self

    @model_validator(mode="after")
    def _judge_has_its_own_name_and_limits(self) -> "Sweep":
        judge = self.judge
        if judge and any(model.name == judge.name for model in self.models):
            raise ValueError(
                f"judge.name: a model is called {judge.name!r} too, and dollars are counted by name; choose another"
            )
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
    def notes(self) -> tuple[str, ...]:
        """Lines on what could have been read in two ways, for `troop plan`; a stored sweep has none."""
        return self._notes

    @property
    def run_uri(self) -> str:
        """Place of the run: a folder or an s3:// prefix."""
        return f"{self.store.rstrip('/')}/{self.name}"

    def tasks_of(self, model: ModelSpec) -> tuple[TaskSpec, ...]:
        """Returns the tasks that a model samples."""
        return tuple(task for task in self.tasks if model.tasks is None or task.title in model.tasks)

    def k_of(self, model: ModelSpec, task: TaskSpec) -> int:
        """Returns the samples per problem of a model on a task."""
        preset = task.from_preset
        return model.k or task.k or self.k or (preset.k if preset else DEFAULT_K)

    def settings_of(self, model: ModelSpec) -> SamplingSettings:
        """Returns the settings that hold for a model on tasks without settings of their own."""
        return over(model.sampling or self.sampling, model.varied)

    def problems_of(self, task: TaskSpec) -> tuple[Problem, ...]:
        """Loads a task's problems, with its sampling settings and packages; raises BadInput."""
        return task.load(self.sampling_on(task), self.verify.packages)

    def sampling_on(self, task: TaskSpec) -> TaskSampling | None:
        """Returns a task's own sampling, or None. Its preset fills only keys that the sweep's `sampling` leaves out."""
        preset, own = task.from_preset, task.sampling or TaskSampling()
        filled = preset.sampling.model_dump(exclude_none=True, exclude=self.sampling.model_fields_set) if preset else {}
        return TaskSampling(**filled | own.model_dump(exclude_none=True)) if preset or task.sampling else None


def load_sweep(path: Path, assignments: Sequence[str] = ()) -> Sweep:
    """Reads a sweep from a YAML file, with ``a.b=value`` assignments applied; raises BadInput.

    Paths of models and tasks are relative to the file, ``store`` to the current folder.
    """
    path = Path(expand_home(str(path)))
    data = read_sweep_file(path)
    if not isinstance(data, dict):
        raise BadInput(f"{path}: a sweep must be a mapping; allowed keys: {', '.join(Sweep.model_fields)}")
    return make_sweep(data, path.parent, str(path), assignments)


def make_sweep(data: dict[str, Any], folder: Path, where: str, assignments: Sequence[str] = ()) -> Sweep:
    """Returns the sweep of a file's data, which it changes; relative paths start at ``folder``. Raises BadInput."""
    assign_all(data, assignments)
    data = expand(with_k(data, where), folder, where)
    sweep = parse(Sweep, keep_texts(Sweep, data), where)
    for model in sweep.models:
        if trouble := unread_key(model):
            raise BadInput(f"{where}: {trouble}")
    return _with_absolute_paths(sweep, folder)


def _with_absolute_paths(sweep: Sweep, folder: Path) -> Sweep:
    places = [_model_place(model, folder) for model in sweep.models]
    models = [
        model.model_copy(update={"path": path, "sampling": own, "adapter": _adapter_under(folder, model.adapter)})
        for model, (path, _) in zip(sweep.models, places, strict=True)
        for own in [model.sampling and _with_template(model.sampling, folder, f"models.{model.name}.sampling")]
    ]
    tasks = [task.under(folder) for task in sweep.tasks]
    verify = sweep.verify.model_copy(update={"packages": under_folder(sweep.verify.packages, folder)})
    paths = {"store": local_path(sweep.store), "models": tuple(models), "tasks": tuple(tasks), "verify": verify}
    found = sweep.model_copy(update=paths | {"sampling": _with_template(sweep.sampling, folder, "sampling")})
    notes = [(model.name, note) for model, (_, note) in zip(models, places, strict=True) if note]
    found._notes = tuple(f"models.{name}.path: {note}" for name, note in notes)
    return found


def _with_template(settings: SamplingSettings, folder: Path, where: str) -> SamplingSettings:
    """Returns the settings with the text of their chat template in place of its path; raises BadInput."""
    given = settings.chat_template
    if given is None:
        return settings
    path = folder / local_path(given)
    if not path.is_file():
        raise BadInput(f"{where}.chat_template: no file {str(path)!r}; allowed: the path of a Jinja template")
    return settings.model_copy(update={"chat_template": read_text(path)})


def _adapter_under(folder: Path, adapter: Adapter | None) -> Adapter | None:
    """Returns the adapter with its full path or hub id."""
    return adapter and adapter.model_copy(update={"path": model_place(adapter.path, folder, ADAPTER_CONFIG)[0]})


def _model_place(model: ModelSpec, folder: Path) -> tuple[str, str | None]:
    """Returns the place of a model's files, and what there is to say of it; a service's name is taken as it is."""
    if model.engine == "openai":
        return model.path, None
    if model.engine == "replay":
        path = folder / local_path(model.path)
        return (str(path.resolve()) if path.exists() else model.path), None
    return model_place(model.path, folder)


def demo_sweep(assignments: Sequence[str], *, adaptive: bool = False) -> Sweep:
    """Reads the demo's sweep; its run lies in runs/demo of the current folder. Raises BadInput outside a checkout.

    With ``adaptive`` the same models and problems are sampled by rounds, in runs/demo-adaptive.
    """
    if not DEMO.is_file():
        raise BadInput(f"demo: {DEMO} is missing; run `troop demo` from a checkout of the repository")
    return load_sweep(DEMO, (*(DEMO_ROUNDS if adaptive else ()), *assignments))


def open_run(uri: str, version: str | None = None, scores: str | None = None) -> StoredRun:
    """Opens the run at a path, at an s3:// URI, or of a sweep file; raises BadInput where there is none."""
    store = _store_at(uri)
    store.check()
    return replace(read_run(store), version=version, scores=scores)


def _store_at(uri: str) -> Store:
    if uri.endswith(SWEEP_FILES):
        sweep = load_sweep(Path(uri))
        return open_store(sweep.run_uri, sweep.store_options)
    return open_store(uri, StoreOptions())


def sweep_of(layers: Sequence[Layer]) -> Sweep:
    """Returns the last sweep of a plan with all models and tasks of earlier ones: an import names only its own."""
    sweeps = [parse(Sweep, layer.sweep, layer_key(layer.number)) for layer in layers if layer.sweep]
    models = {model.name: model for sweep in sweeps for model in sweep.models}
    tasks = {task.title: task for sweep in sweeps for task in sweep.tasks}
    return sweeps[-1].model_copy(update={"models": tuple(models.values()), "tasks": tuple(tasks.values())})
