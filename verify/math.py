"""The verifier ``math``: equal spelling or equal numbers decide at once; math-verify decides everything else.

Most samples of a problem give one of few answers, so the verdict of math-verify on a pair of answers is kept.
"""

import time
from collections import OrderedDict
from fractions import Fraction
from importlib.metadata import version as installed_version

from sampling.boxed import MAX_ANSWER
from sampling.errors import VerifierFault
from sampling.problems import Problem
from sampling.references import AnswerReference
from verify.answers import as_latex, as_number, clean, math_answer, normalise, unwrapped
from verify.math_process import Died, MathProcess, OutOfMemory, TimedOut
from verify.verdict import Status, Verdict

REMEMBERED = 20_000  # pairs of gold and answer whose verdicts are kept
TOLERANCE = Fraction(1, 2_000_000)  # a decimal equals a fraction that it rounds to six places


class MathVerifier:
    """Compares the final answer of a completion with the reference's ``answer``."""

    version = f"math/2 math-verify={installed_version('math-verify')}"

    def __init__(self, *, limit_s: float = 5.0, memory_mb: int = 2048) -> None:
        self._process = MathProcess(limit_s=limit_s, memory_mb=memory_mb)
        self._known: OrderedDict[tuple[str, str], Verdict] = OrderedDict()

    def verify(self, problem: Problem, completion: str) -> Verdict:
        assert isinstance(problem.reference, AnswerReference)
        written = math_answer(completion)
        if written is None:
            return Verdict(Status.INVALID, reason="no final answer found")
        gold = clean(problem.reference.answer)[:MAX_ANSWER]
        answer = normalise(written)
        quick = quick_equal(normalise(gold), answer)
        if quick is not None:
            return _decided(quick, answer)
        return self._ask_once(gold, written, answer)

    def close(self) -> None:
        self._process.close()

    def _ask_once(self, gold: str, written: str, answer: str) -> Verdict:
        if (gold, written) in self._known:
            self._known.move_to_end((gold, written))
            return self._known[gold, written]
        verdict = self._ask(gold, written, answer)
        if verdict.status in (Status.PASS, Status.FAIL):
            self._known[gold, written] = verdict
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return verdict

    def _ask(self, gold: str, written: str, answer: str) -> Verdict:
        started = time.monotonic()
        try:
            equal = self._process.equal([(_formula(unwrapped(gold)), _formula(as_latex(unwrapped(written))))])
        except TimedOut:
            return _undecided(Status.TIMEOUT, "comparing the answer took too long", answer, started)
        except OutOfMemory:
            return _undecided(Status.MEMORY, "comparing the answer needed too much memory", answer, started)
        except Died:
            return _undecided(Status.CRASH, "comparing the answer ended the worker", answer, started)
        except VerifierFault as error:
            return _undecided(Status.FAULT, str(error), answer, started)
        return _decided(equal, answer, time.monotonic() - started)


def quick_equal(gold: str, answer: str) -> bool | None:
    """Returns True or False where spelling or arithmetic decides if two normalised answers are equal; else None."""
    if gold == answer:
        return True
    left, right = as_number(gold), as_number(answer)
    if left is None or right is None:
        return None
    return left.denominator * right.denominator > 1 and abs(left - right) <= TOLERANCE


def _formula(text: str) -> str:
    """Returns ``text`` as one formula between dollars, without dollars inside: math-verify must read one formula."""
    return f"${text.replace('$', ' ')}$"


def _decided(equal: bool, answer: str, wall_s: float = 0.0) -> Verdict:
    if equal:
        return Verdict(Status.PASS, answer=answer, wall_s=wall_s)
    return Verdict(Status.FAIL, reason="another answer", answer=answer, wall_s=wall_s)


def _undecided(status: Status, reason: str, answer: str, started: float) -> Verdict:
    return Verdict(status, reason=reason, answer=answer, wall_s=time.monotonic() - started)
