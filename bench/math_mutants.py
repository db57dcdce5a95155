"""Does a wrong answer ever pass? Right answers with one thing changed: a digit, sign, operator, bracket, name or order.

``python -m bench.math_mutants FOLDER [COUNT] [SEED]`` makes 20,000 mutants of the right answers of MATH-500 and GSM8K
in a folder, prints how many passed and each that did, and ends with exit code 1 if one did. A mutant that arithmetic of
this file's own finds equal to the right answer (``-0`` for 0) is not counted.
"""

import cmath
import json
import random
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling.policy import MathPolicy
from verify.math.verifier import equal_answers

MUTANTS = 20_000
SEED = 1
_DIGIT = re.compile(r"[0-9]")
_SIGN = re.compile(r"(?<![\\{^_a-z])[-+](?=[0-9A-Za-z\\(])")
_STARTS = re.compile(r"(?:\A|(?<=[=,(\[{ ]))(?=[0-9A-Za-z])(?<!text\{)(?<!\\)")
_NAME = re.compile(r"(?<![\\A-Za-z{])[a-z](?![A-Za-z])")
_BRACKETS = {"(": "[", ")": "]", "[": "(", "]": ")"}
_SWAPS = (
    *(("+", "-"), ("-", "+"), ("\\cdot", "+"), ("\\times", "+"), ("/", "+"), ("<", ">"), (">", "<"), ("=", "<")),
    *(("\\le", "<"), ("\\ge", "<"), ("\\cup", "\\cap"), ("\\sin", "\\cos"), ("\\cos", "\\sin"), ("\\tan", "\\cot")),
    *(
        ("\\pi", "e"),
        ("\\sqrt", ""),
        ("\\frac", "\\binom"),
        ("!", ""),
        ("i", ""),
        ("\\infty", "1"),
        ("^", "_"),
        ("x", "y"),
    ),
)
Way = Callable[[str, random.Random], str]


def digit(answer: str, source: random.Random) -> str:
    """One digit one larger or smaller: of a number, an exponent, a base or an index."""
    at = _any(_DIGIT.finditer(answer), source)
    changed = (int(answer[at]) + source.choice((-1, 1))) % 10 if at is not None else 0
    return answer if at is None else f"{answer[:at]}{changed}{answer[at + 1 :]}"


def sign(answer: str, source: random.Random) -> str:
    """A plus for a minus, or a minus for a plus."""
    at = _any(_SIGN.finditer(answer), source)
    return answer if at is None else f"{answer[:at]}{'+' if answer[at] == '-' else '-'}{answer[at + 1 :]}"


def negated(answer: str, source: random.Random) -> str:
    """A minus before a number or name."""
    at = _any(_STARTS.finditer(answer), source)
    return answer if at is None else f"{answer[:at]}-{answer[at:]}"


def swapped(answer: str, source: random.Random) -> str:
    """Another operator, relation or function."""
    here = [(old, new) for old, new in _SWAPS if old in answer]
    if not here:
        return answer
    old, new = source.choice(here)
    at = _any(re.finditer(re.escape(old) + ("(?![A-Za-z])" if old[-1].isalpha() else ""), answer), source)
    return answer if at is None else f"{answer[:at]}{new} {answer[at + len(old) :]}"


def bracketed(answer: str, source: random.Random) -> str:
    """A round bracket for a square one at the end of an interval."""
    if "," not in answer or answer[-1:] not in (")", "]"):
        return answer
    return f"{answer[:-1]}{_BRACKETS[answer[-1]]}"


def renamed(answer: str, source: random.Random) -> str:
    """Another name for one place of a variable."""
    at = _any(_NAME.finditer(answer), source)
    return answer if at is None else f"{answer[:at]}{'w' if answer[at] != 'w' else 'v'}{answer[at + 1 :]}"


def exchanged(answer: str, source: random.Random) -> str:
    """Two coordinates, or the two parts of a fraction, exchanged."""
    if pair := re.fullmatch(r"(.*\()([^(),]+),([^(),]+)(\).*)", answer, re.DOTALL):
        return f"{pair[1]}{pair[3]},{pair[2]}{pair[4]}"
    if parts := re.fullmatch(r"(.*\\d?frac)(\{[^{}]+\})(\{[^{}]+\})(.*)", answer, re.DOTALL):
        return f"{parts[1]}{parts[3]}{parts[2]}{parts[4]}"
    return answer


