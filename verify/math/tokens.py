"""Cuts a formula into tokens. No character is dropped except blanks and commands that only change the layout."""

import re
from dataclasses import dataclass

from verify.math.units import is_unit

_PATTERN = re.compile(
    r"""
  (?P<blank>\s+|\\[,;:! >]|~|\\(?:quad|qquad|displaystyle|textstyle|limits|left|right|[bB]igg?[lr]?)(?![A-Za-z]))
| (?P<number>[0-9]{1,3}(?:\ [0-9]{3})+(?![0-9])(?:\.[0-9]+)?|[0-9]+(?:\.[0-9]+)?|\.[0-9]+)
| (?P<styled>\\(?P<style>text(?:bf|it|rm|normal)?|math(?:rm|bf|it|sf)|mbox|operatorname\*?|rm)\s*
  \{(?P<content>(?:[^{}]|\{[^{}]{0,9}\})*)\})
| (?P<environment>\\(?P<edge>begin|end)\s*\{(?P<name>[a-z]+)\*?\}(?:\{[clr|]{1,20}\})?)
| (?P<command>\\[A-Za-z]+|\\.)
| (?P<letters>[A-Za-z]+)
| (?P<sign>.)
""",
    re.VERBOSE | re.DOTALL,
)
_UNITS = re.compile(r"(?P<first>[A-Za-z]{1,5})(?:\\[,; ]|\s|\\cdot\s?){1,3}(?P<second>[A-Za-z]{1,5})\^\{-1\}")
_FUNCTION_NAMES = "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp max min gcd lcm"
FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
SCALES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}
NAMES = frozenset({"pi", "sqrt", "infinity", "inf", "and", "or", "percent", "mod", "bmod", "pmod", *FUNCTIONS, *SCALES})


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its kind (``number``, ``word``, ``text``, ``bold``, ``command``, ``begin``, ``end``, ``sign``)."""

    kind: str
    text: str
    spaced: bool = False  # a blank is before it


def tokens(formula: str, *, units: bool) -> list[Token]:
    """Returns the tokens of ``formula``. With ``units``, names of units in plain letters are words too."""
    found: list[Token] = []
    spaced = False
    for match in _PATTERN.finditer(formula):
        kind = match.lastgroup if match.lastgroup in ("blank", "number", "command", "letters", "sign") else None
        if kind == "blank":
            spaced = match[0] != "\\!" or spaced
            continue
        found.extend(_tokens_of(match, kind, spaced, units))
        spaced = False
    return found


def _tokens_of(match: re.Match[str], kind: str | None, spaced: bool, units: bool) -> list[Token]:
    if kind == "number":
        return [Token("number", match[0].replace(" ", ""), spaced)]
    if kind == "letters":
        return _letters(match[0], spaced, units)
    if match["styled"]:
        return _styled(match["style"], match["content"].strip(), spaced, units)
    if match["environment"]:
        return [Token(match["edge"], match["name"], spaced)]
    return [Token(kind or "sign", match[0], spaced)]


def _letters(run: str, spaced: bool, units: bool) -> list[Token]:
    """Returns one word where the letters are a known name, else every letter as a name of its own."""
    if run in NAMES or (units and is_unit(run) and (spaced or len(run) > 1)):
        return [Token("word", run, spaced)]
    return [Token("letter", letter, spaced and at == 0) for at, letter in enumerate(run)]


def _styled(style: str, content: str, spaced: bool, units: bool) -> list[Token]:
    """Returns the tokens of ``\\text{…}`` and its like: a function, formula, bold name or piece of text."""
    plain = content.replace("~", " ").strip()
    if style.startswith("math") and (unit := _UNITS.fullmatch(plain)):
        return [Token("text", f"{unit['first']}/{unit['second']}", spaced)]
    if plain in FUNCTIONS or plain in ("and", "or", "mod", "infinity", "pi"):
        return [Token("word", plain, spaced)]
    if re.fullmatch(r"\(?[A-Z]\)?(?:(?:, ?(?:and )?| and )\(?[A-Z]\)?){1,20}", plain):
        return tokens(plain, units=False)
    if amount := re.fullmatch(r"(?P<number>[0-9]+(?:\.[0-9]+)?) (?P<unit>[A-Za-z ]+)", plain):
        return [Token("number", amount["number"], spaced), Token("text", amount["unit"], spaced=True)]
    if style == "mathbf" and len(plain) == 1:
        return [Token("bold", plain, spaced)]
    if style.startswith("math") and (plain in ("e", "i") or "\\" in plain):
        return tokens(plain, units=units) if len(plain) < 100 else [Token("text", plain, spaced)]
    if re.fullmatch(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+|[-+]?[0-9.]*[0-9]", plain):
        return tokens(plain.replace(",", ""), units=units)
    if style in ("mathrm", "mathit", "mathsf", "text") and len(plain) == 1 and plain.isalpha() and not spaced:
        return [Token("roman", plain, spaced)]
    return [Token("text", plain, spaced)] if plain else []
