"""Reads the YAML of a sweep: YAML 1.2's core scalars, no key twice, variables filled in, ``--set`` applied.

PyYAML reads YAML 1.1, where `no` is false, `010` is eight and `1:30` is ninety. Here a number keeps the text that was
written, so that a key that wants text gets exactly that. Nothing else is read this way: what a run has stored is JSON,
in which no variable is ever filled in.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sampling.errors import BadInput
from sampling.problems import read_text
from sampling.settings import ModelSpec
from sampling.tasks.task import TaskSpec

MOST_BYTES, MOST_VALUES, MOST_DEPTH = 1 << 20, 20_000, 50  # of a sweep's file
_TAG = "tag:yaml.org,2002:"
_CORE = {  # https://yaml.org/spec/1.2.2/#103-core-schema
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    "merge": (r"<<", ["<"]),
}
_KEPT = (None, f"{_TAG}map", f"{_TAG}seq", f"{_TAG}str", f"{_TAG}null")  # constructors; None is for unknown tags
_BASES = {"0o": 8, "0x": 16}
_VARIABLE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\{")
_SECRET = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|CREDENTIALS?)(?:_|$)|(?:^|_)(?:API)?(?:KEY|TOKEN)$", re.IGNORECASE
)
_KEYS = ModelSpec.model_fields.keys() | TaskSpec.model_fields.keys()  # of the items that a sweep's lists have
_Path = tuple[str | int, ...]  # of a value in a sweep's data: keys, and numbers of items


class WrittenInt(int):
    """A whole number with the text that it was written as."""

    text: str

    def __new__(cls, text: str) -> "WrittenInt":
        base = _BASES.get(text[:2], 10)
        number = super().__new__(cls, text[2:] if base != 10 else text, base)
        number.text = text
        return number


class WrittenFloat(float):
    """A number with the text that it was written as: `1.10`, not 1.1."""

    text: str

    def __new__(cls, text: str) -> "WrittenFloat":
        number = super().__new__(cls, re.sub(r"\.(?=inf|nan)", "", text.lower()))
        number.text = text
        return number


class WrittenTruth:
    """`true` or `false`, as it was written; it is no number, which Python's own would be."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Loader(yaml.SafeLoader):
    """Loader of YAML 1.2's core schema that refuses a key that occurs twice; keys are text, as they are written.

    What aliases stand for is counted before it is built: ten lines can name a billion values.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth, self._made = 0, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        is_alias = self.check_event(yaml.AliasEvent)
        self._depth, self._made = self._depth + 1, self._made + 1
        if self._made > MOST_VALUES:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_VALUES:,} values", problem_mark=mark)
        if self._depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"more than {MOST_DEPTH} levels deep", problem_mark=mark)
        node: Any = super().compose_node(parent, index)
        self._depth -= 1
        if is_alias and not hasattr(node, "values_in"):
            raise yaml.MarkedYAMLError(problem="an anchor that holds itself", problem_mark=mark)
        if not is_alias and node is not None:
            inside = [] if isinstance(node, yaml.ScalarNode) else node.value
            node.values_in = 1 + sum(
                each[1].values_in if isinstance(each, tuple) else each.values_in for each in inside
            )
            if node.values_in > MOST_VALUES:
                problem = f"more than {MOST_VALUES:,} values, each alias counted as what it stands for"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        return node  # type: ignore[no-any-return]

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        first: dict[str, int] = {}
        for number, (key, value) in enumerate(node.value):
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be text", problem_mark=key.start_mark)
            if key.value in first:
                twice = f"key {key.value!r} occurs a second time, first in line {first[key.value]}; keep one of them"
                raise yaml.MarkedYAMLError(problem=twice, problem_mark=key.start_mark)
            first[key.value] = key.start_mark.line + 1
            if key.tag != f"{_TAG}merge":
                text = yaml.ScalarNode(f"{_TAG}str", key.value, key.start_mark, key.end_mark, key.style)
                node.value[number] = (text, value)
        return node


def _constructor(name: str, make: Callable[[str], object]) -> Callable[[_Loader, yaml.ScalarNode], object]:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> object:
        text = str(loader.construct_scalar(node))
        if not re.fullmatch(_CORE[name][0], text):
            raise yaml.MarkedYAMLError(problem=f"{text!r} is no {name} of YAML 1.2", problem_mark=node.start_mark)
        return make(text)

    return construct


_Loader.yaml_implicit_resolvers = {}  # instead of YAML 1.1's
_Loader.yaml_constructors = {tag: make for tag, make in yaml.SafeLoader.yaml_constructors.items() if tag in _KEPT}
for _name, (_pattern, _starts) in _CORE.items():
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(rf"(?:{_pattern})\Z"), _starts)
_Loader.add_constructor(f"{_TAG}bool", _constructor("bool", WrittenTruth))
_Loader.add_constructor(f"{_TAG}int", _constructor("int", WrittenInt))
_Loader.add_constructor(f"{_TAG}float", _constructor("float", WrittenFloat))
_Loader.add_constructor(f"{_TAG}merge", _constructor("merge", str))  # `<<` as a value is text


def read_sweep_file(path: Path) -> Any:
    """Returns what a sweep's file holds, with its variables filled in; raises BadInput that names file and line."""
    if path.exists() and not path.is_file():
        raise BadInput(f"{path}: not a file")
    if path.exists() and path.stat().st_size > MOST_BYTES:
        raise BadInput(f"{path}: {path.stat().st_size:,} bytes; a sweep has at most {MOST_BYTES:,}")
    return _load(read_text(path), str(path))


