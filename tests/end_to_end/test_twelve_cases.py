"""Twelve ways in which a careful team would try to break the promise of exactly once, each with its test.

1. Kill at every step of the commit: ``test_kill_at_every_request_of_a_commit``, ``…_file_operation_of_a_commit`` here;
   of compaction: tests/jobs/store/test_compact.py.
2. Two attempts at a barrier: test_commit ``test_racing_attempts``, test_store ``test_one_of_many_racing_writers_wins``.
3. A zombie past reassignment: test_commit ``test_zombie_that_wakes_after_its_unit_was_done_again``; past deletion:
   test_clean ``test_zombie_past_deletion_has_lost`` and the five after it.
4. Two drivers: ``test_two_drivers_of_one_run``.
5. A lost reply: test_store ``test_a_lost_reply_is_no_lost_race``, ``…_of_a_lost_race``; test_commit
   ``test_lost_replies``.
6. A cut body: ``test_half_a_body_creates_nothing`` here, test_store ``test_a_body_that_is_cut_is_read_again``.
7. A storm of 503: ``test_a_run_in_a_storm_of_503``.
8. Credentials that expire: ``test_credentials_that_expire``.
9. A flipped bit: test_check ``test_a_flipped_bit_is_found_set_aside_and_made_again``, test_schema
   ``test_every_flipped_bit_is_found``.
10. A store without conditional puts: test_bad_store
    ``test_a_store_without_conditional_puts_is_refused_unless_allowed``.
11. A full disk: ``test_full_disk``.
12. A spec edited between runs: test_bad_input ``test_a_spec_changed_between_two_runs_is_refused_with_the_difference``.
"""

import contextlib
import json
import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from jobs.store import s3
from jobs.store.base import NO_METADATA, ObjectInfo, Store, StoreOptions
from jobs.store.check import find_damage
from jobs.store.clean import clean_run
from jobs.store.commit import RunSink
from jobs.store.folder import DirectoryStore
from jobs.store.open import open_store
from jobs.store.sessions import read_sessions
from sampling.samples import Unit
from tests.conftest import Troop, WriteSweep
from tests.jobs.store.test_commit import commit, committed_text, keys
from tests.jobs.test_run import counts
from tests.support.faulty_proxy import faulty_proxy
from tests.support.places import ROOT
from tests.support.s3_server import CannotStart, S3Server, swift_server
from tests.support.store_fixtures import committed_units

GOLD = {"name": "gold", "path": "gold", "engine": "replay"}


# 1. Kill at every step of the commit


@dataclass(frozen=True)
class Deadly:
    """Kills its process just before or just after its request number ``step``."""

    store: Store
    step: int
    after: bool
    asked: list[None] = field(default_factory=list)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        return self._ask(lambda: self.store.put_new(key, data, metadata))

    def head(self, key: str) -> ObjectInfo | None:
        return self._ask(lambda: self.store.head(key))

    def _ask(self, request: Callable[[], Any]) -> Any:
        self.asked.append(None)
        hit = len(self.asked) == self.step
        if hit and not self.after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = request()
        if hit:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer


def _commit_on(store: Store, step: int, after: bool, environment: dict[str, str]) -> None:
    os.environ.update(environment)
    commit(RunSink(Deadly(store, step, after), "v1"))


def _commit_in(folder: Path, step: int) -> None:
    """Kills itself at file operation number ``step`` of a commit; ends normally where there are fewer."""
    seen: list[None] = []

    def see(event: str, _: object = ()) -> None:
        if event in {"open", "os.mkdir", "os.link", "os.remove", "fsync"}:
            seen.append(None)
            if len(seen) == step:
                os.kill(os.getpid(), signal.SIGKILL)

    fsync = os.fsync
    os.fsync = lambda fd: (see("fsync"), fsync(fd))[1]
    sys.addaudithook(see)
    commit(RunSink(DirectoryStore(folder), "v1"))


