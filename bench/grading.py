"""Math answers judged by Troop and by math-verify: answers a second on one core, and how many each gets right.

``python -m bench.grading MATH500.json GSM8K.jsonl`` prints the table; it needs ``pip install math-verify``. The right
answers are the benchmarks' own, as they are and in eleven other notations (``bench.math_rewritings``); the wrong ones
are another problem's. Each way judges all of them once, with nothing kept from before.
"""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.math_rewritings import REWRITINGS, answer_of, sentence
from sampling.problems import Problem
from sampling.tasks.load import load_task
from verify.math.notation import normalise
from verify.math.verifier import MathVerifier
from verify.verdict import Status

ROUNDS = 3
Judge = Callable[[Problem, str], bool]


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion, and whether it is right."""

    problem: Problem
    text: str
    right: bool


def answers_of(problems: Sequence[Problem], *, rewritten: bool) -> list[Answer]:
    """Returns the problems' own answers, each in all notations that change it if ``rewritten``, and wrong ones."""
    found = []
    for problem, other in pairwise([*problems, problems[0]]):
        gold, wrong = answer_of(problem), answer_of(other)
        ways = {way(gold) if way is sentence else _boxed(way(gold)) for way in (REWRITINGS if rewritten else ())}
        found += [Answer(problem, text, True) for text in sorted({_boxed(gold), *ways})]
        if normalise(gold) != normalise(wrong):
            found.append(Answer(problem, _boxed(wrong), False))
    return found


def _boxed(answer: str) -> str:
    return f"Therefore the answer is $\\boxed{{{answer}}}$."


def troop() -> Judge:
    verifier = MathVerifier()
    return lambda problem, text: verifier.verify(problem, text).status is Status.PASS


def math_verify() -> Judge:
    """Returns math-verify's own way: gold and completion are parsed by its default rules, then compared."""
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)
    return lambda problem, text: bool(verify(parse(f"${answer_of(problem)}$"), parse(text)))


def measured(make: Callable[[], Judge], answers: Sequence[Answer]) -> tuple[float, int, int]:
    """Returns answers per second of one core, right answers that were accepted, wrong ones that were accepted."""
    judge = make()
    began = time.process_time()
    said = [judge(answer.problem, answer.text) for answer in answers]
    seconds = time.process_time() - began
    right, wrong = (sum(yes for yes, answer in zip(said, answers, strict=True) if answer.right is is_right)
                    for is_right in (True, False))  # fmt: skip
    return len(answers) / seconds, right, wrong


def main(math_file: str, gsm8k_file: str) -> None:
    """Prints one table for both benchmarks; rounds of the two ways alternate."""
    given = {
        "MATH-500, 12 notations": answers_of(load_task("math", math_file, shots=0), rewritten=True),
        "GSM8K": answers_of(load_task("gsm8k", gsm8k_file, shots=0), rewritten=False),
    }
    print("| answers | way | a second: min | median | max | right ones accepted | wrong ones accepted |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for name, answers in given.items():
        ways = {"Troop": troop, "math-verify": math_verify}
        found = [{way: measured(make, answers) for way, make in ways.items()} for _ in range(ROUNDS)]
        all_right = sum(answer.right for answer in answers)
        for way in ways:
            rates = sorted(round_[way][0] for round_ in found)
            _, right, wrong = found[0][way]
            shown = " | ".join(f"{rate:,.0f}" for rate in (rates[0], rates[len(rates) // 2], rates[-1]))
            print(
                f"| {name} | {way} | {shown} | {right:,} of {all_right:,} | {wrong} of {len(answers) - all_right:,} |"
            )


if __name__ == "__main__":
    main(*sys.argv[1:3])
