"""A data set's side of the Hugging Face hub on loopback: creation, large files, one commit; enough for an upload."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Hub:
    """Content of the hub: the files of the data set's only commit, and large files that no commit names yet."""

    url: str = ""
    created: dict[str, Any] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    refuse_commits: bool = False


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Runs a hub until the end of the block."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        if self.hub.created is None or "/tree/" not in self.path:
            self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        else:
            self._answer(
                [
                    {"type": "file", "path": path, "size": len(data), "oid": "0" * 40}
                    for path, data in self.hub.files.items()
                ]
            )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.tokens.add(self.headers.get("Authorization") or "")
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            self.hub.created = json.loads(body)
            self._answer({"url": f"{self.hub.url}/datasets/me/made", "name": "me/made"})
        elif "/preupload/" in path:
            files = [{"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(".parquet") else "regular",
                      "shouldIgnore": False} for one in json.loads(body)["files"]]  # fmt: skip
            self._answer({"files": files})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [{"oid": one["oid"], "size": one["size"],
                        "actions": {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}}
                       for one in json.loads(body)["objects"]]  # fmt: skip
            self._answer({"transfer": "basic", "objects": objects})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif "/commit/" in path:
            self._commit([json.loads(line) for line in body.splitlines()])
        else:
            self._answer({"error": path}, 404)

    def do_PUT(self) -> None:
        data = self._body()
        digest = self.path.rpartition("/")[2]
        assert hashlib.sha256(data).hexdigest() == digest
        self.hub.large[digest] = data
        self._answer({})

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        if self.hub.refuse_commits:
            self._answer({"error": "Forbidden"}, 403)
            return
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                self.hub.commits.append(value["summary"])
            elif line["key"] == "lfsFile":
                self.hub.files[value["path"]] = self.hub.large[value["oid"]]
            elif line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
        self._answer({"commitUrl": f"{self.hub.url}/datasets/me/made/commit/{'0' * 40}", "commitOid": "0" * 40,
                      "hookOutput": ""})  # fmt: skip

    def _answer(self, content: object, code: int = 200, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(code)
        for name, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(data)),
            **(headers or {}),
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
