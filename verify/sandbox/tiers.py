"""The tiers of the sandbox, and which of them this machine can give.

A tier is probed by building it and then trying it: a program inside does what the tier promises to forbid
(``verify.sandbox.escapes``), and all of it has to fail.

    isolated   confined, plus namespaces of its own, a private root and a scratch folder
    confined   Landlock, seccomp, no_new_privs and resource limits: any ordinary user on Linux 5.13 or newer
    none       resource limits only: for measuring; never chosen by itself
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling.errors import BadInput
from verify.sandbox import escapes, wire
from verify.sandbox.channels import Stream, result_pipe
from verify.sandbox.kernel import landlock_abi
from verify.sandbox.launch import StartFailed
from verify.sandbox.limits import Quota
from verify.sandbox.packages import NO_PACKAGES, PackageMissing, Packages
from verify.sandbox.programs import Runtime
from verify.sandbox.supervisor import Supervisor, ZygoteDied
from verify.sandbox.syscalls import machine, supported
from verify.sandbox.zygote import PACKAGES

TIERS = ("isolated", "confined", "none")
SAFE_TIERS = TIERS[:2]
AUTO = "auto"
_TRIES = Path(escapes.__file__).read_text(encoding="utf-8")


class TierUnavailable(BadInput):
    """The machine cannot give the sandbox that was asked for; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class TierReport:
    """Says that this machine can give a tier, or why not."""

    tier: str
    available: bool
    reason: str = ""


def probe() -> tuple[TierReport, ...]:
    """Tries every tier that may be chosen, strongest first."""
    return tuple(_probe(tier) for tier in SAFE_TIERS)


def _probe(tier: str) -> TierReport:
    try:
        open_tier(tier, ()).close()
    except TierUnavailable as error:
        return TierReport(tier, False, str(error))
    return TierReport(tier, True)


def tiers_to_try(tier: str) -> tuple[str, ...]:
    """Returns the tier that was asked for or, for AUTO, the safe ones, strongest first; raises BadInput."""
    if tier == AUTO:
        return SAFE_TIERS
    if tier not in TIERS:
        raise BadInput(f"sandbox tier {tier!r}: unknown; one of {', '.join((AUTO, *TIERS))} is allowed")
    return (tier,)


def open_tier(
    tier: str, modules: Sequence[str], packages: Packages = NO_PACKAGES, runtime: Runtime | None = None
) -> Supervisor:
    """Starts a zygote of this tier and tries whether it holds; raises TierUnavailable with the reason.

    Raises PackageMissing where ``packages`` cannot be imported.
    """
    if tier != "none":
        _need_kernel(tier)
    try:
        supervisor = Supervisor(tier, modules, packages, runtime)
    except StartFailed as error:
        if str(error).startswith(PACKAGES):
            raise PackageMissing(str(error)) from error
        raise TierUnavailable(f"sandbox tier {tier} is not available here: {error}") from error
    if tier != "none" and (worked := _try_escapes(supervisor)):
        supervisor.close()
        raise TierUnavailable(f"sandbox tier {tier} does not hold here: a program inside could {worked}")
    return supervisor


def _need_kernel(tier: str) -> None:
    if not supported(machine()):
        raise TierUnavailable(f"sandbox tier {tier} is not available here: no system call table for {machine()}")
    if not landlock_abi():
        missing = "the kernel has no Landlock (Linux 5.13 or newer, enabled, and no gVisor in between)"
        raise TierUnavailable(f"sandbox tier {tier} is not available here: {missing}")


def _try_escapes(supervisor: Supervisor) -> str:
    """Returns in words what a program inside could do; "" where everything was refused, as it has to be."""
    quota = Quota(wall_s=20.0, memory_mb=256)
    with result_pipe() as (reader, writer):
        stream = Stream(reader, 1 << 16)
        try:
            supervisor.start("cases", (_TRIES, "", "try_all", [[]]), [writer], quota)
            writer.close()
            ended = supervisor.wait(quota, [stream])
            ((_, worked),) = wire.decode(wire.unpack(stream.data))
        except (ZygoteDied, wire.NotPlain, ValueError) as error:
            return f"not be judged ({error})"
    return ", ".join(map(str, worked)) if ended.confined else "not be started"
