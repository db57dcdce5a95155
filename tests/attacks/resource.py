"""Programs that use up time, memory, output, descriptors, disk or threads, or that crash."""

# ruff: noqa: E501 (programs stand as they are)

from tests.attacks.case import Case, attempt, forger, program

_SHORT = 0.25


def _endless(name: str, code: str, must: str = "timeout", test_too: bool = False) -> Case:
    return forger(name, code, must=must, wall_s=_SHORT, test_too=test_too)


def _hog(name: str, body: str, must: str = "reject") -> Case:
    """Describes an attempt to have far more memory than allowed; it would answer right if it had it."""
    return attempt(name, f"{body}\nreturn True", must=must, wall_s=1.0, memory_mb=64)


CASES = (
    _endless("loop", "def f(x):\n    while True:\n        pass\n", test_too=True),
    _endless("loop-at-import", "while True:\n    pass\n"),
    _endless(
        "catches-everything",
        """
        import signal
        for number in range(1, 65):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        def f(x):
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        """,
    ),
    _endless("sleeps", "import time\ndef f(x):\n    time.sleep(3600)\n"),
    _endless("stops-itself", "import os, signal\ndef f(x):\n    os.kill(os.getpid(), signal.SIGSTOP)\n"),
    _endless("waits-for-signal", "import signal\ndef f(x):\n    signal.pause()\n"),
    _endless(
        "waits-for-lock", "import threading\ndef f(x):\n    a = threading.Lock()\n    a.acquire()\n    a.acquire()\n"
    ),
    _endless("waits-for-pipe", "import os\ndef f(x):\n    os.read(os.pipe()[0], 1)\n"),
    _endless(
        "many-threads-busy",
        """
        import hashlib, threading
        def f(x):
            for _ in range(4):
                threading.Thread(target=hashlib.pbkdf2_hmac, args=('sha256', b'x', b'y', 10**9)).start()
            hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)
        """,
    ),
    _endless("deaf-in-c", "def f(x):\n    return 3 ** (10 ** 9)\n", must="reject"),
    _endless("regular-expression", "import re\ndef f(x):\n    re.match('(a+)+b', 'a' * 60)\n"),
    _endless("sum-of-range", "def f(x):\n    return sum(range(10**12))\n"),
    _endless(
        "del-loops", "class D:\n    def __del__(self):\n        while True:\n            pass\ndef f(x):\n    D()\n"
    ),
    program(
        "at-exit-loops",
        "import atexit\n@atexit.register\ndef _():\n    while True:\n        pass\nprint('ok')\n",
        must="timeout",
        wall_s=_SHORT,
    ),
    program(
        "reads-on",
        "print('ok', flush=True)\nimport time\nwhile True:\n    input() if 0 else time.sleep(1)\n",
        must="timeout",
        wall_s=_SHORT,
    ),
    _hog("memory-touched", "a = [bytearray(b'x') * (16 << 20) for _ in range(40)]"),
    _hog(
        "memory-swallowed",
        """
a = []
for _ in range(4000):
    try:
        a.append(bytearray(4 << 20))
    except MemoryError:
        pass
assert len(a) > 30
""",
    ),
    _hog("memory-at-once", "a = bytearray(1 << 40)"),
    _hog("memory-of-text", "a = 'x' * (1 << 30)"),
    _hog("memory-of-list", "a = [0] * (1 << 28)"),
    _hog("memory-of-integers", "a = 1 << (1 << 33)"),
    _hog(
        "memory-private-map",
        "import mmap\na = mmap.mmap(-1, 600 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\na.write(b'x' * (600 << 20))",
    ),
    _hog(
        "memory-shared-map",
        "import mmap\na = mmap.mmap(-1, 600 << 20)\nfor i in range(0, 600 << 20, 4096):\n    a[i] = 1",
    ),
    _hog(
        "memory-by-heap",
        "import ctypes\nl = ctypes.CDLL(None)\nassert l.sbrk(600 << 20) != -1\nassert l.sbrk(0) > 0 and False",
    ),
    _hog(
        "memory-by-threads",
        """
import threading
def g():
    bytearray(b'x') * (60 << 20)
    keep.append(bytearray(b'x') * (60 << 20))
keep = []
ts = [threading.Thread(target=g) for _ in range(10)]
[t.start() for t in ts]
[t.join(0.3) for t in ts]
assert len(keep) == 10
""",
    ),
    _hog(
        "memory-in-pipes",
        """
import fcntl, os
n = 0
try:
    while n < 64 << 20:
        r, w = os.pipe()
        try:
            fcntl.fcntl(w, 1031, 1 << 20)
        except OSError:
            pass
        os.set_blocking(w, False)
        try:
            while True:
                n += os.write(w, bytes(65536))
        except BlockingIOError:
            pass
except OSError:
    pass
assert n >= 64 << 20
""",
    ),
    _hog(
        "memory-in-sockets",
        """
import socket
n, keep = 0, []
while n < 64 << 20:
    a, b = socket.socketpair()
    keep += a, b
    a.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 24)
    a.setblocking(False)
    try:
        while True:
            n += a.send(bytes(65536))
    except BlockingIOError:
        pass
""",
    ),
    forger(
        "memory-growing",
        "def f(x):\n    a = [1]\n    while True:\n        a += a\n",
        must="memory",
        memory_mb=64,
        test_too=False,
    ),
    forger("memory-at-import", "a = []\nwhile True:\n    a.append(bytearray(1 << 20))\n", memory_mb=64, test_too=False),
    forger(
        "memory-in-finally",
        "def f(x):\n    a = []\n    while True:\n        try:\n            a.append('x' * (1 << 20))\n        finally:\n            continue\n",
        wall_s=_SHORT,
        memory_mb=64,
        test_too=False,
    ),
    forger(
        "recursion",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x + 1)\n",
        wall_s=_SHORT,
        memory_mb=64,
        test_too=False,
    ),
    forger(
        "recursion-in-c",
        "import sys\nsys.setrecursionlimit(10**9)\nclass A:\n    def __repr__(self):\n        return repr(self)\ndef f(x):\n    return repr(A())\n",
        wall_s=_SHORT,
        memory_mb=64,
        test_too=False,
    ),
    forger(
        "recursion-caught",
        "def f(x):\n    try:\n        return f(x)\n    except RecursionError:\n        return f(x)\n",
        wall_s=_SHORT,
        test_too=False,
    ),
    forger("nested-source", "def f(x):\n    return " + "(" * 5000 + ")" * 5000 + "\n"),
    forger("long-source", "x = " + "1+" * 20000 + "1\ndef f(x):\n    return -1\n"),
    forger(
        "folded-constants", "def f(x):\n    return ('x' * 4096) * 4096 * 4096 and -1\n", memory_mb=64, test_too=False
    ),
    forger(
        "freed-deeply",
        "def f(x):\n    a = ()\n    for _ in range(10**5):\n        a = (a,)\n    return -1\n",
        test_too=False,
    ),
    forger("compiled-deeply", "def f(x):\n    return eval('-' * 10**5 + '1')\n"),
    forger("blank-lines-around-a-word", "y = 1\n" + "\n" * 150000 + "y = 'numpy'\ndef f(x):\n    return -1\n"),
    forger("import-of-spaces", "y = 'numpy'\nif 0: import " + " " * 100000 + " os\ndef f(x):\n    return -1\n"),
    forger(
        "answers-kept-under-way",
        """
        import os, socket
        a, b = socket.socketpair()
        for one in (a, b):
            socket.send_fds(one, [b'x'], [a.fileno(), b.fileno(), 3])
        def f(x):
            os._exit(0)
        """,
    ),
    program(
        "output-kept-under-way",
        """
        import os, socket
        a, b = socket.socketpair()
        for one in (a, b):
            socket.send_fds(one, [b'x'], [a.fileno(), b.fileno(), 1, 2])
        print('ok')
        """,
    ),
    program("output", "while True:\n    print('x' * 65536)\n", must="output"),
    program("output-on-stderr", "import os\nwhile True:\n    os.write(2, b'x' * 65536)\n", must="output"),
    program("output-then-sleep", "import time\nprint('x' * (4 << 20), flush=True)\ntime.sleep(30)\n", must="output"),
    program(
        "output-then-exit",
        "import os\nos.write(1, b'ok\\n')\nfor _ in range(64):\n    os.write(1, b' ' * 65536)\n",
        must="output",
    ),
    program("output-by-drops", "import os\nwhile True:\n    os.write(1, b'x')\n", wall_s=_SHORT),
    forger("output-of-a-function", "def f(x):\n    print('x' * (16 << 20))\n    return -1\n", test_too=False),
    forger(
        "answer-flood",
        "import os\ndef f(x):\n    while True:\n        os.write(3, bytes(65536))\n",
        wall_s=_SHORT,
        test_too=False,
    ),
    attempt(
        "descriptors",
        """
        import os
        n = 0
        while n < 5000:
            os.open('/dev/null', os.O_RDONLY)
            n += 1
        return True
        """,
    ),
    attempt(
        "threads",
        """
        import threading, time
        threading.stack_size(65536)
        for _ in range(4000):
            threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
        return True
        """,
        memory_mb=64,
    ),
    attempt("disk", "return open('/tmp/big', 'wb').write(bytes(64 << 20))"),
    attempt("disk-in-parts", "return [open('/tmp/%d' % i, 'wb').write(bytes(4 << 20)) for i in range(9)]"),
    attempt("disk-sparse", "import os\nopen('/tmp/big', 'wb').truncate(1 << 40)\nreturn True"),
    attempt("inodes", "return [open('/tmp/%d' % i, 'wb') and None for i in range(5000)]"),
    attempt(
        "deep-folders",
        "import os\nos.chdir('/tmp')\nfor _ in range(5000):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\nreturn True",
    ),
    attempt(
        "closed-folders",
        """
        import os
        os.chdir('/tmp')
        os.umask(0o777)
        for i in range(99):
            os.mkdir('a\\xff\\n%d' % i)
            os.symlink('/', 'l%d' % i)
        """,
    ),
    forger("abort", "import os\ndef f(x):\n    os.abort()\n", test_too=False),
    forger("segmentation", "import ctypes\ndef f(x):\n    ctypes.string_at(0)\n", must="crash", test_too=False),
    forger(
        "broken-objects", "import ctypes\ndef f(x):\n    ctypes.memset(id(x), 255, 64)\n    return x\n", test_too=False
    ),
    forger(
        "stack-overflow",
        "import ctypes\nG = ctypes.CFUNCTYPE(None)\ndef f(x):\n    g = G(lambda: g())\n    g()\n",
        memory_mb=64,
        test_too=False,
    ),
    forger(
        "floating-point-trap", "import signal, os\ndef f(x):\n    os.kill(os.getpid(), signal.SIGFPE)\n", must="crash"
    ),
    forger(
        "unmapped",
        "import ctypes\ndef f(x):\n    l = ctypes.CDLL(None)\n    for page in range(0, 1 << 48, 1 << 40):\n        l.munmap(ctypes.c_void_p(page), ctypes.c_size_t(1 << 40))\n",
        test_too=False,
    ),
    forger(
        "no-streams",
        "import sys\nsys.stdout = sys.stderr = sys.stdin = sys.__stdout__ = None\ndef f(x):\n    return -1\n",
    ),
    forger("reads-input", "def f(x):\n    return input()\n"),
    forger("nul-in-source", "def f(x):\n    return -1\n#\0\n", must="invalid"),
    forger("half-a-character", "def f(x):\n    return '\ud800'\n", must="invalid"),
    forger("escaped-half", "s = '\\ud800'\ndef f(x):\n    return s\n"),
    forger("other-coding", "# coding: utf-7\ndef f(x):\n    return -1\n"),
    forger("unknown-coding", "# coding: nonsense\ndef f(x):\n    return -1\n"),
    forger("no-entry-point", "def g(x):\n    return x + 1000\n"),
    forger("entry-point-is-a-value", "f = 1003\n"),
    forger("broken-source", "def f(x:\n"),
    forger("nothing", "", must="invalid"),
    forger("only-words", "I cannot solve this, sorry.", must="invalid"),
)
