"""All attacks in all tiers, through the real verifiers: refused, without a trace, and the next honest sample passes."""

import os
import secrets
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sampling.checkers import CustomReference
from sampling.problems import Problem
from sampling.references import CallCase, PythonReference, StdioCase, StdioReference
from tests.attacks import checkers, control, escape, forge, kernel, leak, net, packages, process, resource, result
from tests.attacks.case import PASS, REJECT, Case
from verify.custom import CustomVerifier
from verify.python import PythonVerifier
from verify.sandbox import namespaces, supervisor
from verify.sandbox.limits import WALL_FACTOR
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.stdio import StdioVerifier
from verify.verdict import Status, Verdict

CLASSES = (control, forge, leak, escape, process, net, kernel, resource, result, packages)
RUNS = [
    pytest.param(case, mode, id=f"{module.__name__.rpartition('.')[2]}-{case.name}-{mode}")
    for module in CLASSES
    for case in module.CASES
    for mode in case.modes
]
PATIENCE_S = 20.0  # how much later than its limit a verdict may come on a machine that is busy with other things
SLACK_MB = 64
# Also looks at what the sample before it left behind.
HONEST = """
import os
def f(x):
    try:
        left = os.listdir('/tmp')
    except OSError:
        left = []
    return x + 1 if not left else left
"""


