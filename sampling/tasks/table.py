"""Any table as problems: each key of a problem, or of its reference, is filled from the columns of a row.

A key names a column, or is a Jinja template of several (``Question: {{ question }}``). Templates run in Jinja's
immutable sandbox, where no attribute of Python is reached and no value of a row can be changed.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from sampling.errors import BadInput
from sampling.problems import Message, Problem
from sampling.references import REFERENCES, VerifierKind
from sampling.s3_folder import S3Options
from sampling.tasks.rows import read_rows
from sampling.validate import parse
from sampling.words import printable

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

OF_PROBLEM = ("id", "prompt", "solution")
ROW = "row"  # the name of the whole row in a template
_FILLED_IN = {"source", "checker_source", "order"}
_MOST_TEXT = 16 << 20  # characters of one value that a template writes
_FAILED = (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError, MemoryError)
Cell = Callable[[Mapping[str, Any], str], Any]


class NoColumn(Exception):
    """A row lacks a column that is named; the message says which."""


@dataclass(frozen=True)
class Table:
    """Columns of a task of kind ``table``, its verifier and what all references share; fields as in ``TaskSpec``."""

    columns: Mapping[str, str | tuple[str, ...]]
    verifier: VerifierKind
    reference: Mapping[str, Any]

    def check(self) -> None:
        """Raises ValueError for a key that no problem with this verifier has, and for a template that is none."""
        known = [name for name in REFERENCES[self.verifier].model_fields if name not in _FILLED_IN]
        for place, names, allowed in (
            ("columns", self.columns, (*OF_PROBLEM, *known)),
            ("reference", self.reference, known),
        ):
            for name in names:
                if name not in allowed:
                    what = f"no key of a problem with verifier {self.verifier!r}"
                    raise ValueError(f"{place}.{printable(name)}: {what}; allowed: {', '.join(allowed)}")
        if "prompt" not in self.columns:
            raise ValueError('columns.prompt is needed: a column, or a template such as "{{ question }}"')
        if twice := sorted(self.columns.keys() & self.reference.keys()):
            raise ValueError(f"{twice[0]}: given in columns and in reference; keep one of them")
        for written in self.written:
            if is_template(written):
                _template(written)

    @property
    def written(self) -> Iterator[str]:
        """Columns and templates as they are written."""
        for written in self.columns.values():
            yield from [written] if isinstance(written, str) else written

    @property
    def used(self) -> frozenset[str] | None:
        """Names of the columns that are read; None where a template looks at the whole row."""
        names = {name for written in self.written for name in _names(written)}
        return None if ROW in names else frozenset(names)

    def read(self, place: str, options: S3Options) -> Iterator[tuple[str, Problem]]:
        """Yields (place of the row, problem); raises BadInput that names the row and the column."""
        for index, (where, row) in enumerate(read_rows(place, self.used, options)):
            if not isinstance(row, Mapping):
                raise BadInput(f"{where}: an object with columns is needed, got {type(row).__name__}")
            try:
                yield where, self.problem(row, where, index)
            except NoColumn as error:
                known = printable(", ".join(map(repr, _names_there(place, options)))) or "none"
                raise BadInput(f"{where}: {error}; there are: {known}") from error

    def problem(self, row: Mapping[str, Any], where: str, index: int) -> Problem:
        """Returns a row's problem; raises BadInput, and NoColumn."""
        model = REFERENCES[self.verifier]
        values: dict[str, Any] = {"id": f"table/{index}"}
        judged = dict(self.reference)
        for key, written in self.columns.items():
            field = Problem.model_fields[key] if key in OF_PROBLEM else model.model_fields[key]
            place = f"{where}: columns.{key}"
            value = _value(written, row, place)
            if _is_null(value):
                if field.is_required() or key == "prompt":
                    raise BadInput(f"{place}: {_named(written)} is null in this row; a value is needed")
                continue
            wanted = key in OF_PROBLEM or _wants_text(field.annotation)
            value = value if key == "prompt" and isinstance(value, list) else _fitted(value, wanted, written, place)
            (values if key in OF_PROBLEM else judged)[key] = value
        if isinstance(values["prompt"], list):
            values["messages"] = _messages(values.pop("prompt"), f"{where}: columns.prompt")
        reference = parse(model, judged, f"{where}: reference")
        return parse(Problem, {**values, "verifier": self.verifier, "reference": reference}, where)


