"""A proxy between a store and an S3 server that breaks requests as a test tells it to."""

import contextlib
import http.client
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal[
    "ok", "cut before", "cut body", "lose reply", "cut reply", "reset", "503", "409", "403", "501", "unconditional"
]
_CODES = {"503": "SlowDown", "409": "ConditionalRequestConflict", "403": "AccessDenied", "501": "NotImplemented"}


@dataclass
class FaultyProxy:
    """State of the proxy: requests of ``method`` take one of ``faults`` each, then ``always``."""

    endpoint: str
    faults: list[Fault] = field(default_factory=list)
    always: Fault = "ok"
    method: str = "PUT"
    seen: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)  # as "GET /bucket?list-type=2&…"

    def next_fault(self, method: str) -> Fault:
        self.seen.append(method)
        if method != self.method:
            return "ok"
        return self.faults.pop(0) if self.faults else self.always


class _Server(ThreadingHTTPServer):
    """The proxy's own server; ``upstream`` is host:port of the S3 server."""

    request_queue_size = 128  # connections beyond it wait for seconds

    def __init__(self, proxy: FaultyProxy, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.proxy, self.upstream = proxy, upstream

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignores clients that were killed."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def relay(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.proxy.requests.append(f"{self.command} {self.path}")
        fault = self.server.proxy.next_fault(self.command)
        self.close_connection = True
        if fault == "cut body" or len(body) < length:
            self._open(body[: length // 2]).close()
        elif fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault in _CODES and (fault != "501" or "If-None-Match" in self.headers):  # 501 is for that header alone
            self._refuse(fault)
        elif fault != "cut before":
            self._forward(body, fault)

    do_GET = do_HEAD = do_PUT = do_DELETE = relay  # noqa: N815

    def _open(self, body: bytes) -> http.client.HTTPConnection:
        """Sends the request to the server, whatever length its headers promise."""
        connection = http.client.HTTPConnection(self.server.upstream)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() != "expect":
                connection.putheader(name, value)
        connection.endheaders(body)
        return connection

    def _forward(self, body: bytes, fault: Fault) -> None:
        if fault == "unconditional":
            del self.headers["If-None-Match"]
        connection = self._open(body)
        response = connection.getresponse()
        answer = response.read()
        connection.close()
        if fault == "cut reply":
            answer = answer[: len(answer) // 2]
        if fault != "lose reply":
            self._answer(response.status, response.getheaders(), answer)

    def _refuse(self, fault: Fault) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{_CODES[fault]}</Code><Message>As told.</Message></Error>"
        headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))]
        self._answer(int(fault), headers, text.encode())

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing."""


@contextlib.contextmanager
def faulty_proxy(upstream: str, given: FaultyProxy | None = None) -> Iterator[FaultyProxy]:
    """Serves as ``given`` decides; by default it breaks nothing until a test sets its faults."""
    proxy = given or FaultyProxy("")
    server = _Server(proxy, urlsplit(upstream).netloc)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
