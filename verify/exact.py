"""The verifier ``exact``: the completion must equal the answer, except for blanks around it and for line ends."""

from sampling.boxed import MAX_ANSWER
from sampling.patterns import find
from sampling.problems import Problem
from sampling.references import ExactReference
from verify.answers import MAX_TEXT, clean
from verify.special_tokens import after_thought, unfinished_thought
from verify.verdict import Status, Verdict


class ExactVerifier:
    """Compares the completion after its thoughts, or what ``pattern`` finds in it, with ``answer`` and ``accept``."""

    version = "exact/2"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, ExactReference)
        golds = [_canonical(gold, reference) for gold in (reference.answer, *reference.accept)]
        said = _said(completion, reference, longest=max(map(len, golds)))
        if not said:
            return Verdict(Status.INVALID, reason=_why_nothing(completion, reference))
        answer = clean(said) if len(said) <= MAX_ANSWER else None
        if _canonical(said, reference) in golds:
            return Verdict(Status.PASS, answer=answer)
        return Verdict(Status.FAIL, reason="another text", answer=answer)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""


def _said(completion: str, reference: ExactReference, longest: int) -> str:
    """Returns the text to compare; a completion far longer than any right answer is returned as it is."""
    if reference.pattern is not None:
        text = clean(after_thought(completion[-MAX_TEXT:]))
        return (find(reference.pattern, text, last=reference.which == "last") or "").strip()
    if len(completion) > 100 * (longest + 10_000):
        return completion
    return _trimmed(after_thought(completion))


def _why_nothing(completion: str, reference: ExactReference) -> str:
    if unfinished_thought(completion[-MAX_TEXT:]):
        return "thought not finished"
    return "pattern finds nothing" if reference.pattern is not None else "the completion is empty"


def _canonical(text: str, reference: ExactReference) -> str:
    return _trimmed(text).casefold() if reference.case == "ignore" else _trimmed(text)


def _trimmed(text: str) -> str:
    return text.replace("\r\n", "\n").strip()
