"""Exact match: the completion is the answer, but for blanks around it and the kind of line ends."""

from sampling.boxed import MAX_ANSWER
from sampling.problems import Problem
from sampling.references import AnswerReference
from verify.answers import clean
from verify.extract import after_thinking
from verify.verdict import Status, Verdict


class ExactVerifier:
    """``answer`` in the reference is the whole completion; what was thought aloud before it does not count."""

    version = "exact/1"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        assert isinstance(problem.reference, AnswerReference)
        gold = _canonical(problem.reference.answer)
        said = _canonical(after_thinking(completion)) if len(completion) <= 100 * (len(gold) + 10_000) else completion
        answer = clean(said) if len(said) <= MAX_ANSWER else None
        if not said:
            return Verdict(Status.INVALID, reason="the completion is empty")
        if said == gold:
            return Verdict(Status.PASS, answer=answer)
        return Verdict(Status.FAIL, reason="another text", answer=answer)

    def close(self) -> None:
        """Owns no process."""


def _canonical(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
