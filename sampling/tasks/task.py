"""One task of a sweep, as the user writes it."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from sampling.limits import Limits
from sampling.packages import PackageEntry, under_folder
from sampling.places import local_path
from sampling.policy import MathPolicy
from sampling.problems import Problem
from sampling.references import Extraction, VerifierKind
from sampling.s3_folder import S3, STANDARD, S3Options
from sampling.settings import TaskSampling
from sampling.tasks.load import Which, load_task, with_packages
from sampling.tasks.presets import OF_PROBLEMS, Preset, PresetName, preset_of
from sampling.tasks.recipes import OWN, TaskKind
from sampling.tasks.sources import under
from sampling.tasks.table import Table
from sampling.tasks.templates import Style
from sampling.validate import Plain


class TaskSpec(Plain):
    """One task of a sweep: a file, how its problems are asked, and which of them.

    Filters apply in this order: ``only`` and ``without``, ``shuffle``, ``skip``, ``limit``. Relative paths start at the
    folder of the sweep's file.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    """Name of the task in columns, paths and ``models.N.tasks``; it must be unique in the sweep. Default: ``kind``.

    One to 64 letters, digits, dots, underscores and hyphens; the first is a letter or a digit. Example: `gsm8k-hard`.
    """

    kind: TaskKind
    """Kind of data set: decides how rows are read, the prompt, the stop strings and the verifier. Example: `gsm8k`.

    ``jsonl`` is for your own problems, each with its own verifier; ``table`` for any other table, by ``columns``.
    """

    path: str = Field(min_length=1)
    """File with the problems: a path, ``s3://bucket/key`` or ``hf://datasets/owner/name@revision/file.jsonl``.

    Formats: JSONL, a JSON array (``.json``), CSV (``.csv``), any of them as ``.gz``, Parquet (``.parquet``), and
    ``.lean`` for minif2f. Of the hub, ``hf://owner/name@revision/config?split=test`` is a split of a data set; it needs
    the package ``datasets``. The revision and the config may be left out, and the split is ``test`` unless given.
    Example: `data/gsm8k_test.jsonl`.
    """

    columns: dict[str, str | tuple[str, ...]] | None = None
    """Keys of each problem, or of its reference, with the column that holds them; for kind ``table`` alone.

    A value is the name of a column or a Jinja template with names in double braces, in which ``row`` is the whole row:
    `{{ row["Question text"] }}`. ``prompt`` is needed; ``id`` is the row's number unless given. A list of columns makes
    a list. Example: `{prompt: "Question: {{ question }}", answer: gold, options: [a, b, c]}`.
    """

    verifier: VerifierKind | None = None
    """Verifier of every problem of a ``table``, which decides the keys of its reference. Example: `math`."""

    reference: dict[str, Any] = Field(default_factory=dict)
    """Keys of the reference that are the same for every row of a ``table``. Example: `{checker: float}`."""

    s3_options: S3Options = STANDARD
    """Connection to the bucket of ``s3://`` files of this task: endpoint, region, profile, as in ``store_options``.

    It holds for ``path``, ``few_shot`` and files of checkers. Default: the standard AWS settings. Example:
    `{endpoint_url: "http://minio:9000"}`.
    """

    preset: PresetName | None = None
    """Published experiment whose settings fill in keys that are not given; see docs/tasks.md. Example: `monkeys`.

    It fills ``k``, ``limit``, ``shuffle``, ``shots``, ``only`` and ``without``, and the sampling settings that neither
    the task nor the sweep gives. Default: no preset.
    """

    k: int | None = Field(default=None, ge=1)
    """Samples per problem, on models that give no ``k``. Default: the sweep's ``k``, else the preset's, else 100."""

    sampling: TaskSampling | None = None
    """Sampling settings of this task, in place of the sweep's; a model with its own ``sampling`` ignores them.

    Default: the sweep's settings. Example: `{temperature: 0.6, max_tokens: 512}`.
    """

    limit: int | None = Field(default=None, ge=1)
    """Most problems to ask, after all filters. Default: the preset's, else every problem."""

    skip: int = Field(default=0, ge=0)
    """Problems to leave out at the start, counted after ``only``, ``without`` and ``shuffle``."""

    shuffle: bool | None = None
    """Takes the problems in a random order, which is the same every time: by a hash of their ids.

    Default: the preset's, else the order of the file.
    """

    only: Annotated[str, Field(min_length=1)] | None = None
    """Shell pattern that the ids of the problems must match, upper and lower case apart. Example: `mathd_*`.

    Default: the preset's, else every id.
    """

    without: tuple[str, ...] | None = None
    """Texts whose presence in a question leaves the problem out; few-shot examples with them are left out too.

    Upper and lower case are kept apart. Default: the preset's, else none. Example: `["<image>"]`.
    """

    few_shot: str | None = None
    """File of the same kind from which ``shots`` examples are drawn for each problem; written like ``path``.

    The draw depends on the problem's id alone, and never shows the problem itself. Default: fixed examples for gsm8k,
    math and minif2f, the data set's own three for mbpp, none for codecontests. Not for humaneval, swebench and jsonl.
    """

    shots: int | None = Field(default=None, ge=0, le=64)
    """Examples before each question, 0 to 64. More than 0 needs ``few_shot``, except for mbpp.

    Default: the preset's, else 5 for gsm8k and minif2f, 4 for math, 3 for mbpp, 0 for codecontests; with ``style:
    chat`` these numbers hold only where ``few_shot`` is given, else 0. Not for humaneval, swebench and jsonl.
    """

    style: Style = "base"
    """Form of the prompt: ``base`` is text that the model continues, ``chat`` is messages for its chat template.

    Base prompts of the published kinds have stop strings, chats have none. With kind jsonl, ``chat`` makes a ``prompt``
    one user message.
    """

    prompt: Path | None = None
    """Template file in place of the built-in one; a base template may have examples in ``<name>_shots.txt`` beside it.

    Names in braces are filled from the row: ``{question}``, ``{answer}`` (base only: the question ends there) and, by
    kind, ``{tests}``, ``{options}``, ``{category}``, ``{code}``, ``{format}``, ``{header}``, ``{repo}``, ``{version}``,
    ``{hints}``, ``{text}``. Default: the file of that kind and style in sampling/tasks/prompts. Not for jsonl and
    table. Example: `prompts/mine.txt`.
    """

    shuffle_options: int | None = None
    """Seed of a random order of the options of every ``choice`` problem. Example: `7`.

    The order depends on the seed and the problem's id alone, and is kept in the problem's reference as ``order``. Only
    for jsonl, table, gpqa and mmlu_pro. Default: the order in the file; 0 for gpqa, whose file has the right one first.
    """

    extraction: Extraction | None = None
    """Way to find the answer in a completion: ``kind`` is the rules of docs/problems.md, ``published`` the benchmark's.

    With ``published`` nothing is dropped or repaired: for humaneval the program is the prompt and the completion up to
    the paper's stop strings, for mbpp the completion up to ``[DONE]``; for gsm8k the answer is the number after the
    first ``####``, for math the last ``\\boxed{…}`` in its authors' spelling, and only equal text is right. Not for
    jsonl, whose lines have their own key, nor for kinds without such a rule. Default: ``kind``.
    """

    limits: Limits | None = None
    """Time and memory of a candidate, in place of what each problem says; a key that is not given stays as it is.

    Kinds that compare answers (gsm8k, math) have no candidate and ignore it. Not for jsonl, whose lines have their own
    limits. Example: `{time_limit_s: auto}`, which is 10 times the gold solution's CPU time.
    """

    packages: tuple[PackageEntry, ...] | None = None
    """Packages that candidates and tests of this task may import. Example: `[numpy, sortedcontainers]`.

    A problem's own ``packages`` go first. Default: ``verify.packages`` of the sweep. An empty list allows none.
    """

    policy: MathPolicy | None = None
    """What counts as the answer and as equal to it, for ``math`` and ``exact``, in place of what each problem says.

    A key that is not given stays as it is. Default: the problems' own. Example: `{percent: strict, which: boxed}`.
    """

    @model_validator(mode="after")
    def _preset_has_the_kind(self) -> "TaskSpec":
        preset_of(self.preset, self.kind)
        return self

    @model_validator(mode="after")
    def _a_table_has_columns(self) -> "TaskSpec":
        if self.kind == "table":
            if self.columns is None or self.verifier is None:
                raise ValueError("kind 'table' needs columns and verifier")
            Table(self.columns, self.verifier, self.reference).check()
            return self
        for name in ("columns", "verifier", "reference"):
            if getattr(self, name):
                raise ValueError(f"{name} is for kind 'table' alone, and this task is of kind {self.kind!r}")
        return self

    @model_validator(mode="after")
    def _options_are_of_a_bucket(self) -> "TaskSpec":
        places = (self.path, self.few_shot or "")
        if self.s3_options != STANDARD and self.kind not in OWN and not any(place.startswith(S3) for place in places):
            raise ValueError(f"s3_options is for a path or few_shot that begins with {S3}")
        return self

    @property
    def title(self) -> str:
        """Name of the task in columns and paths."""
        return self.name or self.kind

    @property
    def table(self) -> Table | None:
        """Columns of a task of kind ``table``."""
        return Table(self.columns, self.verifier, self.reference) if self.columns and self.verifier else None

    @property
    def from_preset(self) -> Preset | None:
        return preset_of(self.preset, self.kind)

    def under(self, folder: Path) -> "TaskSpec":
        """Returns a copy whose relative paths start at ``folder``."""
        paths = {"path": under(self.path, folder), "few_shot": self.few_shot and under(self.few_shot, folder)}
        others = {
            "prompt": self.prompt and folder / local_path(str(self.prompt)),
            "packages": under_folder(self.packages, folder),
        }
        return self.model_copy(update=paths | others)

    @property
    def filled(self) -> "TaskSpec":
        """A copy with the preset's values for keys that are not given."""
        preset = self.from_preset
        missing = [name for name in OF_PROBLEMS if preset and getattr(self, name) is None]
        return self.model_copy(update={name: getattr(preset, name) for name in missing})

    def load(
        self,
        sampling: TaskSampling | None = None,
        packages: tuple[str, ...] | None = None,
        *,
        all_rows: bool = False,
    ) -> tuple[Problem, ...]:
        """Returns the task's problems, to be sampled with ``sampling``; raises BadInput.

        ``packages`` are for candidates where neither the task nor the problem names any. ``all_rows`` are wanted for
        samples that others have drawn.
        """
        task = self.filled
        problems = load_task(
            task.kind,
            task.path,
            only=task.only,
            limit=task.limit,
            skip=task.skip,
            few_shot=task.few_shot,
            shots=task.shots,
            style=task.style,
            prompt=task.prompt,
            limits=task.limits,
            extraction=task.extraction,
            policy=task.policy,
            which=Which(task.without or (), bool(task.shuffle), all_rows),
            shuffle_options=task.shuffle_options,
            table=task.table,
            s3_options=task.s3_options,
        )
        given = self.packages if self.packages is not None else packages
        changes = {"sampling": sampling} if sampling else {}
        return tuple(with_packages(problem, given).model_copy(update=changes) for problem in problems)
