"""The sandbox without root's powers, and without user namespaces: both are tried in a user namespace made here."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.attacks.test_attacks import RUNS
from tests.support.places import ROOT

AS_USER = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
FORBID = 'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
WITHOUT_NAMESPACES = [*AS_USER, "--keep-caps", "sh", "-c", FORBID, "sh"]
EVERY = 32  # of the attacks: all of them run in their own module, as whoever runs the tests
PROBE = (
    "from verify.sandbox.tiers import probe; print(*(f'{r.tier}={r.available} {r.reason}' for r in probe()), sep='\\n')"
)


def can(words: list[str]) -> bool:
    if shutil.which("unshare") is None or shutil.which("setpriv") is None:
        return False
    return subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not can(WITHOUT_NAMESPACES), reason="this machine allows no user namespace")


def run(words: list[str], *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*words, sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_ordinary_user_gets_every_tier() -> None:
    assert run(AS_USER, "-c", PROBE).split() == ["isolated=True", "confined=True"]


def test_mounts_that_a_container_has_restricted_stay_so() -> None:
    """Containers mount without programs and devices; a user namespace inside may not allow them again."""
    restrict = "mount --bind {0} {0} && mount -o remount,bind,noexec,nodev,nosuid {0}"
    script = " && ".join([restrict.format("/usr/share/zoneinfo"), 'exec "$@"'])
    container = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", *AS_USER]
    assert run(container, "-c", PROBE).split() == ["isolated=True", "confined=True"]


def test_attacks_fail_for_an_ordinary_user() -> None:
    chosen = [f"tests/attacks/test_attacks.py::test_attack[{tier}-{case.id}]" for tier in ("isolated", "confined")
              for case in RUNS[::EVERY]]  # fmt: skip
    out = run(AS_USER, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)
    assert "100%" in out


def test_an_ordinary_user_has_jails_too() -> None:
    chosen = ["the_tree_can_be_changed_and_stays_as_it_is", "no_network_but_a_loopback", "nothing_is_written_outside"]
    names = [f"tests/verify/sandbox/test_commands.py::test_{name}" for name in chosen]
    assert "100%" in run(AS_USER, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names)


def test_without_user_namespaces_there_is_no_jail() -> None:
    ask = "from verify.sandbox.commands import Jail; from verify.sandbox.limits import Quota\n"
    ask += "try: Jail().run('true', Quota(9, 99))\nexcept Exception as error: print(type(error).__name__, error)"
    assert run(WITHOUT_NAMESPACES, "-c", ask).startswith(
        "VerifierFault the jail for test suites: entering namespaces of its own"
    )


def test_without_user_namespaces_the_weaker_tier_is_given_and_the_reason_named() -> None:
    isolated, confined = run(WITHOUT_NAMESPACES, "-c", PROBE).splitlines()
    assert isolated.startswith("isolated=False")
    assert "entering namespaces of its own" in isolated
    assert confined.strip() == "confined=True"


def test_attacks_fail_without_user_namespaces() -> None:
    chosen = [f"tests/attacks/test_attacks.py::test_attack[confined-{case.id}]" for case in RUNS[5::EVERY]]
    assert "100%" in run(WITHOUT_NAMESPACES, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen)


def test_a_root_whose_user_ids_are_not_mapped_is_told_what_is_missing() -> None:
    """Tries a step that fails after packages were loaded: the machine lacks something, no package is missing."""
    out = run(["unshare", "--user", "--map-root-user", "--mount"], "-c", PROBE)
    assert "loading packages" not in out
    assert [line.partition("=")[0] for line in out.splitlines()] == ["isolated", "confined"]
