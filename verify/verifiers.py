"""All verifiers behind one object, which picks the verifier of each problem and verifies no candidate twice.

A ``Verifiers`` belongs to one thread. It owns the processes of its verifiers: the sandbox starts with the first problem
that runs code, Lean with the first theorem. ``close`` ends all.
"""

import hashlib
import json
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from sampling.errors import BadInput, VerifierFault
from sampling.patches import PatchReference
from sampling.problems import Problem
from sampling.references import LeanReference, PythonReference, StdioReference
from verify.choice import ChoiceVerifier
from verify.custom import CustomVerifier
from verify.exact import ExactVerifier
from verify.ifeval import IfevalVerifier
from verify.json_value import JsonVerifier
from verify.judge import JudgeVerifier
from verify.judge_settings import JudgeSettings
from verify.lean.proof import extract_proof
from verify.lean.verifier import LeanVerifier
from verify.math.verifier import MathVerifier
from verify.patch.diff import extract_diff
from verify.patch.verifier import PatchVerifier
from verify.programs.candidate import candidate_code
from verify.programs.extract import VERSION as EXTRACT_VERSION
from verify.python import PythonVerifier
from verify.regex import RegexVerifier
from verify.sandbox.packages import Names, PackageMissing, find_packages
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import AUTO
from verify.stdio import StdioVerifier
from verify.verdict import FAULT_TRIES, UNREPEATABLE, Status, Verdict, Verifier

REMEMBERED = 50_000  # verdicts kept across calls
NO_JUDGE = "verifier judge: no judge is given; name the service to ask under `judge:` in the sweep"

KINDS: Mapping[str, type[Verifier]] = {
    "stdio": StdioVerifier,
    "python": PythonVerifier,
    "math": MathVerifier,
    "choice": ChoiceVerifier,
    "exact": ExactVerifier,
    "patch": PatchVerifier,
    "judge": JudgeVerifier,
    "lean": LeanVerifier,
    "custom": CustomVerifier,
    "regex": RegexVerifier,
    "json": JsonVerifier,
    "ifeval": IfevalVerifier,
}
IN_SANDBOX: Mapping[str, Callable[[Sandbox], Verifier]] = {
    "stdio": StdioVerifier,
    "python": PythonVerifier,
    "custom": CustomVerifier,
    "regex": RegexVerifier,
}
READS_PROMPT = frozenset({"judge", "custom"})  # an equal candidate for another prompt may get another verdict


class _Candidate(NamedTuple):
    """Digests of all that a verdict depends on: reference, for some kinds the prompt, and the candidate's text."""

    reference: str
    digest: bytes


