"""Pydantic models that refuse unknown keys; their errors fit one line: where, what is wrong, what is allowed."""

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sampling.errors import BadInput
from sampling.words import printable

M = TypeVar("M", bound="Plain")
_LONGEST = 200  # characters of a place in an error
TEXTS = {"string_type", "path_type"}  # errors of keys that want text
SECRET = frozenset(
    {"api_key_env", "base_url", "uri"}
)  # a user may put a secret here by mistake, so errors never show the value


def _digits(value: object) -> object:
    return str(value) if type(value) is int else value


Id = Annotated[str, Field(strict=True, min_length=1), BeforeValidator(_digits)]  # a whole number is taken as its digits


class Plain(BaseModel):
    """A frozen model without surprises: unknown keys are errors, values are never coerced silently.

    The docstring under a field is its description: errors end with its first sentence, and the pages in docs/ and the
    JSON Schema of the sweep are made from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


def parse(model: type[M], data: object, where: str) -> M:
    """Returns ``data`` as a ``model``; raises BadInput with one line that starts with ``where``."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise BadInput(f"{where}: {_first_line(model, error)}") from error


def parse_json(model: type[M], data: bytes, where: str) -> M:
    """Parses JSON into a ``model``; raises BadInput with one line that starts with ``where``."""
    try:
        return parse(model, json.loads(data), where)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not valid JSON ({error})") from error


def _first_line(model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    place = printable(".".join(str(part) for part in first["loc"]))[:_LONGEST] or "the whole"
    if first["type"] == "extra_forbidden":
        allowed = ", ".join(sorted(_keys_at(model, first["loc"][:-1])))
        return f"{place}: unknown key" + (f"; allowed: {allowed}" if allowed else "")
    got = "" if SECRET & set(first["loc"]) else f", got {_short(first['input'])}"
    quote = "; put it in quotes to have it as text" if first["type"] in TEXTS and _is_scalar(first["input"]) else ""
    said = printable(first["msg"].removeprefix("Value error, "))
    return f"{place}: {said}{got}{quote}{_meaning(model, first['loc'])}"


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def _meaning(model: type[BaseModel], loc: Sequence[str | int]) -> str:
    """Returns the end of an error line, what the field at ``loc`` means: " (k: Samples per problem)", or nothing."""
    names = [str(part) for part in loc if isinstance(part, str)]
    for at in range(len(names), 0, -1):  # past its field, pydantic names the member of a union that did not fit
        for owner in _models_at(model, names[: at - 1]):
            field = owner.model_fields.get(names[at - 1])
            if field is not None:
                said = first_sentence(field.description or "")
                return f" ({names[at - 1]}: {said.rstrip('.')})" if said else ""
    return ""


def first_sentence(text: str) -> str:
    """Returns the first sentence of a docstring, in one line."""
    return re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(text.replace("``", "`").split()), maxsplit=1)[0]


def _keys_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """Returns the keys that are allowed at ``loc``."""
    return [field.alias or name for m in _models_at(model, loc) for name, field in m.model_fields.items()]


def _models_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[type[BaseModel]]:
    """Returns the models that ``loc`` may lead to, found by walking the annotations of ``model``."""
    found: list[type[BaseModel]] = [model]
    for part in loc:
        step = [field.annotation for m in found if (field := m.model_fields.get(str(part)))]
        if step:
            found = [m for annotation in step for m in _models_in(annotation)]
    return found


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for arg in get_args(annotation) for m in _models_in(arg)]


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
