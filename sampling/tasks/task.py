"""Tasks: a published file (or one's own JSONL) as problems, with prompt, stop strings, verifier and gold solutions.

``load_task`` is a function of the files alone: the same files give the same problems in the same order, on every node.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, model_validator

from sampling.errors import BadInput
from sampling.problems import Limits, Message, Problem, check_problems
from sampling.settings import TaskSampling
from sampling.tasks.presets import OF_PROBLEMS, Preset, PresetName, preset_of
from sampling.tasks.recipes import (
    RECIPES,
    Question,
    Recipe,
    Style,
    ask,
    choose_shots,
    default_shots,
    show,
    template,
    with_limits,
)
from sampling.tasks.rows import read_rows
from sampling.tasks.sources import under
from sampling.tasks.swebench import placed
from sampling.validate import Plain, parse

TaskKind = Literal["jsonl", "gsm8k", "math", "humaneval", "mbpp", "codecontests", "minif2f", "swebench"]
KINDS: tuple[str, ...] = get_args(TaskKind)
R = TypeVar("R", Question, Problem)


class TaskSpec(Plain):
    """One task of a sweep, as the user writes it. See ``sampling.tasks.sources`` for what ``path`` and ``few_shot`` may
    be.

    Of the file's problems, those whose id fits the pattern ``only`` (``mathd_*``) and whose question holds none of
    ``without`` are taken; ``shuffle`` puts them into a random order, always the same one, before ``skip`` and ``limit``
    take a slice. ``few_shot`` is a file of the same kind from which ``shots`` examples are drawn. ``prompt`` replaces
    the built-in template (see ``prompts/``), ``limits`` the time and memory of a code task's candidates. ``style`` is
    ``base`` for text to continue, ``chat`` for messages. ``k`` and ``sampling`` hold for this task, on models without
    their own. ``preset`` fills in what is not given.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    kind: TaskKind
    path: str = Field(min_length=1)
    preset: PresetName | None = None
    k: int | None = Field(default=None, ge=1)
    sampling: TaskSampling | None = None
    limit: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    shuffle: bool | None = None
    only: Annotated[str, Field(min_length=1)] | None = None
    without: tuple[str, ...] | None = None
    few_shot: str | None = None
    shots: int | None = Field(default=None, ge=0, le=64)
    style: Style = "base"
    prompt: Path | None = None
    limits: Limits | None = None

    @model_validator(mode="after")
    def _preset_has_the_kind(self) -> "TaskSpec":
        preset_of(self.preset, self.kind)
        return self

    @property
    def title(self) -> str:
        """What the task is called in columns and paths."""
        return self.name or self.kind

    @property
    def from_preset(self) -> Preset | None:
        return preset_of(self.preset, self.kind)

    def under(self, folder: Path) -> "TaskSpec":
        """The same task with its relative paths taken from ``folder``."""
        paths = {"path": under(self.path, folder), "few_shot": self.few_shot and under(self.few_shot, folder)}
        return self.model_copy(update={**paths, "prompt": self.prompt and folder / self.prompt})

    @property
    def filled(self) -> "TaskSpec":
        """The same task with what its preset says of the keys that are not given."""
        preset = self.from_preset
        missing = [name for name in OF_PROBLEMS if preset and getattr(self, name) is None]
        return self.model_copy(update={name: getattr(preset, name) for name in missing})

    def load(self, sampling: TaskSampling | None = None) -> tuple[Problem, ...]:
        """The task's problems, to be sampled with ``sampling``; raises BadInput."""
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
            which=Which(task.without or (), bool(task.shuffle)),
        )
        return (
            tuple(problem.model_copy(update={"sampling": sampling}) for problem in problems) if sampling else problems
        )


@dataclass(frozen=True, slots=True)
class Which:
    """Which of a file's problems are asked, and in which order; fields as in ``TaskSpec``."""

    without: tuple[str, ...] = ()
    shuffle: bool = False

    def of(self, rows: Iterable[R], only: str | None) -> list[R]:
        kept = [row for row in rows if fnmatchcase(row.id, only or "*") and not self.excludes(row)]
        return sorted(kept, key=lambda row: hashlib.sha256(row.id.encode()).digest()) if self.shuffle else kept

    def excludes(self, row: Question | Problem) -> bool:
        text = row.fields["question"] if isinstance(row, Question) else row.asked
        return any(part in text for part in self.without)


ALL = Which()


