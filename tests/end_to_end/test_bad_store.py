"""Tests of stores that cannot be used and prefixes that must not be: one line, exit code 2, nothing overwritten.

They use the real command line, and a real S3 server for its error messages.
"""

import contextlib
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.store import s3
from jobs.store.base import Store
from jobs.store.open import open_store
from tests.conftest import PROBLEMS, Finished, Troop, WriteSweep
from tests.support.faulty_proxy import faulty_proxy
from tests.support.s3_server import READER_KEY, READER_SECRET, S3Server

GOLD = {"path": "gold", "engine": "replay", "k": 4}


@pytest.fixture(autouse=True)
def fresh_clients() -> Iterator[None]:
    """Drops cached clients, which keep their first credentials."""
    s3._build_client.cache_clear()
    yield
    s3._build_client.cache_clear()


def assert_refused(found: Finished, *words: str) -> None:
    """Checks that a command ended with exit code 2 and one line with these words."""
    assert found.code == 2, found
    lines = found.err.strip().splitlines()
    assert len(lines) == 1, found.err
    assert not [word for word in words if word not in lines[0]], lines[0]


def contents(store: Store) -> dict[str, bytes]:
    return {info.key: store.get(info.key) for info in store.list("")}


# A bucket


@pytest.fixture
def bucket(swift: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    return swift.new_store(monkeypatch)


@pytest.fixture
def run_in(troop: Troop, write_sweep: WriteSweep, bucket: Store) -> Callable[..., Finished]:
    """Returns a function that calls ``troop run`` into the bucket, or into another place."""

    def run(uri: str = "", **options: object) -> Finished:
        given = {"endpoint_url": bucket.options.endpoint_url} | options  # type: ignore[attr-defined]
        sweep = write_sweep(store=uri or bucket.uri, store_options=given)
        return troop("run", sweep, "--local", "--no-report")

    return run


def test_a_bucket_that_is_missing(run_in: Callable[..., Finished]) -> None:
    assert_refused(run_in("s3://no-such-bucket/runs"), "s3://no-such-bucket/runs/sums", "NoSuchBucket")


def test_a_bucket_that_is_read_only(
    run_in: Callable[..., Finished], bucket: Store, swift: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with contextlib.closing(swift.client()) as client:
        client.put_bucket_acl(Bucket=bucket.bucket, ACL="public-read")  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", READER_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", READER_SECRET)
    assert_refused(run_in(), bucket.uri, "AccessDenied")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", swift.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", swift.secret_key)
    s3._build_client.cache_clear()
    assert contents(bucket) == {}


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_credentials_that_are_wrong(
    run_in: Callable[..., Finished], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "troop:nobody")
    assert_refused(run_in(), "SignatureDoesNotMatch", "s3://")


def test_a_profile_that_is_not_there(run_in: Callable[..., Finished]) -> None:
    assert_refused(run_in(profile="nobody"), "nobody", "could not be found")


def test_a_region_that_is_wrong(run_in: Callable[..., Finished]) -> None:
    assert_refused(run_in(region="eu-west-1"), "AuthorizationHeaderMalformed", "us-east-1")


def test_an_endpoint_that_refuses(run_in: Callable[..., Finished]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert_refused(run_in(endpoint_url=endpoint), endpoint, "Could not connect")


class _Page(http.server.BaseHTTPRequestHandler):
    """Answers every request with the page of its class."""

    status, page = 200, b""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.page)))
        self.end_headers()
        self.wfile.write(self.page)

    do_GET = do_PUT = answer  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "page"),
    [(200, b"<html><body>hello</body></html>"), (200, b"it works"), (404, b"<html>nothing here"), (403, b"no")],
)
def test_an_endpoint_that_is_some_web_server(run_in: Callable[..., Finished], status: int, page: bytes) -> None:
    handler = type("Handler", (_Page,), {"status": status, "page": page})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            endpoint = f"http://127.0.0.1:{server.server_address[1]}"
            assert_refused(run_in(endpoint_url=endpoint), endpoint, "S3 service")
        finally:
            server.shutdown()
            thread.join()


