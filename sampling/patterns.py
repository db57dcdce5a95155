"""Regular expressions of users: one group, and time in proportion to the text (RE2, which Arrow brings along)."""

import re

_NAMED = "answer"
MAX_PATTERN = 500  # characters


def check_pattern(pattern: str) -> str:
    """Returns the pattern; raises ValueError where it is not linear, not valid, or has not exactly one group."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"at most {MAX_PATTERN} characters are allowed")
    groups = _groups(pattern)
    if len(groups) != 1:
        raise ValueError(f"exactly one group (…) is needed, got {len(groups)}; (?:…) groups without counting")
    try:
        find(pattern, "", last=False)
    except ValueError as error:
        raise ValueError(f"not a regular expression that is matched in linear time ({_first_line(error)})") from error
    return pattern


def find(pattern: str, text: str, *, last: bool) -> str | None:
    """Returns what the group of ``pattern`` matches, in the last or the first match; None where nothing matches."""
    import pyarrow as pa
    from pyarrow import compute

    named = _with_named_group(pattern)
    found = compute.extract_regex(pa.array([text]), f"(?s:.*){named}" if last else named)[0]
    return found.as_py()[_NAMED] if found.is_valid else None


def _with_named_group(pattern: str) -> str:
    start, end = _groups(pattern)[0]
    return f"{pattern[:start]}(?P<{_NAMED}>{pattern[end:]}"


def _groups(pattern: str) -> list[tuple[int, int]]:
    """Returns where groups that count open: the places of ``(`` or ``(?P<name>``."""
    found, at, in_class = [], 0, False
    while at < len(pattern):
        if pattern[at] == "\\":
            at += 2
            continue
        if in_class:
            in_class = pattern[at] != "]"
        elif pattern[at] == "[":
            in_class = True
            at += pattern.startswith("^", at + 1)
            at += pattern.startswith("]", at + 1)  # a bracket at the start of a class belongs to it
        elif pattern[at] == "(":
            named = re.compile(r"\(\?P?<[A-Za-z_]\w*>").match(pattern, at)
            if named or not pattern.startswith("(?", at):
                found.append((at, named.end() if named else at + 1))
        at += 1
    return found


def _first_line(error: Exception) -> str:
    return str(error).split("\n")[0].removeprefix("Invalid regular expression: ")
