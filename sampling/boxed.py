"""Answers in ``\\boxed{…}``: MATH's solutions mark their answer so, and models do the same."""

import re
from collections import deque

MAX_ANSWER = 1_000  # characters; a longer text is not an answer
MAX_BOXES = 20
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")
_WORD = re.compile(r"[^\s$.,;]{1,100}")
_JOINED = re.compile(
    r"(?:[\s$*]|\\[()\[\] ,;]|\\q?quad)*(?:,|;|and|or|\\text\s?\{\s?,?\s?(?:and|or)\s?\})"
    r"(?:[\s$*,]|and\b|or\b|\\[()\[\] ,;]|\\q?quad|[A-Za-z](?:_\{?[0-9]\}?)?\s?=)*"
)


def boxed_answer(text: str) -> str | None:
    """Returns the content of the last ``\\boxed{…}`` with balanced braces, or None; ``\\boxed 5`` counts too.

    Boxes that only "and", "or" or a comma part from the last one belong to it: their contents make up a list.
    """
    boxes = _last_boxes(text)
    if not boxes:
        return None
    contents = [boxes[-1][2]]
    for (_, end, content), (start, _, _) in zip(reversed(boxes[:-1]), reversed(boxes[1:]), strict=True):
        if start - end > 60 or not _JOINED.fullmatch(text, end, start):
            break
        contents.insert(0, content)
    return ", ".join(dict.fromkeys(contents))


def all_boxed(text: str) -> list[str]:
    """Returns the contents of the last twenty boxes, in order."""
    return [content for _, _, content in _last_boxes(text)]


def first_boxed(text: str) -> str | None:
    """Returns the content of the first box that is closed and not empty."""
    for box in _BOX.finditer(text):
        group = _group(text, box.end())
        if group is not None and group[0].strip():
            return group[0]
    return None


def _last_boxes(text: str) -> list[tuple[int, int, str]]:
    """Returns starts, ends and contents of the last boxes that are closed; of boxes in a box, the inner one."""
    found: list[tuple[int, int, str]] = []
    for box in deque(_BOX.finditer(text), maxlen=MAX_BOXES):
        group = _group(text, box.end())
        if group is None:
            continue
        if found and found[-1][1] >= group[1]:
            found.pop()
        found.append((box.start(), group[1], group[0]))
    return found


def _group(text: str, at: int) -> tuple[str, int] | None:
    """Returns the balanced ``{…}`` or the word that starts at ``at``, after blanks, and its end; None if not closed."""
    while text[at : at + 1] == " ":
        at += 1
    if text[at : at + 1] != "{":
        word = _WORD.match(text, at)
        return (word[0], word.end()) if word else None
    depth = 0
    for position in range(at, min(len(text), at + MAX_ANSWER + 2)):
        if text[position] == "{" and text[position - 1] != "\\":
            depth += 1
        elif text[position] == "}" and text[position - 1] != "\\":
            depth -= 1
            if depth == 0:
                return text[at + 1 : position], position + 1
    return None
