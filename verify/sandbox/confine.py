"""Confines a process as the sandbox does, and then becomes another program: for verifiers that are not Python.

Run by a fresh interpreter (``verify/sandbox/tool.py`` starts it). REPORT is a pipe that the kernel closes when the
program is executed: what was written to it before says which step failed, nothing means that the program runs,
confined. The program may start threads but no processes, so that it is all there is to kill.
"""

# Runs under the same rules as the zygote: nothing heavy is imported.
# ruff: noqa: PTH123, PTH208

import _socket
import os
import resource
import signal
from typing import Any, NoReturn

from verify.sandbox import kernel, landlock, namespaces
from verify.sandbox.filters import Filter, tool_program

SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/dev/null", "/dev/urandom")
MAX_WRITTEN = 1 << 20  # bytes in one file, its standard error among them
_PROGRAM_GONE = 127


def main(report: int, config: dict[str, Any]) -> NoReturn:
    """Confines itself as ``config`` asks, and executes its ``command``."""
    step = "starting"
    try:
        os.set_inheritable(report, False)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        readable, tier = [*SYSTEM, *config["readable"]], config["tier"]
        if tier == "isolated":
            step = "entering namespaces of its own"
            _follow(config)
            namespaces.enter(readable, config["scratch_mb"], config["command"][0])
            readable = [namespaces.shown_at(path) for path in readable]
            _continue_as_first_process()
        elif tier == "confined":
            namespaces.become_nobody()
        step = "confining itself"
        _limit()
        if tier != "none":
            _confine(readable, scratch=tier == "isolated")
        step = f"executing {config['command'][0]}"
        os.execve(config["command"][0], config["command"], config["environment"])
    except (OSError, RuntimeError) as error:
        os.write(report, f"{step}: {error}".encode())
    os._exit(_PROGRAM_GONE)


def _follow(config: dict[str, Any]) -> None:
    """Command and environment name what may be read where it lies in the new world."""
    trees = tuple(config["readable"])

    def place(path: str) -> str:
        inside = any(path == tree or path.startswith(f"{tree}/") for tree in trees)
        return namespaces.shown_at(path) if inside else path

    config["command"] = [place(word) for word in config["command"]]
    for name, value in config["environment"].items():
        config["environment"][name] = ":".join(map(place, value.split(":")))


def _continue_as_first_process() -> None:
    """The new process namespace begins with the next child; this one only waits, and its end is the child's."""
    pid = os.fork()
    if pid:
        os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        os._exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xFF)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def _limit() -> None:
    """What the kernel counts by itself; time and memory are the parent's to measure."""
    for what, value in (
        (resource.RLIMIT_FSIZE, MAX_WRITTEN),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_NOFILE, 4096),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        kernel.lower_limit(what, value)


def _confine(readable: list[str], scratch: bool) -> None:
    """Raises RuntimeError where something worked afterwards that must not."""
    os.chdir(namespaces.SCRATCH if scratch else "/")
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.drop_capabilities()
    landlock.restrict(readable, ["/dev/null", *([namespaces.SCRATCH] if scratch else [])], programs=True)
    Filter(tool_program(scratch)).install()
    worked = [name for name, attempt in _TRIES.items() if _works(attempt)]
    if worked:
        raise RuntimeError(f"it does not hold: a program inside could {', '.join(worked)}")


def _works(attempt: Any) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


_TRIES = {
    "read /etc/passwd": lambda: open("/etc/passwd").close(),
    "list /proc": lambda: os.listdir("/proc"),
    "write outside of scratch": lambda: open("/dev/shm/troop-probe", "w").close(),
    "open a socket": lambda: _socket.socket().close(),
    "fork": lambda: os.fork() or os._exit(0),
    "become root": lambda: os.setuid(0),
}
