"""Hostile programs with a budget of memory that the kernel itself watches, what it holds for them counted too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.places import ROOT

BUDGET = 1_000_000_000  # bytes: of pytest with the judging process, the fork servers and every program, together
GROUPS = Path("/sys/fs/cgroup")
LIMITS = {"memory": "memory.limit_in_bytes", ".": "memory.max"}  # version 1 of control groups, and version 2


@pytest.fixture
def group() -> Iterator[Path]:
    """Yields a control group whose members together have BUDGET; skips where this user can make none."""
    for place, limit in LIMITS.items():
        made = GROUPS / place / f"troop-test-{os.getpid()}"
        with suppress(OSError):
            made.mkdir()
            try:
                (made / limit).write_text(str(BUDGET))
                yield made
            finally:
                made.rmdir()
            return
    pytest.skip("no control group for memory can be made here")


def run_in(group: Path, *words: str) -> subprocess.CompletedProcess[str]:
    code = (
        "import os, sys; open(sys.argv[1], 'w').write('0'); os.execv(sys.executable, [sys.executable, *sys.argv[2:]])"
    )
    command = [sys.executable, "-c", code, str(group / "cgroup.procs"), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_budget_is_kept(group: Path) -> None:
    """The test below would pass in a group that limits nothing."""
    assert run_in(group, "-c", "held = bytearray(b'x') * 900_000_000").returncode == 0
    assert run_in(group, "-c", "held = bytearray(b'x') * 1_100_000_000").returncode == -9


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_programs_that_use_up_memory_stay_within_a_gigabyte(group: Path) -> None:
    """A program that made the kernel hold more would have somebody of the group killed: a fault, or no verdict."""
    done = run_in(group, "-m", "pytest", "-n0", "-x", "tests/attacks/test_attacks.py", "-k", "resource-")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert " passed" in done.stdout
