"""Rewrites an answer as a formula to parse: typed mathematics, Unicode, money, groups of digits, times, intervals."""

import re
from collections.abc import Callable

_SINGLE = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"), ("*", "*"))
_WRAPPERS = (*_SINGLE, ('"', '"'), ("“", "”"), ("「", "」"))
_SIGNS = str.maketrans(
    {
        **{"−": "-", "–": "-", "π": "\\pi ", "∞": "\\infty ", "×": "\\times ", "÷": "/", "·": "\\cdot "},
        **{"°": "^\\circ ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ", "≈": "\\approx ", "≡": "\\equiv "},
        **{"∪": "\\cup ", "∩": "\\cap ", "∈": "\\in ", "∅": "\\emptyset ", "ℝ": "\\mathbb{R}", "±": "\\pm "},
        **{"∓": "\\mp ", "⟨": "\\langle ", "⟩": "\\rangle ", "½": "\\frac{1}{2}", "⅓": "\\frac{1}{3}"},
        **{"⅔": "\\frac{2}{3}", "¼": "\\frac{1}{4}", "¾": "\\frac{3}{4}", "⅛": "\\frac{1}{8}", "⅜": "\\frac{3}{8}"},
        **{"⅝": "\\frac{5}{8}", "⅞": "\\frac{7}{8}", "⅕": "\\frac{1}{5}", "⅖": "\\frac{2}{5}", "⅗": "\\frac{3}{5}"},
        **{"⅘": "\\frac{4}{5}", "⅙": "\\frac{1}{6}", "⅚": "\\frac{5}{6}", "∖": "\\setminus ", "θ": "\\theta "},
        **{"α": "\\alpha ", "β": "\\beta ", "γ": "\\gamma ", "λ": "\\lambda ", "μ": "\\mu ", "φ": "\\phi "},
        **{"…": "\\ldots ", "⋅": "\\cdot ", "′": "'", "∶": ":", "Ω": "\\Omega "},
        **{"\u00a0": " ", "\u2009": " ", "\u202f": " "},
    }
)
_RAISED = re.compile("⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,9}")
_LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_CURRENCY = (
    r"(?:(?:US|HK|CA?|AU?)?(?:\\?[$£€¥₹]|\\text\s?\{\s?\\?\$\s?\})|\\(?:pounds|euro|textdollar|mathdollar)(?![A-Za-z])"
    r"|\\text\s?\{\s?(?:Rs|USD|INR)\.?\s?\}|(?:Rs|USD|INR|EUR|GBP)\b\.?)"
)
_MONEY = re.compile(rf"^(?P<sign>[-+]?){_CURRENCY} ?(?P<minus>-?)(?=[0-9.])|(?<=[0-9}}]) ?(?:\\?[$]|[£€¥₹])$")
_COINS = {"£": "GBP", "€": "EUR", "¥": "JPY", "₹": "INR", "pound": "GBP", "euro": "EUR", "eur": "EUR", "gbp": "GBP"}
_NAMED = {"rs": "INR", "inr": "INR", "rupee": "INR", "cent": "cent", "penn": "cent", "yen": "JPY", "jpy": "JPY"}
_COIN = re.compile(
    r"\\?(?P<sign>[$£€¥₹])|\\(?P<command>pounds|euro|textdollar|mathdollar)(?![A-Za-z])"
    r"|(?<![A-Za-z])(?P<word>dollar|usd|euro|eur|gbp|rupee|rs|inr|cent|yen|jpy)s?\b",
    re.IGNORECASE,
)
_SHORT_FRACTION = re.compile(
    r"\\frac\s{0,3}(?P<top>\{[^{}]{0,100}\}|[0-9A-Za-z])\s{0,3}(?P<bottom>\{[^{}]{0,100}\}|[0-9A-Za-z])"
)
_SHORT_ROOT = re.compile(r"\\sqrt\s{0,3}(?P<of>[0-9A-Za-z])")
_TYPED_ROOT = re.compile(
    r"(?:(?<![\\A-Za-z])sqrt ?|√ ?)(?:\((?P<inner>[^()]{1,100})\)|(?P<of>[0-9]{1,30}|[a-z](?![a-z])))"
)
_TYPED_POWER_OF_TEN = re.compile(r"(?P<digits>[0-9](?:[0-9.]{0,100}[0-9])?)[eE](?P<power>[-+]?[0-9]{1,3})\Z")
_THIN = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:(?: ?, ?\\! ?|\\! ?,|\\!|\{,\}|\\,|\\ |~)[0-9]{3}){1,30}(?![0-9])")
_SPREAD = re.compile(r"\A-?[0-9]{1,3}(?: , [0-9]{3}){1,30}\Z")
_GROUPED = re.compile(r"(?<![0-9.,])[0-9]{1,3}(?:,[0-9]{3}){1,30}(?![0-9,])")
_ANGLE = re.compile(r"(?<![0-9.])(?P<degrees>[0-9]{1,4})\^\\circ\s{0,3}(?P<minutes>[0-9]{1,2})'(?![0-9'])")
_TIME = re.compile(
    r"(?:\\text\s?\{\s?)?(?P<time>[0-9]{1,2}:[0-9]{2})\s{0,3}\}?\s{0,3}(?:\\(?:text|mathrm)\s?\{\s?)?"
    r"(?P<half>[AaPp])\.?\s?[Mm]\b\.?\s?\}?\Z"
)
_OUTWARD = re.compile(r"(?P<opens>[\[\]])(?P<ends>[^\[\](){};]{1,80},[^\[\](){};]{1,80})(?P<closes>[\[\]])")
_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "ten": "10"}
_BASE = re.compile(
    r"_\s?\{?\s?\\(?:text|mathrm)\s?\{(?P<index>[a-z]{3,5})\}\s?\}?"
    r"|(?<=[0-9A-F])\s?\\text\s?\{\s?\(?(?:in )?base[ -](?P<inside>[0-9]{1,2}|[a-z]{3,5})\)?\s?\}\Z"
    r"|(?<=[0-9])\s?\\text\s?\{\s?(?:in )?base\s?\}\s?(?P<outside>[0-9]{1,2})\Z"
)

