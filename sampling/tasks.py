"""Tasks: a published file (or one's own JSONL) as problems, with prompt, stop strings, verifier and gold solutions.

``load_task`` is a function of the files alone: the same files give the same problems in the same order, on every node.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field

from sampling.errors import BadInput
from sampling.problems import Limits, Message, Problem, check_problems, load_json, read_text
from sampling.recipes import (
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
from sampling.theorems import read_file
from sampling.validate import Plain, parse

TaskKind = Literal["jsonl", "gsm8k", "math", "humaneval", "mbpp", "codecontests", "minif2f"]
KINDS: tuple[str, ...] = get_args(TaskKind)
MAX_FILE = 4 << 30  # bytes of an unpacked .gz: more is a mistake or an attack
R = TypeVar("R", Question, Problem)


class TaskSpec(Plain):
    """One task of a sweep, as the user writes it.

    ``only`` is a pattern of the ids that are asked (``mathd_*``), of which ``skip`` and ``limit`` take a slice.
    ``few_shot`` is a file of the same kind from which ``shots`` examples are drawn. ``prompt`` replaces the built-in
    template (see ``prompts/``), ``limits`` the time and memory of a candidate that is run. ``style`` is ``base`` for
    text to continue, ``chat`` for messages.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] | None = None
    kind: TaskKind
    path: Path
    only: Annotated[str, Field(min_length=1)] | None = None
    limit: int | None = Field(default=None, ge=1)
    skip: int = Field(default=0, ge=0)
    few_shot: Path | None = None
    shots: int | None = Field(default=None, ge=0, le=64)
    style: Style = "base"
    prompt: Path | None = None
    limits: Limits | None = None

    @property
    def title(self) -> str:
        """What the task is called in columns and paths."""
        return self.name or self.kind

    def under(self, folder: Path) -> "TaskSpec":
        """The same task with its relative paths taken from ``folder``."""
        paths = {"path": self.path, "few_shot": self.few_shot, "prompt": self.prompt}
        return self.model_copy(update={key: folder / path for key, path in paths.items() if path is not None})

    def load(self) -> tuple[Problem, ...]:
        """The task's problems; raises BadInput."""
        return load_task(
            self.kind,
            self.path,
            only=self.only,
            limit=self.limit,
            skip=self.skip,
            few_shot=self.few_shot,
            shots=self.shots,
            style=self.style,
            prompt=self.prompt,
            limits=self.limits,
        )


def load_task(
    kind: str,
    path: Path,
    *,
    only: str | None = None,
    limit: int | None = None,
    skip: int = 0,
    few_shot: Path | None = None,
    shots: int | None = None,
    style: Style = "base",
    prompt: Path | None = None,
    limits: Limits | None = None,
) -> tuple[Problem, ...]:
    """The problems of one file; raises BadInput with one line that names the file and what is allowed."""
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is no kind of task; allowed: {', '.join(KINDS)}")
    if kind == "jsonl":
        _refuse(kind, few_shot=few_shot, shots=shots, prompt=prompt, limits=limits)
        own = _unique(_own_problems(path, style))
        problems = _slice([problem for problem in own if fnmatchcase(problem.id, only or "*")], skip, limit)
    else:
        recipe = RECIPES[kind]
        if not recipe.few_shot:
            _refuse(kind, few_shot=few_shot, shots=shots)
        text = template(kind, style, prompt)
        rows = _questions(recipe, path)
        examples = _Examples(kind, style, text, rows, few_shot, shots)
        free = [row for row in rows if row.id not in recipe.reserved and not row.held_out]
        asked = _slice([row for row in free if fnmatchcase(row.id, only or "*")], skip, limit)
        problems = [_problem(recipe, style, text, row, examples, limits) for row in asked]
    return check_problems(problems, str(path) if only is None else f"{path}, only {only!r}")


class _Examples:
    """The few-shot examples of a task: a pool to draw from, or the built-in text, or none."""

    def __init__(
        self, kind: str, style: Style, text: str, rows: Sequence[Question], few_shot: Path | None, shots: int | None
    ) -> None:
        recipe = RECIPES[kind]
        self.fixed = ""
        self.pool = [row for row in rows if row.id in recipe.own_pool]
        if few_shot:
            self.pool = [row for row in _questions(recipe, few_shot) if row.answer.strip()]
        self.shots = shots if shots is not None else recipe.shots if style == "base" or few_shot else 0
        if self.shots and not self.pool:
            if shots is not None or style == "chat":
                raise BadInput(f"shots: {self.shots} few-shot examples asked for, but no few_shot file is given")
            self.fixed, self.shots = default_shots(kind), 0
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


def _questions(recipe: Recipe, path: Path) -> list[Question]:
    return _unique((where, recipe.read(data, where, index)) for index, (where, data) in enumerate(read_rows(path)))


def _own_problems(path: Path, style: Style) -> Iterator[tuple[str, Problem]]:
    for where, data in read_rows(path):
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


def read_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a .jsonl or .json (array) file, .gz or not, or the theorems of a .lean file, each with where it
    stands; raises BadInput."""
    if path.suffix == ".lean":
        yield from _theorems(path)
        return
    text = _unpacked(path) if path.suffix == ".gz" else read_text(path)
    if path.name.removesuffix(".gz").endswith(".json"):
        data = _loaded(text, str(path))
        if not isinstance(data, list):
            raise BadInput(f"{path}: a JSON array of rows is needed, got {type(data).__name__}")
        yield from ((f"{path}: row {number}", row) for number, row in enumerate(data, start=1))
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            yield f"{path}:{number}", _loaded(line, f"{path}:{number}")


def _theorems(path: Path) -> Iterator[tuple[str, Any]]:
    for where, theorem, header in read_file(read_text(path), str(path)):
        row = {"name": theorem.name, "formal_statement": theorem.statement, "header": header, "proof": theorem.proof}
        yield where, row


def _loaded(text: str, where: str) -> Any:
    """Parsed JSON that can be written as UTF-8 again; raises BadInput."""
    try:
        data = load_json(text, where)
        if "\\ud" in text.lower():
            json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise BadInput(f"{where}: half of a surrogate pair is no text ({error.reason})") from error
    return data


def _unpacked(path: Path) -> str:
    try:
        with gzip.open(path) as file:
            data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise BadInput(f"{path}: unpacks to more than {MAX_FILE >> 30} GiB")
        return data.decode("utf-8")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as gzipped UTF-8 text ({error})") from error


def _slice(rows: Sequence[R], skip: int, limit: int | None) -> Sequence[R]:
    return rows[skip : None if limit is None else skip + limit]


def _refuse(kind: str, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            few = [name for name, recipe in RECIPES.items() if recipe.few_shot]
            allowed = few if name in ("few_shot", "shots") else list(RECIPES)
            raise BadInput(f"{name}: not for tasks of kind {kind!r}; allowed for {', '.join(allowed)}")
