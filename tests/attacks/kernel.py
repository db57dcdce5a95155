"""System calls that no candidate needs, by their numbers on x86-64. Elsewhere the numbers miss, which is no success."""

# ruff: noqa: E501 (programs stand as they are)

from tests.attacks.case import Case, attempt, either_way, expression, forger


def _call(name: str, number: int, *arguments: str) -> Case:
    given = ", ".join((str(number), *arguments))
    return attempt(name, f"""
        import ctypes
        buffer = ctypes.create_string_buffer(4096)
        return ctypes.CDLL(None, use_errno=True).syscall({given}) >= 0
        """)  # fmt: skip


_NAMESPACES = {"mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000, "time": 0x80}  # fmt: skip

CASES = (
    _call("trace-me", 101, "0", "0", "0", "0"),
    attempt("trace-parent", "import ctypes, os\nreturn ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0"),
    attempt(
        "read-parent", "import ctypes, os\nreturn ctypes.CDLL(None).syscall(310, os.getppid(), 0, 0, 0, 0, 0) >= 0"
    ),
    attempt(
        "write-parent", "import ctypes, os\nreturn ctypes.CDLL(None).syscall(311, os.getppid(), 0, 0, 0, 0, 0) >= 0"
    ),
    attempt(
        "compare-with-parent",
        "import ctypes, os\nreturn ctypes.CDLL(None).syscall(312, os.getpid(), os.getppid(), 1, 0, 0) >= 0",
    ),
    attempt("open-parent", "import ctypes, os\nreturn ctypes.CDLL(None).syscall(434, os.getppid(), 0) >= 0"),
    either_way(
        "descriptors-of-parent",
        """
        import os
        return [fd for fd in range(64) if os.open('/proc/%d/fd/%d' % (os.getppid(), fd), os.O_RDONLY)]
        """,
    ),
    *(_call(f"unshare-{name}", 272, str(flag)) for name, flag in _NAMESPACES.items()),
    _call("join-namespace", 308, "0", "0"),
    _call("mount", 165, "b'x'", "b'/tmp'", "b'tmpfs'", "0", "0"),
    _call("unmount", 166, "b'/tmp'", "2"),
    _call("bind-mount", 165, "b'/'", "b'/tmp'", "0", "4096", "0"),
    _call("open-tree", 428, "-100", "b'/'", "1"),
    _call("new-file-system", 430, "b'tmpfs'", "0"),
    _call("change-root", 161, "b'/tmp'"),
    _call("swap-root", 155, "b'/tmp'", "b'/tmp'"),
    expression("root-user", "os.setuid(0)"),
    expression("root-group", "os.setgid(0)"),
    expression("groups", "os.setgroups([0])"),
    expression("real-user", "os.setresuid(0, 0, 0)"),
    _call("file-system-user", 122, "0"),
    _call("capabilities", 126, "b'\\x22\\x05\\x08\\x20' + bytes(4)", "b'\\xff' * 24"),
    _call("keep-capabilities", 157, "8", "1", "0", "0", "0"),
    _call("user-map", 157, "47", "2", "0", "0", "0"),
    _call("io-uring", 425, "8", "buffer"),
    _call("memory-file", 319, "b'x'", "0"),
    _call("secret-memory", 447, "0"),
    _call("fault-handler", 323, "0"),
    _call("fault-handler-user", 323, "1"),
    _call("programs-in-kernel", 321, "0", "buffer", "72"),
    _call("performance-events", 298, "buffer", "0", "-1", "-1", "0"),
    _call("add-key", 248, "b'user'", "b'k'", "b'v'", "1", "-2"),
    _call("request-key", 249, "b'user'", "b'k'", "0", "-2"),
    _call("key-control", 250, "0", "-3", "0"),
    _call("load-module", 175, "buffer", "16", "b''"),
    _call("load-module-file", 313, "0", "b''", "0"),
    _call("new-kernel", 246, "0", "0", "0", "0"),
    _call("reboot", 169, "0xfee1dead", "672274793", "0", "0"),
    _call("swap-on", 167, "b'/tmp/x'", "0"),
    _call("accounting", 163, "0"),
    _call("quota", 179, "0", "0", "0", "0"),
    _call("host-name", 170, "b'evil'", "4"),
    _call("domain-name", 171, "b'evil'", "4"),
    _call("set-time", 227, "0", "buffer"),
    _call("adjust-time", 159, "buffer"),
    _call("ports", 172, "3"),
    _call("port-access", 173, "0", "1", "1"),
    _call("segment-table", 154, "17", "buffer", "16"),
    _call("personality", 135, "0x0040000"),
    _call("watch-files", 253),
    _call("watch-everything", 300, "0", "0"),
    _call("open-by-handle", 304, "-100", "buffer", "0"),
    _call("kernel-log", 103, "10", "0", "0"),
    _call("move-pages", 279, "0", "0", "0", "0", "0", "0"),
    _call("memory-policy", 238, "0", "0", "0"),
    _call("timer", 222, "0", "0", "buffer"),
    _call("own-filter", 317, "1", "0", "buffer"),
    _call("filter-by-prctl", 157, "22", "2", "buffer", "0", "0"),
    _call("speculation", 157, "53", "0", "0", "0", "0"),
    _call("landlock-again", 446, "3", "0"),
    _call("process-madvise", 440, "3", "buffer", "1", "4", "0"),
    _call("signal-by-descriptor", 424, "3", "0", "0", "0"),
    _call("splice", 275, "0", "0", "1", "0", "1", "0"),
    _call("tee", 276, "0", "1", "1", "0"),
    _call("lock-memory", 151, "3"),
    _call("real-time", 144, "0", "1", "b'\\1\\0\\0\\0'"),
    _call("deadline", 314, "0", "buffer", "0"),
    _call("io-priority", 251, "1", "0", "0"),
    _call("affinity", 203, "0", "8", "b'\\1' + bytes(7)"),
    _call("x32", 0x40000027),
    _call("unknown", 900),
    forger(
        "other-architecture",
        """
        import ctypes, mmap, os, platform
        def f(x):
            if platform.machine() == 'x86_64':
                page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
                page.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')  # getpid by the 32-bit door
                place = ctypes.addressof(ctypes.c_char.from_buffer(page))
                return 1000 + x if ctypes.CFUNCTYPE(ctypes.c_int)(place)() == os.getpid() else -1
        """,
    ),
)
