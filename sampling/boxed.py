"""Answers in ``\\boxed{…}``: MATH's solutions mark their answer so, and models do the same."""

import re
from collections import deque

MAX_ANSWER = 1_000  # characters; a longer text is not an answer
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")


def boxed_answer(text: str) -> str | None:
    """Returns the content of the last ``\\boxed{…}`` with balanced braces, or None; ``\\boxed 5`` counts too.

    Only the last twenty boxes are looked at.
    """
    boxes = deque(_BOX.finditer(text), maxlen=20)
    contents = (_group(text, box.end()) for box in reversed(boxes))
    return next((content for content in contents if content is not None), None)


def _group(text: str, at: int) -> str | None:
    """Returns the balanced ``{…}`` or the word that starts at ``at``, after blanks; None if a brace is not closed."""
    while text[at : at + 1] == " ":
        at += 1
    if text[at : at + 1] != "{":
        word = re.compile(r"[^\s$.,;]{1,100}").match(text, at)
        return word[0] if word else None
    depth = 0
    for position in range(at, min(len(text), at + MAX_ANSWER + 2)):
        if text[position] == "{" and text[position - 1] != "\\":
            depth += 1
        elif text[position] == "}" and text[position - 1] != "\\":
            depth -= 1
            if depth == 0:
                return text[at + 1 : position]
    return None
