"""The verifier ``json``: the JSON in a completion must equal the answer, or be allowed by a schema.

Numbers are read as decimals, so they are compared exactly. Text is bounded before it is parsed.
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from sampling.boxed import MAX_ANSWER
from sampling.formats import JsonReference
from sampling.problems import Problem
from verify.answers import clean
from verify.special_tokens import after_thought
from verify.verdict import Status, Verdict

MAX_TEXT = 200_000  # characters; a longer text offers no JSON
MAX_TRIED = 400_000  # characters of plain text that are parsed in vain
MAX_DIGITS = 4_000
_FENCE = re.compile(
    r"^[ \t]{0,12}```(?P<label>[^\n`]{0,40})\n(?P<body>(?:(?![ \t]{0,12}```)[^\n]*+\n)*+)[ \t]{0,12}```", re.M
)
_START = re.compile(r"[{\[]")
NOTHING: Any = object()


class JsonVerifier:
    """Compares the last JSON value of a completion with the reference."""

    version = "json/1"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, JsonReference)
        try:
            value = find_json(completion)
            if value is NOTHING:
                return Verdict(Status.INVALID, reason="no JSON found")
            answer = json.dumps(value, default=str, sort_keys=True)
            kept = clean(answer) if len(answer) <= MAX_ANSWER else None
            if reference.json_schema is not None:
                right, reason = allows(_exact(reference.json_schema), value), "the schema does not allow it"
            else:
                right, reason = same_json(_exact(reference.answer), value), "another value"
        except RecursionError:
            return Verdict(Status.FAIL, reason="nested too deeply")
        return Verdict(Status.PASS, answer=kept) if right else Verdict(Status.FAIL, reason, kept)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""


def find_json(completion: str) -> Any:
    """Returns the JSON value that a completion gives, or NOTHING.

    The last block labelled ``json`` counts, else the whole text, else the last other block, else the last object or
    list in the text. A block labelled ``json`` that does not parse is no reason to look elsewhere.
    """
    text = after_thought(completion).strip()
    if len(text) > MAX_TEXT:
        return NOTHING
    blocks = [(found["label"].strip().lower(), found["body"]) for found in _FENCE.finditer(text)]
    labelled = deque((body for label, body in blocks if label.startswith("json")), maxlen=1)
    if labelled:
        return _parsed(labelled[0])
    for part in (text, *(body for _, body in blocks[-1:])):
        if (value := _parsed(part)) is not NOTHING:
            return value
    return _last_in(text)


def _last_in(text: str) -> Any:
    """Returns the last object or list in plain text, or NOTHING; gives up after ``MAX_TRIED`` characters in vain."""
    value, at, left = NOTHING, 0, MAX_TRIED
    while left > 0 and (start := _START.search(text, at)):
        try:
            value, at = _DECODER.raw_decode(text, start.start())
        except json.JSONDecodeError as error:
            at, left = start.end(), left - 100 - (error.pos - start.start())
        except (ValueError, RecursionError, InvalidOperation):
            at, left = start.end(), left - MAX_TRIED // 20
    return value


def _parsed(text: str) -> Any:
    try:
        return _DECODER.decode(text.strip())
    except (ValueError, RecursionError, InvalidOperation):
        return NOTHING


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object; raises ValueError where a key stands in it twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _number(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise ValueError("too many digits")
    return Decimal(text)


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_distinct, parse_float=_number, parse_int=_number, parse_constant=_refuse)


def _exact(value: Any) -> Any:
    """Returns the reference's own value with its numbers as decimals."""
    if type(value) in (int, float):
        return Decimal(repr(value))
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, list | tuple) else value


def same_json(left: Any, right: Any) -> bool:
    """Returns True for equal JSON values; True and False equal no number."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same_json(item, right[key]) for key, item in left.items())
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same_json, left, right))
    return bool(left == right)


def allows(schema: Any, value: Any) -> bool:
    """Returns True where a JSON Schema with decimals for numbers allows a value."""
    if isinstance(schema, bool):
        return schema
    return all(_keyword_allows(key, said, value, schema) for key, said in schema.items())


def _keyword_allows(key: str, said: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if key == "type":
        return any(_has_type(value, name) for name in ([said] if isinstance(said, str) else said))
    if key in ("enum", "const"):
        return any(same_json(each, value) for each in (said if key == "enum" else [said]))
    if key == "not":
        return not allows(said, value)
    if key in ("anyOf", "allOf", "oneOf"):
        fitting = sum(allows(part, value) for part in said)
        return fitting == len(said) if key == "allOf" else fitting == 1 if key == "oneOf" else fitting > 0
    if isinstance(value, Decimal):
        return _number_allowed(key, said, value)
    if isinstance(value, str | list | dict):
        return _size_allowed(key, said, value) and _parts_allowed(key, said, value, schema)
    return True


def _number_allowed(key: str, said: Decimal, value: Decimal) -> bool:
    if key == "minimum":
        return value >= said
    if key == "maximum":
        return value <= said
    return value > said if key == "exclusiveMinimum" else value < said if key == "exclusiveMaximum" else True


_SIZES = {
    **{"minLength": (str, 1), "maxLength": (str, -1), "minItems": (list, 1), "maxItems": (list, -1)},
    **{"minProperties": (dict, 1), "maxProperties": (dict, -1)},
}


def _size_allowed(key: str, said: Any, value: Any) -> bool:
    if key not in _SIZES:
        return True
    kind, sign = _SIZES[key]
    return not isinstance(value, kind) or sign * (len(value) - int(said)) >= 0


def _parts_allowed(key: str, said: Any, value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, list):
        return key != "items" or all(allows(said, item) for item in value)
    if not isinstance(value, dict):
        return True
    if key == "properties":
        return all(allows(part, value[name]) for name, part in said.items() if name in value)
    if key == "required":
        return all(name in value for name in said)
    known = schema.get("properties", {})
    return key != "additionalProperties" or all(allows(said, item) for name, item in value.items() if name not in known)


def _has_type(value: Any, name: str) -> bool:
    if isinstance(value, Decimal):
        return name == "number" or (name == "integer" and value == value.to_integral_value())
    kinds: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return name in kinds and isinstance(value, kinds[name])
