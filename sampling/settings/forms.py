"""Checks of structured outputs before any engine starts. Engines differ in what they take: only what none can is found.

JSON Schemas are held against their own schema, regular expressions against two dialects, and of grammars the rules are
read: quotes, brackets, and names that no rule has.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from sampling.settings.drawing import StructuredOutputs

# What engines' dialects (ECMAScript, Rust) have beyond Python's and RE2's, with what stands for it here.
_DIALECT = ((re.compile(r"\\u\{[0-9A-Fa-f]+\}"), "x"), (re.compile(r"\\c[A-Za-z]"), "x"))
_ELSEWHERE = re.compile(r"multiple repeat|bad escape \\")  # errors of Python's dialect where others have a meaning
_EBNF = re.compile(
    r'(?P<comment>\#[^\n]*)|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<set>\[(?:[^\]\\\n]|\\.)*\])|(?P<count>\{[\d,\s]*\})'
    r'|(?P<name>[A-Za-z_][\w.-]*)(?P<head>\s*::=)?(?P<call>\()?|(?P<open>\()|(?P<close>\))|(?P<stray>["\[])'
)
_LARK_START = re.compile(r"(?m)^\s*[?!]?start\s*(?:\.\s*\d+\s*)?:(?!:)")


def form_trouble(form: StructuredOutputs | None) -> str | None:
    """Returns a message about a form that cannot be read, or None."""
    if form is None or form.choice is not None:
        return None
    if form.json_schema is not None:
        key, said = "json", _schema(form.json_schema)
    elif form.regex is not None:
        key, said = "regex", _regex(form.regex)
    else:
        key, said = "grammar", _grammar(form.grammar or "")
    return said and f"structured_outputs.{key}: {said}"


def _schema(schema: Mapping[str, Any]) -> str | None:
    from jsonschema import Draft4Validator, Draft7Validator, Draft202012Validator
    from jsonschema.exceptions import SchemaError

    found = []
    for draft in (Draft202012Validator, Draft7Validator, Draft4Validator):
        try:
            draft.check_schema(schema)
        except SchemaError as error:
            found.append(error)
    if len(found) == 3:
        first = found[0]
        return f"no JSON Schema ({first.json_path}: {' '.join(first.message.split())[:150]})"
    missing = next((ref for ref in _references(schema) if not _is_there(schema, ref)), None)
    return None if missing is None else f"no JSON Schema ($ref {missing!r} points nowhere)"


def _references(node: object) -> Iterator[str]:
    """Yields the references of a schema to its own parts."""
    if isinstance(node, dict):
        if isinstance(ref := node.get("$ref"), str) and ref.startswith("#/"):
            yield ref
        node = list(node.values())
    if isinstance(node, list):
        for each in node:
            yield from _references(each)


def _is_there(schema: object, reference: str) -> bool:
    node: Any = schema
    for part in reference[2:].split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
            node = node[int(key)]
        elif isinstance(node, dict) and key in node:
            node = node[key]
        else:
            return "%" in part  # it may be escaped as in a URL
    return True


def _regex(pattern: str) -> str | None:
    plain = pattern
    for special, instead in _DIALECT:
        plain = special.sub(instead, plain)
    try:
        with warnings.catch_warnings(action="ignore"):
            re.compile(plain)
    except (re.error, OverflowError, RecursionError) as error:
        place = f" at character {error.pos + 1}" if isinstance(error, re.error) and error.pos is not None else ""
        message = error.msg if isinstance(error, re.error) else str(error)
        elsewhere = _ELSEWHERE.match(message) or _is_re2(plain)
        return None if elsewhere else f"no regular expression ({message}{place})"
    return None


def _is_re2(pattern: str) -> bool:
    """Tells whether RE2 takes a pattern; Arrow brings it along."""
    import pyarrow as pa
    from pyarrow import compute

    try:
        compute.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True


def _grammar(text: str) -> str | None:
    if "::=" not in text:  # vLLM then takes it for a grammar of Lark
        return None if _LARK_START.search(text) else "no grammar (no rule `root ::= …`, and none `start: …` of Lark)"
    heads, used, calls = set[str](), dict[str, int](), set[str]()
    depth, line, at = 0, 1, 0
    for found in _EBNF.finditer(text):
        line, at = line + text.count("\n", at, found.start()), found.start()
        if found["stray"]:
            return f"no grammar (line {line}: {found['stray']} is never closed)"
        depth += bool(found["open"] or found["call"]) - bool(found["close"])
        if depth < 0 or (depth and found["head"]):
            return f"no grammar (line {line}: {') closes nothing' if depth < 0 else '( is never closed'})"
        if found["head"]:
            heads.add(found["name"])
        elif found["name"]:
            used.setdefault(found["name"], line)
            calls |= {found["name"]} if found["call"] else set()
    if depth:
        return "no grammar (the last ( is never closed)"
    if "root" not in heads:
        return f"no grammar (no rule is called root; there are: {', '.join(sorted(heads))})"
    unknown = next((name for name in used if name not in heads), None)
    if unknown is None or calls - heads:  # of macros such as TagDispatch(…) the arguments are no rules
        return None
    return f"no grammar (line {used[unknown]}: no rule is called {unknown})"