def written_texts(path: Path, assignments: Sequence[str]) -> set[str]:
    """Returns every text of a sweep's file and of its assignments, with variables filled in; raises BadInput."""
    data = read_sweep_file(path)
    assign_all(data, assignments)
    return set(_texts(data))


def variables_of(path: Path, assignments: Sequence[str]) -> list[str]:
    """Returns the names of the variables that a sweep's file and its assignments are filled in with."""
    nodes = [yaml.load(read_text(path), _Loader), *(yaml.load(each.partition("=")[2], _Loader) for each in assignments)]
    found = [match[1] for text in _texts(nodes) for match in _VARIABLE.finditer(text) if match[1]]
    return sorted(set(found))


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict | list):
        yield from (text for each in (node.values() if isinstance(node, dict) else node) for text in _texts(each))


def _load(text: str, where: str, key: str = "") -> Any:
    try:
        return _filled(yaml.load(text, _Loader), where, key)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not valid YAML ({_yaml_words(error)})") from error


def _yaml_words(error: Exception) -> str:
    """Returns the place and the problem of a YAML error in one line."""
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return f"{place}{getattr(error, 'problem', None) or ' '.join(str(error).split())}"


def _filled(node: Any, where: str, key: str) -> Any:
    """Returns a copy, in which nothing is shared, with every ``${NAME}`` of a text replaced from the environment."""
    if isinstance(node, dict):
        return {name: _filled(value, where, f"{key}.{name}" if key else name) for name, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, where, f"{key}.{number}") for number, value in enumerate(node)]
    if isinstance(node, WrittenInt | WrittenFloat | WrittenTruth):
        return type(node)(node.text)
    place = f"{where}: {key}" if key else where
    return _VARIABLE.sub(lambda found: _value(found, place), node) if isinstance(node, str) else node


def _value(found: re.Match[str], place: str) -> str:
    """Returns the value of a variable; raises BadInput where it is not set or may hold a secret."""
    if found[0] == "$${":
        return "${"
    name = found[1]
    if name is None:
        raise BadInput(f"{place}: ${{ begins no variable; allowed: ${{NAME}}, or $${{ for ${{ itself")
    if place.endswith("api_key_env") or _SECRET.search(name):
        raise BadInput(
            f"{place}: ${{{name}}} may be a secret, and plan.json would keep it; api_key_env takes a name alone"
        )
    if name not in os.environ:
        raise BadInput(f"{place}: ${{{name}}} is not set in the environment; set {name}, or write $${{ for ${{ itself")
    return os.environ[name]


def with_k(data: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns a sweep's data with ``k`` where it says ``n``; raises BadInput where it says both."""
    whole: dict[str, Any] = _k_for_n(data, where)
    for kind in ("models", "tasks"):
        if isinstance(items := whole.get(kind), list):
            whole[kind] = [_k_for_n(item, f"{where}: {kind}.{number}") for number, item in enumerate(items)]
    return whole


def _k_for_n(item: Any, where: str) -> Any:
    if not isinstance(item, dict) or "n" not in item:
        return item
    if "k" in item:
        raise BadInput(f"{where}: n is another name of k; give one of them")
    return {"k" if key == "n" else key: value for key, value in item.items()}


def keep_texts(model: type[BaseModel], data: Any) -> Any:
    """Returns the data with plain numbers; where ``model`` wants text, with the text that was written."""
    try:
        model.model_validate(data)
        wanted: set[int] = set()
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        wanted = {id(each["input"]) for each in found if each["type"] in _wrong_types(each["input"])}
    return _plain(data, wanted)


def _wrong_types(given: object) -> set[str]:
    """Returns the errors of keys that are to get a value as its text; of a number's key, which refuses `true` so."""
    return {"int_type", "float_type"} if isinstance(given, WrittenTruth) else {"string_type", "path_type"}


def _plain(node: Any, texts: set[int]) -> Any:
    if isinstance(node, dict):
        return {name: _plain(value, texts) for name, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, texts) for value in node]
    if not isinstance(node, WrittenInt | WrittenFloat | WrittenTruth):
        return node
    if id(node) in texts:
        return node.text
    if isinstance(node, WrittenTruth):
        return node.text.lower() == "true"
    return int(node) if isinstance(node, int) else float(node)


