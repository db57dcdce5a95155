"""Attempts to read what a candidate must not know: secrets, tests, other samples, the machine."""

# ruff: noqa: E501 (programs stand as they are)

from tests.attacks.case import attempt, either_way, expression, program

_FILE = "@SECRET_FILE@"
_EXISTS = "Landlock does not filter stat: names, sizes and owners can be probed"

CASES = (
    attempt("secret-file", f"return open('{_FILE}').read()"),
    attempt("secret-os-open", f"import os\nreturn os.read(os.open('{_FILE}', os.O_RDONLY), 9)"),
    attempt("secret-relative", f"import os\nreturn open(os.path.relpath('{_FILE}')).read()"),
    attempt("secret-through-proc", f"return open('/proc/self/root{_FILE}').read()"),
    attempt(
        "secret-through-own-folder", f"import os\nreturn open('/proc/self/cwd/' + os.path.relpath('{_FILE}')).read()"
    ),
    either_way(
        "secret-through-descriptor",
        f"""
        import os
        for fd in range(3, 1024):
            for up in ('', '../' * 20):
                try:
                    return os.read(os.open((up + '{_FILE}'.lstrip('/')) or '.', os.O_RDONLY, dir_fd=fd), 9)
                except OSError:
                    pass
        """,
    ),
    either_way(
        "secret-through-chdir",
        f"""
        import os
        for fd in range(3, 1024):
            try:
                os.fchdir(fd)
                return open('../' * 20 + '{_FILE}'.lstrip('/')).read()
            except OSError:
                pass
        """,
    ),
    attempt("secret-through-link", f"import os\nos.symlink('{_FILE}', '/tmp/link')\nreturn open('/tmp/link').read()"),
    attempt("secret-hard-link", f"import os\nos.link('{_FILE}', '/tmp/hard')\nreturn open('/tmp/hard').read()"),
    attempt(
        "secret-path-only",
        f"""
        import os
        fd = os.open('{_FILE}', os.O_PATH)
        return open('/proc/self/fd/%d' % fd).read()
        """,
    ),
    attempt(
        "secret-libc",
        f"""
        import ctypes
        libc = ctypes.CDLL(None)
        return ctypes.c_int(libc.open(b'{_FILE}', 0)).value >= 0
        """,
    ),
    attempt(
        "secret-openat2",
        f"""
        import ctypes
        how = (ctypes.c_uint64 * 3)()
        return ctypes.CDLL(None).syscall(437, -100, b'{_FILE}', how, 24) >= 0
        """,
    ),
    attempt(
        "secret-handle",
        f"""
        import ctypes
        libc = ctypes.CDLL(None)
        handle = ctypes.create_string_buffer(b'\\x80' + bytes(200))
        return libc.name_to_handle_at(-100, b'{_FILE}', handle, ctypes.byref(ctypes.c_int()), 0) == 0
        """,
    ),
    attempt("secret-copy", f"import shutil\nshutil.copy('{_FILE}', '/tmp/copy')\nreturn open('/tmp/copy').read()"),
    attempt(
        "secret-sqlite",
        f"import sqlite3\nreturn sqlite3.connect('file:{_FILE}?mode=ro', uri=True).execute('pragma schema_version')",
    ),
    attempt(
        "secret-import",
        f"""
        from importlib.machinery import SourceFileLoader
        return SourceFileLoader('x', '{_FILE}').get_data('{_FILE}')
        """,
    ),
    attempt("secret-linecache", f"import linecache\nreturn linecache.getline('{_FILE}', 1)"),
    attempt(
        "secret-xml",
        f"""
        from xml.sax import parse
        from xml.sax.handler import ContentHandler
        parse('{_FILE}', ContentHandler())
        return True
        """,
    ),
    attempt("secret-exists", f"import os\nreturn os.stat('{_FILE}').st_size", excused=_EXISTS),
    attempt("secret-access", f"import os\nreturn os.access('{_FILE}', os.F_OK)", excused=_EXISTS),
    attempt("folder-exists", "import os\nos.chdir('@CANARY@')\nreturn True", excused=_EXISTS),
    attempt("folder-listed", "import os\nreturn os.listdir('@CANARY@')"),
    attempt("folder-walked", "import os\nreturn [n for _, d, f in os.walk('@CANARY@') for n in d + f]"),
    attempt("folder-scanned", "import os\nos.chdir('@CANARY@')\nreturn list(os.scandir())"),
    attempt("passwords", "return open('/etc/passwd').read()"),
    attempt("hosts", "return any(open(p).read() for p in ('/etc/hosts', '/etc/hostname', '/etc/resolv.conf'))"),
    attempt("host-name", "import socket, os\nreturn open('/proc/sys/kernel/hostname').read()"),
    attempt("machine-id", "return open('/etc/machine-id').read() or open('/sys/class/dmi/id/product_uuid').read()"),
    either_way("environment", "import os\nreturn any('SEKRIT' in v or 'AWS' in k for k, v in os.environ.items())"),
    attempt(
        "environment-of-libc",
        "import ctypes\nget = ctypes.CDLL(None).getenv\nget.restype = ctypes.c_char_p\nreturn get(b'AWS_SECRET_ACCESS_KEY')",
    ),
    attempt("environment-of-process", "return open('/proc/self/environ').read()"),
    attempt("environment-of-parent", "import os\nreturn open('/proc/%d/environ' % os.getppid()).read()"),
    attempt("environment-of-first", "return open('/proc/1/environ').read()"),
    attempt(
        "own-stack-of-process",
        """
        import ctypes, sys
        libc = ctypes.CDLL(None)
        environ = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')
        n = 0
        while environ[n]:
            if b'SEKRIT' in environ[n]:
                return True
            n += 1
        """,
    ),
    attempt("proc-list", "import os\nreturn os.listdir('/proc')"),
    attempt("proc-of-parent", "import os\nreturn open('/proc/%d/cmdline' % os.getppid()).read()"),
    attempt("proc-maps", "return open('/proc/self/maps').read()"),
    attempt("proc-mounts", "return open('/proc/self/mounts').read() or open('/proc/mounts').read()"),
    attempt("proc-descriptors", "import os\nreturn os.listdir('/proc/self/fd')"),
    attempt("proc-net", "return open('/proc/net/tcp').read()"),
    attempt("proc-memory-info", "return open('/proc/meminfo').read() or open('/proc/cpuinfo').read()"),
    attempt("root-list", "import os\nreturn [n for n in os.listdir('/') if n in ('home', 'root', 'etc', 'var')]"),
    attempt("home-list", "import os\nreturn os.listdir(os.path.expanduser('~root')) or os.listdir('/home')"),
    attempt(
        "verifier-source",
        """
        import sys
        home = sys.orig_argv[sys.orig_argv.index('-c') + 2]
        return open(home + '/verify/python.py').read()
        """,
    ),
    either_way("verifier-modules", "import sys\nreturn [n for n in sys.modules if n.startswith('verify')]"),
    either_way(
        "request-of-supervisor",
        """
        import gc
        return any(isinstance(o, dict) and 'expected' in o and 'reference' in o for o in gc.get_objects())
        """,
    ),
    either_way(
        "more-descriptors",
        """
        import os, stat
        for fd in range(5, 1024):
            try:
                if not stat.S_ISDIR(os.fstat(fd).st_mode):
                    return True
            except OSError:
                pass
        """,
    ),
    attempt(
        "kernel-log", "import ctypes\nreturn ctypes.CDLL(None).klogctl(3, ctypes.create_string_buffer(99), 99) > 0"
    ),
    attempt("terminal", "return open('/dev/tty').fileno()"),
    attempt("shared-memory", "import os\nreturn os.listdir('/dev/shm')"),
    attempt(
        "devices", "import os\nreturn [n for n in os.listdir('/dev') if n not in ('null', 'zero', 'random', 'urandom')]"
    ),
    either_way(
        "peer-memory", "import os\nreturn os.pread(os.open('/proc/%d/mem' % os.getppid(), os.O_RDONLY), 9, 4096)"
    ),
    expression("docker-socket", "os.stat('/var/run/docker.sock').st_mode and open('/var/run/docker.sock')"),
    program(
        "searches-expected",
        """
        import os, re
        def scan(path):
            try:
                with open(path, 'rb') as file:
                    found = re.search(rb'token-[0-9]{6}-answer', file.read(1 << 20))
            except OSError:
                return
            if found:
                print(found[0].decode())
                raise SystemExit
        for root in ('.', '/tmp', '/dev/shm', '/var/tmp', '@CANARY@'):
            for folder, _, names in os.walk(root):
                for name in names[:20]:
                    scan(os.path.join(folder, name))
        for n in range(128):
            scan('/proc/self/fd/%d' % n)
            try:
                print(re.search(rb'token-[0-9]{6}-answer', os.pread(n, 1 << 20, 0))[0].decode())
            except (OSError, TypeError):
                pass
        """,
        "token-424242-answer\n",
    ),
    program(
        "searches-own-objects",
        """
        import gc
        for found in gc.get_objects():
            for item in gc.get_referents(found):
                if type(item) is str and item.startswith('token-4242') and len(item) == 19:
                    print(item)
        """,
        "token-424242-answer\n",
    ),
)
