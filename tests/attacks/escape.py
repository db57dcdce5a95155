"""Attempts to change files, limits and processes outside."""

from tests.attacks.case import attempt, either_way, expression, program

_KEEP = "@CANARY@/keep"
_DEVICES = (
    "/dev/shm/x",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/tty",
    "/dev/fuse",
    "/dev/kvm",
    "/dev/net/tun",
    "/dev/ptmx",
    "/dev/loop0",
)

CASES = (
    attempt("write-new", "return open('@CANARY@/new', 'w').write('x')"),
    attempt("write-append", f"return open('{_KEEP}', 'a').write('x')"),
    attempt("write-update", f"return open('{_KEEP}', 'r+').write('x')"),
    attempt("write-relative", "import os\nreturn open(os.path.relpath('@CANARY@/rel'), 'w').write('x')"),
    attempt("write-through-proc", "return open('/proc/self/root@CANARY@/proc', 'w').write('x')"),
    attempt(
        "write-through-link", f"import os\nos.symlink('{_KEEP}', '/tmp/out')\nreturn open('/tmp/out', 'w').write('x')"
    ),
    either_way(
        "write-descriptor",
        """
        import os
        for fd in range(3, 256):
            try:
                os.close(os.open('../' * 20 + '@CANARY@/by-fd'[1:], os.O_CREAT | os.O_WRONLY, dir_fd=fd))
                return True
            except OSError:
                pass
        """,
    ),
    expression("write-temporary", "tempfile.NamedTemporaryFile(dir='@CANARY@')", "tempfile"),
    expression("write-unnamed", "os.open('@CANARY@', os.O_TMPFILE | os.O_RDWR)"),
    expression("write-sqlite", "sqlite3.connect('@CANARY@/db').execute('create table t(x)')", "sqlite3"),
    expression("write-shelf", "shelve.open('@CANARY@/shelf')", "shelve"),
    expression("write-log", "logging.FileHandler('@CANARY@/log')", "logging.handlers"),
    expression("truncate-path", f"os.truncate('{_KEEP}', 0)"),
    expression("truncate-read-only", f"os.open('{_KEEP}', os.O_RDONLY | os.O_TRUNC)"),
    expression("truncate-libc", f"ctypes.CDLL(None).truncate(b'{_KEEP}', 0) and 1 / 0", "ctypes"),
    expression("times", f"os.utime('{_KEEP}', (1, 1))"),
    expression("mode", f"os.chmod('{_KEEP}', 0o777)"),
    expression("mode-of-folder", "os.chmod('@CANARY@', 0o700)"),
    expression("owner", f"os.chown('{_KEEP}', os.getuid(), os.getgid())"),
    expression("attribute", f"os.setxattr('{_KEEP}', 'user.x', b'1')"),
    expression("unlink", f"os.unlink('{_KEEP}')"),
    expression("rename", f"os.rename('{_KEEP}', '@CANARY@/moved')"),
    expression("rename-in", f"os.replace('{_KEEP}', '/tmp/moved')"),
    expression("rename-out", "open('/tmp/mine', 'w').close(); os.rename('/tmp/mine', '@CANARY@/mine')"),
    expression("hard-link", f"os.link('{_KEEP}', '@CANARY@/hard')"),
    expression("soft-link", "os.symlink('/', '@CANARY@/soft')"),
    expression("make-folder", "os.mkdir('@CANARY@/folder')"),
    expression("remove-folder", "os.rmdir('@CANARY@/empty')"),
    expression("remove-tree", "shutil.rmtree('@CANARY@')", "shutil"),
    expression("fifo", "os.mkfifo('@CANARY@/fifo')"),
    expression("node", "os.mknod('@CANARY@/node')"),
    expression("device-node", "os.mknod('/tmp/node', 0o60666, os.makedev(8, 0))", "os"),
    expression("lock", f"fcntl.flock(open('{_KEEP}'), fcntl.LOCK_EX)", "fcntl"),
    expression("library-append", "open(os.__file__, 'a')"),
    expression("library-mode", "os.fchmod(os.open(os.__file__, os.O_RDONLY), 0o666)"),
    expression("library-times", "os.utime(os.__file__, (1, 1))"),
    expression("library-new", "open(os.path.dirname(os.__file__) + '/zzz_evil.py', 'w')"),
    expression("library-cache", "open(os.path.dirname(os.__file__) + '/__pycache__/evil.pyc', 'wb')"),
    expression("library-attribute", "os.setxattr(os.__file__, 'user.x', b'1')"),
    expression(
        "library-flags", "fcntl.ioctl(os.open(os.__file__, os.O_RDONLY), 0x40086602, b'\\x20' + bytes(7))", "fcntl, os"
    ),
    *(expression(f"device-{device.rpartition('/')[2]}", f"open('{device}', 'wb')") for device in _DEVICES),
    expression("sysctl", "open('/proc/sys/kernel/core_pattern', 'w')"),
    expression("oom-score", "open('/proc/self/oom_score_adj', 'w').write('-1000')"),
    expression("control-group", "open('/sys/fs/cgroup/cgroup.procs', 'w')"),
    expression("own-memory", "open('/proc/self/mem', 'rb+')"),
    expression("parent-memory", "open('/proc/%d/mem' % os.getppid(), 'rb+')"),
    expression("chroot", "os.chroot('/tmp')"),
    expression("kill-parent", "os.kill(os.getppid(), 9)"),
    expression("kill-first", "os.kill(1, 9)"),
    expression("kill-group", "os.killpg(0, 9)"),
    expression("kill-all", "os.kill(-1, 9)"),
    expression("stop-parent", "os.kill(os.getppid(), 19)"),
    expression("probe-parent", "os.kill(os.getppid(), 0)"),
    attempt(
        "probe-neighbours",
        """
        import os
        for pid in range(max(2, os.getpid() - 50), os.getpid() + 50):
            try:
                if pid != os.getpid():
                    os.kill(pid, 0)
                    return True
            except OSError:
                pass
        """,
    ),
    attempt("queue-signal", "import ctypes, os\nreturn ctypes.CDLL(None).sigqueue(os.getppid(), 9, 0) == 0"),
    attempt("thread-kill-parent", "import ctypes, os\np = os.getppid()\nreturn ctypes.CDLL(None).tgkill(p, p, 9) == 0"),
    either_way(
        "owner-of-signals",
        """
        import fcntl, os, socket
        a, b = socket.socketpair()
        fcntl.fcntl(a, fcntl.F_SETOWN, os.getppid())
        fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)
        b.send(b'x')
        return True
        """,
    ),
    expression(
        "owner-by-ioctl", "fcntl.ioctl(os.pipe()[0], 0x8901, __import__('struct').pack('i', os.getppid()))", "fcntl, os"
    ),
    expression("nice-parent", "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)"),
    expression("nice-user", "os.setpriority(os.PRIO_USER, os.getuid(), 19)"),
    expression("pin-parent", "os.sched_setaffinity(os.getppid(), {0})"),
    expression("schedule-parent", "os.sched_setscheduler(os.getppid(), os.SCHED_IDLE, os.sched_param(0))"),
    expression("limits-of-parent", "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (5, 5))", "os, resource"),
    attempt(
        "raise-limits",
        """
        import resource
        for name in ('CPU', 'AS', 'DATA', 'FSIZE', 'NOFILE', 'NPROC', 'MEMLOCK', 'CORE'):
            kind = getattr(resource, 'RLIMIT_' + name)
            hard = resource.getrlimit(kind)[1]
            if hard == resource.RLIM_INFINITY:
                return name in ('CPU', 'AS', 'DATA', 'FSIZE')
            try:
                resource.setrlimit(kind, (hard + 1, hard + 1))
                return True
            except (ValueError, OSError):
                pass
        """,
    ),
    attempt("undumpable-undone", "import ctypes\nreturn ctypes.CDLL(None).prctl(4, 1, 0, 0, 0) == 0"),
    attempt("parent-death-undone", "import ctypes\nreturn ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0"),
    program(
        "input-rewritten",
        """
        import os
        for how in (lambda: os.pwrite(0, b'x', 0), lambda: os.ftruncate(0, 0), lambda: open('/proc/self/fd/0', 'w')):
            try:
                how()
                print('ok')
                break
            except OSError:
                pass
        """,
        stdin="abc",
    ),
)