def _names_there(place: str, options: S3Options) -> list[str]:
    """Returns the columns of a file's first row; none where a column that nobody named cannot be read."""
    try:
        return next((list(row) for _, row in read_rows(place, None, options) if isinstance(row, Mapping)), [])
    except BadInput:
        return []


def is_template(written: str) -> bool:
    """Tells a template from the name of a column."""
    return any(mark in written for mark in ("{{", "{%", "{#"))


def _value(written: str | tuple[str, ...], row: Mapping[str, Any], place: str) -> Any:
    if not isinstance(written, str):
        return [_fitted(_value(each, row, place), True, each, place) for each in written]
    if is_template(written):
        return _rendered(written, row, place)
    if written not in row:
        advice = "; a template has double braces: {{ name }}" if "{" in written else ""
        raise NoColumn(f"{place.rpartition(': ')[2]}: no column {printable(written)!r}{advice}")
    return row[written]


def _rendered(written: str, row: Mapping[str, Any], place: str) -> str:
    from jinja2 import TemplateError, UndefinedError

    try:
        parts: list[str] = []
        size = 0
        for part in _template(written).generate({**row, ROW: row}):
            size += len(part)
            if size > _MOST_TEXT:
                raise BadInput(f"{place}: the template writes more than {_MOST_TEXT:,} characters")
            parts.append(part)
        return "".join(parts)
    except UndefinedError as error:
        raise NoColumn(f"{place.rpartition(': ')[2]}: {printable(error)}") from error
    except (TemplateError, *_FAILED) as error:
        said = printable(error)[:200]
        raise BadInput(f"{place}: the template fails ({type(error).__name__}: {said})") from error


@cache
def _environment() -> "ImmutableSandboxedEnvironment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


@cache
def _template(written: str) -> Any:
    """Returns a compiled template; raises ValueError that says what is wrong with it."""
    from jinja2 import TemplateSyntaxError

    try:
        return _environment().from_string(written)
    except TemplateSyntaxError as error:
        raise ValueError(f"{written[:80]!r}: not a Jinja template (line {error.lineno}: {error.message})") from error


def _names(written: str) -> set[str]:
    """Returns the columns that a template, or a name alone, may read."""
    from jinja2 import meta

    if not is_template(written):
        return {written}
    return meta.find_undeclared_variables(_environment().parse(written)) - set(_environment().globals)


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _wants_text(annotation: Any) -> bool:
    return annotation is str or (get_origin(annotation) in (Union, UnionType) and str in get_args(annotation))


def _fitted(value: Any, text: bool, written: str | tuple[str, ...], place: str) -> Any:
    """Returns a value as a key wants it: numbers and dates as text, or JSON in a text as what it says."""
    if text:
        if isinstance(value, str):
            return value
        if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
            return str(int(value))  # a whole number in a column with gaps is written as a float
        if isinstance(value, bool | int | float | Decimal | date | time):
            return str(value)
        if value is None:
            raise BadInput(f"{place}: {_named(written)} is null in this row; a text is needed")
        raise BadInput(f"{place}: {_named(written)} is a {type(value).__name__} in this row; a text is needed")
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _named(written: str | tuple[str, ...]) -> str:
    if not isinstance(written, str):
        return f"the list of {', '.join(map(repr, written))}"
    return "the template's text" if is_template(written) else f"column {printable(written)!r}"


def _messages(turns: list[Any], place: str) -> list[Message]:
    return [parse(Message, _turn(turn), f"{place}.{number}") for number, turn in enumerate(turns)]


def _turn(turn: Any) -> Any:
    kept = Message.model_fields
    return {name: value for name, value in turn.items() if name in kept} if isinstance(turn, Mapping) else turn
