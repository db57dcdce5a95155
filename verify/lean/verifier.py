"""Lean 4 proofs, checked by Lean itself: REPL processes kept warm, the problem's own theorem, the axioms of its proof.

What decides is not that a candidate elaborates. The problem's statement is elaborated first, as an axiom whose name no
candidate can know; then the candidate; and at last, in a command of our own, that the candidate's theorem has exactly
the type of ours (``type_of%``: no definition or ``open`` of the candidate's gives the statement another meaning), and
which axioms that depends on. Each answer is read from the reply to its own command.
"""

import os
from collections import Counter, OrderedDict

from sampling.errors import VerifierFault
from sampling.problems import Problem
from sampling.references import LeanReference
from verify.lean import proof as lean_extract
from verify.lean.home import LeanHome, LeanUnavailable, find_lean
from verify.lean.repl import Repl, Reply
from verify.sandbox.limits import Quota, time_scale
from verify.sandbox.tool import Stopped
from verify.verdict import Status, Verdict

AXIOMS = frozenset({"propext", "Classical.choice", "Quot.sound"})  # what mathlib itself is built on
WARM = 2  # processes kept, one for each of the last headers: mathlib takes gigabytes
OUTPUT = 4 << 20  # bytes of messages
TRIES = 3  # of a header or theorem at which the process has died


class LeanVerifier:
    """Judges proofs; raises LeanUnavailable where this machine has no Lean that could."""

    version = f"lean/1 {lean_extract.VERSION}"

    def __init__(self, tier: str | None = None, home: LeanHome | None = None) -> None:
        self.home = home or find_lean(os.environ)
        self._tier = tier
        self.warm: OrderedDict[str, Repl] = OrderedDict()
        self._failures: Counter[tuple[str, str]] = Counter()
        self._broken: dict[tuple[str, str], str] = {}
        try:
            self._repl("")
        except VerifierFault as error:
            raise LeanUnavailable(f"{self.home.command[0]}: {error}") from error

    def verify(self, problem: Problem, completion: str) -> Verdict:
        reference = problem.reference
        assert isinstance(reference, LeanReference), f"problem {problem.id}: not a lean problem"
        source = lean_extract.extract_proof(completion, reference)
        if source is None:
            return Verdict(Status.INVALID, "no proof in the completion")
        repl = self._ready(reference)
        if (refused := lean_extract.refusal(source)) is not None:
            return Verdict(Status.FAIL, f"refused: a proof may not use {refused}", toolchain=self.home.toolchain)
        met_others = repl.served > 0
        verdict = self._judge(repl, reference, source)
        if verdict.status is Status.CRASH and met_others:  # another's doing, perhaps: a new process has to say the same
            verdict = self._judge(self._ready(reference), reference, source)
        return verdict

    def close(self) -> None:
        while self.warm:
            self.warm.popitem()[1].close()

    def _judge(self, repl: Repl, reference: LeanReference, source: str) -> Verdict:
        quota = Quota(reference.time_limit_s * time_scale(), reference.memory_mb, OUTPUT)
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

    def _ready(self, reference: LeanReference) -> Repl:
        """A process that has elaborated the problem's header and theorem; raises VerifierFault where it cannot."""
        repl = self._repl(reference.header)
        key = reference.header, reference.statement
        if key in self._broken:
            raise VerifierFault(self._broken[key])
        try:
            repl.knows(reference.statement)
        except Stopped as stopped:
            self._drop(repl)
            raise self._failed(key, f"the problem's own theorem: {stopped.reason}") from stopped
        except VerifierFault as error:
            raise self._failed(key, str(error), surely=True) from error
        return repl

    def _repl(self, header: str) -> Repl:
        """The process that keeps this header, a new one where there is none that is fit; raises VerifierFault."""
        if (header, "") in self._broken:
            raise VerifierFault(self._broken[header, ""])
        repl = self.warm.get(header)
        if repl is not None and not repl.fit:
            self._drop(repl)
            repl = None
        if repl is None:
            repl = self.warm[header] = self._started(header)
        self.warm.move_to_end(header)
        while len(self.warm) > WARM:
            self.warm.popitem(last=False)[1].close()
        return repl

    def _started(self, header: str) -> Repl:
        repl = Repl(self.home, self._tier)
        try:
            repl.load(header)
        except Stopped as stopped:
            said = repl.last_error()
            repl.close()
            raise self._failed((header, ""), f"the REPL did not take the header: {said or stopped.reason}") from stopped
        except VerifierFault as error:
            repl.close()
            raise self._failed((header, ""), str(error), surely=True) from error
        return repl

    def _failed(self, key: tuple[str, str], said: str, *, surely: bool = False) -> VerifierFault:
        """A fault of a header or theorem: not tried again where Lean itself says so, or after ``TRIES`` deaths."""
        self._failures[key] += 1
        if surely or self._failures[key] >= TRIES:
            self._broken[key] = said
        return VerifierFault(said)

    def _drop(self, repl: Repl) -> None:
        for header in [header for header, kept in self.warm.items() if kept is repl]:
            del self.warm[header]
        repl.close()


def _decided(reply: Reply, axioms: frozenset[str] | None) -> tuple[Status, str]:
    """The verdict on a candidate that Lean has read to its end."""
    if reply.error is not None:
        return Status.FAIL, reply.error
    if axioms is None:
        return Status.FAIL, "its axioms could not be read"
    beyond = sorted(axioms - AXIOMS)
    return (Status.FAIL, f"depends on {', '.join(beyond)}") if beyond else (Status.PASS, "")
