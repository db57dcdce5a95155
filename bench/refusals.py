"""Runs that cannot go well, each on a real Ray of two nodes with a real S3 server: what is said, when, at what cost.

``python -m bench.refusals`` prints a table: exit code, seconds from the command to its end, samples drawn, objects left
in the run, and the line. Words after it choose situations whose names have one of them; ``others`` are the last four.
It needs Linux with user namespaces (``unshare``), in which one node lacks what the other has.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.store.base import Store
from jobs.store.open import open_store

ROOT = Path(__file__).parent.parent
MODEL = ROOT / "examples" / "demo" / "models" / "small"
TROOP = [sys.executable, "-P", "-m", "jobs"]
RAY = [sys.executable, "-P", "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats"]
APART = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--keep-caps", "--mount", "sh", "-c"]
WITHOUT_POWERS = 'exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'  # they were for the mount alone
ANY_PORT = ("--dashboard-agent-listen-port", "--runtime-env-agent-port", "--metrics-export-port")
BUCKET, HEAD, WORKER, START_S = "refusals", "127.0.0.1", "127.0.0.2", 240.0
LONGEST_S = 300.0
ALIVE = 0  # GcsNodeInfo.GcsNodeState
PROBLEMS = [{"id": f"p{i}", "prompt": f"{i}+1=", "verifier": "exact", "reference": {"answer": f"{i + 1}"},
             "solution": f"{i + 1}"} for i in range(5)]  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """One run that cannot go well.

    ``changes`` are keys of the sweep, ``worker`` and ``driver`` variables of the second node and of the command; None
    takes a variable away. ``hidden`` is a folder that the second node does not see. With ``confined`` no process there
    may make a user namespace, which the tier ``isolated`` needs.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    worker: Mapping[str, str | None] = field(default_factory=dict)
    driver: Mapping[str, str | None] = field(default_factory=dict)
    hidden: str = ""
    confined: bool = False


@dataclass(frozen=True)
class Told:
    """The end of one command."""

    situation: str
    code: int
    lines: tuple[str, ...]
    seconds: float
    samples: int
    objects: int


