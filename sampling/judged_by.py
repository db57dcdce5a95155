"""Rules that a task's problems are judged by: the keys of their references that are policy, collected and in words."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field

from sampling.limits import Limits
from sampling.policy import ExactPolicy, MathPolicy
from sampling.problems import Problem
from sampling.references import REFERENCES
from sampling.validate import Plain
from sampling.words import many, printable

_RUN = ("time_limit_s", "memory_mb")
RULES: Mapping[str, tuple[str, ...]] = {
    "stdio": ("language", "checker", *_RUN, "packages"),
    "python": ("extraction", "prelude", "shared", *_RUN, "packages"),
    "math": ("extraction", *MathPolicy.model_fields, "accept"),
    "exact": (*ExactPolicy.model_fields, "accept"),
    "lean": _RUN,
    "patch": ("repeats", "control", *_RUN),
    "custom": ("path", "function", "threshold", *_RUN, "packages"),
    "regex": ("within", "case"),
    "ifeval": ("loose",),
}
_ALWAYS_SAID = ("extraction", "time_limit_s", "path")
_AMOUNTS = (*_RUN, "accept")  # may differ from problem to problem under one policy
_MOST_VALUES = 3  # values of one key that are said one by one
_MOST_TEXT = 60


class JudgedBy(Plain):
    """Rules by which verifiers of one kind judge problems of a task."""

    verifier: str
    """Kind of verifier, as `math`."""
    version: str = ""
    """Version of that verifier, as `math/4`; empty where the verdicts are by another version than this Troop's."""
    problems: int
    """Problems that it judges."""
    rules: dict[str, tuple[Any, ...]] = Field(default_factory=dict)
    """Values of each key that decides what counts as the answer and as right; one value where all problems agree.

    The keys are those of docs/problems.md, defaults included. Of numbers that differ, the smallest and the largest are
    given. `accept` has the number of further right answers.
    """


def rules_of(problem: Problem) -> tuple[str, Mapping[str, Any]]:
    """Returns the verifier's kind and the keys of a problem's reference, with the time limit that holds for it."""
    reference, values = problem.reference, dict(vars(problem.reference))
    if isinstance(reference, Limits):
        values["time_limit_s"] = reference.time_limit_s or reference.limit_s
    return problem.verifier, values


def collect_rules(
    given: Iterable[tuple[str, Mapping[str, Any]]], versions: Mapping[str, str] | None = None
) -> tuple[JudgedBy, ...]:
    """Returns the rules of some problems by kind of verifier; each problem is (kind, keys of its reference).

    ``versions`` are the verifiers' versions by kind, where they are known.
    """
    counts: Counter[str] = Counter()
    seen: dict[str, dict[str, dict[str, Any]]] = {}
    for kind, reference in given:
        counts[kind] += 1
        keys = seen.setdefault(kind, {key: {} for key in RULES.get(kind, ())})
        for key, values in keys.items():
            value = _value(kind, key, reference)
            values[repr(value)] = value
    return tuple(
        JudgedBy(
            verifier=kind,
            version=(versions or {}).get(kind, ""),
            problems=count,
            rules={key: _spread(list(values.values())) for key, values in seen[kind].items()},
        )
        for kind, count in sorted(counts.items())
    )


def _value(kind: str, key: str, reference: Mapping[str, Any]) -> Any:
    value = reference.get(key, _default(kind, key))
    if key == "accept":
        return len(value)
    if key == "time_limit_s" and value is None:
        return getattr(REFERENCES[kind], "default_limit_s", None)
    return list(value) if isinstance(value, tuple) else value


def _default(kind: str, key: str) -> Any:
    return REFERENCES[kind].model_fields[key].get_default(call_default_factory=True)


def _spread(values: list[Any]) -> tuple[Any, ...]:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < 2:
        return tuple(values)
    return (*(value for value in values if value not in numbers), min(numbers), max(numbers))


def in_words(judged: Sequence[JudgedBy]) -> str:
    """Returns rules in one line: ``math/4, extraction kind, which boxed``; empty where nothing is known.

    Keys with their default are left out, but for the extraction and the time limit. Rules that differ between problems
    follow ``mixed:``.
    """
    if len(judged) < 2:
        return "".join(map(_one_in_words, judged))
    return "mixed: " + "; ".join(f"{_one_in_words(each)} ({many(each.problems, 'problem')})" for each in judged)


def _one_in_words(judged: JudgedBy) -> str:
    said = {key: values for key, values in judged.rules.items() if values and _is_said(judged.verifier, key, values)}
    mixed = [_phrase(key, values) for key, values in said.items() if len(values) > 1 and key not in _AMOUNTS]
    same = [_phrase(key, values) for key, values in said.items() if len(values) == 1 or key in _AMOUNTS]
    parts = [judged.version.partition(" ")[0] or judged.verifier, *same]
    return ", ".join([*parts, f"mixed: {', '.join(mixed)}"] if mixed else parts)


def _is_said(kind: str, key: str, values: tuple[Any, ...]) -> bool:
    return len(values) > 1 or key in _ALWAYS_SAID or values[0] != _value(kind, key, {})


def _phrase(key: str, values: tuple[Any, ...]) -> str:
    if len(values) > _MOST_VALUES:
        return f"{key} of {len(values):,} kinds"
    numbers = all(type(value) in (int, float) for value in values)
    said = (" to " if numbers else " or ").join(_said(key, value) for value in values)
    if key == "time_limit_s":
        return f"time limit {said}"
    if key == "accept":
        return f"{said} further answer{'' if values == (1,) else 's'}"
    return f"memory {said} MB" if key == "memory_mb" else f"{key} {said}"


def _said(key: str, value: Any) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return " + ".join(printable(entry).rpartition("/")[2] for entry in value) or "none"
    if isinstance(value, int | float):
        return f"{value:g} s" if key == "time_limit_s" else f"{value:g}"
    text = printable(value)
    if key == "extraction" and text not in ("kind", "published"):
        return f"published ({text})"
    if key in ("path", "checker"):
        text = text.rpartition("/")[2]
    short = text if len(text) <= _MOST_TEXT else f"{text[: _MOST_TEXT - 1]}…"
    return f'"{short}"' if key == "pattern" else short
