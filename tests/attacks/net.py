"""Attempts to reach anybody: loopback, abstract names, other families, abuse of a stream pair."""

from tests.attacks.case import either_way, expression

_FAMILIES = ("INET", "INET6", "NETLINK", "PACKET", "UNIX", "VSOCK", "ALG", "BLUETOOTH", "CAN", "TIPC", "QIPCRTR")

CASES = (
    expression("tcp", "socket.create_connection(('127.0.0.1', @PORT@), 1)", "socket"),
    expression("udp", "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', @PORT@))", "socket"),
    expression("any-address", "socket.create_connection(('0.0.0.0', @PORT@), 1)", "socket"),
    expression(
        "mapped-address", "s = socket.socket(socket.AF_INET6); s.connect(('::ffff:127.0.0.1', @PORT@))", "socket"
    ),
    expression("abstract", "s = socket.socket(socket.AF_UNIX); s.connect(b'\\0@ABSTRACT@')", "socket"),
    expression(
        "abstract-datagram",
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', b'\\0@ABSTRACT@-d')",
        "socket",
    ),
    *(
        expression(f"family-{name.lower()}", f"socket.socket(socket.AF_{name}, socket.SOCK_{kind})", "socket")
        for name, kind in zip(
            _FAMILIES,
            ("STREAM", "DGRAM", "RAW", "RAW", "STREAM", "STREAM", "SEQPACKET", "RAW", "RAW", "RDM", "DGRAM"),
            strict=True,
        )
    ),
    expression("listen", "s = socket.create_server(('127.0.0.1', 0))", "socket"),
    expression("raw-call", "0 <= ctypes.CDLL(None).syscall(41, 2, 1, 0) or 1 / 0", "ctypes"),
    expression("datagram-pair", "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)", "socket"),
    expression("packet-pair", "socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)", "socket"),
    expression("inet-pair", "socket.socketpair(socket.AF_INET)", "socket"),
    expression("pair-bound", "socket.socketpair()[0].bind(b'\\0own')", "socket"),
    expression("pair-connected", "socket.socketpair()[0].connect(b'\\0@ABSTRACT@')", "socket"),
    expression("pair-sends-elsewhere", "socket.socketpair()[0].sendto(b'x', b'\\0@ABSTRACT@')", "socket"),
    expression("pair-listens", "socket.socketpair()[0].listen()", "socket"),
    expression("descriptor-passed", "a, b = socket.socketpair(); socket.send_fds(a, [b'x'], [1])", "socket"),
    either_way(
        "channel-bound",
        """
        import socket
        for fd in range(3, 64):
            try:
                socket.socket(fileno=fd).sendto(b'x', b'\\0@ABSTRACT@')
                return True
            except OSError:
                pass
        """,
    ),
    either_way(
        "peer-process",
        """
        import ctypes, os, socket
        for fd in (3, 4):
            try:
                pidfd = socket.socket(fileno=fd).getsockopt(socket.SOL_SOCKET, 77)
            except OSError:
                continue
            if ctypes.CDLL(None).syscall(424, pidfd, 0, 0, 0) == 0 or ctypes.CDLL(None).syscall(438, pidfd, 0, 0) >= 0:
                return True
        """,
    ),
    expression("name-look-up", "socket.getaddrinfo('localhost', 80)", "socket", wall_s=1.0),
    expression(
        "http", "urllib.request.urlopen('http://127.0.0.1:@PORT@/latest/meta-data', timeout=1)", "urllib.request"
    ),
    expression("ftp", "ftplib.FTP('127.0.0.1', timeout=1)", "ftplib"),
    expression("mail", "smtplib.SMTP('127.0.0.1', @PORT@, timeout=1)", "smtplib"),
    expression("asyncio", "asyncio.run(asyncio.open_connection('127.0.0.1', @PORT@))", "asyncio"),
    expression("x-display", "open('/tmp/.X11-unix/X0')"),
    expression("system-bus", "socket.socket(socket.AF_UNIX).connect('/run/dbus/system_bus_socket')", "socket"),
    expression("message-queue", "0 <= ctypes.CDLL(None).syscall(240, b'x', 0o102, 0o600, 0) or 1 / 0", "ctypes"),
    expression("shared-segment", "0 <= ctypes.CDLL(None).shmget(4242, 4096, 0o1666) or 1 / 0", "ctypes"),
    expression("semaphore", "0 <= ctypes.CDLL(None).semget(4242, 1, 0o1666) or 1 / 0", "ctypes"),
    expression(
        "shared-memory",
        "shared_memory.SharedMemory('troop-attack', create=True, size=64)",
        "multiprocessing.shared_memory as shared_memory",
    ),
)
