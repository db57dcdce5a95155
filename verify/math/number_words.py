"""Numbers and other values in English words: ``twenty-one``, ``one hundred``, ``no solution``, ``20 June``."""

import re

_ONES = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
_SMALL = {name: at for at, name in enumerate(f"zero {_ONES} eighteen nineteen".split())}
_TENS_NAMES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {name: 10 * at for at, name in enumerate(_TENS_NAMES.split(), 2)}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
NUMBER_WORDS = frozenset({*_SMALL, *_TENS, *_SCALES})
MAX_WORDS = 12
EMPTY = frozenset(
    {
        *("no solution", "no solutions", "no real solution", "no real solutions", "empty set", "none", "no real roots"),
        *("there is no solution", "there are no solutions", "no such numbers", "no roots"),
    }
)
ABSENT = frozenset({"does not exist", "dne"})
ALL_NUMBERS = frozenset({"all real numbers", "all reals", "real numbers", "all real", "all real x", "all real values"})
ENDLESS = frozenset({"infinity", "infinite", "infinitely many"})
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_MONTH = rf"(?P<month>{_MONTHS})"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?:,? (?P<year>[0-9]{3,4}))?"
_DATES = [
    re.compile(form, re.IGNORECASE)
    for form in (rf"{_MONTH} {_DAY}{_YEAR}", rf"(?:the )?{_DAY}(?: of)? {_MONTH}{_YEAR}")
]


def number_in_words(text: str) -> int | None:
    """Returns the whole number that words name, below 10^12; None where they name none."""
    words = [word for word in re.split(r"[\s-]+", text.casefold().strip()) if word != "and"]
    if not 0 < len(words) <= MAX_WORDS or (words[0] in _SCALES):
        return None
    total, part, scale = 0, 0, 10**12
    before = ""
    for word in words:
        if word in _TENS and before not in _TENS and before not in _SMALL:
            part += _TENS[word]
        elif word in _SMALL and before not in _SMALL and (before not in _TENS or 0 < _SMALL[word] < 10):
            part += _SMALL[word]
        elif word == "hundred" and 0 < part < 10:
            part *= 100
        elif word in _SCALES and word != "hundred" and part and _SCALES[word] < scale:
            scale = _SCALES[word]
            total, part = total + part * scale, 0
        else:
            return None
        before = word
    return total + part


def date_in_words(text: str) -> str | None:
    """Returns one spelling of a date such as ``June 20th`` or ``20 June, 1995``; None for anything else."""
    for form in _DATES:
        if found := form.fullmatch(" ".join(text.split())):
            return " ".join(filter(None, (found["month"].lower(), str(int(found["day"])), found["year"])))
    return None
