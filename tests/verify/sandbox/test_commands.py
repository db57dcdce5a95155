"""The jail for scripts of several processes: one test for each of its promises."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sampling.errors import VerifierFault
from tests.support.places import ROOT
from verify.sandbox.commands import Jail
from verify.sandbox.groups import make_group
from verify.sandbox.limits import Quota
from verify.sandbox.namespaces import NOBODY, shown_at
from verify.verdict import Status

QUOTA = Quota(wall_s=30.0, memory_mb=256)
SHORT = Quota(wall_s=1.0, memory_mb=256)
SECRET = "do not read this"


def said(script: str, jail: Jail | None = None) -> str:
    finished = (jail or Jail()).run(script, QUOTA)
    assert finished.status is None, finished
    return finished.output


def python(source: str) -> str:
    return f"python3 - <<'END'\n{source}\nEND\n"


def sleepers(seconds: str) -> list[int]:
    """Returns the pids of processes of this machine that sleep for so long."""
    seen = psutil.process_iter(["cmdline"])
    return [each.pid for each in seen if (each.info["cmdline"] or [])[:2] == ["sleep", seconds]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "kept.txt").write_text("kept\n")
    (folder / "sub" / "deep.txt").write_text("deep\n")
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
    return folder


def test_nothing_else_is_read(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.txt"
    hidden.write_text(SECRET)
    hidden.chmod(0o644)
    os.environ["TROOP_TEST_SECRET"] = SECRET
    try:
        out = said(f"cat {hidden} /etc/passwd /proc/1/environ; ls /home /root /srv /var /proc; env; ls {Path.cwd()}")
    finally:
        del os.environ["TROOP_TEST_SECRET"]
    assert SECRET not in out
    assert "root:" not in out
    assert out.count("No such file or directory") == 9


def test_what_is_named_is_read(tmp_path: Path) -> None:
    (tmp_path / "given.txt").write_text("given")
    tmp_path.chmod(0o755)
    where = shown_at(str(tmp_path / "given.txt"))
    assert said(f"cat {where}; echo more >{where}", Jail((str(tmp_path),))).startswith("given")
    assert (tmp_path / "given.txt").read_text() == "given"


def test_the_tree_can_be_changed_and_stays_as_it_is(tree: Path) -> None:
    jail = Jail(tree=str(tree))
    change = (
        "echo new >>kept.txt; rm -r sub; mkdir sub; ln -s /etc sub/link; chmod 777 kept.txt; cat kept.txt; pwd; ls sub"
    )
    assert said(change, jail) == "kept\nnew\n/testbed\nlink\n"
    assert said("cat kept.txt sub/deep.txt; ls", jail) == "kept\ndeep\nkept.txt\nsub\n"
    assert (tree / "kept.txt").read_text() == "kept\n"
    assert (tree / "kept.txt").stat().st_mode & 0o777 != 0o777


def test_nothing_is_written_outside(tmp_path: Path) -> None:
    out = said("for f in /x /usr/x /dev/x /etc/x; do echo x >$f || echo refused; done; echo fine >/tmp/x && cat /tmp/x")
    assert out.count("refused") == 4
    assert out.endswith("fine\n")
    assert said("ls -A /tmp") == ""  # nothing of an earlier script


def test_no_network_but_a_loopback() -> None:
    source = """
import socket
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
    print("itself")
with socket.socket() as outside:
    try:
        outside.connect(("192.0.2.1", 80))
    except OSError as error:
        print(error.strerror)
for family in (socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK):
    try:
        socket.socket(family, socket.SOCK_RAW)
    except OSError as error:
        print("refused")
"""
    assert said(python(source)).split("\n")[:5] == ["itself", "Network is unreachable", *["refused"] * 3]


def test_no_process_outside_is_seen_or_signalled() -> None:
    source = f"""
import os
for pid in ({os.getpid()}, {os.getppid()}):
    try:
        os.kill(pid, 0)
    except OSError as error:
        print(error.strerror)
os.kill(1, 9)
print(os.getppid() < 10)
"""
    assert said(python(source)) == "No such process\nNo such process\nTrue\n"


def test_no_tracing_no_mounts_no_namespaces() -> None:
    """Calls them by their numbers on x86-64; elsewhere these numbers are errors too."""
    calls = {"ptrace": 101, "chroot": 161, "mount": 165, "keyctl": 250, "unshare": 272, "open_by_handle_at": 304}
    calls |= {"setns": 308, "process_vm_readv": 310, "bpf": 321, "userfaultfd": 323, "io_uring_setup": 425}
    calls |= {"clone3": 435, "fsopen": 430, "memfd_create": 319}
    source = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {calls}.items():
    print(name, libc.syscall(number, 0, 0, 0, 0, 0), ctypes.get_errno())
"""
    lines = [line.split() for line in said(python(source)).splitlines()]
    assert [name for name, answer, error in lines if (answer, error) in (("-1", "1"), ("-1", "38"))] == list(calls)


