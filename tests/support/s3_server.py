"""S3 servers for tests: moto, and a real one, OpenStack Swift with its S3 interface.

Swift comes from the package index, into an environment of its own that is kept between runs: it needs eventlet, which
changes much of Python, and Troop must not depend on it. Without a network its tests are skipped, with the reason.
"""

import contextlib
import fcntl
import getpass
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import boto3.session
import pytest
from botocore.config import Config

from jobs.store.base import Store, StoreOptions
from jobs.store.open import open_store

SWIFT = "swift==2.38.3"
SWIFT_KEY, SWIFT_SECRET = "troop:tester", "TESTSECRETKEY"
READER_KEY, READER_SECRET = "troop:reader", "READERSECRETKEY"  # may read a bucket whose ACL says so, and nothing else
_PARTS = ("account", "container", "object")


class CannotStart(Exception):
    """The server cannot start; the message is the reason for which its tests are skipped."""


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """Returns the variables that the standard AWS chain reads."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:
        """Returns a plain client, for requests that Troop never makes."""
        return _new_client(self.endpoint, self.access_key, self.secret_key)

    def options(self, **more: object) -> StoreOptions:
        return StoreOptions.model_validate({"endpoint_url": self.endpoint, **more})

    def new_store(self, monkeypatch: pytest.MonkeyPatch, **more: object) -> Store:
        """Returns a store in a bucket of its own, and puts this server's credentials into the environment."""
        for name, value in self.environment().items():
            monkeypatch.setenv(name, value)
        bucket = f"troop-{uuid.uuid4().hex}"
        _shared_client(self.endpoint, self.access_key, self.secret_key).create_bucket(Bucket=bucket)
        return open_store(f"s3://{bucket}/runs/first one", self.options(**more))


def _new_client(endpoint: str, access_key: str, secret_key: str) -> Any:
    session = boto3.session.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name="us-east-1"
    )
    patient = Config(retries={"mode": "standard", "total_max_attempts": 8})  # a server on a busy machine says 503
    return session.client("s3", endpoint_url=endpoint, config=patient)


_shared_client = lru_cache(maxsize=4)(
    _new_client
)  # for the buckets of all tests: each client costs a tenth of a second


@contextlib.contextmanager
def moto_server() -> Iterator[S3Server]:
    """Starts moto, which knows the requests but answers them from a dictionary.

    It runs in a process of its own: the globals of its web framework break code that inspects all modules, as torch's
    import does.
    """
    (port,) = _free_ports(1)
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        if not _answers(f"http://127.0.0.1:{port}/moto-api/", [process]):
            raise CannotStart("moto does not answer")
        yield S3Server(f"http://127.0.0.1:{port}", "testing", "testing")
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass(frozen=True)
class SwiftServer(S3Server):
    """A running Swift. ``proxy`` holds the process that clients talk to."""

    folder: Path
    proxy: list[subprocess.Popen[bytes]]

    def rotate_keys(self) -> "SwiftServer":
        """Replaces the keys: the server that is returned has good ones, and the old ones are refused."""
        fresh = replace(self, access_key=f"troop:u{uuid.uuid4().hex[:8]}", secret_key=uuid.uuid4().hex)
        config = self.folder / "etc/proxy-server.conf"
        old, new = (f"user_{s.access_key.replace(':', '_')} = {s.secret_key} " for s in (self, fresh))
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new))
        _stop(self.proxy)
        self.proxy[:] = [_start(self.folder, _swift_python(), "proxy")]
        _wait_for(f"{self.endpoint}/healthcheck", self.proxy, self.folder)
        return fresh


@contextlib.contextmanager
def swift_server(folder: Path) -> Iterator[SwiftServer]:
    """Starts a real S3 server on a free port; raises CannotStart."""
    python = _swift_python()
    endpoint = f"http://127.0.0.1:{_lay_out(folder, python)}"
    storage, proxy = [_start(folder, python, part) for part in _PARTS], [_start(folder, python, "proxy")]
    try:
        _wait_for(f"{endpoint}/healthcheck", storage + proxy, folder)
        yield SwiftServer(endpoint, SWIFT_KEY, SWIFT_SECRET, folder, proxy)
    finally:
        _stop(storage + proxy)


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    for process in processes:
        process.wait(timeout=10)


