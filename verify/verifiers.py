"""The one place that knows which verifier judges which problem, and that does not judge the same candidate twice.

A judge belongs to one thread. It owns its verifiers' processes: the sandbox is started with the first problem that runs
code, the math worker with the first answer that needs one, Lean with the first theorem, and ``close`` ends them all.
"""

import hashlib
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sampling.errors import BadInput, VerifierFault
from sampling.problems import Problem
from sampling.references import LeanReference, PatchReference, PythonReference, StdioReference
from verify import extract
from verify.choice import ChoiceVerifier
from verify.exact import ExactVerifier
from verify.judge import TRIES, JudgeSettings, JudgeVerifier
from verify.lean import proof as lean_extract
from verify.lean.verifier import LeanVerifier
from verify.math import MathVerifier
from verify.patch.diff import extract_diff
from verify.patch.verifier import PatchVerifier
from verify.python import PythonVerifier
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import AUTO
from verify.stdio import StdioVerifier
from verify.verdict import UNREPEATABLE, Status, Verdict, Verifier

MATH_LIMIT_S = 5.0
MATH_MEMORY_MB = 2048
REMEMBERED = 50_000  # verdicts kept across calls
FAULT_RETRIES = TRIES - 1
NO_JUDGE = "verifier judge: no judge is given; a sweep says in `judge:` which service is asked"

KINDS: Mapping[str, type[Verifier]] = {
    "stdio": StdioVerifier,
    "python": PythonVerifier,
    "math": MathVerifier,
    "choice": ChoiceVerifier,
    "exact": ExactVerifier,
    "patch": PatchVerifier,
    "judge": JudgeVerifier,
    "lean": LeanVerifier,
}
CODE = frozenset({"stdio", "python"})


class _Candidate(NamedTuple):
    """What a verdict depends on: the problem's reference, and the program (or the whole text) that is judged."""

    reference: str
    digest: bytes


class Verifiers:
    """Verdicts for any problem. ``tier`` is the sandbox tier to require (None: the strongest that works here).

    ``llm`` is the sweep's own judge, asked about problems of the verifier ``judge``.
    """

    def __init__(
        self,
        tier: str | None = None,
        *,
        math_limit_s: float = MATH_LIMIT_S,
        math_memory_mb: int = MATH_MEMORY_MB,
        remembered: int = REMEMBERED,
        verifiers: Mapping[str, Verifier] | None = None,
        llm: JudgeSettings | None = None,
    ) -> None:
        self.tier, self._llm = tier, llm
        self._math_limit_s, self._math_memory_mb, self._remembered = math_limit_s, math_memory_mb, remembered
        self._verifiers: dict[str, Verifier] = dict(verifiers or {})
        self._sandbox: Sandbox | None = None
        self._known: OrderedDict[_Candidate, Verdict] = OrderedDict()
        self._last: tuple[Problem, str] | None = None

    def prepare(self, kinds: Iterable[str]) -> None:
        """Makes the verifiers of these kinds now; raises TierUnavailable where the sandbox cannot be had."""
        for kind in kinds:
            self._verifier(kind)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """The verdict on one completion, remembered for its equals; a fault of ours is tried again."""
        candidate = self._candidate(problem, completion)
        known = self._known.get(candidate)
        if known is not None:
            self._known.move_to_end(candidate)
            return known.as_copy()
        verdict = self._decide(problem, completion)
        if verdict.status not in UNREPEATABLE:
            self._known[candidate] = verdict
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return verdict

    def announce(self, problem: Problem, completions: Iterable[str]) -> None:
        """These will be judged next: a judge that has to be waited for is asked about all of them at once."""
        if problem.verifier == "judge":
            verifier = self._verifier("judge")
            assert isinstance(verifier, JudgeVerifier)
            new = [text for text in completions if self._candidate(problem, text) not in self._known]
            verifier.expect(problem, new)

    def verify_many(self, problem: Problem, completions: Sequence[str]) -> list[Verdict]:
        """Verdicts in the order of ``completions``: equal candidates are judged once, the others are marked copies."""
        return [self.verify(problem, completion) for completion in completions]

    def close(self) -> None:
        """Ends every process of every verifier. The judge can be used again afterwards."""
        while self._verifiers:
            self._verifiers.popitem()[1].close()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def __enter__(self) -> "Verifiers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, problem: Problem, completion: str) -> Verdict:
        verdict, usd = self._once(problem, completion), 0.0
        for _ in range(FAULT_RETRIES):
            if verdict.status is not Status.FAULT:
                break
            usd += verdict.usd
            verdict = self._once(problem, completion)
        return replace(verdict, usd=verdict.usd + usd) if usd else verdict

    def _once(self, problem: Problem, completion: str) -> Verdict:
        try:
            return self._verifier(problem.verifier).verify(problem, completion)
        except VerifierFault as error:
            return Verdict(Status.FAULT, reason=str(error), usd=error.usd)

    def _verifier(self, kind: str) -> Verifier:
        if kind not in self._verifiers:
            self._verifiers[kind] = self._made(kind)
        return self._verifiers[kind]

    def _made(self, kind: str) -> Verifier:
        if kind == "math":
            return MathVerifier(limit_s=self._math_limit_s, memory_mb=self._math_memory_mb)
        if kind == "choice":
            return ChoiceVerifier()
        if kind == "exact":
            return ExactVerifier()
        if kind == "patch":
            return PatchVerifier()
        if kind == "judge":
            if self._llm is None:
                raise BadInput(NO_JUDGE)
            return JudgeVerifier(self._llm)
        if kind == "lean":
            return LeanVerifier(self.tier)
        self._sandbox = self._sandbox or Sandbox(self.tier or AUTO)
        return StdioVerifier(self._sandbox) if kind == "stdio" else PythonVerifier(self._sandbox)

    def _candidate(self, problem: Problem, completion: str) -> _Candidate:
        if self._last is None or self._last[0] is not problem:
            self._last = (problem, problem.reference_digest)
        judged = judged_text(problem, completion)
        marked = b"-" if judged is None else b"+" + judged.encode("utf-8", "surrogatepass")
        return _Candidate(self._last[1], hashlib.blake2b(marked, digest_size=16).digest())


def judged_text(problem: Problem, completion: str) -> str | None:
    """What of a completion its verdict depends on: the program that a verifier would run, or the proof; else all."""
    reference = problem.reference
    if isinstance(reference, PythonReference):
        return extract.extract_code(completion, prefix=reference.prefix, entry_point=reference.entry_point)
    if isinstance(reference, StdioReference):
        return extract.extract_code(completion)
    if isinstance(reference, PatchReference):
        return extract_diff(completion)
    if isinstance(reference, LeanReference):
        return lean_extract.extract_proof(completion, reference)
    return completion


def verifier_version(
    kinds: Iterable[str],
    llm: JudgeSettings | None = None,
    *,
    math_limit_s: float = MATH_LIMIT_S,
    math_memory_mb: int = MATH_MEMORY_MB,
) -> str:
    """A short hash of all that changes verdicts besides the problems: the ``v=`` part of stored verdicts' keys.

    Tiers are not part of it (a row names its own), nor are cache sizes.
    """
    kinds = sorted(set(kinds))
    parts = [f"{kind} {KINDS[kind].version}" for kind in kinds]
    if "math" in kinds:
        parts.append(f"math limits {math_limit_s:g} {math_memory_mb}")
    if CODE & set(kinds):
        parts.append(f"{extract.VERSION} python {sys.version_info[0]}.{sys.version_info[1]}")
    if llm is not None:
        parts.append(f"judge {llm.identity}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