def test_nobody_and_without_powers() -> None:
    out = said("id -u; grep x /etc/shadow; su -c true; /usr/bin/mount -t tmpfs x /tmp; echo $?")
    assert out.split("\n")[0] == str(NOBODY if os.geteuid() == 0 else os.geteuid())
    assert out.rstrip().endswith(("1", "32"))


@pytest.mark.parametrize(
    ("script", "status", "quota"),
    [
        ("(setsid sleep 4471.1 &) ; sleep 4471.1", Status.TIMEOUT, SHORT),
        ("yes", Status.OUTPUT, QUOTA),
        (python("held = []\nwhile True:\n    held.append(b'x' * (1 << 23))"), Status.MEMORY, QUOTA),
        ("kill -9 $$", Status.CRASH, QUOTA),
    ],
    ids=["hangs", "prints", "eats", "dies"],
)
def test_limits(script: str, status: Status, quota: Quota) -> None:
    finished = Jail().run(script, quota)
    assert finished.status is status, finished
    assert finished.reason
    assert sleepers("4471.1") == []


def test_memory_is_that_of_all_processes_together() -> None:
    one = "python3 -c 'x = bytearray(100 << 20); import time; time.sleep(60)'"
    finished = Jail().run(f"{one} & {one} & {one} & wait", QUOTA)
    assert finished.status is Status.MEMORY
    assert "all processes" in finished.reason


def test_memory_that_the_kernel_holds_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fills the buffers of sockets in twenty processes, of which none holds anything itself."""
    group = make_group(8)
    if group is None:
        pytest.skip("no control group can be made here")
    group.close()
    source = """
import os, socket, time
for _ in range(4):
    os.fork()
held = []
for _ in range(150):
    pair = socket.socketpair()
    pair[0].setblocking(False)
    held.append(pair)
    try:
        while True:
            pair[0].send(bytes(4096))
    except BlockingIOError:
        pass
time.sleep(2)
"""
    monkeypatch.setattr("verify.sandbox.commands._FILES_MB", 0)
    finished = Jail().run(python(source), QUOTA)
    assert (finished.status, finished.reason) == (
        Status.MEMORY,
        "more than 256 MB in all processes together",
    )
    assert said("echo fine") == "fine\n"


def test_pages_that_forks_share_count_once() -> None:
    source = "import os, time\nx = bytearray(90 << 20)\nfor _ in range(4):\n    os.fork()"
    assert said(python(f"{source}\n    time.sleep(0.05)\nos._exit(0)")) == ""


def test_processes_are_bounded() -> None:
    source = """
import os, time
made = 0
try:
    while made < 100_000:
        if os.fork() == 0:
            time.sleep(60)
        made += 1
except OSError:
    print(made)
"""
    assert 50 < int(said(python(source))) < 256


def test_files_are_bounded() -> None:
    out = said("trap '' XFSZ; dd if=/dev/zero of=/tmp/big bs=1M count=3000 2>&1 | tail -1; stat -c %s /tmp/big")
    assert int(out.split()[-1]) <= 1 << 30


def test_cpu_time_is_bounded() -> None:
    finished = Jail().run(python("while True: pass") + "echo code $?", Quota(wall_s=30, memory_mb=256, cpu_s=0.1))
    assert finished.status is None
    assert "code 137" in finished.output  # SIGKILL: soft and hard limit are one
    assert 0.5 < finished.cpu_s < 5


def test_the_end_of_the_script_is_the_end_of_all() -> None:
    assert Jail().run("setsid sleep 4472.1 & exit 7", QUOTA).code == 7
    assert sleepers("4472.1") == []


def test_nothing_outlives_whoever_ordered_it() -> None:
    source = (
        "from verify.sandbox.commands import Jail\nfrom verify.sandbox.limits import Quota\n"
        "Jail().run('sleep 4473.1 & sleep 4473.1', Quota(wall_s=60, memory_mb=256))"
    )
    ordering = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT)
    while len(sleepers("4473.1")) < 2:
        assert ordering.poll() is None
        time.sleep(0.05)
    ordering.send_signal(signal.SIGKILL)
    ordering.wait()
    while sleepers("4473.1"):
        time.sleep(0.05)


def test_measures_are_the_kernels() -> None:
    finished = Jail().run(python("x = bytearray(80 << 20)\nsum(range(3_000_000))"), QUOTA)
    assert 80 < finished.max_rss_mb < 200
    assert finished.cpu_s > 0.02
    assert finished.wall_s > 0.02


def test_a_script_that_cannot_start_is_our_fault(tmp_path: Path) -> None:
    with pytest.raises(VerifierFault, match=r"the jail for test suites: entering namespaces of its own: .*gone"):
        Jail(tree=str(tmp_path / "gone")).run("true", QUOTA)


def test_a_machine_with_lower_limits_has_a_jail() -> None:
    source = "from verify.sandbox.commands import Jail; from verify.sandbox.limits import Quota; import sys; sys.exit("
    source += "Jail().run('exit 7', Quota(wall_s=30.0, memory_mb=256)).code)"
    words = ["sh", "-c", 'ulimit -n 400; exec "$0" -c "$1"', sys.executable, source]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 7, done.stderr
