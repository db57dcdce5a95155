"""Tests of stores: a folder, moto and a real S3 server keep the same promises; then the failures of each alone."""

import contextlib
import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.store import s3
from jobs.store.base import Store, StoreOptions
from jobs.store.folder import DirectoryStore
from jobs.store.open import open_store, probe_store
from sampling.errors import BadInput, StoreError, StoreUnusable
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.s3_server import S3Server

KEY = "samples/model=org%2Fname%20x/task=é/s=00000/u0000003-abc.parquet"


def keys(store: Store, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def test_created_once(store: Store) -> None:
    assert store.put_new(KEY, b"first", {"attempt": "one"})
    assert not store.put_new(KEY, b"second", {"attempt": "two"})
    assert not store.put_new(KEY, b"third")
    assert store.get(KEY) == b"first"


def test_head_and_listing_agree(store: Store) -> None:
    assert store.head(KEY) is None
    store.put_new(KEY, b"12345")
    found = store.head(KEY)
    assert found is not None
    assert (found.key, found.size) == (KEY, 5)
    assert abs(found.modified - time.time()) < 120
    assert [(info.key, info.size) for info in store.list("")] == [(KEY, 5)]


def test_listing_is_sorted_by_whole_keys_and_filtered_by_text(store: Store) -> None:
    names = ["a/b/c", "a/b-c", "a-b/x", "a!/x", "ab", "a/b/a", "b/a%2Fc", "b/é"]
    for name in names:
        store.put_new(name, b"")
    assert keys(store) == sorted(names)
    for prefix in ("a", "a/", "a/b", "a/b/", "a/b/c", "a/b/c/", "b/a%2F", "none/at/all"):
        assert keys(store, prefix) == sorted(name for name in names if name.startswith(prefix)), prefix


def test_put_replaces_and_delete_removes(store: Store) -> None:
    store.put("report/report.html", b"old")
    store.put("report/report.html", b"new" * 500_000)
    assert store.get("report/report.html") == b"new" * 500_000
    store.delete("report/report.html")
    store.delete("report/report.html")
    assert store.head("report/report.html") is None
    assert keys(store) == []


def test_what_is_not_there_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match=r"report/none.html: .*no such object"):
        store.get("report/none.html")


def test_travels_to_another_process(store: Store) -> None:
    store.put_new(KEY, b"first")
    twin: Store = pickle.loads(pickle.dumps(store))  # noqa: S301
    assert twin.get(KEY) == b"first"
    assert twin.uri == store.uri


def test_probe_finds_nothing_wrong_and_leaves_nothing(store: Store) -> None:
    probe_store(store)
    assert keys(store) == []


def test_one_of_many_racing_writers_wins(store: Store, request: pytest.FixtureRequest) -> None:
    start, winners = threading.Barrier(8), []

    def write(number: int) -> None:
        start.wait()
        if store.put_new(KEY, str(number).encode()):
            winners.append(str(number).encode())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.get(KEY) in winners
    if (
        "swift" not in request.node.name
    ):  # its creates are not atomic: a win is only a claim, and the content of the key decides
        assert len(winners) == 1


# A folder


