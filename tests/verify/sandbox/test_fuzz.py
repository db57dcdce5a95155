"""A short run of ``make fuzz``: random sequences of allowed system calls leave nothing and change no honest sample."""

import pytest

from tests.fuzz.__main__ import fuzz
from tests.fuzz.calls import allowed
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable


@pytest.mark.parametrize("tier", SAFE_TIERS)
def test_random_system_calls_leave_nothing(tier: str) -> None:
    try:
        sandbox = Sandbox(tier)
    except TierUnavailable as error:
        pytest.skip(str(error))
    with sandbox:
        found = fuzz(sandbox, seconds=30.0, seed=7, most=4)
    assert found.calls > 20
    assert (found.wrong, found.left) == ([], [])


def test_calls_that_are_refused_are_not_tried() -> None:
    for isolated in (True, False):
        names = {name for name, _ in allowed(isolated)}
        assert not names & {"fork", "execve", "seccomp", "pidfd_open", "capset", "sysinfo", "flock", "ptrace"}
        assert {"read", "mmap", "clone", "prctl", "openat", "socketpair"} <= names
