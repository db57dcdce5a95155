"""Finds the answer of a completion by the conventions of GSM8K and MATH (Minerva). Pure functions.

Base models go on after their answer with a next question of their own; chat models correct themselves. So the first
answer counts in formats that few-shot prompts teach (``#### N``, "The final answer is … I hope it is correct"), and the
last one in formats that chat models write (``\\boxed{…}``, "the answer is …"). All searches are linear and bounded.
"""

import re
from collections import deque
from fractions import Fraction

from sampling.boxed import MAX_ANSWER, boxed_answer
from verify.extract import after_thinking

MAX_TEXT = 1_000_000  # characters; only the last ones of a longer text are read

_HASHES = re.compile(
    r"####[ \t]*(?P<number>[-+]?\$?[ \t]?-?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+))(?P<rest>[^\n]{0,60})"
)
_HEADING = re.compile(r"[.):]?[ \t]+[A-Z(*]|[.)][ \t]|[^\n]*[0-9]|[^\n]{40}")  # "#### 1. First step" gives no answer
_FINAL = re.compile(r"final answer is:?", re.IGNORECASE)
_STATED = re.compile(r"\banswer(?:\*\*)?[ \t]*(?::|is\b|=)(?:\*\*)?[ \t]*:?[ \t]*", re.IGNORECASE)
_SENTENCE_END = re.compile(r"\.(?=\s|$|\*)|\n")
_NUMBER = re.compile(r"(?<![\w.)}])-?\$?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?|[0-9][0-9,]*(?:\.[0-9]+)?")
_MATH_SPAN = re.compile(
    r"(?<!\\)\$(?P<dollars>(?:\\.|[^$\n\\]){1,300})\$|\\\((?P<round>(?:[^\n\\]|\\[^()\n]){1,300})\\\)"
)
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_NO_PROSE = re.compile(r"\\(?:begin|end|text|textbf|mathrm|mbox)\s{0,3}\{[^{}]{0,200}\}")
_MATH_WORDS = frozenset({"pi", "sqrt", "sin", "cos", "tan", "log", "ln", "exp", "or", "and", "infty", "infinity"})


def math_answer(text: str) -> str | None:
    """Returns the final answer of a worked solution as it is written there, or None.

    The first rule that finds an answer decides: Minerva's "final answer is … I hope", the last ``\\boxed{}``, the
    first ``#### N``, the last "answer is", a text that is only an answer, the last number (with the formula around it).
    """
    text = clean(after_thinking(text[-MAX_TEXT:])).strip()
    for rule in (minerva_answer, boxed_answer, gsm8k_answer, stated_answer, _bare_answer, last_value):
        found = rule(text)
        if found is not None and 0 < len(found.strip()) <= MAX_ANSWER:
            return found.strip()
    return None


def gsm8k_answer(text: str) -> str | None:
    """Returns the number of the first ``#### N`` line; a heading such as ``#### 1. First step`` does not count."""
    for found in _HASHES.finditer(text):
        if not _HEADING.match(found["rest"]):
            return found["number"].rstrip(",")
    return None


def minerva_answer(text: str) -> str | None:
    """Returns the text between the first "final answer is" and the "I hope" after it."""
    found = _FINAL.search(text)
    if not found:
        return None
    end = text.find("I hope", found.end(), found.end() + MAX_ANSWER)
    return None if end < 0 else _unboxed(text[found.end() : end].strip().removesuffix("."))


def stated_answer(text: str) -> str | None:
    """Returns the rest of the sentence after the last "answer is" or "answer:"; of prose, its number or formula."""
    last = deque(_STATED.finditer(text), maxlen=1)
    if not last:
        return None
    said = text[last[0].end() : last[0].end() + MAX_ANSWER].lstrip()
    end = _SENTENCE_END.search(said)
    said = _unboxed(said[: end.start()] if end else said)
    if all(word.lower() in _MATH_WORDS for word in _words(said)):
        return said or None
    if span := _MATH_SPAN.search(said):
        return span["dollars"] or span["round"]
    number = _NUMBER.search(said)
    return number[0].rstrip(",") if number and "\\" not in said else said or None


def last_value(text: str) -> str | None:
    """Returns the last number or the last formula, whichever ends later; for a number in a formula, the formula."""
    number = deque(_NUMBER.finditer(text), maxlen=1)
    span = deque((span for span in _MATH_SPAN.finditer(text) if len(_words(span[0])) <= 1), maxlen=1)
    if span and (not number or span[0].end() >= number[0].end()):
        return span[0]["dollars"] or span[0]["round"]
    return number[0][0].rstrip(",") if number else None


def _bare_answer(text: str) -> str | None:
    """Returns the text itself if it is one short line without a sentence."""
    if "\n" in text or len(text) > 300 or not any(character.isalnum() for character in text):
        return None
    words = [word for word in _words(text) if word.lower() not in _MATH_WORDS]
    return text if not words or (len(words) <= 2 and not re.search("[0-9]", text)) else None


def _words(text: str) -> list[str]:
    """Returns the words of prose in ``text``, without the names of LaTeX commands."""
    return _WORD.findall(_NO_PROSE.sub("", text))


def _unboxed(said: str) -> str:
    return boxed_answer(said) or said