# Notations that have one meaning, in order: each pattern is bounded, and none has a repetition inside a repetition.
_Replacement = str | Callable[[re.Match[str]], str]
_TYPED: tuple[tuple[re.Pattern[str], _Replacement], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<=[\w)}\]])\s?\*\*\s?(?=[\w({-])", "^"),  # 2**10
        (r"\.\.\.", r"\\ldots "),
        (r"(?<=[0-9])\s?x\s?(?=10\^)", r"\\times "),
        (r"\\(?:pm|mp|cdot|times|le|ge|cup)(?=sqrt|pi)", r"\g<0> "),
        (r"(?:∛|(?<![\\A-Za-z])cbrt ?)(?:\(([^()]{1,100})\)|([0-9]{1,30}))", r"\\sqrt[3]{\1\2}"),
    )
)
_AFTER_ROOTS: tuple[tuple[re.Pattern[str], _Replacement], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"(?<![\\A-Za-z])pi(?![A-Za-z])", r"\\pi "),
        (r"(?<=[0-9]) ?\* ?(?=\\(?:sqrt|pi))", ""),
    )
)
_MIXED = re.compile(r"\A(?P<sign>-?)(?P<whole>[0-9]{1,100}) (?P<top>[0-9]{1,100})/(?P<bottom>[0-9]{1,100})(?![0-9.])")
_LATEX: tuple[tuple[re.Pattern[str], _Replacement], ...] = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"\\(?:textcolor|color)\s?\{[A-Za-z]{1,20}\}", ""),
        (r"\\(?:bf|it|[lL]arge|LARGE|[hH]uge|small|normalsize|boldsymbol|bm|underline|ensuremath)(?![A-Za-z])", ""),
        (r"(?<=[0-9]) (?!.{0,60}(?:abc|xyz|uv))(?=[a-z]*[aeiou])([a-z]{4,20}(?: [a-z]{2,20}){0,4})\Z", r"\\text{ \1}"),
        (r"\\[dt]binom(?![A-Za-z])", r"\\binom"),
        (r"\\Bbb\s?\{?R\}?|\\mathbb R|\\R(?![A-Za-z])", r"\\mathbb{R}"),
        (r"\\mathbb\{R\}\s?(?:\^\s?\{?\+\}?|_\s?\{?\s?(?:>\s?0|\+)\s?\}?)", r"(0,\\infty)"),
        (r"\\mathbb\{R\}\s?_\s?\{\s?\\geq?\s?0\s?\}", r"[0,\\infty)"),
        (r"(?<=\\mathbb\{R\})\s?-\s?(?=\\\{)", r"\\setminus "),
        (r"(?<=[\])])\s?U\s?(?=[\[(])", r"\\cup "),
        (r"(?:\\text\s?\{)?\s?[Aa]ll real(?:s| numbers)(?: x)? except(?: for)?\s?\}?\s?(-?[0-9./]{1,30})\s?\}?\Z",
         r"\\mathbb{R}\\setminus\\{\1\\}"),
        (r"(?<=P\()([^()|]{1,40})\|(?=[^()|]{1,40}\))", r"\1\\mid "),
        (r"(?<![A-Za-z\\])([0-9]{1,9}) ?(?:\\text\s?\{\s?to\s?\}|to) ?(?=[0-9])", r"\1\\ratio "),
        (r"&\s?(?=[=<>]|\\[lg]e)", ""),
        (r"\\colon(?![A-Za-z])", ":"),
        (r"(?<![0-9])\.(?=\\(?:overline|bar|dot)(?![A-Za-z]))", "0."),
        (r"\A<([^<>]{1,100},[^<>]{1,100})>\Z", r"\\langle \1\\rangle "),
        (r"\s?\((?:approx\w{0,12}\.?|rounded|exactly|exact)\)\Z", ""),
        (r"\A\\text\s?\{\s?(?:approximately|about|around|roughly|approx\.?)\s?\}\s?", r"\\approx "),
        (r"(?<![A-Za-z\\])m\s?(?=\\angle)", ""),
        (r"\\hat\s?\{?\s?\\([ij])math\s?\}?", r"\\hat{\1}"),
        (r"\\hat\s?\{\s?\\mathbf\s?\{([ijk])\}\s?\}", r"\\mathbf{\1}"),
    )
)  # fmt: skip
_OVER = re.compile(r"\{(?P<top>[^{}]{1,60})\\(?P<how>over|choose)(?![A-Za-z])(?P<bottom>[^{}]{1,60})\}")
_EQUAL_COMMANDS = re.compile(r"\\(?:dfrac|tfrac|cfrac)(?![A-Za-z])")
_BAD_CIRCLE = re.compile(r"\^\s?\{?\s?\\(?:circ|degree)\s?\}?|\\degree(?![A-Za-z])")
_ORDINAL = re.compile(r"(?<=[0-9])(?:st|nd|rd|th)\b")
_DOLLAR_FORMULA = re.compile(r"(?<!\\)\$[^$]{0,100}[0-9][^$]{0,100}\$")