@dataclass
class Trap:
    """Things that must not be touched: a folder, listeners, and a secret in a file and in the environment."""

    folder: Path
    secret_file: Path
    abstract: str = field(default_factory=lambda: f"troop-{secrets.token_hex(4)}")

    def __post_init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.stream, self.datagram = (
            socket.socket(socket.AF_UNIX, kind) for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        )
        self.stream.bind(f"\0{self.abstract}")
        self.datagram.bind(f"\0{self.abstract}-d")
        self.stream.listen()
        for listener in self.listeners:
            listener.setblocking(False)
        self.before = self.state()

    @property
    def listeners(self) -> tuple[socket.socket, ...]:
        return self.tcp, self.udp, self.stream, self.datagram

    def close(self) -> None:
        for listener in self.listeners:
            listener.close()

    def fill_in(self, code: str) -> str:
        words = {"CANARY": self.folder, "SECRET_FILE": self.secret_file, "PORT": self.port, "ABSTRACT": self.abstract}
        for word, value in words.items():
            code = code.replace(f"@{word}@", str(value))
        return code

    def state(self) -> list[tuple[object, ...]]:
        """Lists names, contents, modes, owners, times and attributes of all that is in the folder."""
        found: list[tuple[object, ...]] = []
        for path in sorted([self.folder, *self.folder.rglob("*")]):
            about = path.lstat()
            content = path.read_bytes() if path.is_file() else b""
            found.append(
                (str(path), about.st_mode, about.st_uid, about.st_mtime_ns, about.st_nlink, content, os.listxattr(path))
            )
        return found

    def touched(self) -> list[str]:
        """Lists what somebody did here; empty if nobody was here."""
        seen = [] if self.state() == self.before else ["the folder changed"]
        for listener in self.listeners:
            try:
                listener.accept() if listener in (self.tcp, self.stream) else listener.recv(99)
            except BlockingIOError:
                continue
            seen.append(f"{listener} heard somebody")
        return seen


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    home = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder, secret = home / "canary", home / "secret"
    (folder / "empty").mkdir(parents=True)
    (folder / "keep").write_text("keep token-424242-answer")
    token = f"SEKRIT{secrets.token_hex(8)}"
    secret.write_text(token)
    for path, mode in (
        (home, 0o755),
        (secret, 0o644),
        (folder, 0o777),
        (folder / "empty", 0o777),
        (folder / "keep", 0o666),
    ):
        path.chmod(mode)
        if os.geteuid() == 0 and path not in (
            home,
            secret,
        ):  # so that only the sandbox stands before its owner's rights
            os.chown(path, namespaces.NOBODY, namespaces.NOBODY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", token)
        made = Trap(folder, secret)
        yield made
        made.close()
    shutil.rmtree(home)


@pytest.fixture(scope="module", params=SAFE_TIERS)
def sandbox(request: pytest.FixtureRequest, trap: Trap) -> Iterator[Sandbox]:
    try:
        made = Sandbox(request.param)
    except TierUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made


def problem(case: Case, mode: str) -> Problem:
    limits = {"time_limit_s": case.wall_s, "memory_mb": case.memory_mb, "packages": case.packages}
    if mode == "stdio":
        cases = (StdioCase(stdin=case.stdin, stdout=case.stdout or ""),)
        return Problem(id=case.name, prompt="x", verifier="stdio", reference=StdioReference(cases=cases, **limits))
    if mode == "calls":
        calls = tuple(CallCase(args=arguments, expected=expected) for arguments, expected in case.calls)
        reference = PythonReference(entry_point=case.entry_point, cases=calls, **limits)
    else:
        reference = PythonReference(entry_point=case.entry_point, tests=case.test_source, **limits)
    return Problem(id=case.name, prompt="x", verifier="python", reference=reference)


def judge(sandbox: Sandbox, case: Case, mode: str, trap: Trap) -> Verdict:
    kind = StdioVerifier if mode == "stdio" else PythonVerifier
    return kind(sandbox).verify(problem(case, mode), trap.fill_in(case.code))


def as_demanded(verdict: Verdict, must: str) -> bool:
    return verdict.status not in (Status.PASS, Status.FAULT) if must == REJECT else verdict.status == must


def survivors(sandbox: Sandbox) -> list[int]:
    """Returns processes below the fork servers, except test processes, which wait for the next candidate.

    In ``isolated`` the server is its starter's only child.
    """
    alive: list[int] = []
    for entry in sandbox._supervisors.values():
        children = supervisor._children(entry._process.pid)
        below = [pid for child in children for pid in supervisor._children(child)]
        below += children[1:] if sandbox.tier == "isolated" else children
        alive += [pid for pid in below if not (entry.running and pid == entry.child_pid())]
    return alive


@pytest.mark.parametrize(("case", "mode"), RUNS)
def test_attack(sandbox: Sandbox, trap: Trap, case: Case, mode: str) -> None:
    servers = [entry._process.pid for entry in sandbox._supervisors.values()]
    began = time.monotonic()
    verdict = judge(sandbox, case, mode, trap)
    took = time.monotonic() - began
    if not (case.excused and sandbox.tier == "confined"):
        assert as_demanded(verdict, case.must), verdict
    assert verdict.tier == sandbox.tier or verdict.status is Status.INVALID
    assert trap.touched() == []
    assert survivors(sandbox) == []
    assert verdict.max_rss_mb < case.memory_mb + SLACK_MB
    assert took < 2 * WALL_FACTOR * case.wall_s + PATIENCE_S
    assert len(verdict.reason) < 2000
    assert set(servers) <= {entry._process.pid for entry in sandbox._supervisors.values()}, "a fork server died"
    honest = Case("honest", HONEST, PASS, calls=(([1], 2), ([5], 6)))
    after = judge(sandbox, honest, "calls", trap)
    assert after.status is Status.PASS, after


def test_names_are_unique() -> None:
    for module in CLASSES:
        names = [case.name for case in module.CASES]
        assert sorted(names) == sorted(set(names)), module


LIVE = (
    "escape-write-new", "escape-write-append", "escape-times", "escape-mode", "escape-unlink", "leak-secret-file",
    "leak-passwords", "leak-secret-relative", "net-tcp", "net-udp", "net-abstract", "net-abstract-datagram",
    "process-fork", "process-shell", "kernel-memory-file", "leak-proc-list",
)  # fmt: skip


@pytest.mark.parametrize("name", LIVE)
def test_attacks_are_real(name: str, trap: Trap) -> None:
    """Checks that these work where nothing is forbidden, and that the alarms of this file ring."""
    module, _, rest = name.partition("-")
    (case,) = [
        case for entry in CLASSES if entry.__name__.endswith(f".{module}") for case in entry.CASES if case.name == rest
    ]
    with Sandbox("none") as unsafe:
        verdict = judge(unsafe, case, "calls", trap)
    assert verdict.status is Status.PASS


@pytest.mark.parametrize("attack", checkers.CASES, ids=lambda attack: attack.name)
def test_no_text_makes_a_checker_pass_or_gets_out_of_it(sandbox: Sandbox, trap: Trap, attack: checkers.Attack) -> None:
    verifier, limits = CustomVerifier(sandbox), {"time_limit_s": 0.5, "memory_mb": 128}
    reference = CustomReference(path="reward.py", source=attack.checker, ground_truth="18", **limits)
    attacked = Problem(id=attack.name, prompt="x", verifier="custom", reference=reference)
    verdict = verifier.verify(attacked, trap.fill_in(attack.text))
    assert verdict.status in attack.ends, verdict.reason
    assert trap.secret_file.read_text() not in verdict.reason
    assert trap.touched() == []
    honest = CustomReference(path="reward.py", source=checkers.LAST, ground_truth="18")
    assert verifier.verify(Problem(id="next", prompt="x", verifier="custom", reference=honest), "it is 18").passed