def test_temporary_files_are_never_seen(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put_new("a", b"")
    left = tmp_path / ".tmp" / "left-by-a-kill"
    left.write_bytes(b"half")
    assert keys(store) == ["a"]
    store.clear_temporary(time.time() - 60)
    assert left.exists(), "somebody may be writing it"
    os.utime(left, (0, 0))
    store.clear_temporary(time.time() - 60)
    assert not left.exists()
    assert list((tmp_path / ".tmp").iterdir()) == []


def test_lost_reply_of_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.link

    def link_twice(source: str, target: str) -> None:
        real(source, target)
        real(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    assert DirectoryStore(tmp_path).put_new("a", b"mine")
    assert not DirectoryStore(tmp_path).put_new("a", b"again")


def test_file_system_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="Operation not supported"):
        probe_store(DirectoryStore(tmp_path))


@pytest.mark.parametrize("folder", ["/proc/troop", "/dev/null/troop"])
def test_folder_that_cannot_be_written(folder: str) -> None:
    with pytest.raises(StoreError, match=folder) as caught:
        probe_store(open_store(folder))
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("runs/a").uri == str(tmp_path / "runs/a")
    assert open_store("file:///runs/a%20b").uri == "/runs/a b"
    assert open_store("s3://bucket/runs/a/").uri == "s3://bucket/runs/a"
    assert open_store("s3://bucket").uri == "s3://bucket"
    for bad in ("gs://bucket/runs", "s3://", "s3:///runs", "s3://bucket?x/runs", ""):
        with pytest.raises(BadInput, match=r"s3://bucket/prefix"):
            open_store(bad)


def test_no_part_of_a_uri_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    for uri in ("s3://bucket/pre#fix/demo", "s3://bucket/x?y=1/demo", "s3://bucket/a%20b", "/runs/a#b?c"):
        assert open_store(uri).uri == uri
    assert open_store("~/runs").uri == "/home/ann/runs"
    assert open_store("file://localhost/runs/a%23b").uri == "/runs/a#b"
    for bad in ("file://runs/a", "file:runs", "file:///runs/a#b", "file:///runs/a?b"):
        with pytest.raises(BadInput, match=r"no file of this machine; allowed: file:///path"):
            open_store(bad)


# S3


@pytest.fixture
def proxy(moto: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(moto.endpoint) as made:
        yield made


@pytest.fixture
def faulty(proxy: FaultyProxy, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Returns a store on moto behind the proxy."""
    bucket = moto.new_store(monkeypatch).uri
    return open_store(bucket, StoreOptions(endpoint_url=proxy.endpoint))


def test_a_lost_reply_is_no_lost_race(faulty: Store, proxy: FaultyProxy) -> None:
    proxy.faults = ["lose reply", "lose reply"]
    assert faulty.put_new(KEY, b"mine", {"attempt": "mine"})
    assert not faulty.put_new(KEY, b"other", {"attempt": "other"})
    found = faulty.head(KEY)
    assert found is not None
    assert found.metadata["attempt"] == "mine"


def test_a_lost_reply_of_a_lost_race(faulty: Store, proxy: FaultyProxy) -> None:
    faulty.put_new(KEY, b"first")
    proxy.faults = ["lose reply", "cut before"]
    assert not faulty.put_new(KEY, b"second")
    assert faulty.get(KEY) == b"first"


def test_conflicts_and_busy_servers_are_tried_again(faulty: Store, proxy: FaultyProxy) -> None:
    proxy.faults = ["409", "409", "503", "cut before"]
    assert faulty.put_new(KEY, b"mine")
    assert faulty.get(KEY) == b"mine"


def test_endless_conflict_ends(faulty: Store, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3.time, "sleep", lambda _: None)
    proxy.always = "409"
    with pytest.raises(StoreError, match="ConditionalRequestConflict"):
        faulty.put_new(KEY, b"mine")


def test_a_body_that_is_cut_is_read_again(faulty: Store, proxy: FaultyProxy) -> None:
    faulty.put_new(KEY, b"0123456789" * 1000)
    proxy.method, proxy.faults = "GET", ["cut reply", "cut reply"]
    assert faulty.get(KEY) == b"0123456789" * 1000


def test_bucket_that_is_read_only(faulty: Store, proxy: FaultyProxy) -> None:
    proxy.always = "403"
    with pytest.raises(StoreError, match="AccessDenied"):
        probe_store(faulty)


def test_store_that_ignores_the_condition(faulty: Store, proxy: FaultyProxy) -> None:
    proxy.always = "unconditional"
    with pytest.raises(StoreError, match="create-only"):
        probe_store(faulty)
    weak = StoreOptions(endpoint_url=proxy.endpoint, allow_weak_store=True)
    probe_store(open_store(faulty.uri, weak))


def test_a_weak_store_is_not_sent_the_header_that_it_refuses(faulty: Store, proxy: FaultyProxy) -> None:
    """A server that knows no ``If-None-Match`` may answer any put with it by 501."""
    proxy.always = "501"
    with pytest.raises(StoreUnusable, match=r"NotImplemented.*--allow-weak-store"):
        probe_store(faulty)
    weak = StoreOptions(endpoint_url=proxy.endpoint, allow_weak_store=True)
    probe_store(open_store(faulty.uri, weak))


def test_objects_are_encrypted_and_paid_for_as_asked(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"server_side_encryption": "aws:kms", "sse_kms_key_id": "a-key", "requester_pays": True}
    store = moto.new_store(monkeypatch, acl="bucket-owner-full-control", **given)
    probe_store(store)
    assert store.put_new(KEY, b"x") and not store.put_new(KEY, b"y")
    store.put("other", b"z")
    with contextlib.closing(moto.client()) as client:
        for key in (KEY, "other"):
            found = client.head_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}")  # type: ignore[attr-defined]
            assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "a-key")


def test_no_such_bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    moto.new_store(monkeypatch)
    with pytest.raises(StoreError, match=r"s3://nowhere/x: NoSuchBucket") as caught:
        probe_store(open_store("s3://nowhere/x", moto.options()))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_credentials(
    request: pytest.FixtureRequest, name: str, swift: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = swift.new_store(monkeypatch).uri
    monkeypatch.setenv(name, "wrong")
    request.addfinalizer(s3._build_client.cache_clear)  # a client keeps its first credentials
    s3._build_client.cache_clear()
    with pytest.raises(StoreError, match="SignatureDoesNotMatch"):
        probe_store(open_store(uri, swift.options()))


def test_no_credentials(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StoreUnusable, match="credentials"):  # a run ends at once, and tries no unit five times
        probe_store(open_store("s3://bucket", moto.options(region="eu-west-1")))


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "http://no.such.host.invalid"])
def test_wrong_endpoint(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    began = time.monotonic()
    with pytest.raises(StoreError, match=endpoint) as caught:
        probe_store(open_store("s3://bucket", StoreOptions(endpoint_url=endpoint)))
    assert time.monotonic() - began < 120
    assert "\n" not in str(caught.value)


def test_endpoint_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(StoreError, match="timeout"):
            probe_store(open_store("s3://bucket", StoreOptions(endpoint_url=endpoint)))
    assert time.monotonic() - began < 120


@pytest.mark.parametrize("uri", ["gs://b/runs", "az://b/runs", "GS://b", "abfss://c@host/runs", "wasbs://c/runs"])
def test_stores_of_other_clouds_are_refused_with_what_works(uri: str) -> None:
    with pytest.raises(BadInput, match=r"cannot be opened; allowed: a path, .* take an S3 service with create-only"):
        open_store(uri)