def exit_code(function: Callable[..., None], *arguments: object) -> int | None:
    """Calls ``function`` in a process of its own, and returns its exit code.

    The process is forked from one that has all modules and no threads.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=function, args=arguments)
    process.start()
    process.join()
    return process.exitcode


def still_exact(store: Store) -> bool:
    """Returns whether the unit is committed, whole or not at all; a second attempt and a clean-up change nothing."""
    committed = committed_units(store, "v1", "org/m", "gsm8k") == {3}
    assert find_damage(store) == []
    assert commit(RunSink(store, "v1"), note="again ").won is not committed
    assert committed_text(store) == ("0:0" if committed else "again 0:0")
    clean_run(store, -3600, dry_run=False)
    assert find_damage(store) == []
    assert [len(keys(store, f"{kind}/")) for kind in ("samples", "verdicts")] == [1, 1]
    return committed


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3], ids=["samples", "verdicts", "last look"])
def test_kill_at_every_request_of_a_commit(store: Store, step: int, after: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    assert exit_code(_commit_on, store, step, after, environment) == -signal.SIGKILL
    assert still_exact(store) is ((step, after) >= (2, True))


def test_kill_at_every_file_operation_of_a_commit(tmp_path: Path) -> None:
    outcomes = []
    while exit_code(_commit_in, tmp_path / str(len(outcomes)), len(outcomes) + 1) == -signal.SIGKILL:
        store = DirectoryStore(tmp_path / str(len(outcomes)))
        outcomes.append(still_exact(store))
        assert list((store.root / ".tmp").iterdir()) == []
    assert outcomes == sorted(outcomes), "once committed, always committed"
    assert {False, True} == set(outcomes)


# 4. Two drivers


@pytest.mark.parametrize("store", ["directory", "swift"], indirect=True)
def test_two_drivers_of_one_run(
    troop: Troop, write_sweep: WriteSweep, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = store.options.model_dump() if hasattr(store, "options") else {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", options.get("endpoint_url") or "")
    sweep = write_sweep(store=store.uri, store_options=options, k=2100, models=[GOLD])
    words = [sys.executable, "-m", "jobs", "run", str(sweep), "--local", "--no-report"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    drivers = [subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    drawn = 0
    for driver in drivers:
        _, said = driver.communicate(timeout=200)
        assert driver.returncode == 0, said
        drawn += sum(int(n.replace(",", "")) for n in re.findall(r"([\d,]+) samples committed", said))
    assert counts(f"{store.uri}/sums") == (6300, 6300)
    assert drawn == sum(session.samples for session in read_sessions(open_store(f"{store.uri}/sums"))) == 6300
    assert troop("check", f"{store.uri}/sums").code == 0
    assert len(keys(store, "sums/plan")) == 1
    units, files = len(keys(store, "sums/verdicts")), len(keys(store, "sums/samples"))
    twice = 1 if store.uri.startswith("s3:") else 0  # racing creates of this S3 server are not atomic
    assert units <= files <= units + twice
    assert len(keys(store, "sums/leases/v=")) == units


# 6. A cut body


def test_half_a_body_creates_nothing(swift: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A put is cut off in the middle: there is no object, and the next writer creates it."""
    store = swift.new_store(monkeypatch)
    where = {"Bucket": store.bucket, "Key": f"{store.prefix}/cut"}  # type: ignore[attr-defined]
    with contextlib.closing(swift.client()) as client:
        url = urlsplit(client.generate_presigned_url("put_object", Params=where))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nHost: {url.netloc}\r\nContent-Length: 10000\r\n\r\n"
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(head.encode() + b"x" * 5000)
    assert store.head("cut") is None
    assert store.put_new("cut", b"whole")
    assert store.get("cut") == b"whole"


# 7. A storm of 503


