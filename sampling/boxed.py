"""The answer in ``\\boxed{…}``: where MATH's solutions keep it, and where models put theirs."""

import re
from collections import deque

MAX_ANSWER = 1_000  # characters; anything longer is no answer
_BOX = re.compile(r"\\(?:boxed|fbox)(?![A-Za-z])")


def boxed_answer(text: str) -> str | None:
    """The content of the last ``\\boxed{…}`` with balanced braces (of the last twenty; ``\\boxed 5`` counts too)."""
    boxes = deque(_BOX.finditer(text), maxlen=20)
    contents = (_group(text, box.end()) for box in reversed(boxes))
    return next((content for content in contents if content is not None), None)


def _group(text: str, at: int) -> str | None:
    """The balanced ``{…}`` that starts at ``at`` (blanks before it allowed) or the word there; None if unclosed."""
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
