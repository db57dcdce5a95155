"""Control groups around fork servers: made for real where this user may, and removed with their servers."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from verify.sandbox import groups
from verify.sandbox.groups import Group, make_group, remove_left
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.verdict import Status

QUOTA = Quota(wall_s=20.0, memory_mb=64)
HOLD = "held = bytearray(b'x') * {}_000_000\nprint(len(held))"


@pytest.fixture
def group() -> Iterator[Group]:
    made = make_group(40)
    if made is None:
        pytest.skip("no control group can be made here")
    yield made
    made.close()
    assert not any(folder.exists() for folder in folders(made))


def folders(group: Group) -> set[Path]:
    return set(group._folders.values())


def run_in(group: Group, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a process that waits until it was moved."""
    started = subprocess.Popen(
        [sys.executable, "-c", f"input(); {code}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    group.add(started.pid)
    output, _ = started.communicate("\n", timeout=60)
    return subprocess.CompletedProcess([], started.returncode, output)


def test_more_memory_than_the_bound_is_not_had(group: Group) -> None:
    group.bound_memory(64)
    allowed = run_in(group, "print(len(bytearray(b'x') * 100_000_000))")
    assert (allowed.returncode, group.killed()) == (0, 0)
    assert run_in(group, "print(len(bytearray(b'x') * 200_000_000))").returncode == -9
    assert group.killed() == 1


def test_what_the_kernel_holds_counts(group: Group) -> None:
    """Fills buffers of sockets: no page of them is the process's own."""
    group.bound_memory(0)
    fill = """import socket
held = []
for _ in range(1000):
    pair = socket.socketpair()
    [end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20) or end.setblocking(False) for end in pair]
    held.append(pair)
    try:
        while True: pair[0].send(b'x' * 4096)
    except BlockingIOError: pass
"""
    assert run_in(group, f"exec({fill!r})").returncode == -9
    assert group.killed() == 1


def test_more_threads_than_the_bound_do_not_start(group: Group) -> None:
    code = """import threading
stop = threading.Event()
try:
    for started in range(100): threading.Thread(target=stop.wait, daemon=True).start()
except RuntimeError: print(started)
stop.set()
"""
    assert run_in(group, f"exec({code!r})").stdout == "39\n"


@pytest.mark.parametrize("tier", ["isolated", "confined"])
def test_a_candidate_that_the_kernel_ends_for_its_memory(
    group: Group, tier: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Makes the group's bound the tighter one, which it is for candidates that have the kernel hold memory."""
    monkeypatch.setattr(groups, "SPARE_MB", -40)
    with Sandbox(tier) as sandbox:
        over = sandbox.run_stdio(Code(HOLD.format(45)), "", QUOTA)
        assert (over.status, over.reason) == (
            Status.MEMORY,
            "held more than its limit with what the kernel held for it",
        )
        assert sandbox.run_stdio(Code(HOLD.format(1)), "", QUOTA).output == "1000000\n"


def test_groups_of_ended_processes_are_removed(group: Group) -> None:
    for parent in {folder.parent for folder in folders(group)}:
        gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        left = parent / f"troop-{gone.stdout.strip()}-1"
        left.mkdir()
        remove_left(parent)
        assert not left.exists()
    assert all(folder.exists() for folder in folders(group))


def made(root: Path, own: str, subtree: str = "", above: str = "") -> Path:
    (root / own).mkdir(parents=True, exist_ok=True)
    (root / own / "cgroup.subtree_control").write_text(subtree)
    (root / own).parent.joinpath("cgroup.subtree_control").write_text(above)
    return root / own


@pytest.mark.parametrize(
    ("subtree", "above", "chosen"),
    [
        ("cpu memory pids\n", "", "user.slice/job"),  # a delegated group without processes
        ("", "memory pids\n", "user.slice"),  # a scope of systemd: it has processes, its slice has none
        ("memory\n", "cpu\n", None),  # processes could not be bounded
        ("", "", None),
    ],
)
def test_version_2_takes_a_group_with_room(tmp_path: Path, subtree: str, above: str, chosen: str | None) -> None:
    made(tmp_path, "user.slice/job", subtree, above)
    found = dict(groups._parents("0::/user.slice/job\n", tmp_path))
    assert set(found.values()) == ({tmp_path / chosen} if chosen else set())
    assert [controller.most for controller in found] == (["memory.max", "pids.max"] if chosen else [])


def test_version_1_takes_each_controllers_own_group(tmp_path: Path) -> None:
    text = "4:memory:/a\n8:cpu,cpuacct:/\n9:pids:/b\n0::/\n"
    found = dict(groups._parents(text, tmp_path))
    assert {c.most: parent for c, parent in found.items()} == {
        "memory.limit_in_bytes": tmp_path / "memory" / "a",
        "pids.max": tmp_path / "pids" / "b",
    }
    assert not dict(groups._parents("0::/../other\n", tmp_path / "none"))
