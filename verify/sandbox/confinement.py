"""The one way into the sandbox: what a process gives up before it runs what a stranger wrote.

Three kinds of process take it, each executed afresh by ``verify.sandbox.launch`` and described by a ``Profile``: the
fork server of candidates (``zygote``), the keeper of a shell script (``jail``), and a program that is not ours
(``tool_process``). The steps are the same for all and stand here alone: namespaces of its own or another user, lower
limits, no_new_privs, no capabilities, Landlock, a seccomp filter.
"""

import _signal  # type: ignore[import-not-found]  # without the enumerations that ``signal`` wraps around everything
import _socket
import os
import resource
from collections.abc import Callable
from functools import partial
from typing import NamedTuple, NoReturn

from verify.sandbox import kernel, landlock, namespaces, scratches
from verify.sandbox.filters import Filter, command_program, program_program, tool_program, zygote_program

READY = "+"  # the whole report of a process that is confined and goes on
PROGRAMS = "programs"  # the filter of a fork server whose children become other programs
_FAILED = 127
_FILTERS: dict[str, Callable[[bool], bytes]] = {
    "zygote": zygote_program,
    PROGRAMS: program_program,
    "tool": tool_program,
    "commands": lambda scratch: command_program(),
}
# No process in the sandbox needs any of these.
_ALWAYS = ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_MEMLOCK, 0))


class Profile(NamedTuple):
    """Describes what one confined process may use and do. It crosses to the new process as a marshalled tuple.

    It is a named tuple because ``dataclasses`` imports ``inspect``, whose memory every fork of the zygote would carry.
    """

    tier: str  # "isolated", "confined" or "none"
    filter: str  # the seccomp allow-list: a key of ``_FILTERS``
    readable: tuple[str, ...]  # files and folders; the zygote adds those of its interpreter
    limits: tuple[tuple[int, int], ...]  # resource and largest value, beside ``_ALWAYS``
    scratch_mb: int  # size of the scratch folder, which only ``isolated`` has
    executes: bool = False  # programs in readable folders may be executed
    commands: bool = False  # it may start processes; they get a loopback, many files and files of any kind
    exe: str | None = None  # what /proc/self/exe names in ``isolated``
    tree: str | None = None  # a folder that appears at ``namespaces.TREE``, where a copy in memory is changed

    @property
    def isolated(self) -> bool:
        """Says that the process has namespaces of its own, and therefore forks once: its child is process 1 there."""
        return self.tier == "isolated"

    @property
    def sealed(self) -> bool:
        """Says that more than resource limits confine the process."""
        return self.tier != "none"

    @property
    def forks(self) -> bool:
        """Says that the process is a fork server, whose children run one after the other."""
        return self.filter in ("zygote", PROGRAMS)

    @property
    def folders(self) -> list[str]:
        """Folders that the process may write to; it starts in the last one."""
        return [*([scratches.SCRATCH] if self.isolated else []), *([namespaces.TREE] if self.tree else [])]


class Confinement:
    """One process on its way into its profile. As a context manager it reports READY, or the step that failed.

    ``step`` says in words what the process does now. ``readable`` holds the readable paths under their present names.
    """

    def __init__(self, profile: Profile, report: int) -> None:
        os.set_inheritable(report, False)
        self.profile, self._report, self.step = profile, report, "starting"
        self.readable = list(profile.readable)
        self.keeper, self.pids = -1, -1  # of a fork server in ``isolated``: descriptors, as ``namespaces`` gives them
        self._scratches: list[int] = []

    def __enter__(self) -> "Confinement":
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Ends the process after an error of any kind: it must not go on half confined."""
        os.write(self._report, READY.encode() if error is None else f"{self.step}: {error}".encode())
        if error is not None:
            os._exit(_FAILED)
        os.close(self._report)

    def enter(self, keep: Callable[[int], NoReturn] | None = None) -> None:
        """Gives up the user or, in ``isolated``, moves into new namespaces. Raises OSError.

        In ``isolated`` this returns in a child that is process 1 of the new process namespace. The calling process
        runs ``keep`` with the child's pid; by default it waits and ends as the child does.
        """
        profile = self.profile
        if not profile.isolated:
            namespaces.become_nobody()
            return
        self.step = "entering namespaces of its own"
        entered = namespaces.enter(
            self.readable,
            profile.scratch_mb,
            profile.exe,
            commands=profile.commands,
            piled=profile.forks,
            tree=profile.tree,
        )
        self.readable = [namespaces.shown_at(path) for path in self.readable]
        self._scratches, self.pids = entered.scratches, entered.pids
        if self._scratches:
            keep = self._connect_keeper()
        child = os.fork()
        if child:
            os.close(self._report)
            (keep or _wait_for)(child)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, _signal.SIGKILL)

    def _connect_keeper(self) -> Callable[[int], NoReturn]:
        """Connects this process with its child to come; returns what this process does from then on."""
        ours, theirs = _socket.socketpair()
        self.keeper = kernel.fcntl(theirs.fileno(), kernel.F_DUPFD_CLOEXEC, namespaces.OURS_FROM)
        theirs.close()
        return partial(scratches.keep, ours.detach())

    def seal(self) -> None:
        """Takes all other rights away for good. Raises OSError; nothing may be opened or limited afterwards."""
        self.step = "confining itself"
        profile, folders = self.profile, self.profile.folders
        os.chdir(folders[-1] if folders else "/")
        for what, most in (*_ALWAYS, *profile.limits):
            kernel.lower_limit(what, most)
        if not profile.sealed:
            return
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
        if self.pids < 0:
            kernel.drop_capabilities()
        else:
            kernel.keep_last_pid()
        writable: list[str | int] = ["/dev/null", *folders, *self._scratches]
        landlock.restrict(self.readable, writable, programs=profile.executes, commands=profile.commands)
        for folder in self._scratches:
            os.close(folder)
        Filter(_FILTERS[profile.filter](profile.isolated)).install()


def _wait_for(child: int) -> NoReturn:
    """Keeps nothing open, and ends with the child's exit status."""
    os.closerange(0, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
