"""The verifier ``math``: finds the final answer of a completion and compares it with the right ones.

Equal spelling decides most samples at once. Everything else is parsed as a whole formula and compared by value; a
formula that is not understood equals only its own spelling. Most samples of a problem give one of few answers, so the
verdict on a pair of answers is kept. With ``extraction`` a benchmark's own way decides instead (``published``).
"""

import re
from collections import OrderedDict

from sampling.boxed import MAX_ANSWER
from sampling.policy import MathPolicy
from sampling.problems import Problem
from sampling.references import MathReference
from verify.answers import NO_ANSWER, clean, math_answer
from verify.math.equality import same_answer
from verify.math.formula import parse
from verify.math.notation import normalise, spelling
from verify.math.published import published_verdict
from verify.math.typed import as_formula, currency, unwrapped
from verify.math.units import contradict
from verify.special_tokens import unfinished_thought
from verify.verdict import Status, Verdict

_FONT = r"\\(?:text|textbf|textrm|mathrm|mathbf|mbox)\s?"
_OPTION = re.compile(
    rf"\s*(?:{_FONT}\{{)?\s?\((?P<letter>[A-Z])\)\s?\}}?\s*"
)  # the right answer is an option of a test
_CHOSEN = re.compile(
    rf"(?:{_FONT}\{{\s?)?(?:[Oo]ption |[Cc]hoice )?(?:\(\s?(?P<letter>[A-Za-z])\s?\)|(?P<bare>[A-Z]))\s?\}}?"
    r"(?P<rest>(?:[ .:\\}].*)?)",
    re.DOTALL,
)
_DOUBTED = re.compile(r"\b(?:or|and|not|nor|is|are)\b|\([A-Z]\)|(?<![A-Za-z])[A-Z](?![A-Za-z])", re.IGNORECASE)
_INDIAN = re.compile(r"[0-9]{1,2}(?:,[0-9]{2}){1,20},[0-9]{3}")  # digits in groups of two: 12,34,567
REMEMBERED = 20_000  # pairs of gold and answer whose verdicts are kept


class MathVerifier:
    """Compares the final answer of a completion with the reference's ``answer`` and ``accept``."""

    version = "math/5"

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str, str], bool] = OrderedDict()
        self._reference: tuple[MathReference, str] | None = None

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, MathReference)
        if reference.extraction != "kind":
            return published_verdict(reference, completion)
        written = math_answer(completion, which=reference.which, pattern=reference.pattern)
        if written is None:
            unfinished = unfinished_thought(completion)
            return Verdict(Status.INVALID, reason="thought not finished" if unfinished else NO_ANSWER)
        answer = normalise(written)
        if any(self._equal(gold, written, reference) for gold in (reference.answer, *reference.accept)):
            return Verdict(Status.PASS, answer=answer)
        return Verdict(Status.FAIL, reason="another answer", answer=answer)

    def close(self) -> None:
        """Does nothing: this verifier owns no process."""

    def _equal(self, gold: str, written: str, reference: MathReference) -> bool:
        key = (gold, written, self._policy_of(reference))
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        self._known[key] = equal_answers(gold, written, reference)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return self._known[key]

    def _policy_of(self, reference: MathReference) -> str:
        if self._reference is None or self._reference[0] is not reference:
            self._reference = (
                reference,
                reference.model_dump_json(exclude={"answer", "accept", "extraction", "pattern", "which"}),
            )
        return self._reference[1]


def equal_answers(gold: str, written: str, policy: MathPolicy) -> bool:
    """Returns True if ``written`` says the same as ``gold`` by ``policy``."""
    gold, written = clean(gold)[:MAX_ANSWER], clean(written)[:MAX_ANSWER]
    if (option := _OPTION.fullmatch(gold)) is not None:
        return _chooses(written, option["letter"])
    if None not in (coins := {currency(gold), currency(written)}) and len(coins) > 1:
        return False  # dollars for cents
    if _same_spelling(gold, written, policy):
        return True
    if gold.isdigit() and _INDIAN.fullmatch(unwrapped(written)):
        return unwrapped(written).replace(",", "") == gold
    formulas = as_formula(gold), as_formula(written)
    for units in (True, False):  # letters after a number are a unit, or names
        wanted, said = (parse(formula, units=units) for formula in formulas)
        if wanted is not None and said is not None and same_answer(wanted, said, policy):
            return True
    return False


def _chooses(written: str, letter: str) -> bool:
    """Returns True if an answer is an option's letter, perhaps with the option's own text behind it."""
    found = _CHOSEN.fullmatch(unwrapped(written))
    if not found or (found["letter"] or found["bare"]).upper() != letter:
        return False
    return not _DOUBTED.search(found["rest"]) and (found["letter"] is not None or len(found["rest"].strip(" .}")) == 0)


def _same_spelling(gold: str, written: str, policy: MathPolicy) -> bool:
    left, right = (spelling(answer, strict_case=policy.case == "strict") for answer in (gold, written))
    if left.core != right.core or not left.core:
        return False
    if left.label and right.label and left.label != right.label:
        return False
    if left.percent != right.percent and policy.percent == "strict":
        return False
    if policy.units == "strict" and left.unit != right.unit:
        return False
    return not contradict(left.unit, right.unit)