def _swift_python() -> Path:
    """Returns the interpreter of an environment with Swift; the first call creates it in about ten seconds."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "troop-tests"
    home.mkdir(parents=True, exist_ok=True)
    env = home / f"{SWIFT.replace('==', '-')}-py{sys.version_info.major}.{sys.version_info.minor}"
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (env / "complete").exists():
            _run([sys.executable, "-m", "venv", "--clear", str(env)])
            _run([str(env / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", SWIFT])
            (env / "complete").touch()
    return env / "bin/python"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise CannotStart(f"{' '.join(command[-2:])}: {last[0]}")


def _lay_out(folder: Path, python: Path) -> int:
    """Writes rings and configuration of one node with one disk; returns the port of its proxy."""
    for name in ("etc", "disk/d1", "log", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    ports = _free_ports(4)
    salt = "[swift-hash]\nswift_hash_path_prefix = troop\nswift_hash_path_suffix = troop\n"
    (folder / "etc/swift.conf").write_text(salt + "[storage-policy:0]\nname = Policy-0\ndefault = yes\n")
    _run([str(python), "-c", _RINGS, str(folder / "etc"), *map(str, ports[1:])])
    for part, port in zip(_PARTS, ports[1:], strict=True):
        pipeline = f"[pipeline:main]\npipeline = {part}-server\n[app:{part}-server]\nuse = egg:swift#{part}\n"
        own = f"devices = {folder}/disk\nmount_check = false\nfallocate_reserve = 0\ndisable_fallocate = true\n"
        recon = f"recon_cache_path = {folder}/cache\n"
        (folder / f"etc/{part}-server.conf").write_text(_default(folder, port) + own + pipeline + recon)
    (folder / "etc/proxy-server.conf").write_text(_default(folder, ports[0]) + _PROXY)
    return ports[0]


def _default(folder: Path, port: int) -> str:
    return dedent(f"""\
        [DEFAULT]
        bind_ip = 127.0.0.1
        bind_port = {port}
        workers = 0
        swift_dir = {folder}/etc
        user = {getpass.getuser()}
        log_level = WARNING
        """)


_RINGS = dedent("""\
    import sys
    from swift.common.ring import RingBuilder
    for part, port in zip(("account", "container", "object"), sys.argv[2:]):
        builder = RingBuilder(4, 1, 0)
        where = dict(ip="127.0.0.1", port=int(port), replication_ip="127.0.0.1", replication_port=int(port))
        builder.add_dev(dict(region=1, zone=1, weight=1.0, device="d1", **where))
        builder.rebalance()
        builder.get_ring().save(f"{sys.argv[1]}/{part}.ring.gz")
    """)
_PROXY = dedent("""\
    [pipeline:main]
    pipeline = catch_errors gatekeeper healthcheck listing_formats bulk s3api tempauth slo symlink proxy-server
    [app:proxy-server]
    use = egg:swift#proxy
    allow_account_management = true
    account_autocreate = true
    [filter:s3api]
    use = egg:swift#s3api
    location = us-east-1
    [filter:tempauth]
    use = egg:swift#tempauth
    user_troop_tester = TESTSECRETKEY .admin
    user_troop_reader = READERSECRETKEY
    """) + "".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in ("catch_errors", "gatekeeper", "healthcheck", "listing_formats", "bulk", "slo", "symlink")
)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _start(folder: Path, python: Path, part: str) -> subprocess.Popen[bytes]:
    command = [str(python), str(python.parent / f"swift-{part}-server"), str(folder / f"etc/{part}-server.conf")]
    with (folder / f"log/{part}.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _wait_for(url: str, processes: list[subprocess.Popen[bytes]], folder: Path) -> None:
    if not _answers(url, processes):
        logs = " ".join(path.read_text(errors="replace")[-300:] for path in sorted((folder / "log").iterdir()))
        raise CannotStart(f"Swift does not answer at {url}: {' '.join(logs.split())}")


def _answers(url: str, processes: list[subprocess.Popen[bytes]]) -> bool:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and all(process.poll() is None for process in processes):
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=1):
            return True
        time.sleep(0.1)
    return False
