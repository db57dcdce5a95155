"""One spelling for answers that differ in notation only; majority votes count these spellings."""

import re
from dataclasses import dataclass
from fractions import Fraction

from sampling.boxed import MAX_ANSWER
from verify.math.number_words import date_in_words
from verify.math.typed import as_formula
from verify.math.units import is_unit, unit_of

_LAYOUT = re.compile(r"\\left(?![a-z])|\\right(?![a-z])|\\displaystyle|\\limits")
_BLANK = re.compile(r"\\[,;: ]|\\!|~|\\q?quad(?![A-Za-z])")
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mbox|rm)\s{0,3}\{(?P<content>[^{}]{0,200})\}"
)
_UNIT = re.compile(
    r"(?<=[0-9})])(?:\s{0,9}\\(?:text|mathrm|mbox)\s{0,3}\{(?P<text>[^{}]{0,60})\}(?:\^\{?(?P<power>[23])\}?)?"
    r"|\s{1,9}(?P<bare>[A-Za-z]{1,20}))\Z"
)
_NUMERIC_FRACTION = re.compile(
    r"(?P<sign>-?)(?P<whole>[0-9]{1,100})?\\frac\{(?P<top>-?[0-9]{1,100})\}\{(?P<bottom>[0-9]{1,100})\}"
)
_RATIONAL = re.compile(
    r"(?P<top>[-+]?(?:[0-9]{1,200}(?:\.[0-9]{0,200})?|\.[0-9]{1,200}))(?:/(?P<bottom>[0-9]{1,200}))?"
)
_LABEL = re.compile(r"\A\s?(?P<label>[A-Za-z](?:_\{?[A-Za-z0-9]{1,3}\}?)?)\s?=(?P<value>[^=<>]{1,1000})\Z")
_BRACED = re.compile(r"(?P<before>[\^_]|\\pmod)\{(?P<one>[0-9A-Za-z])\}")  # braces around one character


@dataclass(frozen=True, slots=True)
class Spelling:
    """One spelling of an answer, and what was left out of it: the name before ``=``, a unit, a percent sign."""

    core: str
    label: str = ""
    unit: str | None = None
    percent: bool = False


def normalise(answer: str) -> str:
    """Returns one spelling of an answer: without delimiters, blanks and units, numbers as 18, 0.5 or 1/3."""
    return spelling(answer).core


def spelling(answer: str, *, strict_case: bool = False) -> Spelling:
    """Returns the spelling of an answer; words are in small letters unless ``strict_case``."""
    text, label = as_formula(answer[:MAX_ANSWER]), ""
    if found := _LABEL.match(text):
        text, label = found["value"].strip(), found["label"]
    text, unit = _without_unit(_BLANK.sub(" ", _LAYOUT.sub("", text)).strip())
    bare = re.sub(r"\s{0,9}\\?%\s{0,9}\Z", "", text)
    core = _core(re.sub(r"\^\\circ\s{0,9}\Z", "", bare), strict_case)
    return Spelling(core, label, unit, percent=bare != text)


def _core(text: str, strict_case: bool) -> str:
    text = _TEXT.sub(lambda found: found["content"], text)
    if (date := date_in_words(text)) is not None:
        return date
    text = _joined(text).removesuffix(".")
    if re.fullmatch(r"\([A-Za-z]\)", text):
        text = text[1]
    number = as_number(text)
    if number is not None:
        return number_text(number)
    text = _BRACED.sub(r"\g<before>\g<one>", text)
    return text.lower() if re.fullmatch("[A-Za-z]{3,}|No", text) and not strict_case else text


def _without_unit(text: str) -> tuple[str, str | None]:
    """Returns ``text`` without a unit behind its number, and the unit."""
    found = _UNIT.search(text)
    if not found:
        return text, None
    bare, phrase = found["bare"], found["text"]
    if bare:
        unit = unit_of(bare) if is_unit(bare) else None
    else:
        unit = unit_of(phrase) if phrase.strip() not in ("e", "i") else None
    if unit is None:
        return text, None
    return text[: found.start()].rstrip(), unit + (f"^{found['power']}" if found["power"] else "")


def _joined(text: str) -> str:
    """Returns ``text`` without blanks, except between digits where they do not group thousands: ``7 8`` is not 78."""
    text = re.sub(r"\s+", " ", text.strip())
    text = re.sub(r"(?<![0-9 ])([0-9]{1,3})((?: [0-9]{3})+)(?![0-9 ])", lambda found: found[0].replace(" ", ""), text)
    text = re.sub(r"(?<=[0-9]) (?=[0-9])", "␣", re.sub(r"\{,\}|(?<=[0-9]),␣(?=[0-9]{3})", "", text))
    return text.replace(" ", "")


def as_number(text: str) -> Fraction | None:
    """Returns a normalised answer as a number (integer, decimal, fraction, mixed number); None where it is none."""
    if found := _NUMERIC_FRACTION.fullmatch(text):
        sign, whole, top, bottom = -1 if found["sign"] else 1, found["whole"], int(found["top"]), int(found["bottom"])
        if whole and not 0 < top < bottom:
            return None
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
