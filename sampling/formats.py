"""References that judge by the form of an answer: a regular expression, or JSON."""

import re
import warnings
from collections.abc import Iterator, Mapping
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sampling.validate import Plain

MAX_PATTERN = 10_000  # characters
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_REFUSED = {
    codes.GROUPREF: "a back-reference",
    codes.GROUPREF_EXISTS: "a conditional group",
    codes.ASSERT: "a look-ahead or look-behind",
    codes.ASSERT_NOT: "a look-ahead or look-behind",
}


class RegexReference(Plain):
    """A regular expression that the answer must match as a whole."""

    pattern: str = Field(min_length=1, max_length=MAX_PATTERN)
    """Regular expression in Python's syntax that must match the whole answer. Example: `(19|20)[0-9]{2}`.

    Back-references, look-around, a repetition inside a repetition, and in one alternatives that begin alike are
    refused: matching could take for ever.
    """

    case: bool = True
    """Upper and lower case are kept apart. With `false` they count as the same."""

    within: Literal["text", "last_line", "boxed"] = "text"
    """Part of the completion that is the answer: all its text, its last line, or its last ``\\boxed{…}``."""

    @field_validator("pattern")
    @classmethod
    def _is_linear(cls, pattern: str) -> str:
        if trouble := pattern_trouble(pattern):
            raise ValueError(trouble)
        return pattern


def pattern_trouble(pattern: str) -> str:
    """Returns why a pattern is refused, or "": it is none, or a text could make it take for ever."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
            tree = parser.parse(pattern)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        return f"no regular expression ({error})"
    return next(_troubles(tree, repeated=False), "")


def _troubles(tree: Any, *, repeated: bool) -> Iterator[str]:
    for code, argument in tree:
        if code in _REFUSED:
            yield f"{_REFUSED[code]} is refused: matching may take more than linear time"
        if code in _REPEATS:
            least, most, _ = argument
            if repeated and most != least:
                yield "a repetition inside a repetition is refused: matching may take more than linear time"
            yield from _troubles(argument[2], repeated=repeated or most > 1)
            continue
        if code is codes.BRANCH and repeated and not _begin_apart(argument[1]):
            yield "alternatives inside a repetition must begin with different characters"
        else:
            for inner in _inner(argument):
                yield from _troubles(inner, repeated=repeated)


def _begin_apart(alternatives: Any) -> bool:
    """Returns True where each alternative begins with a literal character of its own, in any case."""
    begins = [part[0] for part in alternatives if len(part)]
    letters = {chr(argument).casefold() for code, argument in begins if code is codes.LITERAL}
    return len(letters) == len(alternatives)


def _inner(argument: Any) -> Iterator[Any]:
    """Yields the patterns inside the argument of a node of a pattern's tree: of a group, or of alternatives."""
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for part in argument:
            yield from _inner(part)


TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_ANNOTATIONS = frozenset({"title", "description", "$schema", "$id", "$comment", "default", "examples"})
_COUNTS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
_BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
_SCHEMAS = frozenset({"items", "not", "additionalProperties"})
_LISTS = frozenset({"anyOf", "oneOf", "allOf"})
_OTHER = frozenset({"type", "enum", "const", "properties", "required"})
KEYWORDS = tuple(sorted(_COUNTS | _BOUNDS | _SCHEMAS | _LISTS | _OTHER))


class JsonReference(Plain):
    """A JSON value that the completion must give: an equal one, or one that a schema allows."""

    answer: Any = None
    """Value that the completion's JSON must equal; give this or ``json_schema``. Example: `{"a": [1, 2]}`.

    Keys may stand in any order, list items may not. Numbers are equal by value (`1` and `1.0`), and `true` is no 1.
    """

    json_schema: dict[str, Any] | None = None
    """JSON Schema that must allow the completion's JSON. Example: `{"type": "object", "required": ["name"]}`.

    It may use ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties``, ``items``,
    ``anyOf``, ``oneOf``, ``allOf``, ``not``, and the bounds of numbers, lengths, items and properties.
    """

    @model_validator(mode="after")
    def _one_of_two(self) -> "JsonReference":
        if self.json_schema is None and "answer" not in self.model_fields_set:
            raise ValueError("one of answer, json_schema is needed")
        if self.json_schema is not None:
            if self.answer is not None:
                raise ValueError("exactly one of answer, json_schema is needed, got both")
            if trouble := schema_trouble(self.json_schema, "json_schema"):
                raise ValueError(trouble)
        return self


def schema_trouble(schema: object, where: str) -> str:
    """Returns the first reason to refuse a schema, with its place, or ""."""
    if isinstance(schema, bool):
        return ""
    if not isinstance(schema, dict):
        return f"{where}: a schema is a mapping, true or false"
    return next((trouble for key, value in schema.items() if (trouble := _keyword_trouble(key, value, where))), "")


def _keyword_trouble(key: str, value: Any, where: str) -> str:
    place, number = f"{where}.{key}", type(value) in (int, float)
    if key in _ANNOTATIONS or key == "const" or (key == "enum" and isinstance(value, list)):
        return ""
    if key == "type":
        names = value if isinstance(value, list) else [value]
        return "" if names and all(name in TYPES for name in names) else f"{place}: allowed: {', '.join(TYPES)}"
    if key in _SCHEMAS:
        return schema_trouble(value, place)
    if key in _LISTS and isinstance(value, list) and value:
        return next((found for at, part in enumerate(value) if (found := schema_trouble(part, f"{place}.{at}"))), "")
    if key == "properties" and isinstance(value, Mapping):
        return next((found for name, part in value.items() if (found := schema_trouble(part, f"{place}.{name}"))), "")
    if key == "required" and isinstance(value, list) and all(isinstance(name, str) for name in value):
        return ""
    if (key in _COUNTS and type(value) is int and value >= 0) or (key in _BOUNDS and number):
        return ""
    return f"{place}: wrong value" if key in KEYWORDS else f"{place}: unknown keyword; allowed: {', '.join(KEYWORDS)}"
