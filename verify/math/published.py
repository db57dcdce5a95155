"""Answers as the benchmarks' own programs find and compare them.

``gsm8k`` is ``extract_answer`` of openai/grade-school-math: the first ``#### N``. ``math`` is ``is_equiv`` of
hendrycks/math: the last ``\\boxed{…}``, in a spelling of its own. Equal text decides; no value is computed. Both go by
the whole completion, its thoughts and special tokens included, and all steps are linear in its length.
"""

import re

from sampling.boxed import MAX_ANSWER
from sampling.references import MathReference
from verify.answers import NO_ANSWER, clean
from verify.verdict import Status, Verdict

_NUMBER = re.compile(r"#### (-?[0-9.,]+)")
_BOX = "\\boxed{"
_SLASHED = re.compile(r"(0|-?[1-9][0-9]*)/(0|-?[1-9][0-9]*)")
_UNIT = "\\text{ "  # MATH writes units so, behind the number
_FIRST_CHANGES = (
    *(("\n", ""), ("\\!", ""), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\left", ""), ("\\right", "")),
    *(("^{\\circ}", ""), ("^\\circ", ""), ("\\$", "")),
)
_LATER_CHANGES = (("\\%", ""), ("\\%", ""), (" .", " 0."), ("{.", "{0."))  # the first one twice, as its authors do


class _Unreadable(Exception):
    """Raised where the benchmark's normaliser would end with an error; answers are then compared as they stand."""


def published_verdict(reference: MathReference, completion: str) -> Verdict:
    """Returns the verdict of the benchmark that ``reference.extraction`` names."""
    gsm8k = reference.extraction == "gsm8k"
    said = gsm8k_number(completion) if gsm8k else last_box(completion)
    if said is None:
        return Verdict(Status.INVALID, reason=NO_ANSWER)
    golds = (reference.answer, *reference.accept)
    answer = clean(said if gsm8k else _shown(said))
    if any(said == gold.replace(",", "") if gsm8k else same_spelling(gold, said) for gold in golds):
        return Verdict(Status.PASS, answer=answer)
    return Verdict(Status.FAIL, reason="another answer", answer=answer)


def gsm8k_number(text: str) -> str | None:
    """Returns the number after the first ``#### `` without its commas, or None; a full stop behind it belongs to it."""
    found = _NUMBER.search(text)
    number = found[1].replace(",", "") if found else ""
    return number if 0 < len(number) <= MAX_ANSWER else None


def last_box(text: str) -> str | None:
    """Returns the content of the last ``\\boxed{…}``, or None where it is not closed; every brace counts."""
    start = text.rfind("\\boxed")
    if not text.startswith(_BOX, start) or start < 0:
        return None
    start += len(_BOX)
    depth = 1
    for at in range(start, min(len(text), start + MAX_ANSWER + 1)):
        depth += (text[at] == "{") - (text[at] == "}")
        if not depth:
            return text[start:at]
    return None


def same_spelling(gold: str, said: str) -> bool:
    """Returns True if both answers have the same text after MATH's normaliser."""
    try:
        return normalised(gold) == normalised(said)
    except _Unreadable:
        return gold == said


def normalised(answer: str) -> str:
    """Returns the spelling of an answer that MATH compares: its authors' changes, in their order.

    Raises ``_Unreadable`` where their program would fail: two units, or a root or fraction of nothing.
    """
    text = _changed(answer, _FIRST_CHANGES)
    text, *units = text.split(_UNIT)
    if len(units) > 1:
        raise _Unreadable
    text = _changed(text, _LATER_CHANGES)
    if text.startswith("."):
        text = f"0{text}"
    name, _, value = text.partition("=")
    if text.count("=") == 1 and len(name) <= 2:
        text = value
    text = _braced_fractions(_braced_roots(text).replace(" ", ""))
    if text == "0.5":
        return "\\frac{1}{2}"
    slashed = _SLASHED.fullmatch(text)
    return f"\\frac{{{slashed[1]}}}{{{slashed[2]}}}" if slashed else text


def _shown(answer: str) -> str:
    try:
        return normalised(answer)
    except _Unreadable:
        return answer


def _changed(text: str, changes: tuple[tuple[str, str], ...]) -> str:
    for old, new in changes:
        text = text.replace(old, new)
    return text


def _braced_roots(text: str) -> str:
    """Returns the text with braces around what follows ``\\sqrt``: one character, even a blank."""
    first, *parts = text.split("\\sqrt")
    if not all(parts):
        raise _Unreadable
    return "\\sqrt".join([first, *(part if part[0] == "{" else f"{{{part[0]}}}{part[1:]}" for part in parts)])


def _braced_fractions(text: str) -> str:
    """Returns the text with braces around the two characters after ``\\frac``; unchanged where there is only one."""
    first, *parts = text.split("\\frac")
    made = [first]
    for part in parts:
        if not part:
            raise _Unreadable
        if part[0] == "{":
            made.append(part)
        elif len(part) == 1:
            return text
        else:
            made.append(f"{{{part[0]}}}{part[1:]}" if part[1] == "{" else f"{{{part[0]}}}{{{part[1]}}}{part[2:]}")
    return "\\frac".join(made)
