"""Checks that the math verifier accepts MATH's own answers in eleven other notations.

``python -m bench.math_rewritings MATH500.json`` prints a table and every disagreement; the exit code is 1 if there is
one. A rewriting that leaves an answer unchanged is not counted. Answers of other problems must not be accepted.
"""

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from sampling.problems import Problem
from sampling.references import MathReference
from sampling.tasks.load import load_task
from verify.math.notation import as_number, normalise
from verify.math.verifier import MathVerifier

_SIMPLE_FRACTION = re.compile(r"\\d?frac\{(?P<top>[^{}]*)\}\{(?P<bottom>[^{}]*)\}")
_UNITS = re.compile(r"(?:\^\\circ|\\(?:text|mbox)\{ [^{}]*\}(?:\^[23])?)$")
_TERM = re.compile(r"\s*([-+]?)\s*((?:[^-+{}()\[\],=\\]|\^\{[^{}]*\}|\\(?:sqrt|pi)(?:\{\d+\})?)+)")
_PRODUCT = re.compile(r"(?P<first>\d+|\([^()]*\)) ?(?P<second>\\(?:sqrt\{?\d+\}?|pi)|\([^()]*\))")
_SIDES = re.compile(r"(?P<left>[^=]+)=(?P<right>[^=]+)")


def compact(answer: str) -> str:
    """Removes every blank that LaTeX does not need."""
    return re.sub(r"(\\[A-Za-z]+) (?=[A-Za-z])|\s|\\!", lambda found: found[1] + " " if found[1] else "", answer)


def spread(answer: str) -> str:
    """Puts blanks around signs, commas and brackets."""
    return re.sub(r"\s*((?<![{^_(\[,=\\])[-+]|(?<!\\)[,=)\]])\s*", r" \1 ", answer).strip()


def styled(answer: str) -> str:
    """Uses large fractions, and brackets that grow."""
    text = answer.replace("\\frac", "\\dfrac")
    if re.fullmatch(r"[(\[][^()\[\]]*,[^()\[\]]*[)\]]", text):
        return f"\\left{text[:-1]}\\right{text[-1]}"
    return text


def slashed(answer: str) -> str:
    """Writes ``a/b`` for a fraction of numbers, with brackets around a side of more than one."""
    mixed = re.sub(r"(\d)\s*(?=\\frac)", r"\1 ", _braced(answer)) if as_number(normalise(answer)) else _braced(answer)
    return _SIMPLE_FRACTION.sub(lambda f: f"{_bracketed(f['top'])}/{_bracketed(f['bottom'])}", mixed)


def decimal(answer: str) -> str:
    """Writes a number as a decimal: six places for a fraction that does not end, ``.0`` after a whole number."""
    number = as_number(normalise(answer))
    if number is None or _UNITS.search(answer):
        return answer
    if number.denominator == 1:
        return f"{number}.0"
    return f"{float(number):.6f}" if 10**6 % number.denominator else f"{float(number):.6f}".rstrip("0")


def grouped(answer: str) -> str:
    """Adds commas between thousands, or removes them."""
    plain = re.sub(r"(?<=\d),(?:\\!)?\s?(?=\d{3})", "", answer)
    if plain != answer and as_number(normalise(plain)) is not None:
        return plain
    return f"{int(answer):,}" if re.fullmatch(r"-?\d{4,}", answer) else answer


def worded(answer: str) -> str:
    """Removes the text command around words; puts it around single letters and plain numbers."""
    if re.fullmatch(r"\\text\{[^{}]*\}", answer):
        return answer[6:-1]
    return f"\\text{{{answer}}}" if re.fullmatch(r"-?\d+|[A-Za-z]", answer) else answer


def in_units(answer: str) -> str:
    """Removes the unit, or adds one."""
    bare = _UNITS.sub("", answer).removeprefix("\\$")
    if bare != answer:
        return bare
    return f"{answer}\\text{{ cm}}" if as_number(normalise(answer)) is not None else answer


