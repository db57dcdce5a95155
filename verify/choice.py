"""The verifier ``choice``: the options that a completion chooses must be just the right ones."""

from sampling.choices import ChoiceReference
from sampling.problems import Problem
from verify.choice_statements import stated_choice
from verify.labels import labels_for
from verify.verdict import Status, Verdict


class ChoiceVerifier:
    """Compares the labels that a completion states with the right ones of the reference, in any order."""

    version = "choice/3"

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, ChoiceReference)
        if not reference.right:
            return Verdict(Status.FAULT, reason="the reference answer is no label: one letter or number, or several")
        answer = choice_answer(completion, reference)
        if answer is None:
            return Verdict(Status.INVALID, reason="no choice found")
        if answer == ",".join(reference.right):
            return Verdict(Status.PASS, answer=answer)
        return Verdict(Status.FAIL, reason="another choice", answer=answer)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""


def choice_answer(text: str, reference: ChoiceReference) -> str | None:
    """Returns the chosen labels in their order with commas between them; None where the completion states no choice.

    Labels that count are the options' own, else numbers or letters as the right ones are.
    """
    numbers = reference.options is None and all(label.isdigit() for label in reference.right)
    labels = labels_for(tuple((reference.options or {}).items()), numbers, len(reference.right) > 1)
    chosen = stated_choice(text, labels)
    return None if chosen is None else ",".join(sorted(chosen, key=labels.rank))