def test_a_store_without_conditional_puts_is_refused_unless_allowed(
    troop: Troop, write_sweep: WriteSweep, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = moto.new_store(monkeypatch).uri
    with faulty_proxy(moto.endpoint) as proxy:
        proxy.always = "unconditional"
        sweep = write_sweep(store=uri, store_options={"endpoint_url": proxy.endpoint})
        assert_refused(troop("run", sweep, "--local", "--no-report"), "create-only", "--allow-weak-store")
        assert contents(open_store(uri, moto.options())) == {}
        assert troop("run", sweep, "--local", "--no-report", "--allow-weak-store").code == 0


# A prefix that holds something else


@pytest.fixture
def started(troop: Troop, write_sweep: WriteSweep, store: Store, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commits a run in each kind of store; returns its sweep."""
    options = store.options.model_dump() if hasattr(store, "options") else {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", options.get("endpoint_url") or "")
    sweep = write_sweep(store=store.uri, store_options=options)
    assert troop("run", sweep, "--local", "--no-report").code == 0
    return sweep


def test_a_prefix_that_holds_another_run(troop: Troop, write_sweep: WriteSweep, started: Path, store: Store) -> None:
    before = contents(store)
    options = store.options.model_dump() if hasattr(store, "options") else {}
    sweep = write_sweep(
        store=store.uri,
        store_options=options,
        models=[{"name": "other", **GOLD}],
        tasks=[{"name": "others", "kind": "jsonl", "path": "problems.jsonl"}],
    )
    for command in (["plan"], ["run", "--local"]):
        assert_refused(troop(command[0], sweep, *command[1:]), "another run", "models: gold", "tasks: sums")
    assert contents(store) == before


def test_results_without_their_plan_are_not_taken_over(troop: Troop, started: Path, store: Store) -> None:
    store.delete("sums/plan.json")
    before = contents(store)
    assert_refused(troop("run", started, "--local"), "sums", "no plan.json")
    assert contents(store) == before


def test_a_plan_that_is_damaged(troop: Troop, started: Path, store: Store) -> None:
    plan = store.get("sums/plan.json")
    for broken in (plan.replace(b'"last_sample": 4', b'"last_sample": 5'), plan[:-20], b"{}", b"\xff"):
        store.put("sums/plan.json", broken)
        before = contents(store)
        for command in (["run", started, "--local"], ["status", started], ["plan", started]):
            assert_refused(troop(*command), "sums/plan.json")
        assert contents(store) == before


def _parquet() -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.table({"x": [1, 2, 3]}), out)
    return out.getvalue().to_pybytes()


def test_a_foreign_file_in_the_prefix(troop: Troop, started: Path, store: Store) -> None:
    commands = {
        "verdicts": ["run", "status", "report", "check", "clean"],
        "samples": ["clean"],  # other commands read only samples that verdicts name
    }
    for kind in commands:
        store.put(f"sums/{kind}/mine.parquet", _parquet())
        before = contents(store)
        for command in commands[kind]:
            words = [command, started, *(["--local"] if command == "run" else [])]
            assert_refused(troop(*words), f"{kind}/mine.parquet", "move it away")
        assert contents(store) == before
        store.delete(f"sums/{kind}/mine.parquet")


def test_a_broken_file_in_place_of_results(troop: Troop, started: Path, store: Store) -> None:
    (key,) = [info.key for info in store.list("sums/verdicts/")]
    for data in (store.get(key)[:-7], _parquet(), b""):  # truncated, foreign, empty
        store.put(key, data)
        before, named = contents(store), key.removeprefix("sums/")
        again = troop("run", started, "--local")
        assert (again.code, named in again.err.splitlines()[-1]) == (2, True)
        for command in (["status", started], ["report", started], ["sql", started, "SELECT 1"]):
            assert_refused(troop(*command), named, "troop check RUN --quarantine")
        assert contents(store) == before


def test_samples_that_are_broken_are_named_by_the_query_that_needs_them(
    troop: Troop, started: Path, store: Store
) -> None:
    (key,) = [info.key for info in store.list("sums/samples/")]
    in_place = not hasattr(store, "options")  # DuckDB itself reads a folder's files, and takes any Parquet file
    for data in (store.get(key)[:-7], b"" if in_place else _parquet(), None):
        store.put(key, data) if data is not None else store.delete(key)
        assert_refused(
            troop("sql", started, "SELECT sum(length(text)) FROM samples"), key.removeprefix("sums/"), "troop check"
        )


def test_a_problem_that_has_changed(troop: Troop, write_sweep: WriteSweep, started: Path, store: Store) -> None:
    before = contents(store)
    options = store.options.model_dump() if hasattr(store, "options") else {}
    changed = [{**PROBLEMS[0], "reference": {"answer": "3"}}, *PROBLEMS[1:]]
    sweep = write_sweep(changed, store=store.uri, store_options=options)
    assert_refused(troop("run", sweep, "--local"), "the reference of problem 'one' has changed")
    assert contents(store) == before