@dataclass(frozen=True)
class Place:
    """A folder, the S3 server and the head of a cluster; ``env`` is what a process needs that lacks nothing."""

    folder: Path
    server: Any
    env: Mapping[str, str]
    address: str
    dashboard: str

    @property
    def bucket(self) -> str:
        return f"s3://{BUCKET}/runs"

    def sweep(self, name: str, changes: Mapping[str, Any]) -> Path:
        """Writes a sweep of gold solutions; YAML reads JSON."""
        (self.folder / "problems.jsonl").write_text("".join(json.dumps(one) + "\n" for one in PROBLEMS))
        gold = {"name": "gold", "path": "gold", "engine": "replay"}
        task = {"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}
        sweep = {
            "name": name,
            "store": self.bucket,
            "models": [gold],
            "tasks": [task],
            "k": 40,
            "verify": {},
            **changes,
        }
        sweep.setdefault("store_options", {"endpoint_url": self.server.endpoint})
        path = self.folder / f"{name}.yaml"
        path.write_text(json.dumps(sweep))
        return path

    def store(self, sweep: Path) -> Store:
        """Opens the run of a sweep with good keys."""
        given = json.loads(sweep.read_text())
        where = f"{given['store']}/{given['name']}"
        return open_store(where, self.server.options() if where.startswith("s3:") else None)


def measure(words: Sequence[str] = ()) -> list[Told]:
    """Makes every situation, or those with one of ``words`` in their names; takes some minutes."""
    from tests.support.s3_server import swift_server

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rf-", dir="/tmp")))  # short, for sockets
        server = stack.enter_context(swift_server(folder / "swift"))
        os.environ.update(server.environment())
        server.client().create_bucket(Bucket=BUCKET)
        place = stack.enter_context(_cluster(folder, server))
        told = [_with_worker(place, one) for one in _on_nodes(place) if _asked(one.name, words)]
        others = (
            [*_smaller_k(place), *_submissions(place), *_two_drivers(place)] if not words or "others" in words else []
        )
        return [*told, *others]


def _asked(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _on_nodes(place: Place) -> list[Situation]:
    """Returns the situations in which the second node lacks what the driver has."""
    from tests.support.s3_server import READER_KEY, READER_SECRET

    place.server.client().put_bucket_acl(Bucket=BUCKET, ACL="public-read")
    reader = {"AWS_ACCESS_KEY_ID": READER_KEY, "AWS_SECRET_ACCESS_KEY": READER_SECRET}
    model = place.folder / "model"
    shutil.copytree(MODEL, model)
    (shared := place.folder / "shared").mkdir()
    small = {"name": "small", "path": str(model), "device": "cpu"}
    by_variable = {"AWS_ENDPOINT_URL_S3": place.server.endpoint}
    elsewhere = {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{_free_port()}"}
    return [
        Situation("no credentials on a node", worker=dict.fromkeys(reader)),
        Situation("a node's keys may only read", worker=reader),
        Situation("wrong region on a node", worker={"AWS_DEFAULT_REGION": "eu-west-1"}),
        Situation("wrong endpoint on a node", {"store_options": {}}, elsewhere, by_variable),
        Situation(
            "wrong region in the sweep",
            {"store_options": {"endpoint_url": place.server.endpoint, "region": "eu-west-1"}},
        ),
        Situation("wrong endpoint in the sweep", {"store_options": {"endpoint_url": elsewhere["AWS_ENDPOINT_URL_S3"]}}),
        Situation("no credentials anywhere", driver=dict.fromkeys(reader), worker=dict.fromkeys(reader)),
        Situation("a folder that a node does not see", {"store": str(shared)}, hidden=str(shared)),
        Situation("a model's folder that a node lacks", {"models": [small]}, hidden=str(model)),
        Situation("a tier that a node cannot give", {"verify": {"tier": "isolated"}}, confined=True),
        Situation("nothing is wrong"),
    ]


def _with_worker(place: Place, situation: Situation) -> Told:
    sweep = place.sweep(situation.name.replace(" ", "-").replace("'", ""), situation.changes)
    with _node(place, situation):
        words = ["run", str(sweep), "--address", place.address, "--no-report"]
        return _tell(place, situation.name, words, sweep, situation.driver)


def _smaller_k(place: Place) -> Iterator[Told]:
    sweep = place.sweep("lowered", {"stop": {"until": "2020-01-01T00:00:00Z"}})  # the plan is written, nothing drawn
    words = ["run", str(sweep), "--address", place.address, "--no-report"]
    _tell(place, "", words, sweep)
    yield _tell(place, "k lowered from 40 to 2", [*words, "--set", "k=2"], sweep)


def _submissions(place: Place) -> Iterator[Told]:
    """Submits from a folder that has modules of our names, and a sweep whose problems would not travel."""
    folder = place.folder / "work"
    folder.mkdir()
    inside = Place(folder, place.server, place.env, place.address, place.dashboard)
    sweep = inside.sweep("submitted", {})
    for name in ("jobs", "verify", "cluster", "sampling"):
        (folder / f"{name}.py").write_text("raise SystemExit(0)\n")
    words = ["submit", str(sweep), "--address", place.dashboard]
    yield _tell(inside, "a folder with its own jobs.py, verify.py, …", words, sweep)
    task = {"name": "sums", "kind": "jsonl", "path": "../problems.jsonl"}
    sweep = inside.sweep("outside", {"tasks": [task]})
    yield _tell(inside, "problems outside the folder that travels", ["submit", str(sweep), *words[2:]], sweep)


def _two_drivers(place: Place) -> list[Told]:
    """Starts two drivers of one run at once: each ends well, and the second line counts what was drawn twice."""
    sweep = place.sweep("shared-run", {"k": 400, "unit": 20})
    words = ["run", str(sweep), "--address", place.address, "--no-report"]
    began = time.monotonic()
    both = [_start(place, words, {}) for _ in range(2)]
    ended = [(*one.communicate(), one.returncode) for one in both]
    seconds, drawn = time.monotonic() - began, _drawn(place.store(sweep))
    lines = tuple(line for _, said, _ in ended for line in said.splitlines()[-1:])
    return [Told("two drivers of 2,000 samples at once", max(code for *_, code in ended), lines, seconds, *drawn)]


def _tell(
    place: Place, name: str, words: Sequence[str], sweep: Path, changes: Mapping[str, str | None] | None = None
) -> Told:
    began = time.monotonic()
    with _start(place, words, changes or {}) as process:
        try:
            _, said = process.communicate(timeout=LONGEST_S)
        finally:
            process.kill()
    seconds = time.monotonic() - began
    told = Told(name, process.returncode, tuple(said.splitlines()), seconds, *_drawn(place.store(sweep)))
    print(f"{name}: {told.code} after {seconds:.1f} s: {said.strip()}", file=sys.stderr, flush=True)
    return told


def _start(place: Place, words: Sequence[str], changes: Mapping[str, str | None]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*TROOP, *words], cwd=place.folder, env=_changed(place.env, changes), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def _drawn(store: Store) -> tuple[int, int]:
    """Returns the rows of all samples files, and the number of objects in the run."""
    keys = [info.key for info in store.list("")]
    files = [key for key in keys if "samples/" in key and key.endswith(".parquet")]
    return sum(pq.read_metadata(pa.BufferReader(store.get(key))).num_rows for key in files), len(keys)


def _changed(env: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**env, **changes}.items() if value is not None}


@contextmanager
def _cluster(folder: Path, server: Any) -> Iterator[Place]:
    port, dashboard = _free_port(), _free_port()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, **server.environment(), "PATH": path, "RAY_AUTH_MODE": "disabled", "HOME": str(folder)}
    place = Place(folder, server, env, f"{HEAD}:{port}", f"http://{HEAD}:{dashboard}")
    words = ["--head", "--port", str(port), "--dashboard-port", str(dashboard), "--temp-dir", str(folder / "ray")]
    with _ray([*RAY, *words, "--node-ip-address", HEAD, *_some(1)], env, lambda: _answers(HEAD, dashboard)):
        yield place


@contextmanager
def _node(place: Place, situation: Situation) -> Iterator[None]:
    """Joins a node that lacks what the situation says, in namespaces of its own; it leaves at the end."""
    hide = f"mount -t tmpfs none {situation.hidden} &&" if situation.hidden else ""
    confine = "echo 0 > /proc/sys/user/max_user_namespaces &&" if situation.confined else ""
    words = [*RAY, "--address", place.address, "--node-ip-address", WORKER, *_some(1)]
    apart, env = [*APART, f"{hide} {confine} {WITHOUT_POWERS}", "node"], _changed(place.env, situation.worker)
    with _ray([*apart, *words], env, lambda: _living(place.address) == 2):
        yield
    _wait(lambda: _living(place.address) == 1)


def _living(address: str) -> int:
    """Returns how many nodes the cluster has; 0 where it does not answer."""
    from ray.exceptions import RpcError

    try:
        nodes = _client(address).get_all_node_info(timeout=30).values()
    except RpcError:  # a busy machine's
        return 0
    return sum(node.state == ALIVE for node in nodes)


@cache
def _client(address: str) -> Any:
    from ray._raylet import GcsClient  # type: ignore[attr-defined]

    return GcsClient(address=address)


def _some(cpus: int) -> list[str]:
    ports = [word for name in ANY_PORT for word in (name, "0")]
    return [*ports, "--num-cpus", str(cpus), "--object-store-memory", str(100 << 20)]


@contextmanager
def _ray(words: Sequence[str], env: Mapping[str, str], ready: Callable[[], bool]) -> Iterator[None]:
    """Runs ``ray start`` until it is ready; ends it and all that it started. Raises TimeoutError if it gives up."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(words, env=dict(env), stdout=log, stderr=log, start_new_session=True)
        try:
            _wait(lambda: process.poll() is not None or ready())
            if process.poll() is not None:
                raise TimeoutError("ray start gave up; is the machine very busy?")
            yield
        finally:
            below = psutil.Process(process.pid).children(recursive=True)
            for one in (process, *below):
                with suppress(psutil.NoSuchProcess):
                    one.kill()
            process.wait(timeout=30)


def _wait(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a Ray has not done it in {START_S:g} s")
        time.sleep(0.5)


def _answers(host: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((host, port)) == 0


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((HEAD, 0))
        return int(free.getsockname()[1])


def as_markdown(told: Sequence[Told]) -> str:
    """Formats a table; of several lines the last, with how many there were."""
    rows = ["| situation | exit | seconds | samples | objects left | line |", "|---|---:|---:|---:|---:|---|"]
    for one in told:
        more = f" ({len(one.lines)} lines)" if len(one.lines) > 1 else ""
        line = one.lines[-1].replace("|", "\\|") if one.lines else ""
        rows.append(
            f"| {one.situation} | {one.code} | {one.seconds:.1f} | {one.samples:,} | {one.objects} | {line}{more} |"
        )
    return "\n".join(rows)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no Ray is left
    print(as_markdown(measure(sys.argv[1:])))
    print(f"\nLoad when it ended: {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores.")
