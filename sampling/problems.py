"""Problems: one question each, together with what its verifier needs. A model never sees the reference."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from sampling.errors import BadInput
from sampling.limits import Limits
from sampling.policy import MathPolicy
from sampling.references import REFERENCES, Reference, VerifierKind
from sampling.settings import StopString, TaskSampling
from sampling.validate import Id, Plain, parse
from sampling.words import printable

# Keys of references that plans of older runs did not count in their digests.
ADDED = frozenset(MathPolicy.model_fields) | {"accept", "extraction", "prelude", "language", "packages"}


FILLED_IN = {"source", "checker_source"}  # keys of references that no line gives
CLOSE = 0.8  # similarity, by difflib, from which a key is taken for a typing error


class Message(Plain):
    """One turn of a chat prompt."""

    role: Literal["system", "user", "assistant"]
    """Speaker of the turn; the last turn is usually the user's."""

    content: str
    """Text of the turn."""


class Problem(Plain):
    """One question with what its verifier needs: a line of a ``jsonl`` task's file.

    Exactly one of ``prompt`` and ``messages`` is given.
    """

    id: Id
    """Name of the problem, unique within its file; a whole number is its digits. Example: `algebra-17`."""

    prompt: str | None = None
    """Text that the model continues. Default: ``messages`` are given instead."""

    messages: tuple[Message, ...] | None = None
    """Turns of a chat, put into the model's chat template. Default: ``prompt`` is given instead.

    Example: `[{"role": "user", "content": "1+1?"}]`.
    """

    verifier: VerifierKind
    """Verifier that judges the completions; it decides what ``reference`` must hold. Example: `math`."""

    reference: Reference
    """Data that the verifier judges by; its keys depend on ``verifier``. Example: `{"answer": "2"}`.

    A model never sees it.
    """

    solution: str | None = None
    """Right completion, used to test the verifier before a run; ``replay`` engines with path ``gold`` return it."""

    stop: tuple[StopString, ...] = ()
    """Stop strings of this prompt's format, in addition to those of the sampling settings. Example: `["\\n\\n"]`."""

    sampling: TaskSampling | None = None
    """Sampling settings of this problem, in place of the sweep's; settings of its task replace all of them."""

    _left_out: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _reference_by_verifier(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("reference"), dict) and data.get("verifier") in REFERENCES:
            return {**data, "reference": REFERENCES[data["verifier"]].model_validate(data["reference"])}
        return data

    @model_validator(mode="after")
    def _one_prompt(self) -> "Problem":
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("exactly one of prompt, messages is needed")
        if not isinstance(self.reference, REFERENCES[self.verifier]):
            raise ValueError(f"reference does not fit verifier {self.verifier!r}")
        return self

    @property
    def left_out(self) -> tuple[str, ...]:
        """Keys of the problem's line that mean nothing to Troop; a stored problem has none."""
        return self._left_out

    @property
    def asked(self) -> str:
        """The question as text: the prompt, or the turns of a chat."""
        return "\n\n".join(turn.content for turn in self.messages) if self.messages else self.prompt or ""

    @property
    def prompt_digest(self) -> str:
        """Hash of everything that changes the distribution of this problem's samples."""
        parts: list[object] = [self.prompt, [m.model_dump() for m in self.messages or ()], list(self.stop)]
        return _digest(parts + ([self.sampling.model_dump(exclude_none=True)] if self.sampling else []))

    @property
    def reference_digest(self) -> str:
        """Hash of everything that changes this problem's verdicts: the commit of a snapshot, but not its path.

        A time limit that is not given counts as it did when every verifier had one default, so that runs continue when
        the default of their kind changes; the limit itself is in their plan. A checker's text is part of the version of
        the verifiers instead: with another text samples are judged again. Keys that references did not always have
        (``ADDED``) count only with another value than their default, so that older runs go on; of a folder the name
        counts.
        """
        values = self.reference.model_dump(mode="json", exclude={"snapshot", "environment", "source", "checker_source"})
        if values.get("time_limit_s", 0) is None:
            values["time_limit_s"] = _first_default(self.verifier)
        for name in ADDED & values.keys():
            default = type(self.reference).model_fields[name].default
            if values[name] == (list(default) if isinstance(default, tuple) else default):
                del values[name]
        if "packages" in values:
            values["packages"] = [entry.rpartition("/")[2] for entry in values["packages"]]
        return _digest([self.verifier, values])

    def with_time_limit(self, seconds: float | None) -> "Problem":
        """Returns the problem with this time limit in its reference; None gives the default that old plans went by."""
        if not isinstance(self.reference, Limits):
            return self
        given = self.reference.time_limit_s if isinstance(self.reference.time_limit_s, float) else None
        limit = seconds or given or _first_default(self.verifier)
        return self.model_copy(update={"reference": self.reference.model_copy(update={"time_limit_s": limit})})


