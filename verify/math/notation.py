"""One spelling for answers that differ in notation only; majority votes count these spellings."""

import re
from dataclasses import dataclass
from fractions import Fraction

from sampling.boxed import MAX_ANSWER
from verify.math.units import is_unit, unit_of

_WRAPPERS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("*", "*"))
_SIGNS = str.maketrans(
    {
        **{
            "−": "-",
            "–": "-",
            "π": "\\pi ",
            "∞": "\\infty ",
            "×": "\\times ",
            "÷": "/",
            "·": "\\cdot ",
            "°": "^\\circ ",
        },
        **{"≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "≡": "\\equiv ", "∪": "\\cup ", "∩": "\\cap "},
        **{
            "∈": "\\in ",
            "∅": "\\emptyset ",
            "ℝ": "\\mathbb{R}",
            "±": "\\pm ",
            "∓": "\\mp ",
            "⟨": "\\langle ",
            "⟩": "\\rangle ",
        },
        **{"½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}"},
        **{"⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅛": "\\frac{1}{8}", "∖": "\\setminus "},
        **{
            "θ": "\\theta ",
            "α": "\\alpha ",
            "β": "\\beta ",
            "γ": "\\gamma ",
            "λ": "\\lambda ",
            "μ": "\\mu ",
            "φ": "\\phi ",
        },
        **{"\u00a0": " ", "\u2009": " ", "\u202f": " "},
    }
)
_RAISED = re.compile("⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9}")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_TYPED_CROSS = re.compile(r"(?<=[0-9])\s?x\s?(?=10\^)")
_OVER = re.compile(r"\{(?P<top>[^{}]{1,60})\\(?P<how>over|choose)(?![A-Za-z])(?P<bottom>[^{}]{1,60})\}")
_COLOUR = re.compile(r"\\(?:textcolor|color)\s?\{[A-Za-z]{1,20}\}")
_EQUAL_COMMANDS = re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])")
_BAD_CIRCLE = re.compile(r"\^\s?\{?\s?\\(?:circ|degree)\s?\}?|\\degree(?![A-Za-z])")
_CURRENCY = r"(?:US)?(?:\\?[$£€¥₹]|\\text\{\\?\$\})"
_MONEY = re.compile(rf"^(?P<sign>[-+]?){_CURRENCY} ?(?P<minus>-?)(?=[0-9.])|(?<=[0-9}}]) ?(?:\\?[$]|[£€¥₹])$")
_ORDINAL = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\b")
_SHORT_FRACTION = re.compile(
    r"\\frac\s{0,3}(?P<top>\{[^{}]{0,100}\}|[0-9A-Za-z])\s{0,3}(?P<bottom>\{[^{}]{0,100}\}|[0-9A-Za-z])"
)
_SHORT_ROOT = re.compile(r"\\sqrt\s{0,3}(?P<of>[0-9A-Za-z])")
_TYPED_ROOT = re.compile(
    r"(?:(?<![\\A-Za-z])sqrt ?|√ ?)(?:\((?P<inner>[^()]{1,100})\)|(?P<of>[0-9]{1,30}|[a-z](?![a-z])))"
)
_RUN_ON = re.compile(r"\\(?:pm|mp|cdot|times|le|ge|cup)(?=sqrt|pi)")
_TYPED_PI = re.compile(r"(?<![\\A-Za-z])pi(?![A-Za-z])")
_TYPED_TIMES = re.compile(r"(?<=[0-9]) ?\* ?(?=\\(?:sqrt|pi))")
_TYPED_MIXED = re.compile(
    r"\A(?P<sign>-?)(?P<whole>[0-9]{1,100}) (?P<top>[0-9]{1,100})/(?P<bottom>[0-9]{1,100})(?![0-9.])"
)
_TYPED_POWER_OF_TEN = re.compile(r"(?P<digits>[0-9](?:[0-9.]{0,100}[0-9])?)[eE](?P<power>[-+]?[0-9]{1,3})\Z")
_THIN = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:(?: ?, ?\\! ?|\\! ?,|\\!|\{,\}|\\,|\\ |~)[0-9]{3}){1,30}(?![0-9])")
_SPREAD = re.compile(r"\A-?[0-9]{1,3}(?: , [0-9]{3}){1,30}\Z")
_GROUPED = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3}){1,30}(?![0-9,])")

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