_SPOKEN = str.maketrans({"−": "-", "–": "-", "π": "\\pi ", "∞": "\\infty ", "×": "\\times ", "÷": "/", "°": ""})
_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))
_DROPPED = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\[!,;: ]|\^\{?\\circ\}?|\\?%|\\?\$|\\displaystyle|\\limits|~")
_TEXT = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|rm)\s*\{(?P<content>[^{}]{0,200})\}")
_UNIT = re.compile(r"(?<=[0-9})])\s*\\(?:text|mathrm|mbox)\s*\{\s*[A-Za-z .^0-9]{0,40}\}(?:\^\{?[23]\}?)?$")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?P<top>\{[^{}]{0,100}\}|[0-9])\s*(?P<bottom>\{[^{}]{0,100}\}|[0-9A-Za-z])")
_SHORT_ROOT = re.compile(r"\\sqrt\s*(?P<of>[0-9A-Za-z])")
_TYPED_ROOT = re.compile(
    r"(?:(?<![\\A-Za-z])sqrt ?|√ ?)(?:\((?P<inner>[^()]{1,100})\)|(?P<of>[0-9]{1,30}|[a-z](?![a-z])))"
)
_TYPED_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")
_TYPED_TIMES = re.compile(r"(?<=[0-9]) ?\* ?(?=\\(?:sqrt|pi))")
_TYPED_MIXED = re.compile(r"\A(?P<whole>-?[0-9]{1,100}) (?P<top>[0-9]{1,100})/(?P<bottom>[0-9]{1,100})\Z")
_NUMERIC_FRACTION = re.compile(
    r"(?P<sign>-?)(?P<whole>[0-9]{1,100})?\\frac\{(?P<top>-?[0-9]{1,100})\}\{(?P<bottom>[0-9]{1,100})\}"
)
_RATIONAL = re.compile(
    r"(?P<top>[-+]?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200}))(?:/(?P<bottom>[0-9]{1,200}))?"
)
_GROUPED = re.compile(r"[-+]?[0-9]{1,3}(?:(?:,|\{,\})[0-9]{3})+(?:\.[0-9]+)?")


def clean(text: str) -> str:
    """Returns ``text`` without control characters and lone surrogates, so that every store and protocol takes it."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text)


def unwrapped(answer: str) -> str:
    """Returns ``answer`` without the delimiters, emphasis and final full stop around it."""
    answer = answer.strip()
    for _ in range(4):
        for left, right in _WRAPPERS:
            if len(answer) > len(left) + len(right) and answer.startswith(left) and answer.endswith(right):
                answer = answer[len(left) : -len(right)].strip()
        answer = answer.rstrip(".,;: ") if not answer.endswith("\\,") else answer
    return answer


def as_latex(answer: str) -> str:
    """Returns typed mathematics (``2*sqrt(13)``, ``pi/6``, ``√2``, ``1 4/5``) in LaTeX."""
    text = _TYPED_ROOT.sub(lambda found: f"\\sqrt{{{found['inner'] or found['of']}}}", answer)
    text = _TYPED_TIMES.sub("", _TYPED_PI.sub(r"\\pi ", text))
    return _TYPED_MIXED.sub(r"\g<whole>\\frac{\g<top>}{\g<bottom>}", text)


def normalise(answer: str) -> str:
    """Returns one spelling for answers that differ in notation only; majority votes count these."""
    text = as_latex(unwrapped(clean(answer)[:MAX_ANSWER]).translate(_SPOKEN))
    text = _UNIT.sub("", text.replace("dfrac", "frac").replace("tfrac", "frac").replace("cfrac", "frac"))
    text = _TEXT.sub(lambda found: found["content"], _DROPPED.sub("", text))
    text = _SHORT_FRACTION.sub(lambda found: f"\\frac{_braced(found['top'])}{_braced(found['bottom'])}", text)
    text = _SHORT_ROOT.sub(lambda found: f"\\sqrt{{{found['of']}}}", text)
    text = re.sub(r"\s+", "", text).rstrip(".")
    left, equals, right = text.partition("=")
    if equals and right and len(left) <= 2 and "=" not in right:
        text = right
    if _GROUPED.fullmatch(text):
        text = text.replace("{,}", "").replace(",", "")
    if re.fullmatch(r"\([A-Za-z]\)", text):
        text = text[1]
    number = as_number(text)
    return number_text(number) if number is not None else text.lower() if re.fullmatch("[A-Za-z]{3,}", text) else text


def as_number(text: str) -> Fraction | None:
    """Returns a normalised answer as a number (integer, decimal, fraction, mixed number); None where it is none."""
    if found := _NUMERIC_FRACTION.fullmatch(text):
        sign, whole, top, bottom = -1 if found["sign"] else 1, found["whole"], int(found["top"]), int(found["bottom"])
        return sign * (int(whole or 0) + Fraction(top, bottom)) if bottom else None
    found = _RATIONAL.fullmatch(text)
    if not found or (found["bottom"] and ("." in found["top"] or not int(found["bottom"]))):
        return None
    return Fraction(found["top"]) / int(found["bottom"] or 1)


def number_text(number: Fraction) -> str:
    """Returns ``18``, ``0.5``, ``1/3``: a decimal where it ends within twelve places, else a reduced fraction."""
    if number.denominator == 1:
        return str(number.numerator)
    if 10**12 % number.denominator:
        return f"{number.numerator}/{number.denominator}"
    digits = f"{abs(number.numerator) * (10**12 // number.denominator):013d}"
    return f"{'-' if number < 0 else ''}{digits[:-12]}.{digits[-12:].rstrip('0')}"


def _braced(group: str) -> str:
    return group if group.startswith("{") else f"{{{group}}}"
