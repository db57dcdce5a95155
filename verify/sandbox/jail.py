"""The inside of a jail: a freshly executed interpreter that confines itself and runs one shell script as its child.

Three processes: the *keeper* (this one, outside of the new process namespace) waits for the script or for the order to
end it; *init* is process 1 of the namespace, so that the kernel ends everything in it with init; the script is init's
child. Only the keeper reports, over a descriptor that the others do not have: nothing the script does looks like it.
"""

import json
import os
import resource
import select
import signal
from typing import Any, NoReturn

from verify.sandbox import kernel, landlock, namespaces
from verify.sandbox.filters import Filter, command_program

SHELL = ("/bin/sh", "-s")  # reads the script from standard input


def main(control: int, report: int, config: dict[str, Any]) -> NoReturn:
    """Runs the script on standard input; ends it when ``control`` is closed; says over ``report`` how it ended."""
    errors, errors_in = os.pipe2(os.O_CLOEXEC)
    try:
        namespaces.enter(config["readable"], config["scratch_mb"], commands=True, tree=config["tree"])
    except OSError as error:
        _say(report, failed=f"making the jail: {error}")
    init = os.fork()
    if init == 0:
        os.close(errors)
        os.close(report)
        os.close(control)
        _be_init(config, errors_in)
    os.close(errors_in)
    for descriptor in range(3):  # the script's alone: they end with it
        os.close(descriptor)
    _wait(init, control)
    _, status = os.waitpid(init, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    failed = os.read(errors, 4096).decode("utf-8", "replace")
    if failed:
        _say(report, failed=failed)
    _say(report, status=status, cpu_s=used.ru_utime + used.ru_stime, max_rss_mb=used.ru_maxrss / 1024)


def _say(report: int, **words: object) -> NoReturn:
    os.write(report, json.dumps(words).encode())
    os._exit(0)


def _wait(init: int, control: int) -> None:
    """Until init ends by itself, or was killed because whoever ordered the script does not want it any more."""
    ended = os.pidfd_open(init)
    poll = select.poll()
    poll.register(ended, select.POLLIN)
    poll.register(control, select.POLLIN)
    if not any(descriptor == ended for descriptor, _ in poll.poll()):
        os.kill(init, signal.SIGKILL)


def _be_init(config: dict[str, Any], errors: int) -> NoReturn:
    try:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        _confine(config)
        script = os.fork()
        if script == 0:
            os.execve(SHELL[0], SHELL, config["environment"])
    except Exception as error:  # noqa: BLE001  whatever it is, it is no word of the script's
        os.write(errors, f"confining the script: {error}".encode())
        os._exit(1)
    os.close(errors)
    for descriptor in range(3):
        os.close(descriptor)
    while True:  # orphans are init's to wait for
        pid, status = os.wait()
        if pid == script:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else 128 - code)


def _confine(config: dict[str, Any]) -> None:
    writable = [namespaces.SCRATCH, *([namespaces.TREE] if config["tree"] else [])]
    os.chdir(writable[-1])
    for what, value in (
        (resource.RLIMIT_AS, config["address_space"]),
        (resource.RLIMIT_CPU, config["cpu_s"]),
        (resource.RLIMIT_FSIZE, config["scratch_mb"] << 20),
        (resource.RLIMIT_NPROC, config["processes"]),
        (resource.RLIMIT_NOFILE, 512),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        kernel.lower_limit(what, value)
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    kernel.drop_capabilities()
    landlock.restrict(config["shown"], ["/dev/null", *writable], commands=True)
    Filter(command_program()).install()
