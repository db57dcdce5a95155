"""A verdict: what a verifier says about one sample. The status is kept apart from right and wrong."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from sampling.problems import Problem

FAULT_TRIES = 3  # times that one candidate is verified while its verdict is a fault; a paid judge may be paid each time
SHARED_NOTE = "shared process: candidate and test together, forgeable"


class Status(StrEnum):
    """The end of a verification. ``fault`` is our failure and counts as neither right nor wrong; all others decide."""

    PASS = "pass"
    FAIL = "fail"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    OUTPUT = "output"
    CRASH = "crash"
    INVALID = "invalid"
    FAULT = "fault"


# A second try may end differently (a busy machine, a fault of ours), so equal candidates never share such a verdict.
UNREPEATABLE = frozenset({Status.TIMEOUT, Status.FAULT})


class Measured(Protocol):
    """A run that the parent process measured: seconds of wall and CPU time, megabytes of memory at the most."""

    @property
    def wall_s(self) -> float: ...
    @property
    def cpu_s(self) -> float: ...
    @property
    def max_rss_mb(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status of one sample, the reason for it, and what the verification took.

    ``answer`` is the extracted, normalised answer where the verifier has one (majority vote reads it). The parent
    process measures ``wall_s`` and ``cpu_s`` (seconds) and ``max_rss_mb`` (megabytes) from the kernel. ``tier`` is the
    sandbox tier of the run, "" where no sandbox was needed. ``shared`` marks a copy of the verdict on an equal
    candidate of the same problem. ``toolchain`` names the versions of a machine's own tools where these may change
    verdicts ("Lean 4.9.0, mathlib 3bec2b2"; else ""). ``usd`` is what a paid judge charged.
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

    @classmethod
    def on_runs(cls, runs: Sequence[Measured], tier: str, status: Status, reason: str = "") -> "Verdict":
        """Returns a verdict on all runs of one sample: the sum of their seconds, the most memory of any."""
        return cls(
            status,
            reason,
            wall_s=sum((run.wall_s for run in runs), 0.0),
            cpu_s=sum((run.cpu_s for run in runs), 0.0),
            max_rss_mb=max((run.max_rss_mb for run in runs), default=0.0),
            tier=tier,
        )

    @property
    def passed(self) -> bool | None:
        """True, False, or None where our side failed and nothing is known."""
        return None if self.status is Status.FAULT else self.status is Status.PASS

    def as_copy(self) -> "Verdict":
        return replace(self, shared=True, usd=0.0)


NO_CODE = Verdict(Status.INVALID, "no code in the completion")


class Verifier(Protocol):
    """One kind of verifier. ``version`` changes whenever a verdict could: it is part of every verdict file's key."""

    version: str

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Returns the verdict on one completion; never raises because of what a completion contains."""

    def close(self) -> None:
        """Ends every process that this verifier owns."""
