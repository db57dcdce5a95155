"""Finds the diff in a completion, and refuses diffs that change what they may not. Pure: applies and runs nothing.

Two readers may understand the text of a diff differently. So the changes of a diff are never read from its text, but
from git after it has applied the diff (``git diff-index --raw -z``).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from verify.special_tokens import after_thought

VERSION = "diff/2"  # must change with every rule below
MAX_DIFF = 1_000_000  # characters
# Possessive, so that one pass is linear: blanks before and after an empty label could be shared out in many ways.
_FENCE = re.compile(r"^(?P<mark>`{3,}+|~{3,}+)[ \t]*+(?P<label>[^\s`~]{0,40}+)[ \t]*+$", re.MULTILINE)
_HEAD = re.compile(r"^(?:diff --git [^\n]+|--- [^\n]+\n\+\+\+ [^\n]+)$", re.MULTILINE)
_PATCH, _PATCH_END = re.compile(r"^<patch>[ \t]*$", re.MULTILINE), re.compile(r"^</patch>", re.MULTILINE)
_LABELS = frozenset({"diff", "patch", "udiff"})
# Modules that pytest or unittest imports: one at the root of the tree, or in src/, would be imported in its place.
_RUNNER = frozenset(
    {"_pytest", "pytest", "py", "pluggy", "iniconfig", "packaging", "pygments", "exceptiongroup", "tomli", "colorama"}
    | {
        "attr",
        "attrs",
        "xdist",
        "execnet",
        "pytest_cov",
        "coverage",
        "unittest",
        "doctest",
        "pdb",
        "bdb",
        "cmd",
        "code",
    }
    | {
        "site",
        "runpy",
        "traceback",
        "linecache",
        "warnings",
        "inspect",
        "importlib",
        "typing_extensions",
        "atomicwrites",
    }
)
_ROOTS = ("", "src/", "lib/")
_LINK, _SUBMODULE, _ABSENT = "120000", "160000", "000000"


@dataclass(frozen=True, slots=True)
class Change:
    """One file that a diff adds, changes or removes; a rename adds one and removes one. Modes as git writes them."""

    path: str
    old_mode: str
    new_mode: str


class NotRaw(Exception):
    """Raised for text that is no output of ``git diff-index --raw -z``."""


def extract_diff(text: str) -> str | None:
    """Returns the unified diff that ``text`` offers, or None where it offers none.

    1. Text before ``</think>`` is ignored. If a ``<patch>`` holds a diff, only the last such ``<patch>`` counts.
    2. *Fences*: the last block labelled ``diff``, ``patch`` or ``udiff`` that holds a diff, else the last unlabelled
       block that does. An unclosed block runs to the end. A fence opens or closes only in the first column: inside a
       diff every line of a file has a sign before it.
    3. *Plain text*: from the first file header to the end. Git ignores or refuses the text after a complete diff.

    No character is changed; a missing line end after the last line is added. A diff of over ``MAX_DIFF`` characters,
    with a NUL or with half of a surrogate pair offers none.
    """
    answer = _marked(after_thought(text))
    blocks = [(label, body) for label, body in _blocks(answer) if _HEAD.search(body)]
    for wanted in (_LABELS, frozenset({""})):
        chosen = [body for label, body in blocks if label.lower() in wanted]
        if chosen:
            return _usable(chosen[-1])
    head = _HEAD.search(answer)
    return _usable(answer[head.start() :]) if head and not blocks else None


def _marked(text: str) -> str:
    """Returns the text in the last ``<patch>`` that holds a diff; the whole text where none does."""
    parts = (_PATCH_END.split(part, 1)[0] for part in reversed(_PATCH.split(text)[1:]))
    return next((part for part in parts if _HEAD.search(part)), text)


def _blocks(text: str) -> Iterable[tuple[str, str]]:
    """Yields label and content of every fenced block."""
    opened: re.Match[str] | None = None
    for found in _FENCE.finditer(text):
        if opened is None:
            opened = found
        elif found["mark"].startswith(opened["mark"]) and not found["label"]:
            yield opened["label"], text[opened.end() + 1 : found.start()]
            opened = None
    if opened is not None:
        yield opened["label"], text[opened.end() + 1 :]


def _usable(diff: str) -> str | None:
    if len(diff) > MAX_DIFF or "\0" in diff:
        return None
    try:
        diff.encode()
    except UnicodeEncodeError:
        return None
    return diff if diff.endswith("\n") else diff + "\n"


def read_changes(raw: str) -> tuple[Change, ...]:
    """Parses the output of ``git diff-index --raw -z --no-renames``; raises NotRaw."""
    fields = raw.split("\0")
    if fields.pop() or len(fields) % 2:
        raise NotRaw(f"{raw[:80]!r}")
    changes = []
    for about, path in zip(fields[::2], fields[1::2], strict=True):
        words = about.split()
        if len(words) != 5 or not about.startswith(":"):
            raise NotRaw(f"{about[:80]!r}")
        changes.append(Change(path, words[0].removeprefix(":"), words[1]))
    return tuple(changes)


def refusal(changes: Sequence[Change], tests: Iterable[str], protected: Sequence[str]) -> str | None:
    """Returns the reason to refuse a diff although it applies; None where its tests may run.

    ``tests`` are the paths of the tests' own files. ``protected`` are patterns (``fnmatch``) of files that decide how
    tests run: one without a slash matches a file or folder of that name anywhere, one with a slash the whole path.
    """
    if not changes:
        return "the diff changes nothing"
    known = tuple(tests)
    for change in changes:
        if _LINK in (change.old_mode, change.new_mode):
            return f"the diff makes or changes a symbolic link ({change.path!r})"
        if _SUBMODULE in (change.old_mode, change.new_mode):
            return f"the diff makes or changes a submodule ({change.path!r})"
        if any(_touches(change.path, test) for test in known):
            return f"the diff touches {change.path!r}, a file of the tests or one that could stand in for it"
        for pattern in protected:
            if _matches(change.path, pattern):
                return f"the diff touches {change.path!r}, which decides how tests run ({pattern})"
        if change.old_mode == _ABSENT and (module := _shadowed(change.path)):
            return f"the diff adds {change.path!r}, which a test runner would import as its own {module}"
    return None


def _touches(path: str, test: str) -> bool:
    """Returns True for a test file, and for a package or compiled module that Python would import in its place."""
    module = test.removesuffix(".py")
    return path == test or test.startswith(path + "/") or path.startswith((test + "/", module + "/", module + "."))


def _shadowed(path: str) -> str | None:
    """Returns the test runner's module in whose place Python would import a new file, or None."""
    for root in _ROOTS:
        first, slash, rest = path.removeprefix(root).partition("/")
        module = first.partition(".")[0].lower()
        if (
            path.startswith(root)
            and module in _RUNNER
            and ((not slash and "." in first) or rest.startswith("__init__."))
        ):
            return module
    return None


def _matches(path: str, pattern: str) -> bool:
    """Matches without regard to case, as a file system may do so too."""
    path, pattern = path.lower(), pattern.lower()
    if "/" in pattern:
        return fnmatchcase(path, pattern)
    return any(fnmatchcase(part, pattern) for part in path.split("/"))