def unwrapped(answer: str) -> str:
    """Returns ``answer`` without the delimiters, emphasis and final full stop around it."""
    answer = answer.strip()
    for _ in range(4):
        for left, right in _WRAPPERS:
            if len(answer) > len(left) + len(right) and answer.startswith(left) and answer.endswith(right):
                inner = answer[len(left) : -len(right)].strip()
                several = left == right and re.search(rf"(?<!\\){re.escape(left)}", inner)
                answer = answer if several else inner
        answer = answer.lstrip(": ")
        answer = answer if answer.endswith(("\\,", "\\;", "\\:")) else answer.rstrip(".,;: ")
    return answer


def as_latex(answer: str) -> str:
    """Returns typed mathematics (``2*sqrt(13)``, ``pi/6``, ``√2``, ``1 4/5``, ``x²``, ``6.02e23``) in LaTeX."""
    text = _RAISED.sub(lambda found: f"^{{{found[0].translate(_LOWERED)}}}", answer.translate(_SIGNS))
    text = _TYPED_CROSS.sub(r"\\times ", _RUN_ON.sub(r"\g<0> ", text))
    text = _TYPED_ROOT.sub(lambda found: f"\\sqrt{{{found['inner'] or found['of']}}}", text)
    text = _TYPED_TIMES.sub("", _TYPED_PI.sub(r"\\pi ", text))
    text = _TYPED_POWER_OF_TEN.sub(lambda found: f"{found['digits']}\\times 10^{{{int(found['power'])}}}", text)
    return _TYPED_MIXED.sub(r"\g<sign>\g<whole>\\frac{\g<top>}{\g<bottom>}", text)


def as_formula(answer: str) -> str:
    """Returns an answer as a formula to parse: with typed mathematics, short fractions, money, groups of digits."""
    text = as_latex(_MONEY.sub(r"\g<sign>\g<minus>", unwrapped(answer).strip()))
    text = _OVER.sub(_as_command, _COLOUR.sub("", text)).replace("\\dbinom", "\\binom").replace("\\tbinom", "\\binom")
    if not re.search(r"(?<!\\)\$[^$]{0,100}[0-9][^$]{0,100}\$", text):
        text = re.sub(r"(?<!\\)\$", " ", text)
    text = _ORDINAL.sub("", _BAD_CIRCLE.sub(r"^\\circ ", _EQUAL_COMMANDS.sub(r"\\frac", text)))
    for _ in range(2):  # once more for a fraction in a fraction
        text = _SHORT_FRACTION.sub(lambda found: f"\\frac{_braced(found['top'])}{_braced(found['bottom'])}", text)
        text = _SHORT_ROOT.sub(lambda found: f"\\sqrt{{{found['of']}}}", text)
    text = _THIN.sub(lambda found: re.sub("[^0-9]", "", found[0]), text)
    text = _SPREAD.sub(lambda found: found[0].replace(" ", ""), text)
    return text if _is_list(text) else _GROUPED.sub(lambda found: found[0].replace(",", ""), text)


def _is_list(text: str) -> bool:
    """Returns True if commas separate items: in brackets, or somewhere where they cannot group digits."""
    return bool(re.search(r"[(\[{].*,", text, re.DOTALL)) or "," in _GROUPED.sub("", text)


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
    text = _joined(_TEXT.sub(lambda found: found["content"], text)).rstrip(".")
    if re.fullmatch(r"\([A-Za-z]\)", text):
        text = text[1]
    number = as_number(text)
    if number is not None:
        return number_text(number)
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


def _as_command(found: re.Match[str]) -> str:
    command = "frac" if found["how"] == "over" else "binom"
    return f"\\{command}{{{found['top'].strip()}}}{{{found['bottom'].strip()}}}"


def _braced(group: str) -> str:
    return group if group.startswith("{") else f"{{{group}}}"