def load_task(
    kind: str,
    path: str | Path,
    *,
    only: str | None = None,
    limit: int | None = None,
    skip: int = 0,
    few_shot: str | Path | None = None,
    shots: int | None = None,
    style: Style = "base",
    prompt: Path | None = None,
    limits: Limits | None = None,
    which: Which = ALL,
) -> tuple[Problem, ...]:
    """The problems of one file; raises BadInput with one line that names the file and what is allowed."""
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is no kind of task; allowed: {', '.join(KINDS)}")
    place = str(path)
    if kind == "jsonl":
        _refuse(kind, few_shot=few_shot, shots=shots, prompt=prompt, limits=limits)
        problems = _slice(which.of(_unique(_own_problems(place, style)), only), skip, limit)
    else:
        recipe = RECIPES[kind]
        if not recipe.few_shot:
            _refuse(kind, few_shot=few_shot, shots=shots)
        text = template(kind, style, prompt)
        rows = _questions(recipe, place)
        pool = _questions(recipe, str(few_shot)) if few_shot else None
        examples = _Examples(kind, style, text, rows, pool, shots, default_shots(kind, prompt), which)
        free = (row for row in rows if row.id not in recipe.reserved and not row.held_out)
        asked = _slice(which.of(free, only), skip, limit)
        problems = [_problem(recipe, style, text, row, examples, limits) for row in asked]
    return check_problems(
        (placed(problem, place) for problem in problems), f"{place}, only {only!r}" if only else place
    )


class _Examples:
    """The few-shot examples of a task: a pool to draw from, or the fixed text, or none."""

    def __init__(
        self,
        kind: str,
        style: Style,
        text: str,
        rows: Sequence[Question],
        given: Sequence[Question] | None,
        shots: int | None,
        fixed: str,
        which: Which,
    ) -> None:
        recipe = RECIPES[kind]
        self.fixed = ""
        pool = given if given is not None else [row for row in rows if row.id in recipe.own_pool]
        self.pool = [row for row in pool if row.answer.strip() and not which.excludes(row)]
        self.shots = shots if shots is not None else recipe.shots if style == "base" or given is not None else 0
        if self.shots and not pool:
            if shots is not None or style == "chat":
                raise BadInput(f"shots: {self.shots} examples of {kind} asked for, but no few_shot file is given")
            self.fixed, self.shots = fixed, 0
        self.text = text

    def for_question(self, question: Question) -> list[Question]:
        return choose_shots(question, self.pool, self.shots)


def _problem(
    recipe: Recipe, style: Style, text: str, row: Question, examples: _Examples, limits: Limits | None
) -> Problem:
    shots = examples.for_question(row)
    common: dict[str, Any] = {
        "id": row.id,
        "verifier": row.verifier,
        "reference": with_limits(row.reference, limits),
        "solution": row.solution,
    }
    if style == "chat":
        turns = [turn for shot in shots for turn in (("user", ask(text, shot)), ("assistant", shot.answer))]
        turns.append(("user", ask(text, row)))
        return Problem(**common, messages=tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns))
    shown = "".join(show(text, shot) + "\n\n" for shot in shots)
    return Problem(**common, prompt=examples.fixed + shown + ask(text, row), stop=recipe.stop)


def _questions(recipe: Recipe, place: str) -> list[Question]:
    rows = enumerate(read_rows(place, recipe.columns))
    return _unique((where, recipe.read(data, where, index)) for index, (where, data) in rows)


def _own_problems(place: str, style: Style) -> Iterator[tuple[str, Problem]]:
    for where, data in read_rows(place):
        problem = parse(Problem, data, where)
        if style == "chat" and problem.prompt is not None:
            turn = Message(role="user", content=problem.prompt)
            problem = problem.model_copy(update={"prompt": None, "messages": (turn,)})
        yield where, problem


def _unique(rows: Iterable[tuple[str, R]]) -> list[R]:
    """The rows themselves; raises BadInput where an id occurs a second time."""
    first: dict[str, str] = {}
    kept = []
    for where, row in rows:
        if row.id in first:
            raise BadInput(
                f"{where}: id {row.id!r} occurs more than once (first at {first[row.id]}); ids must be unique"
            )
        first[row.id] = where
        kept.append(row)
    return kept


def _slice(rows: Sequence[R], skip: int, limit: int | None) -> Sequence[R]:
    return rows[skip : None if limit is None else skip + limit]


def _refuse(kind: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            allowed = [kind for kind, recipe in RECIPES.items() if recipe.few_shot or name not in ("few_shot", "shots")]
            raise BadInput(f"{name}: not for tasks of kind {kind!r}; allowed for {', '.join(allowed)}")
