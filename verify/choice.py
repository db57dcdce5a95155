"""The verifier ``choice``: the chosen letter (or digit) must be the right one."""

import re

from sampling.problems import Problem
from sampling.references import AnswerReference
from verify.answers import choice_answer
from verify.verdict import Status, Verdict


class ChoiceVerifier:
    """Compares the chosen letter or digit with the reference's ``answer``, which may stand in brackets: ``(b)``."""

    version = "choice/1"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        assert isinstance(problem.reference, AnswerReference)
        gold = re.sub(r"[^A-Za-z0-9]", "", problem.reference.answer).upper()
        if len(gold) != 1:
            return Verdict(Status.FAULT, reason="the reference answer is not one letter or digit")
        answer = choice_answer(completion)
        if answer is None:
            return Verdict(Status.INVALID, reason="no choice found")
        if answer == gold:
            return Verdict(Status.PASS, answer=answer)
        return Verdict(Status.FAIL, reason="another choice", answer=answer)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""
