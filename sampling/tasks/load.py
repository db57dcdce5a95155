"""Problems of a task's file: rows are read, chosen, given their few-shot examples and turned into prompts.

``load_task`` depends on the files alone: the same files give the same problems in the same order, on every node.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.packages import WithPackages, under_folder
from sampling.patches import PatchReference
from sampling.places import local_path
from sampling.policy import MathPolicy, TextPolicy
from sampling.problems import Message, Problem, check_problems, parse_row
from sampling.references import REFERENCES, Extraction, Reference
from sampling.s3_folder import STANDARD, S3Options
from sampling.tasks.checkers import with_checkers
from sampling.tasks.options import show_options, with_options
from sampling.tasks.questions import Question
from sampling.tasks.recipes import KINDS, OWN, RECIPES, Recipe
from sampling.tasks.rows import read_rows
from sampling.tasks.table import Table
from sampling.tasks.templates import Style, ask, choose_shots, read_fixed_shots, read_template, show
from sampling.validate import parse

PUBLISHED = [kind for kind, recipe in RECIPES.items() if recipe.published]
R = TypeVar("R", Question, Problem)


@dataclass(frozen=True, slots=True)
class Which:
    """Choice and order of a file's problems; fields as in ``TaskSpec``.

    ``all_rows`` takes also those that are never asked: others may have drawn samples of them.
    """

    without: tuple[str, ...] = ()
    shuffle: bool = False
    all_rows: bool = False

    def choose(self, rows: Iterable[R], only: str | None) -> list[R]:
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
    extraction: Extraction | None = None,
    policy: MathPolicy | None = None,
    which: Which = ALL,
    shuffle_options: int | None = None,
    table: Table | None = None,
    s3_options: S3Options = STANDARD,
) -> tuple[Problem, ...]:
    """Returns the problems of one file; raises BadInput with one line that names the file and what is allowed."""
    if kind not in KINDS:
        raise BadInput(f"{kind!r} is no kind of task; allowed: {', '.join(KINDS)}")
    place = str(path)
    if kind in OWN:
        own_limits = limits if kind == "jsonl" else None
        _refuse(kind, few_shot=few_shot, shots=shots, prompt=prompt, limits=own_limits, extraction=extraction)
        rows_read = _read_own_problems(kind, place, table, style, shuffle_options, s3_options)
        problems = [
            _limited(problem, limits) for problem in _slice(which.choose(_unique(rows_read), only), skip, limit)
        ]
    else:
        recipe = RECIPES[kind]
        if shuffle_options is not None and not recipe.options:
            takers = ", ".join((*OWN, *(name for name, each in RECIPES.items() if each.options)))
            raise BadInput(f"shuffle_options: not for tasks of kind {kind!r}; allowed for {takers}")
        if not recipe.few_shot:
            _refuse(kind, few_shot=few_shot, shots=shots)
        text = read_template(recipe.prompts or kind, style, prompt, recipe.needs)
        rows = _read_questions(recipe, place, s3_options)
        pool = _read_questions(recipe, str(few_shot), s3_options) if few_shot else None
        examples = _Examples(
            kind, style, text, rows, pool, shots, read_fixed_shots(recipe.prompts or kind, prompt), which
        )
        free = (row for row in rows if which.all_rows or (row.id not in recipe.reserved and not row.held_out))
        asked = _slice(which.choose(free, only), skip, limit)
        asked = [replace(row, reference=_with_extraction(kind, row.reference, extraction)) for row in asked]
        seed = 0 if recipe.shuffled and shuffle_options is None else shuffle_options
        asked = [with_options(row, seed) if recipe.options else row for row in asked]
        problems = [_problem(recipe, style, text, row, examples, limits) for row in asked]
    problems = with_checkers(problems, place, s3_options)
    checked = check_problems(
        (_with_absolute_paths(problem, place) for problem in problems), f"{place}, only {only!r}" if only else place
    )
    return with_policy(checked, policy, place) if policy else checked


class _Examples:
    """Few-shot examples of a task: a pool to draw from, the fixed text, or none."""

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
        self.own = recipe.own_pool if given is None else frozenset()

    def for_question(self, question: Question) -> list[Question]:
        """Returns the examples for a question; one that is an example itself has none."""
        return [] if question.id in self.own else choose_shots(question, self.pool, self.shots)


def _problem(
    recipe: Recipe, style: Style, text: str, row: Question, examples: _Examples, limits: Limits | None
) -> Problem:
    shots = examples.for_question(row)
    common: dict[str, Any] = {
        "id": row.id,
        "verifier": row.verifier,
        "reference": _with_limits(row.reference, limits),
        "solution": row.solution,
    }
    if style == "chat":
        turns = [turn for shot in shots for turn in (("user", ask(text, shot)), ("assistant", shot.answer))]
        turns.append(("user", ask(text, row)))
        return Problem(**common, messages=tuple(Message.model_validate({"role": r, "content": c}) for r, c in turns))
    shown = "".join(show(text, shot) + "\n\n" for shot in shots)
    return Problem(**common, prompt=examples.fixed + shown + ask(text, row), stop=recipe.stop)


def _read_questions(recipe: Recipe, place: str, options: S3Options) -> list[Question]:
    rows = enumerate(read_rows(place, recipe.columns, options))
    return _unique((where, recipe.read(data, where, index)) for index, (where, data) in rows)


def _read_own_problems(
    kind: str, place: str, table: Table | None, style: Style, seed: int | None, options: S3Options
) -> Iterator[tuple[str, Problem]]:
    """Yields the problems of a kind without a recipe, each with its place; raises BadInput."""
    if kind == "table" and table is None:
        raise BadInput(f"{place}: kind 'table' needs columns and verifier, which a sweep's file gives")
    lines = ((where, parse_row(data, where)) for where, data in read_rows(place, None, options))
    for where, own in table.read(place, options) if table else lines:
        problem = show_options(own, seed, where)
        if style == "chat" and problem.prompt is not None:
            turn = Message(role="user", content=problem.prompt)
            problem = problem.model_copy(update={"prompt": None, "messages": (turn,)})
        yield where, problem


def _unique(rows: Iterable[tuple[str, R]]) -> list[R]:
    """Returns the rows without their places; raises BadInput where an id occurs a second time."""
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
            if name == "extraction":
                known = ", ".join(PUBLISHED)
                raise BadInput(f"{name}: not for tasks of kind {kind!r}, whose lines give it; allowed for {known}")
            allowed = [kind for kind, recipe in RECIPES.items() if recipe.few_shot or name not in ("few_shot", "shots")]
            allowed += ["table"] if name == "limits" else []
            raise BadInput(f"{name}: not for tasks of kind {kind!r}; allowed for {', '.join(allowed)}")


def _limited(problem: Problem, limits: Limits | None) -> Problem:
    reference = _with_limits(problem.reference, limits)
    return problem if reference is problem.reference else problem.model_copy(update={"reference": reference})


def _with_limits(reference: Reference, limits: Limits | None) -> Reference:
    """Returns the reference with the limits that a task gives; references by answer have none."""
    if limits is None or not isinstance(reference, Limits):
        return reference
    if limits.time_limit_s == "auto" and isinstance(reference, PatchReference):
        raise BadInput("limits.time_limit_s: 'auto' is not for tasks judged by 'patch'; give seconds of wall time")
    return reference.model_copy(update=limits.model_dump(exclude_unset=True))


def _with_extraction(kind: str, reference: Reference, extraction: Extraction | None) -> Reference:
    """Returns the reference with a task's own ``extraction``; raises BadInput for a kind that has one way only."""
    if extraction is None:
        return reference
    published = RECIPES[kind].published
    if published is None:
        raise BadInput(f"extraction: not for tasks of kind {kind!r}; allowed for {', '.join(PUBLISHED)}")
    given = {
        **reference.model_dump(exclude_unset=True),
        "extraction": published if extraction == "published" else "kind",
    }
    return parse(type(reference), given, f"extraction of kind {kind!r}")