def unwrapped(answer: str) -> str:
    """Returns ``answer`` without the delimiters, emphasis, quotes and final full stop around it."""
    answer = answer.strip()
    for _ in range(4):
        for left, right in _WRAPPERS:
            if len(answer) > len(left) + len(right) and answer.startswith(left) and answer.endswith(right):
                inner = answer[len(left) : -len(right)].strip()
                several = left == right and re.search(rf"(?<!\\){re.escape(left)}", inner)
                answer = answer if several else inner
        answer = answer.lstrip(": ∴")
        if answer.endswith("\\") and not answer.endswith("\\\\"):  # of a blank "\ " at the end
            answer = answer[:-1].rstrip()
        if not answer.endswith(("\\,", "\\;", "\\:", "..")):
            answer = answer.rstrip(".,;: ")
    return answer


def as_latex(answer: str) -> str:
    """Returns typed mathematics (``2*sqrt(13)``, ``pi/6``, ``√2``, ``1 4/5``, ``x²``, ``6.02e23``) in LaTeX."""
    text = _RAISED.sub(lambda found: f"^{{{found[0].translate(_LOWERED)}}}", answer.translate(_SIGNS))
    text = _replaced(text, _TYPED)
    text = _TYPED_ROOT.sub(lambda found: f"\\sqrt{{{found['inner'] or found['of']}}}", text)
    text = _replaced(text, _AFTER_ROOTS)
    text = _TYPED_POWER_OF_TEN.sub(lambda found: f"{found['digits']}\\times 10^{{{int(found['power'])}}}", text)
    return _MIXED.sub(r"\g<sign>\g<whole>\\frac{\g<top>}{\g<bottom>}", text)