def cut(answer: str, source: random.Random) -> str:
    """The last term, factor or item left out."""
    at = max(answer.rfind(mark) for mark in ("+", ",", "-", "\\cdot"))
    return answer[:at].rstrip() if at > 0 and answer.count("(") == answer.count(")") == 0 else answer


WAYS: tuple[Way, ...] = (digit, digit, digit, digit, sign, negated, swapped, bracketed, renamed, exchanged, cut)


@dataclass(frozen=True, slots=True)
class Mutant:
    """One right answer and what became of it."""

    way: str
    gold: str
    text: str


def mutants(golds: Sequence[str], count: int, seed: int = SEED) -> Iterator[Mutant]:
    """Yields ``count`` mutants, the same for the same seed."""
    source = random.Random(seed)
    made = 0
    for _ in range(100 * count):
        gold, way = source.choice(golds), source.choice(WAYS)
        text = way(gold, source)
        if text != gold and text.strip():
            made += 1
            yield Mutant(way.__name__, gold, text)
        if made == count:
            return


def passed(found: Iterator[Mutant]) -> Iterator[Mutant]:
    """Yields the mutants that count as equal to their right answer, though arithmetic tells them apart."""
    policy = MathPolicy()
    for mutant in found:
        if equal_answers(mutant.gold, mutant.text, policy) and not same_arithmetic(mutant.gold, mutant.text):
            yield mutant


def same_arithmetic(gold: str, text: str) -> bool:
    """Returns True if two answers have the same values at five points by Python's own arithmetic."""
    gold, text = (re.sub(r"-0(?![0-9.])", "0", answer) for answer in (gold, text))
    values = [_values(answer) for answer in (gold, text)]
    return gold == text or (None not in values and values[0] == values[1])


def _values(answer: str) -> list[tuple[float, ...]] | None:
    """Returns the values of a formula at five points, rounded; None where it is none that this file can read."""
    source = re.sub(
        r"\\(?:left|right|!|,|;|text\{[^{}]*\}|\^\\circ|[$%])|\^\{?\\circ\}?|\s|\$|(?<=\d),(?=\d{3})", "", answer
    )
    source = re.sub(r"\\[dt]?frac(\d)(\d)", r"((\1)/(\2))", source)
    for _ in range(5):
        source = re.sub(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))", source)
        source = re.sub(r"\\sqrt\{([^{}]*)\}", r"((\1)**0.5)", source)
        source = re.sub(r"\^\{([^{}]*)\}", r"**(\1)", source)
    source = (
        source.replace("\\pi", "(3.141592653589793)").replace("\\cdot", "*").replace("\\times", "*").replace("^", "**")
    )
    source = re.sub(r"\b0+(?=\d)", "", source)
    source = re.sub(r"(?<=[0-9a-z)])(?=[a-z(])|(?<=[a-z)])(?=[0-9])", "*", source)
    if not re.fullmatch(r"[-+*/().,0-9a-z]{1,300}", source) or "," in source or re.search(r"\*\*\(?\d{3}", source):
        return None
    points = [{name: 0.37 * at + ord(name) / 91 for name in "abcdefghjklmnopqrstuvwxyz"} | {"i": 1j} for at in range(5)]
    try:
        code = compile(source, "formula", "eval")
        found = [complex(eval(code, {"__builtins__": {}}, point)) for point in points]  # noqa: S307  digits, names and signs
    except (SyntaxError, ArithmeticError, ValueError, TypeError, NameError):
        return None
    return [(float(f"{value.real:.11g}"), float(f"{value.imag:.11g}")) for value in found if cmath.isfinite(value)]


def _any(found: Iterator[re.Match[str]], source: random.Random) -> int | None:
    places = [match.start() for match in found]
    return source.choice(places) if places else None


def golds_in(folder: Path) -> list[str]:
    """Returns the right answers of MATH-500 and GSM8K in a folder."""
    found = [row["answer"] for row in json.loads((folder / "math500_test.json").read_text(encoding="utf-8"))]
    lines = (folder / "gsm8k_test.jsonl").read_text(encoding="utf-8").split("\n")
    return found + [json.loads(line)["answer"].rpartition("####")[2].strip() for line in lines if line]


def main(folder: str, count: int = MUTANTS, seed: int = SEED) -> int:
    """Prints how many mutants passed, and which; 1 if any did."""
    wrong = list(passed(mutants(golds_in(Path(folder)), count, seed)))
    print(f"{count} mutants, {len(wrong)} passed")
    for mutant in wrong:
        print(f"{mutant.way}: {mutant.gold!r} as {mutant.text!r}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