@pytest.mark.slow
def test_a_run_in_a_storm_of_503(
    troop: Troop, write_sweep: WriteSweep, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = moto.new_store(monkeypatch).uri
    with faulty_proxy(moto.endpoint) as proxy:
        proxy.faults = ["503", "503", "ok", "503", "lose reply", "503", "ok", "503"]
        sweep = write_sweep(store=uri, store_options={"endpoint_url": proxy.endpoint})
        found = troop("run", sweep, "--local", "--no-report")
        assert (found.code, proxy.faults) == (0, []), found.err
        proxy.method, proxy.faults = "GET", ["503", "cut reply", "503", "ok", "cut reply"]
        assert troop("check", sweep).code == 0
        assert proxy.faults == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    assert counts(f"{uri}/sums") == (12, 12)


# 8. Credentials that expire


def write_keys(folder: Path, server: S3Server) -> None:
    """Writes keys as a credential process prints them, good for a minute, and as a file that somebody renews."""
    expiration = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    secret = {"AccessKeyId": server.access_key, "SecretAccessKey": server.secret_key, "Expiration": expiration}
    (folder / "keys.json").write_text(json.dumps({"Version": 1, **secret}))
    lines = f"aws_access_key_id = {server.access_key}\naws_secret_access_key = {server.secret_key}\n"
    (folder / "credentials").write_text(f"[file]\n{lines}")
    (folder / "config").write_text(f"[profile process]\ncredential_process = cat {folder / 'keys.json'}\n")


def test_credentials_that_expire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys are replaced in the middle of a run, and the server refuses the old ones."""
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with contextlib.ExitStack() as stack:
        try:
            old = stack.enter_context(swift_server(tmp_path / "swift"))
        except CannotStart as error:
            pytest.skip(f"no real S3 server: {error}")
        uri = old.new_store(monkeypatch).uri
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        stack.callback(s3._build_client.cache_clear)
        write_keys(tmp_path, old)
        profiles = ("process", "file")
        stores = [open_store(uri, StoreOptions(endpoint_url=old.endpoint, profile=name)) for name in profiles]
        for number, store in enumerate(stores):
            assert commit(RunSink(store, "v1"), Unit("org/m", "gsm8k", number, 0, 2, 0, 4)).won
        new = old.rotate_keys()
        write_keys(tmp_path, new)
        for number, store in enumerate(stores, start=len(stores)):
            assert commit(RunSink(store, "v1"), Unit("org/m", "gsm8k", number, 0, 2, 0, 4)).won
        with contextlib.closing(old.client()) as client, pytest.raises(ClientError, match=r"403|Signature"):
            client.list_buckets()
        assert committed_units(stores[0], "v1", "org/m", "gsm8k") == {0, 1, 2, 3}


# 11. A full disk

_ON_A_SMALL_DISK = """
mount -t tmpfs -o size=48k tmpfs "$1" || exit 77
{run}; echo "full: $?" >&2
mount -o remount,size=16m "$1"
{run}; echo "larger: $?" >&2
"$2" -m jobs check "$1/sums"; echo "check: $?" >&2
"""


def test_full_disk(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """A full disk gives one line and exit code 2; with more room the same command continues, and nothing is lost."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("a small disk of its own needs unshare(1)")
    disk = tmp_path / "disk"
    disk.mkdir()
    write_sweep(store=str(disk), k=2100, models=[GOLD])
    script = _ON_A_SMALL_DISK.format(run='"$2" -m jobs run sweep.yaml --local --no-report')
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = [unshare, *own, "--mount", "sh", "-c", script, "sh", str(disk), sys.executable]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=250, check=False)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"this machine gives no small disk: {done.stderr.strip()}")
    lines = done.stderr.splitlines()
    at = lines.index("full: 2")
    assert "No space left on device" in lines[at - 1]
    assert lines.index("larger: 0") > at
    assert "samples committed" in lines[lines.index("larger: 0") - 1]
    assert lines[-1] == "check: 0"