def with_policy(problems: Sequence[Problem], policy: MathPolicy, where: str) -> tuple[Problem, ...]:
    """Returns the problems with the keys of a task's policy; raises BadInput for a key that fits none of them."""
    given = policy.model_dump(exclude_unset=True)
    for key in given:
        if not any(_has_policy(type(problem.reference), key) for problem in problems):
            kinds = ", ".join(kind for kind, model in REFERENCES.items() if _has_policy(model, key))
            raise BadInput(f"{where}: policy.{key}: no problem of this task has a verifier that it fits ({kinds})")
    return tuple(problem.model_copy(update={"reference": _by(problem, given, where)}) for problem in problems)


def _has_policy(model: type[Reference], key: str) -> bool:
    return issubclass(model, TextPolicy) and key in model.model_fields


def _by(problem: Problem, given: Mapping[str, Any], where: str) -> Reference:
    reference = problem.reference
    values = {key: value for key, value in given.items() if _has_policy(type(reference), key)}
    if not values:
        return reference
    return parse(type(reference), {**reference.model_dump(exclude_unset=True), **values}, f"{where}: policy")


def _with_absolute_paths(problem: Problem, place: str) -> Problem:
    """Returns the problem with the paths in its reference taken from the folder of the file at ``place``."""
    reference = problem.reference
    if "://" in place:
        return problem
    folder = Path(place).resolve().parent
    moved: dict[str, Any] = {}
    if isinstance(reference, PatchReference):
        paths = {name: getattr(reference, name) for name in ("snapshot", "environment")}
        moved = {name: str(folder / local_path(path)) for name, path in paths.items() if path is not None}
    elif isinstance(reference, WithPackages) and reference.packages:
        moved = {"packages": under_folder(reference.packages, folder)}
    return problem.model_copy(update={"reference": reference.model_copy(update=moved)}) if moved else problem


def with_packages(problem: Problem, packages: tuple[str, ...] | None) -> Problem:
    """Returns the problem with these packages for its candidates, if it runs code and names none itself."""
    reference = problem.reference
    if packages is None or not isinstance(reference, WithPackages) or reference.packages is not None:
        return problem
    return problem.model_copy(update={"reference": reference.model_copy(update={"packages": packages})})
