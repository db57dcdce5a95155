"""A proxy between a store and an S3 server that breaks the requests it is told to break."""

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
    "ok", "cut before", "cut body", "lose reply", "cut reply", "reset", "503", "409", "403", "unconditional"
]
_CODES = {"503": "SlowDown", "409": "ConditionalRequestConflict", "403": "AccessDenied"}


@dataclass
class FaultyProxy:
    """``faults`` are taken one per request of ``method``, and then it behaves; ``always`` applies to all of them."""

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
    request_queue_size = 128  # what overflows it waits for seconds

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed is no news."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


@contextlib.contextmanager
def faulty_proxy(upstream: str, given: FaultyProxy | None = None) -> Iterator[FaultyProxy]:
    """Serves as ``given`` decides; by default it behaves until it is told otherwise."""
    proxy = given or FaultyProxy("")
    address = urlsplit(upstream).netloc

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def relay(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            proxy.requests.append(f"{self.command} {self.path}")
            fault = proxy.next_fault(self.command)
            self.close_connection = True
            if fault == "cut body" or len(body) < length:
                self._open(body[: length // 2]).close()
                return None
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return None
            if fault in _CODES:
                return self._refuse(fault)
            if fault == "cut before":
                return None
            if fault == "unconditional":
                del self.headers["If-None-Match"]
            status, headers, answer = self._forward(body)
            if fault == "lose reply":
                return None
            return self._answer(status, headers, answer[: len(answer) // 2] if fault == "cut reply" else answer)

        do_GET = do_HEAD = do_PUT = do_DELETE = relay  # noqa: N815

        def _open(self, body: bytes) -> http.client.HTTPConnection:
            """The request on its way to the server, whatever length its headers promise."""
            connection = http.client.HTTPConnection(address)
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "expect":
                    connection.putheader(name, value)
            connection.endheaders(body)
            return connection

        def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = self._open(body)
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            return response.status, response.getheaders(), answer

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
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