def reordered(answer: str) -> str:
    """Reverses sums, products, sets and unions; exchanges the sides of an equation."""
    if re.fullmatch(r"-?[\d/]+(?:, ?-?[\d/]+)+", answer) and as_number(normalise(answer)) is None:
        return ", ".join(reversed(re.split(r",\s*", answer)))
    if " \\cup " in answer:
        return " \\cup ".join(reversed(answer.split(" \\cup ")))
    if answer.startswith("\\{"):
        return f"\\{{{','.join(reversed(answer[2:-2].split(',')))}\\}}"
    if sides := _SIDES.fullmatch(answer):
        return f"{sides['right'].strip()} = {sides['left'].strip()}"
    if factors := _PRODUCT.fullmatch(answer):
        return f"{factors['second']} \\cdot {factors['first']}"
    return _summed_from_behind(answer)


def plain(answer: str) -> str:
    """Writes the answer without LaTeX: ``3*sqrt(13)``, ``pi``, no ``\\left``."""
    text = re.sub(r"(?<=\d)\s*(?=\\sqrt|\\pi)", "*", _braced(answer))
    text = re.sub(r"\\sqrt\s*\{?(\d+)\}?", r"sqrt(\1)", text.replace("\\left", "").replace("\\right", ""))
    return text.replace("\\pi", "pi") if "\\" not in text.replace("\\pi", "").replace("\\frac", "") else text


def sentence(answer: str) -> str:
    """Writes Minerva's last line instead of a box."""
    return f"Final Answer: The final answer is ${answer}$. I hope it is correct."


Way = Callable[[str], str]
REWRITINGS: tuple[Way, ...] = (
    compact, spread, styled, slashed, decimal, grouped, worded, in_units, reordered, plain, sentence,
)  # fmt: skip


def _summed_from_behind(answer: str) -> str:
    terms = [found.groups() for found in _TERM.finditer(answer)]
    if len(terms) < 2 or "".join(sign + term for sign, term in terms).replace(" ", "") != answer.replace(" ", ""):
        return answer
    first, *others = [(sign or "+", term.strip()) for sign, term in reversed(terms)]
    return ("-" if first[0] == "-" else "") + first[1] + "".join(f" {sign} {term}" for sign, term in others)


def _braced(answer: str) -> str:
    return re.sub(r"\\frac\s*(\d)\s*(\d)", r"\\frac{\1}{\2}", answer)


def _bracketed(side: str) -> str:
    return side if re.fullmatch(r"\w+", side) else f"({side})"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One answer in one rewriting, and the status that the verifier gave."""

    problem: str
    way: str
    gold: str
    text: str
    status: str


def judged(problems: Sequence[Problem], ways: Sequence[Way] = REWRITINGS) -> Iterator[Rewritten]:
    """Yields every rewriting that changes a gold answer, judged against that answer."""
    verifier = MathVerifier()
    try:
        for problem in problems:
            gold = answer_of(problem)
            for way in ways:
                text = way(gold)
                if text != gold:
                    said = text if way is sentence else f"Therefore the answer is $\\boxed{{{text}}}$."
                    yield Rewritten(problem.id, way.__name__, gold, text, verifier.verify(problem, said).status.value)
    finally:
        verifier.close()


def strangers(problems: Sequence[Problem]) -> Iterator[Rewritten]:
    """Yields the next problem's answer where it differs: a verifier that accepts everything accepts these too."""
    following = {answer_of(one): answer_of(other) for one, other in pairwise(problems)}

    def stranger(gold: str) -> str:
        other = following.get(gold, gold)
        return gold if normalise(other) == normalise(gold) else other

    return judged(problems, (stranger,))


def answer_of(problem: Problem) -> str:
    assert isinstance(problem.reference, MathReference)
    return problem.reference.answer


def main(path: str) -> int:
    """Prints the table and the disagreements; returns 1 if there are any."""
    problems = load_task("math", path, shots=0)
    found, others = list(judged(problems)), list(strangers(problems))
    made, agreed = Counter(row.way for row in found), Counter(row.way for row in found if row.status == "pass")
    print("| rewriting | answers it changes | agreed |\n|---|---|---|")
    for way in REWRITINGS:
        print(f"| {way.__name__} | {made[way.__name__]} | {agreed[way.__name__]} |")
    print(f"| all | {len(found)} | {sum(agreed.values())} |")
    wrong = [row for row in others if row.status == "pass"]
    print(f"| another problem's answer | {len(others)} | {len(wrong)} |\n")
    against = [row for row in found if row.status != "pass"] + wrong
    for row in against:
        print(f"{row.way}: {row.gold!r} as {row.text!r}: {row.status} ({row.problem})")
    return int(bool(against))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