def assign_all(data: dict[str, Any], assignments: Sequence[str]) -> None:
    """Applies ``assign`` in turn; raises BadInput where one would undo what an earlier one set."""
    done: list[tuple[_Path, str]] = []
    for assignment in assignments:
        path, was_there = assign(data, assignment)
        for earlier, other in done:
            meet = min(len(path), len(earlier))
            if path[:meet] == earlier[:meet] and (was_there or len(path) <= len(earlier)):
                raise BadInput(f"--set {assignment!r}: sets again what --set {other!r} sets; give one of them")
        done.append((path, assignment))


def assign(data: dict[str, Any], assignment: str) -> tuple[_Path, bool]:
    """Sets ``models.0.k=5`` or, by name, ``models.small.k=5``; the value is YAML. Raises BadInput.

    Returns the place in the data, with items of lists by number, and whether it had a value before.
    """
    place, equals, text = assignment.partition("=")
    if not equals or not all(place.split(".")):
        raise BadInput(f"--set {assignment!r}: not an assignment; write it as key.subkey=value")
    *parents, last = place.split(".")
    node: Any = data
    path: _Path = ()
    while parents:
        step, parents = _step(node, parents, last, assignment)
        node, path = node[step], (*path, step)
    if not isinstance(node, dict):
        parent = place.rpartition(".")[0]
        raise BadInput(f"--set {assignment!r}: {parent} has no subkeys; give the key itself a value")
    was_there = node.get(last) is not None
    node[last] = _load(text, f"--set {assignment!r}", place)
    return (*path, last), was_there


def _step(node: Any, parts: Sequence[str], last: str, assignment: str) -> tuple[str | int, list[str]]:
    """Returns the key or number that the first of ``parts`` names, and the parts after it; a name may have dots."""
    if isinstance(node, dict):
        if node.get(parts[0]) is None:
            node[parts[0]] = {}
        return parts[0], list(parts[1:])
    number, used = _item(node, [*parts, last], assignment) if isinstance(node, list) else (0, 0)
    if not used:
        raise BadInput(f"--set {assignment!r}: there is no {'.'.join(parts)!r} here{_choices(node)}")
    return number, list(parts[used:])


def _item(items: Sequence[Any], parts: Sequence[str], assignment: str) -> tuple[int, int]:
    """Returns the number of the item that the first parts name, and how many they are; (0, 0) where there is none."""
    readings = list(_readings(items, parts))
    sensible = [(number, used) for number, used in readings if parts[used] in _KEYS] or readings[:1]
    if len({number for number, _ in sensible}) > 1:
        several = " or ".join(f"{number} ({_title(items[number])})" for number, _ in sensible)
        raise BadInput(f"--set {assignment!r}: may mean {several}; name one by its number")
    return sensible[0] if sensible else (0, 0)


def _readings(items: Sequence[Any], parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields (number of an item, how many parts name it), the longest name first, a kind or number after names."""
    mappings = {number: item for number, item in enumerate(items) if isinstance(item, dict)}
    for used in range(len(parts) - 1, 0, -1):
        name = ".".join(parts[:used])
        by_name = [number for number, item in mappings.items() if _title(item) == name]
        by_kind = [number for number, item in mappings.items() if _text(item.get("kind")) == name]
        by_number = [int(name)] if used == 1 and name.isdecimal() and int(name) < len(items) else []
        yield from ((number, used) for number in by_name + (by_number if by_number else [] if by_name else by_kind))


def _title(item: Mapping[str, Any]) -> str:
    return _text(item.get("name")) or _text(item.get("kind"))


def _text(value: Any) -> str:
    return value.text if isinstance(value, WrittenInt | WrittenFloat) else str(value or "")


def _choices(node: Any) -> str:
    """Returns the entries of a list that an assignment may name, as the end of an error message."""
    entries = [item for item in node if isinstance(item, dict)] if isinstance(node, list) else []
    names = [_title(item) or str(number) for number, item in enumerate(entries)]
    return f"; there are: {', '.join(names)}" if names else ""
