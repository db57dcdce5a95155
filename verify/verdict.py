"""A verdict: what a verifier says of one sample. Status is kept apart from right and wrong."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from sampling.problems import Problem


class Status(StrEnum):
    """``fault`` is our failure and counts as neither right nor wrong; all others are decided."""

    PASS = "pass"
    FAIL = "fail"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    INVALID = "invalid"
    FAULT = "fault"


# A busy machine or a fault of ours may not repeat: such a verdict is never shared between equal candidates.
UNREPEATABLE = frozenset({Status.TIMEOUT, Status.FAULT})


@dataclass(frozen=True, slots=True)
class Verdict:
    """``answer`` is the extracted, normalised answer where the verifier has one (majority vote reads it).

    ``wall_s`` and ``cpu_s`` in seconds and ``max_rss_mb`` in megabytes are measured by the parent, from the kernel;
    ``tier`` is the sandbox tier that ran it ("" where none was needed); ``shared`` marks a verdict copied from an equal
    candidate of the same problem; ``toolchain`` names the versions of what judged it, where these may change verdicts
    and are a machine's own ("Lean 4.9.0, mathlib 3bec2b2"; "" elsewhere); ``usd`` is what a judge that is paid asked.
    """

    status: Status
    reason: str = ""
    answer: str | None = None
    score: float | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_mb: float = 0.0
    tier: str = ""
    shared: bool = False
    toolchain: str = ""
    usd: float = 0.0

    @property
    def passed(self) -> bool | None:
        """True, False, or None where our side failed and nothing is known."""
        return None if self.status is Status.FAULT else self.status is Status.PASS

    def as_copy(self) -> "Verdict":
        return replace(self, shared=True, usd=0.0)


class Verifier(Protocol):
    """One kind of verifier. ``version`` changes whenever a verdict could: it is part of every verdict file's key."""

    version: str

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """The verdict on one completion; never raises for anything a completion contains."""

    def close(self) -> None:
        """Ends every process this verifier owns."""
