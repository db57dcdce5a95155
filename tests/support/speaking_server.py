"""A small real HTTP server that speaks OpenAI's API, and fails in a way that the prompt chooses."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret"
PROMPT_TOKENS, TOKENS = 3, 5


class SpeakingServer(ThreadingHTTPServer):
    """The server. ``faults`` has a function for each start of a prompt; see Fault."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # an engine's requests overflow the default of 5, and TCP tries again after seconds

    def __init__(
        self, faults: "dict[str, Fault]", most_choices: int, wants_key: bool, place: tuple[str, int] = ("127.0.0.1", 0)
    ) -> None:
        super().__init__(place, Handler)
        self.owner = "somebody"
        self.faults, self.most_choices, self.wants_key = faults, most_choices, wants_key
        self.seen: list[dict[str, Any]] = []
        self.times: Counter[str] = Counter()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, *_: object) -> None:
        """Ignores clients that went away, which some tests do."""


class Handler(BaseHTTPRequestHandler):
    """Answers ``<prompt>`` to every prompt that no fault answers."""

    server: SpeakingServer
    prompt = ""

    def do_GET(self) -> None:
        if self.server.wants_key and self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
        if self.path == "/v1/models":
            owned = {"owned_by": self.server.owner}
            return self.answer(200, {"data": [{"id": "served", **owned}, {"id": "other", **owned}]})
        return self.answer(404, {"error": {"message": "no such model"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.prompt = prompt = body.get("prompt") or body["messages"][-1]["content"]
        with self.server.lock:
            self.server.seen.append({"path": self.path, "auth": self.headers["Authorization"], **body})
            self.server.times[prompt] += 1
        if self.server.wants_key and self.headers["Authorization"] != f"Bearer {KEY}":
            return self.answer(401, {"error": {"message": f"wrong key {self.headers['Authorization']}"}})
        if body["model"] != "served":
            return self.answer(404, {"error": {"message": f"The model {body['model']} does not exist."}})
        for start, fault in self.server.faults.items():
            if prompt.startswith(start) and fault(self, self.server.times[prompt]):
                return None
        return self.answer(200, self.samples(body, prompt))

    def samples(self, body: dict[str, Any], prompt: str) -> dict[str, Any]:
        count = min(body.get("n", 1), self.server.most_choices)
        said = f"<{prompt}>"
        text = {"text": said} if "prompt" in body else {"message": {"role": "assistant", "content": said}}
        usage = {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": TOKENS * count}
        usage["total_tokens"] = PROMPT_TOKENS + TOKENS * count
        choices = [{**text, "finish_reason": "stop", "index": 0}] * count
        return {"id": "1", "created": 0, "model": "served", "choices": choices, "usage": usage}

    def answer(self, code: int, body: object, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


Fault = Callable[[Handler, int], bool]  # called with how often the prompt has come; True if it has answered


def answers(code: int, body: object, first: int = 1, **headers: str) -> Fault:
    """Returns a fault that gives this answer the first ``first`` times that a prompt comes."""

    def fault(handler: Handler, times: int) -> bool:
        if times <= first:
            handler.answer(code, body, **headers)
        return times <= first

    return fault


def cuts(handler: Handler, times: int) -> bool:
    """Ends the connection in the middle of the answer, the first time."""
    if times == 1:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [')
        handler.close_connection = True
    return times == 1


def dawdles(handler: Handler, times: int) -> bool:
    """Delays the answer by a second, the first time."""
    if times == 1:
        time.sleep(1.0)
    return False


@contextmanager
def speaking(
    faults: dict[str, Fault] | None = None,
    most_choices: int = 100,
    wants_key: bool = True,
    place: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[SpeakingServer]:
    with SpeakingServer(faults or {}, most_choices, wants_key, place) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
