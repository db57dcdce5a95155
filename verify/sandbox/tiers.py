"""Which sandbox this machine can give. A tier is probed by really being built in a throw-away process, and then tried:
a program inside does what the tier promises to forbid, and all of it has to fail.

    isolated   confined, plus namespaces of its own, a private root and a scratch folder
    confined   Landlock, seccomp, no_new_privs and resource limits: any ordinary user on Linux 5.13 or newer
    none       resource limits only: for measuring; never chosen by itself
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sampling.errors import BadInput
from verify.sandbox import wire
from verify.sandbox.channels import Stream, result_pipe
from verify.sandbox.kernel import landlock_abi
from verify.sandbox.limits import Quota
from verify.sandbox.supervisor import Supervisor, ZygoteDied, ZygoteRefused
from verify.sandbox.syscalls import machine, supported

TIERS = ("isolated", "confined", "none")
SAFE_TIERS = TIERS[:2]
AUTO = "auto"

# Returns the names of what worked although no tier but "none" may allow it.
_TRIES = """
import os, socket
def worked():
    tries = {
        "read /etc/passwd": lambda: open("/etc/passwd").close(),
        "list /proc": lambda: os.listdir("/proc"),
        "write outside of scratch": lambda: open("/dev/shm/troop-probe", "w").close(),
        "open a socket": lambda: socket.socket().close(),
        "fork": lambda: os.fork() or os._exit(0),
        "signal the fork server": lambda: os.kill(os.getppid(), 0),
        "execute a program": lambda: os.execv("/bin/true", ["true"]),
        "become root": lambda: os.setuid(0),
    }
    names = []
    for name, attempt in tries.items():
        try:
            attempt()
        except OSError:
            continue
        names.append(name)
    return names
"""


class TierUnavailable(BadInput):
    """This machine cannot give the sandbox that was asked for; the message names what is missing."""


@dataclass(frozen=True, slots=True)
class TierReport:
    """Whether this machine can give a tier, and if not, why."""

    tier: str
    available: bool
    reason: str = ""


def probe() -> tuple[TierReport, ...]:
    """Every tier that may be chosen, strongest first."""
    return tuple(_probe(tier) for tier in SAFE_TIERS)


def _probe(tier: str) -> TierReport:
    try:
        open_tier(tier, ()).close()
    except TierUnavailable as error:
        return TierReport(tier, False, str(error))
    return TierReport(tier, True)


def candidates(tier: str) -> tuple[str, ...]:
    """The tiers to try for what was asked: one, or from the strongest down."""
    if tier == AUTO:
        return SAFE_TIERS
    if tier not in TIERS:
        raise BadInput(f"sandbox tier {tier!r}: unknown; one of {', '.join((AUTO, *TIERS))} is allowed")
    return (tier,)


def open_tier(tier: str, modules: Sequence[str], extra: Sequence[str] = ()) -> Supervisor:
    """A zygote of this tier that was tried and holds; raises TierUnavailable with the reason."""
    if tier != "none":
        _need_kernel(tier)
    try:
        supervisor = Supervisor(tier, modules, extra)
    except ZygoteRefused as error:
        raise TierUnavailable(f"sandbox tier {tier} is not available here: {error}") from error
    if tier != "none" and (worked := _leaks(supervisor)):
        supervisor.close()
        raise TierUnavailable(f"sandbox tier {tier} does not hold here: a program inside could {worked}")
    return supervisor


def _need_kernel(tier: str) -> None:
    if not supported(machine()):
        raise TierUnavailable(f"sandbox tier {tier} is not available here: no system call table for {machine()}")
    if not landlock_abi():
        missing = "the kernel has no Landlock (Linux 5.13 or newer, enabled, and no gVisor in between)"
        raise TierUnavailable(f"sandbox tier {tier} is not available here: {missing}")


def _leaks(supervisor: Supervisor) -> str:
    """What the throw-away program could do, in words; "" where everything was refused as it has to be."""
    quota = Quota(wall_s=20.0, memory_mb=256)
    with result_pipe() as (reader, writer):
        stream = Stream(reader, 1 << 16)
        try:
            supervisor.start("cases", (_TRIES, "", "worked", [[]]), [writer], quota)
            writer.close()
            ended = supervisor.wait(quota, [stream])
            ((_, worked),) = wire.decode(wire.unpack(stream.data))
        except (ZygoteDied, wire.NotPlain, ValueError) as error:
            return f"not be judged ({error})"
    return ", ".join(map(str, worked)) if ended.confined else "not be started"
