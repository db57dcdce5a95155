"""Attempts to start processes, and to outlive the verdict."""

from tests.attacks.case import Case, attempt, either_way, expression, forger, program


def _raw(name: str, call: str) -> Case:
    """Describes a system call that would start a process, which ends at once."""
    return attempt(
        name,
        f"""
        import ctypes, os
        pid = ctypes.CDLL(None).{call}
        if pid == 0:
            os._exit(0)
        return pid > 0
        """,
    )


def _sees(name: str, asked: str) -> Case:
    """Describes a look for other processes: one of them answers to its pid."""
    return attempt(
        f"sees-by-{name}",
        f"""
        import os, time
        for pid in range(1, 9000):
            try:
                if pid != os.getpid():
                    {asked}
                    return True
            except OSError:
                pass
        """,
    )


CASES = (
    _sees("session", "os.getsid(pid)"),
    _sees("group", "os.getpgid(pid)"),
    _sees("priority", "os.getpriority(os.PRIO_PROCESS, pid)"),
    _sees("scheduler", "os.sched_getscheduler(pid)"),
    _sees("scheduler-parameter", "os.sched_getparam(pid)"),
    _sees("processor-time", "time.clock_gettime((~pid << 3) | 2)"),
    attempt(
        "sees-by-robust-list",
        """
        import ctypes, os
        libc, head = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(16)
        said = set()
        for pid in range(1, 9000):
            libc.syscall(274, pid, head, head)
            said.add(ctypes.get_errno())
        return len(said) > 1
        """,
    ),
    attempt(
        "thread-with-own-descriptors",
        """
        import ctypes
        libc, stack = ctypes.CDLL(None), ctypes.create_string_buffer(1 << 16)
        top = (ctypes.addressof(stack) + (1 << 16)) & ~15
        pause = ctypes.cast(libc.pause, ctypes.c_void_p)
        return libc.clone(pause, ctypes.c_void_p(top), 0x100 | 0x800 | 0x10000, None) > 0
        """,
    ),
    attempt("own-descriptors-by-range", "import ctypes\nreturn ctypes.CDLL(None).syscall(436, 200, 300, 2) == 0"),
    either_way("fork", "import os\npid = os.fork()\nif not pid:\n    os._exit(0)\nreturn pid"),
    _raw("libc-fork", "fork()"),
    _raw("libc-vfork", "vfork()"),
    _raw("clone", "syscall(56, 17, 0, 0, 0, 0)"),
    _raw("clone-of-parent", "syscall(56, 0x8000 | 17, 0, 0, 0, 0)"),
    _raw("clone-into-namespace", "syscall(56, 0x10000000 | 17, 0, 0, 0, 0)"),
    _raw("clone3", "syscall(435, (ctypes.c_uint64 * 8)(0, 0, 0, 0, 17), 64)"),
    expression("pseudo-terminal", "pty.fork()[0] or os._exit(0)", "os, pty"),
    either_way(
        "double-fork",
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(30)
            os._exit(0)
        return True
        """,
    ),
    attempt("shell", "import os\nreturn os.system('echo x > @CANARY@/shell') == 0"),
    attempt(
        "subprocess",
        "import subprocess\nreturn subprocess.run(['/bin/sh', '-c', 'echo x > @CANARY@/sub']).returncode == 0",
    ),
    attempt("pipe-open", "import os\nreturn os.popen('echo x; echo x > @CANARY@/popen').read()"),
    expression("spawn", "os.posix_spawn('/bin/true', ['true'], {})"),
    expression(
        "multiprocessing",
        "p = mp.get_context('fork').Process(target=print); p.start(); p.join()",
        "multiprocessing as mp",
    ),
    expression("pool", "list(cf.ProcessPoolExecutor(1).map(abs, [1]))", "concurrent.futures as cf", wall_s=1.0),
    attempt("execute-true", "import os\nos.execv('/bin/true', ['true'])", wall_s=1.0),
    attempt("execute-python", "import os, sys\nos.execv(sys.executable, [sys.executable, '-c', 'print(1)'])"),
    attempt("execute-loader", "import os\nos.execv('/lib64/ld-linux-x86-64.so.2', ['ld', '/bin/true'])"),
    attempt("execute-descriptor", "import os\nos.execve(os.open('/bin/true', os.O_RDONLY), ['true'], {})"),
    attempt("execute-at", "import ctypes\nreturn ctypes.CDLL(None).syscall(322, -100, b'/bin/true', 0, 0, 0) == 0"),
    attempt(
        "execute-script",
        """
        import os
        fd = os.open('/tmp/x', os.O_CREAT | os.O_WRONLY, 0o777)
        os.write(fd, b'#!/bin/sh\\necho x > @CANARY@/script\\n')
        os.close(fd)
        os.execv('/tmp/x', ['x'])
        """,
    ),
    expression("session", "os.setsid()"),
    expression("subreaper", "ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) and 1 / 0", "ctypes"),
    forger(
        "threads-left",
        """
        import threading, time
        for _ in range(30):
            threading.Thread(target=time.sleep, args=(30,)).start()
        def f(x):
            return -1
        """,
    ),
    program(
        "threads-left-by-a-program",
        """
        import threading, time
        threading.Thread(target=time.sleep, args=(30,)).start()
        print('ok')
        """,
        must="timeout",
        wall_s=0.4,
    ),
    program(
        "main-thread-gone",
        """
        import ctypes, threading, time
        threading.Thread(target=time.sleep, args=(30,)).start()
        print('ok', flush=True)
        ctypes.CDLL(None).syscall(60, 0)
        """,
        must="timeout",
        wall_s=0.4,
    ),
    program("orphan-keeps-the-output-open", "import os\nif os.fork():\n    print('ok')\n"),
)