def as_formula(answer: str) -> str:
    """Returns an answer as a formula to parse: with typed mathematics, short fractions, money, groups of digits."""
    text = as_latex(_MONEY.sub(r"\g<sign>\g<minus>", unwrapped(answer).strip()))
    text = _OVER.sub(_as_command, _replaced(text, _LATEX))
    if not _DOLLAR_FORMULA.search(text):
        text = re.sub(r"(?<!\\)\$", " ", text)
    text = _ORDINAL.sub("", _BAD_CIRCLE.sub(r"^\\circ ", _EQUAL_COMMANDS.sub(r"\\frac", text)))
    for _ in range(2):  # once more for a fraction in a fraction
        text = _SHORT_FRACTION.sub(lambda found: f"\\frac{_braced(found['top'])}{_braced(found['bottom'])}", text)
        text = _SHORT_ROOT.sub(lambda found: f"\\sqrt{{{found['of']}}}", text)
    text = _ANGLE.sub(_as_degrees, _TIME.sub(_as_time, _BASE.sub(_as_index, text)))
    text = _OUTWARD.sub(_as_interval, text) if "]" in text or "[" in text else text
    text = _THIN.sub(lambda found: re.sub("[^0-9]", "", found[0]), text)
    text = _SPREAD.sub(lambda found: found[0].replace(" ", ""), text)
    return text if _is_list(text) else _GROUPED.sub(lambda found: found[0].replace(",", ""), text)


def currency(answer: str) -> str | None:
    """Returns the currency that an answer names, by sign or by word; None where it names none."""
    text = unwrapped(answer)
    if text.count("$") > 1 and "\\$" not in text:  # around formulas
        text = text.replace("$", " ")
    found = _COIN.search(text)
    if not found:
        return None
    said = (found["sign"] or found["command"] or found["word"]).casefold().removesuffix("s")
    return _COINS.get(said) or _NAMED.get(said, "USD")


def _replaced(text: str, rules: tuple[tuple[re.Pattern[str], _Replacement], ...]) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text


def _is_list(text: str) -> bool:
    """Returns True if commas separate items: in brackets, or somewhere where they cannot group digits."""
    return bool(re.search(r"[(\[{].*,", text, re.DOTALL)) or "," in _GROUPED.sub("", text)


def _as_command(found: re.Match[str]) -> str:
    command = "frac" if found["how"] == "over" else "binom"
    return f"\\{command}{{{found['top'].strip()}}}{{{found['bottom'].strip()}}}"


def _as_degrees(found: re.Match[str]) -> str:
    """Returns ``37^\\circ 30'`` as a fraction of degrees."""
    return f"\\frac{{{60 * int(found['degrees']) + int(found['minutes'])}}}{{60}}^\\circ "


def _as_time(found: re.Match[str]) -> str:
    return f"{found['time']} \\text{{{found['half'].lower()}m}}"


def _as_index(found: re.Match[str]) -> str:
    """Returns the base of ``1010_{\\text{two}}`` and ``1010 \\text{ in base } 2`` as an index in digits."""
    said = found["index"] or found["inside"] or found["outside"]
    base = said if said.isdigit() else _BASES.get(said)
    return found[0] if base is None else f"_{{{base}}}"


def _as_interval(found: re.Match[str]) -> str:
    """Returns an interval with brackets that are turned outward, ``]0, 1]``, in round brackets: ``(0, 1]``."""
    opens, closes = found["opens"], found["closes"]
    if (opens, closes) == ("[", "]"):
        return found[0]
    return f"{'(' if opens == ']' else '['}{found['ends']}{')' if closes == '[' else ']'}"


def _braced(group: str) -> str:
    return group if group.startswith("{") else f"{{{group}}}"