def parse_row(data: Any, where: str) -> Problem:
    """Returns the problem of a row, which may have keys that mean nothing to Troop; raises BadInput.

    A key that is, or nearly is, one of a problem or of its reference is refused: leaving it out would change verdicts.
    """
    if not isinstance(data, dict):
        return parse(Problem, data, where)
    strange = tuple(name for name in data if name not in Problem.model_fields)
    for name in strange:
        meant = _meant(name)
        if meant is not None:
            advice = f"did you mean {meant!r}?" if meant in Problem.model_fields else f"{meant!r} goes into reference"
            allowed = ", ".join(sorted(Problem.model_fields))
            raise BadInput(
                f"{where}: {printable(name)}: unknown key; allowed: {allowed}, and keys that begin with _; {advice}"
            )
    problem = parse(Problem, {name: value for name, value in data.items() if name not in strange}, where)
    problem._left_out = strange
    return problem


def left_out_note(task: str, problems: Iterable[Problem]) -> str | None:
    """Returns a line that names the keys of a task's problems that mean nothing to Troop, or None."""
    keys = sorted({key for problem in problems for key in problem.left_out})
    return f"task {task}: keys left out, not stored: {printable(', '.join(keys))}" if keys else None


@lru_cache(maxsize=1024)
def _meant(name: str) -> str | None:
    """Returns the key of a problem or of a reference that a strange key nearly is; None for one that begins with _."""
    known = [*Problem.model_fields, *(key for model in REFERENCES.values() for key in model.model_fields)]
    named = [key for key in dict.fromkeys(known) if key not in FILLED_IN]
    found = [] if name.startswith("_") else get_close_matches(name.lower(), named, 1, CLOSE)
    return found[0] if found else None


def read_jsonl(path: Path) -> list[Problem]:
    """Returns the problems of a file in Troop's own format; raises BadInput that names the line."""
    problems = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            problems.append(parse(Problem, load_json(line, f"{path}:{number}"), f"{path}:{number}"))
    return problems


def check_problems(problems: Iterable[Problem], where: str) -> tuple[Problem, ...]:
    """Returns the problems unchanged; raises BadInput where there are none or an id occurs twice."""
    checked = tuple(problems)
    if not checked:
        raise BadInput(f"{where}: no problems; at least one is needed")
    twice = [name for name, count in Counter(p.id for p in checked).items() if count > 1]
    if twice:
        raise BadInput(f"{where}: problem id {twice[0]!r} occurs more than once; ids must be unique")
    return checked


def read_text(path: Path) -> str:
    """Returns a UTF-8 file's text, without a byte order mark at its start; raises BadInput."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text ({error})") from error


def load_json(text: str, where: str, *, strict: bool = True) -> Any:
    """Returns parsed JSON; raises BadInput that starts with ``where``. ``strict`` refuses a key that occurs twice."""
    try:
        return json.loads(text, object_pairs_hook=_once if strict else None)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not valid JSON ({error})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns an object of JSON; raises ValueError where a key occurs twice, of which one value would be lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"key {twice!r} occurs more than once in one object; keep one of them")
    return found


def _first_default(verifier: VerifierKind) -> float:
    """Returns the time limit of a reference that gave none, in plans that hold no limits. It must never change."""
    return {"lean": 60.0, "patch": 600.0}.get(verifier, 5.0)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
