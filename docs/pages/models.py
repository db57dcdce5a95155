"""Tables of pydantic models: one row a field, with its type, its default and its docstring."""

from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import AwareDatetime, BaseModel
from pydantic.fields import FieldInfo

_PLAIN = {
    bool: "`true` or `false`",
    int: "whole number",
    float: "number",
    str: "text",
    dict: "mapping",
    object: "anything",
    AwareDatetime: "time with its zone",
    Path: "text",
    Any: "anything",
}
_BOUNDS = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def field_table(model: type[BaseModel], *, output: bool = False, without: type[BaseModel] | None = None) -> str:
    """Returns a Markdown table of a model's fields, but for those of ``without``; with ``output``, without defaults."""
    head = ["field", "type", "meaning"] if output else ["key", "type", "default", "meaning"]
    left_out = set(without.model_fields) - set(model.__annotations__) if without else set()
    own = sorted(
        model.model_fields.items(), key=lambda item: item[0] not in model.__annotations__
    )  # inherited ones last
    fields = {name: field for name, field in own if name not in left_out}
    rows = [_row(field.alias or name, field, output) for name, field in fields.items()]
    return "\n".join(_line(cells) for cells in (head, ["---"] * len(head), *rows))


def _row(name: str, field: FieldInfo, output: bool) -> list[str]:
    assert field.description, f"{name}: no docstring under the field"
    default = [] if output else [_default(field)]
    return [f"`{name}`", _kind(field.annotation) + _bounds(field), *default, escape(field.description)]


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Returns text as one Markdown table cell."""
    parts = " ".join(text.split()).replace("|", "\\|").replace("``", "`").split("`")
    return "`".join(part if number % 2 else part.replace("<", "&lt;") for number, part in enumerate(parts))


def _kind(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(_kind(part) for part in arguments if part is not NoneType))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is tuple:
        return "list of " + ", ".join(_kind(part) for part in arguments if part is not ...)
    if origin is dict:
        return f"mapping of {_kind(arguments[0])} to {_kind(arguments[1])}"
    if origin is Annotated:
        return _kind(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return _PLAIN.get(annotation) or str(getattr(annotation, "__name__", annotation))


def _bounds(field: FieldInfo) -> str:
    said = [f"{sign} {getattr(rule, name):g}" for rule in field.metadata
            for kind, (sign, name) in _BOUNDS.items() if isinstance(rule, kind)]  # fmt: skip
    said += ["not empty" for rule in field.metadata if isinstance(rule, MinLen)]
    return f", {' and '.join(said)}" if said else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if value is None:
        return "–"
    if isinstance(value, BaseModel):
        return "its defaults"
    if value in ((), {}, [], ""):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"
