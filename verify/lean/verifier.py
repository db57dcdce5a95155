"""The verifier ``lean``: Lean itself checks proofs, in REPL processes that are kept warm.

A candidate that elaborates has not passed yet. First the problem's statement is elaborated, as an axiom whose name no
candidate can know; then the candidate. Last, a command of our own checks that the candidate's theorem has exactly the
type of that axiom (``type_of%``: no definition or ``open`` of the candidate gives the statement another meaning), and
which axioms the proof depends on. Each answer is read from the reply to its own command.
"""

import os
from collections import Counter, OrderedDict

from sampling.errors import VerifierFault
from sampling.problems import Problem
from sampling.references import LeanReference
from verify.lean.home import LeanHome, LeanUnavailable, find_lean
from verify.lean.proof import VERSION, extract_proof, refusal
from verify.lean.repl import Repl, Reply
from verify.sandbox.limits import Quota
from verify.sandbox.tool import Stopped
from verify.verdict import Status, Verdict

AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})  # mathlib itself is built on these
WARM = 2  # processes kept, one for each of the last headers; not more, as mathlib takes gigabytes
OUTPUT = 4 << 20  # bytes of messages
TRIES = 3  # deaths of the process on one header or theorem before it is tried no more


class LeanVerifier:
    """Checks proofs; raises LeanUnavailable where this machine has no Lean."""

    version = f"lean/2 {VERSION}"

    def __init__(self, tier: str | None = None, home: LeanHome | None = None) -> None:
        self.home = home or find_lean(os.environ)
        self._tier = tier
        self.warm: OrderedDict[str, Repl] = OrderedDict()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._broken: dict[tuple[str, str], str] = {}
        try:
            self._repl_for("")
        except VerifierFault as error:
            raise LeanUnavailable(f"{self.home.command[0]}: {error}") from error

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, LeanReference), f"problem {problem.id}: not a lean problem"
        source = extract_proof(completion, reference)
        if source is None:
            return Verdict(Status.INVALID, "no proof in the completion")
        repl = self._make_ready(reference)
        if (refused := refusal(source)) is not None:
            return Verdict(Status.FAIL, f"refused: a proof may not use {refused}", toolchain=self.home.toolchain)
        met_others = repl.served > 0
        verdict = self._check(repl, reference, source)
        if verdict.status is Status.CRASH and met_others:  # an earlier proof may be the cause: a new process decides
            verdict = self._check(self._make_ready(reference), reference, source)
        return verdict

    def close(self) -> None:
        while self.warm:
            self.warm.popitem()[1].close()

    def _check(self, repl: Repl, reference: LeanReference, source: str) -> Verdict:
        quota = Quota.from_cpu(reference.limit_s, reference.memory_mb, OUTPUT)
        try:
            status, reason = _decided(*repl.prove(reference.statement, source, quota))
        except Stopped as stopped:
            self._drop(repl)
            status, reason = stopped.status, stopped.reason
        return Verdict(
            status,
            reason,
            wall_s=repl.wall_s,
            cpu_s=repl.used.cpu_s,
            max_rss_mb=repl.used.memory_mb,
            tier=repl.tier,
            toolchain=self.home.toolchain,
        )

    def _make_ready(self, reference: LeanReference) -> Repl:
        """Returns a process that has elaborated the problem's header and theorem; raises VerifierFault."""
        repl = self._repl_for(reference.header)
        key = reference.header, reference.statement
        if key in self._broken:
            raise VerifierFault(self._broken[key])
        try:
            repl.declare(reference.statement)
        except Stopped as stopped:
            self._drop(repl)
            raise self._note_failure(key, f"the problem's own theorem: {stopped.reason}") from stopped
        except VerifierFault as error:
            raise self._note_failure(key, str(error), surely=True) from error
        return repl

    def _repl_for(self, header: str) -> Repl:
        """Returns the process of this header, a new one where none is fit; raises VerifierFault."""
        if (header, "") in self._broken:
            raise VerifierFault(self._broken[header, ""])
        repl = self.warm.get(header)
        if repl is not None and not repl.fit:
            self._drop(repl)
            repl = None
        if repl is None:
            repl = self.warm[header] = self._start(header)
        self.warm.move_to_end(header)
        while len(self.warm) > WARM:
            self.warm.popitem(last=False)[1].close()
        return repl

    def _start(self, header: str) -> Repl:
        repl = Repl(self.home, self._tier)
        try:
            repl.load(header)
        except Stopped as stopped:
            said = repl.last_error()
            repl.close()
            raise self._note_failure(
                (header, ""), f"the REPL did not take the header: {said or stopped.reason}"
            ) from stopped
        except VerifierFault as error:
            repl.close()
            raise self._note_failure((header, ""), str(error), surely=True) from error
        return repl

    def _note_failure(self, key: tuple[str, str], said: str, *, surely: bool = False) -> VerifierFault:
        """Returns the fault of a header or theorem; it is final if Lean reports it, or after ``TRIES`` deaths."""
        self._failures[key] += 1
        if surely or self._failures[key] >= TRIES:
            self._broken[key] = said
        return VerifierFault(said)

    def _drop(self, repl: Repl) -> None:
        for header in [header for header, kept in self.warm.items() if kept is repl]:
            del self.warm[header]
        repl.close()


def _decided(reply: Reply, axioms: frozenset[str] | None) -> tuple[Status, str]:
    """Returns status and reason for a candidate that Lean has read to its end."""
    if reply.error is not None:
        return Status.FAIL, reply.error
    if axioms is None:
        return Status.FAIL, "its axioms could not be read"
    beyond = sorted(axioms - AXIOMS)
    return (Status.FAIL, f"depends on {', '.join(beyond)}") if beyond else (Status.PASS, "")
