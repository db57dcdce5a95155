"""The verifier ``exact``: the completion must equal the answer, except for blanks around it and for line ends."""

from sampling.boxed import MAX_ANSWER
from sampling.problems import Problem
from sampling.references import AnswerReference
from verify.answers import clean
from verify.extract import after_thinking
from verify.verdict import Status, Verdict


class ExactVerifier:
    """Compares the whole completion, after a finished thought, with the reference's ``answer``."""

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
        """Does nothing: this verifier owns no process."""


def _canonical(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
