"""Finds the answer of a completion by the conventions of GSM8K and MATH (Minerva). Pure functions.

Base models go on after their answer with a next question of their own; chat models correct themselves. So the first
answer counts in formats that few-shot prompts teach (``#### N``, "The final answer is … I hope it is correct"), and the
last one in formats that chat models write (``\\boxed{…}``, "the answer is …"). All searches are linear and bounded.
"""

import re
from collections import deque
from collections.abc import Callable
from itertools import islice

from sampling.boxed import MAX_ANSWER, all_boxed, boxed_answer, first_boxed
from sampling.patterns import find
from verify.special_tokens import after_thought
from verify.stated import MATH_WORDS, last_value, stated_answer, words

MAX_TEXT = 1_000_000  # characters; only the last ones of a longer text are read
MAX_QUESTIONS = 3  # marks of a next question that are tried
NO_ANSWER = "no final answer found"

_NUMBER = r"[-+]?\$?[ \t]?-?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?%?(?:[ \t](?:thousand|[mb]illion)\b)?"
_HASHES = re.compile(
    rf"####[ \t]*\*{{0,2}}(?P<number>{_NUMBER}(?:[ \t]*(?:,|or|and)[ \t]+{_NUMBER}){{0,20}})\*{{0,2}}"
    r"(?P<rest>[^\n]{0,60})"
)
# "#### 1. First step" and "#### 3 + 4 = 7" give no answer
_HEADING = re.compile(r"[.):][ \t]+\S|[ \t]+[A-Z*]|[.)][ \t]|[ \t]*[-+*/=^×<>!:]|\w")
_FINAL = re.compile(r"final answer is:?", re.IGNORECASE)
_NEXT_QUESTION = re.compile(r"\n[ \t*#]{0,5}(?:Q|Question|Problem|Exercise|Human|User)(?:[ \t]?[0-9]{1,3})?[ \t]?[:.]")
_EXPLAINED = re.compile(r"\n\s{0,9}(?:\*\*)?(?:Explanation|Reason|Because|Since|Solution|Steps?|Work)\b", re.IGNORECASE)
_SAYS = re.compile(r"\\text\s?\{[^{}]{0,80}(?:is|are|=|:)\s{0,3}\}\s{0,3}(?=\S)")
# Decimal digits of scripts in which the most spoken languages write numbers
_DIGITS = {ord(zero) + digit: str(digit) for zero in "०০٠۰" for digit in range(10)}

Rule = Callable[[str], str | None]


def math_answer(text: str, which: str | None = None, pattern: str | None = None) -> str | None:
    """Returns the final answer of a worked solution as it is written there, or None.

    The first rule that finds an answer decides: Minerva's "final answer is … I hope", the last ``<answer>``, the last
    ``\\boxed{}`` with boxes joined to it, the first ``#### N``, the last "answer is", a text that is only an answer,
    the last number (with the formula around it). ``which`` and ``pattern`` are those of the problem's policy.
    """
    text = clean(after_thought(text[-MAX_TEXT:])).strip()
    if pattern is not None:
        return _usable(find(pattern, text, last=which != "first"))
    if not text.isascii():
        text = text.translate(_DIGITS)
    if which is None:
        text = _first_question(text)
    for rule in _RULES[which]:
        if (found := _usable(rule(text))) is not None:
            return found
    return None


def _usable(found: str | None) -> str | None:
    if found is None or not 0 < len(found.strip()) <= MAX_ANSWER:
        return None
    return _SAYS.sub("", found.strip(), count=1) if found.lstrip().startswith("\\text") else found.strip()


def _first_question(text: str) -> str:
    """Returns ``text`` up to where a model that has answered goes on with a question of its own."""
    for found in islice(_NEXT_QUESTION.finditer(text), MAX_QUESTIONS):
        before = text[: found.start()]
        if any(rule(before) is not None for rule in (boxed_answer, gsm8k_answer, stated_answer)):
            return before
    return text


def gsm8k_answer(text: str) -> str | None:
    """Returns the number of the first ``#### N`` line; a heading such as ``#### 1. First step`` does not count."""
    for found in _HASHES.finditer(text):
        if not _HEADING.match(found["rest"]):
            return found["number"].rstrip(",")
    return None


def _last_hashes(text: str) -> str | None:
    numbers = (found["number"] for found in _HASHES.finditer(text) if not _HEADING.match(found["rest"]))
    last = deque(numbers, maxlen=1)
    return last[0].rstrip(",") if last else None


def minerva_answer(text: str) -> str | None:
    """Returns the text between the first "final answer is" and the "I hope" after it."""
    found = _FINAL.search(text)
    if not found:
        return None
    end = text.find("I hope", found.end(), found.end() + MAX_ANSWER)
    if end < 0:
        return None
    said = text[found.end() : end].strip().removesuffix(".")
    return boxed_answer(said) or said


def tagged_answer(text: str) -> str | None:
    """Returns the answer in the last ``<answer>…</answer>``."""
    end = text.rfind("</answer>")
    start = text.rfind("<answer>", 0, end if end >= 0 else len(text))
    if start < 0 or (end >= 0 and end - start > 100 * MAX_ANSWER):
        return None
    inner = text[start + len("<answer>") : end if end >= 0 else len(text)].strip()
    for rule in (boxed_answer, gsm8k_answer, stated_answer, _bare_answer, last_value):
        if (found := _usable(rule(inner))) is not None:
            return found
    return _usable(inner)


def _bare_answer(text: str) -> str | None:
    """Returns the text itself if it is one short line without a sentence."""
    if "\n" in text or len(text) > 300 or not any(character.isalnum() for character in text):
        return None
    prose = [word for word in words(text) if word.lower() not in MATH_WORDS]
    return text if not prose or (len(prose) <= 2 and not re.search("[0-9]", text)) else None


def _explained_answer(text: str) -> str | None:
    """Returns a first line that is only an answer, where an explanation follows."""
    line, _, rest = text.partition("\n")
    return _bare_answer(line) if _EXPLAINED.match(f"\n{rest}") and re.search("[0-9]", line) else None


def _all_boxed(text: str) -> str | None:
    return ", ".join(dict.fromkeys(content.strip() for content in all_boxed(text) if content.strip())) or None


def _first_stated(text: str) -> str | None:
    return stated_answer(text, first=True)


_RULES: dict[str | None, tuple[Rule, ...]] = {
    None: (
        *(minerva_answer, tagged_answer, boxed_answer, gsm8k_answer, stated_answer),
        *(_bare_answer, _explained_answer, last_value),
    ),
    "last": (boxed_answer, _last_hashes, stated_answer, _bare_answer, last_value),
    "first": (first_boxed, gsm8k_answer, _first_stated, _bare_answer, last_value),
    "all": (_all_boxed, gsm8k_answer, stated_answer, _bare_answer, last_value),
    "boxed": (boxed_answer,),
}


def clean(text: str) -> str:
    """Returns ``text`` without control characters and lone surrogates, so that every store and protocol takes it."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)