class Verifiers:
    """Verdicts for any problem. ``tier`` is the sandbox tier to require (None: the strongest that works here).

    ``judge`` names the language model that decides problems of the verifier ``judge``. ``remembered`` verdicts are kept
    for equal candidates. ``verifiers`` replaces the verifiers of some kinds.
    """

    def __init__(
        self,
        tier: str | None = None,
        *,
        remembered: int = REMEMBERED,
        verifiers: Mapping[str, Verifier] | None = None,
        judge: JudgeSettings | None = None,
    ) -> None:
        self.tier, self._judge = tier, judge
        self._remembered = remembered
        self._verifiers: dict[str, Verifier] = dict(verifiers or {})
        self._sandbox: Sandbox | None = None
        self._known: OrderedDict[_Candidate, Verdict] = OrderedDict()
        self._last: tuple[Problem, str] | None = None

    def prepare(self, kinds: Iterable[str], packages: Iterable[Names] = (), languages: Iterable[str] = ()) -> None:
        """Makes the verifiers of these kinds now, and tries the packages and languages of candidates.

        Raises TierUnavailable or PackageMissing where this machine cannot.
        """
        for kind in kinds:
            self._verifier_of(kind)
        for language in languages:
            verifier = self._verifier_of("stdio")
            assert isinstance(verifier, StdioVerifier)
            verifier.languages.try_out(language)
        if self._sandbox:
            self._sandbox.prepare(packages)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Returns the verdict on one completion, kept for equal candidates; tries again after a fault of ours."""
        candidate = self._candidate_of(problem, completion)
        known = self._known.get(candidate)
        if known is not None:
            self._known.move_to_end(candidate)
            return known.as_copy()
        verdict = self._verify_anew(problem, completion)
        if verdict.status not in UNREPEATABLE:
            self._known[candidate] = verdict
            if len(self._known) > self._remembered:
                self._known.popitem(last=False)
        return verdict

    def announce(self, problem: Problem, completions: Iterable[str]) -> None:
        """Asks the judge about all these completions at once, as they are verified next; other verifiers ignore it."""
        if problem.verifier == "judge":
            verifier = self._verifier_of("judge")
            assert isinstance(verifier, JudgeVerifier)
            new = [text for text in completions if self._candidate_of(problem, text) not in self._known]
            verifier.expect(problem, new)

    def verify_many(self, problem: Problem, completions: Sequence[str]) -> list[Verdict]:
        """Returns verdicts in the order of ``completions``; equal candidates are verified once, the rest are copies."""
        return [self.verify(problem, completion) for completion in completions]

    def close(self) -> None:
        """Ends every process of every verifier; a later call starts new ones."""
        while self._verifiers:
            self._verifiers.popitem()[1].close()
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def __enter__(self) -> "Verifiers":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _verify_anew(self, problem: Problem, completion: str) -> Verdict:
        """Returns the first verdict that is no fault, or the last fault; its ``usd`` counts all tries."""
        verdict, usd = self._try_once(problem, completion), 0.0
        for _ in range(FAULT_TRIES - 1):
            if verdict.status is not Status.FAULT:
                break
            usd += verdict.usd
            verdict = self._try_once(problem, completion)
        return replace(verdict, usd=verdict.usd + usd) if usd else verdict

    def _try_once(self, problem: Problem, completion: str) -> Verdict:
        try:
            verdict = self._verifier_of(problem.verifier).verify(problem, completion)
        except VerifierFault as error:
            return Verdict(Status.FAULT, reason=str(error), usd=error.usd)
        except PackageMissing as error:
            return Verdict(Status.FAULT, reason=str(error))
        packages = getattr(problem.reference, "packages", None)
        return replace(verdict, toolchain=find_packages(packages).versions) if packages else verdict

    def _verifier_of(self, kind: str) -> Verifier:
        if kind not in self._verifiers:
            self._verifiers[kind] = self._make(kind)
        return self._verifiers[kind]

    def _make(self, kind: str) -> Verifier:
        if kind == "math":
            return MathVerifier()
        if kind == "choice":
            return ChoiceVerifier()
        if kind == "exact":
            return ExactVerifier()
        if kind == "json":
            return JsonVerifier()
        if kind == "ifeval":
            return IfevalVerifier()
        if kind == "patch":
            return PatchVerifier()
        if kind == "judge":
            if self._judge is None:
                raise BadInput(NO_JUDGE)
            return JudgeVerifier(self._judge)
        if kind == "lean":
            return LeanVerifier(self.tier)
        self._sandbox = self._sandbox or Sandbox(self.tier or AUTO)
        return IN_SANDBOX[kind](self._sandbox)

    def _candidate_of(self, problem: Problem, completion: str) -> _Candidate:
        if self._last is None or self._last[0] is not problem:
            self._last = (problem, verdict_digest(problem))
        text = candidate_text(problem, completion)
        marked = b"-" if text is None else b"+" + text.encode("utf-8", "surrogatepass")
        return _Candidate(self._last[1], hashlib.blake2b(marked, digest_size=16).digest())


def verdict_digest(problem: Problem) -> str:
    """Returns the hash of all parts of a problem that a verdict depends on: every key of its reference, paths included.

    ``Problem.reference_digest`` leaves some out, so that runs go on where a folder was moved.
    """
    asked = problem.prompt_digest if problem.verifier in READS_PROMPT else ""
    said = json.dumps([problem.verifier, asked, problem.reference.model_dump(mode="json")])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def candidate_text(problem: Problem, completion: str) -> str | None:
    """Returns the part of a completion that decides its verdict: the program, proof or diff in it, else all of it.

    None where the completion holds no such part.
    """
    reference = problem.reference
    if isinstance(reference, PythonReference | StdioReference):
        return candidate_code(reference, completion)
    if isinstance(reference, PatchReference):
        return extract_diff(completion)
    if isinstance(reference, LeanReference):
        return extract_proof(completion, reference)
    return completion


def kind_versions() -> dict[str, str]:
    """Returns the version of each kind of verifier."""
    return {kind: verifier.version for kind, verifier in KINDS.items()}


def verifier_version(
    kinds: Iterable[str],
    judge: JudgeSettings | None = None,
    *,
    checkers: Iterable[str] = (),
) -> str:
    """Returns a short hash of all that changes verdicts besides the problems: ``v=`` in the keys of stored verdicts.

    ``checkers`` are hashes of the files of the problems' own checkers.
    Sandbox tiers (each row names its own) and cache sizes are no part of it.
    """
    kinds = sorted(set(kinds))
    parts = [f"{kind} {KINDS[kind].version}" for kind in kinds]
    if IN_SANDBOX.keys() & set(kinds):
        parts.append(f"{EXTRACT_VERSION} python {sys.version_info[0]}.{sys.version_info[1]}")
    if judge is not None:
        parts.append(f"judge {judge.identity}")
    parts += [f"checker {digest}" for digest in sorted(set(checkers))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
