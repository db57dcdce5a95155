"""Patches on five small git repositories: right, wrong, flaky, hanging, tampering and hostile ones."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from sampling.errors import BadInput, VerifierFault
from sampling.patches import PatchReference
from sampling.problems import Problem
from tests.conftest import Troop, WriteSweep
from tests.support.repositories import ALL, HANG, Made, git, make
from verify.patch import verifier as patching
from verify.patch.snapshots import SnapshotWorkspace, clone_snapshot
from verify.patch.suite import Suite
from verify.patch.verifier import PatchVerifier, check_patches
from verify.sandbox.commands import Finished
from verify.sandbox.limits import Quota
from verify.sandbox.namespaces import shown_at
from verify.verdict import SHARED_NOTE, Status, Verdict
from verify.verifiers import Verifiers, candidate_text


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TROOP_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Made]:
    return {one.name: make(one, tmp_path_factory.mktemp(one.name)) for one in ALL}


@pytest.fixture(scope="module")
def verifiers() -> Iterator[Verifiers]:
    with Verifiers() as verifiers:
        yield verifiers


_problems: dict[str, Problem] = {}


def problem(one: Made, **changes: Any) -> Problem:
    """Returns the same object for the same problem, as in a run: its samples share one baseline."""
    name = f"{one.repository.name}{sorted(changes)}"
    if name not in _problems:
        reference = one.reference(time_limit_s=60, memory_mb=512) | changes
        _problems[name] = Problem.model_validate(
            {"id": name, "prompt": "?", "verifier": "patch", "reference": reference}
        )
    return _problems[name]


def verify(verifiers: Verifiers, asked: Problem, text: str) -> Verdict:
    verdict = verifiers.verify(asked, text)
    assert verdict.status is not Status.FAULT, verdict
    return verdict


def on_heap(verifiers: Verifiers, made: dict[str, Made], text: str) -> Verdict:
    return verify(verifiers, problem(made["heap"]), text)


@pytest.mark.parametrize("name", [one.name for one in ALL])
def test_right_and_wrong_patches(verifiers: Verifiers, made: dict[str, Made], name: str) -> None:
    one = made[name]
    right = verify(verifiers, problem(one), f"Fixed:\n```diff\n{one.patch(one.repository.right)}```\n")
    assert right.status is Status.PASS, right
    assert right.reason == SHARED_NOTE
    assert right.tier == "isolated"
    assert right.wall_s > 0 and right.cpu_s > 0 and right.max_rss_mb > 5
    wrong = verify(verifiers, problem(one), one.patch(one.repository.wrong))
    assert wrong.status is Status.FAIL
    assert one.repository.fail_to_pass[0] in wrong.reason
    assert SHARED_NOTE in wrong.reason


def test_what_passed_has_to_pass_still(verifiers: Verifiers, made: dict[str, Made]) -> None:
    verdict = on_heap(verifiers, made, made["heap"].patch("return 1"))
    assert verdict.status is Status.FAIL
    assert "1 of 3 tests did not pass: test_one" in verdict.reason


@pytest.mark.parametrize("name", [one.name for one in ALL])
def test_hanging_patches_are_ended_with_all_their_processes(
    verifiers: Verifiers, made: dict[str, Made], name: str
) -> None:
    one = made[name]
    hanging = problem(one).model_copy(
        update={"reference": problem(one).reference.model_copy(update={"time_limit_s": 1.0})}
    )
    with pytest.MonkeyPatch.context() as patch:  # the tests alone take long on a busy machine: tried before, not again
        patch.setattr(patching, "run_baseline", lambda suite: suite)
        verdict = verify(verifiers, hanging, one.patch(HANG))
    assert verdict.status is Status.TIMEOUT, verdict
    assert not [each for each in psutil.process_iter(["cmdline"]) if "4481.5" in (each.info["cmdline"] or [])]


@dataclass(frozen=True)
class Counted:
    """A workspace that counts in a file the runs of tests before this one; a flaky test reads the count."""

    workspace: SnapshotWorkspace
    to_index: str
    to_tree: str
    tier: str

    @property
    def file(self) -> Path:
        return self.workspace.folder / "git" / "turn"

    def run(self, script: str, quota: Quota) -> Finished:
        finished = self.workspace.run(script, quota)
        if "git diff-index" not in script:
            self.file.write_text(str(int(self.file.read_text()) + 1))
        return finished


@pytest.mark.parametrize(
    ("name", "turns", "status", "runs"),
    [
        ("calc", (0, 2), Status.PASS, 3),
        ("slug", (1, 2), Status.PASS, 3),
        ("shop", (0, 1), Status.PASS, 2),
        ("tool", (1,), Status.FAIL, 3),
        ("heap", (2,), Status.FAIL, 2),
    ],
)
def test_most_of_several_runs_decide(
    made: dict[str, Made], monkeypatch: pytest.MonkeyPatch, name: str, turns: tuple[int, ...], status: Status, runs: int
) -> None:
    """Tries a body that is right in some runs only; only the harness counts the runs."""
    one, asked = made[name], problem(made[name], repeats=3)
    assert isinstance(asked.reference, PatchReference)
    here = SnapshotWorkspace(clone_snapshot(str(one.folder), one.base), patching.default_environment())
    counted = Counted(here, here.to_index, here.to_tree, here.tier)
    body = one.repository.flaky(repr(turns), shown_at(str(counted.file)))
    diff = one.patch(body)
    monkeypatch.setattr(PatchVerifier, "_open_workspace", lambda self, reference: counted)
    monkeypatch.setattr(
        patching, "run_baseline", lambda suite: Suite(suite.reference, suite.workspace, may_fail=XFAILED)
    )
    counted.file.write_text("0")
    with Verifiers() as verifiers:
        verdict = verifiers.verify(asked, diff)
    assert verdict.status is status, verdict
    assert f"({runs} runs)" in verdict.reason


XFAILED = frozenset({"tests/test_cart.py::test_known"})


@pytest.mark.parametrize("name", [one.name for one in ALL])
def test_patches_that_touch_the_tests_are_refused(verifiers: Verifiers, made: dict[str, Made], name: str) -> None:
    one = made[name]
    right = one.repository.with_body(one.repository.wrong)
    stem = one.repository.test.removesuffix(".py")
    tampering = {
        "changed": {one.repository.module: right, one.repository.test: "\n"},
        "renamed": {one.repository.test: None, "elsewhere.py": one.repository.tests},
        "shadowed": {f"{stem}/__init__.py": "\n"},
    }
    for kind, changes in (tampering | (TAMPERING if name == "heap" else {})).items():
        verdict = verify(verifiers, problem(one), one.diff(changes, "--find-renames"))
        assert verdict.status is Status.INVALID, (kind, verdict)
        assert "touches" in verdict.reason, kind


TAMPERING: dict[str, dict[str, str | None]] = {
    "conftest": {"conftest.py": "def pytest_runtest_makereport(): ...\n"},
    "configured": {"tox.ini": "[pytest]\naddopts = --collect-only\n"},
    "plugged in": {"x.egg-info/entry_points.txt": "[pytest11]\nx = x\n"},
    "replaced": {"unittest/__init__.py": "def main(): print('ok')\n", "pytest.py": "print('1 passed')\n"},
}
FORGERIES = {
    "asserts nothing": "import unittest\nunittest.TestCase._baseAssertEqual = lambda *any, **more: None\nreturn 0",
    "leaves": "import os\nos._exit(0)",
    "prints": "print('test_last (test_heap.Heap.test_last) ... ok', flush=True)\nimport os\nos._exit(0)",
    "kills the shell": "import os\nos.kill(os.getppid(), 9)\nreturn 0",
    "kills all": "import os\nos.kill(-1, 9)",
    "skips": "import unittest\nraise unittest.SkipTest('later')",
    "writes the tests": "open('test_heap.py', 'w').write('')\nreturn 0",
    "eats": "held = [bytearray(1 << 30) for _ in range(64)]",
    "prints on": "while True: print('x' * 100000)",
    "looks around": "import os\nprint(os.listdir('/proc'))",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forgeries_in_haste_do_not_pass(verifiers: Verifiers, made: dict[str, Made], name: str) -> None:
    verdict = on_heap(verifiers, made, made["heap"].patch(FORGERIES[name]))
    assert verdict.status not in (Status.PASS, Status.INVALID), verdict


def test_a_forgery_with_care_passes_and_that_is_said(verifiers: Verifiers, made: dict[str, Made]) -> None:
    """The tests run the candidate in their own process: SHARED_NOTE on every verdict says this."""
    body = "return type('Same', (), {'__eq__': lambda self, other: True})()"
    verdict = on_heap(verifiers, made, made["heap"].patch(body))
    assert verdict.status is Status.PASS
    assert "forgeable" in verdict.reason


def new(path: str, mode: str = "100644", line: str = "x") -> str:
    return f"diff --git a/{path} b/{path}\nnew file mode {mode}\n--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+{line}\n"


HOSTILE = {
    "parent": new("../../escape"),
    "inner parent": new("a/../../../escape"),
    "absolute": new("/tmp/escape"),
    "absolute, without prefixes": new("/tmp/escape").replace("a//", "/").replace("b//", "/"),
    "git hook": new(".git/hooks/pre-commit", "100755", "#!/bin/sh"),
    "git config": new(".GIT/config"),
    "git config, tricky": new(".g\u200cit/config"),
    "symlink": new("link", "120000", "/etc/passwd"),
    "through a symlink": new("link", "120000", "/tmp") + new("link/escape"),
    "submodule": new("sub", "160000", f"Subproject commit {'1' * 40}"),
    "empty": "diff --git a/heap.py b/heap.py\n",
    "mode only, of a test": "diff --git a/test_heap.py b/test_heap.py\nold mode 100644\nnew mode 100755\n",
    "rename over a test": (
        "diff --git a/heap.py b/test_heap.py\nsimilarity index 100%\nrename from heap.py\nrename to test_heap.py\n"
    ),
    "rename of a test": (
        "diff --git a/test_heap.py b/moved.py\nsimilarity index 100%\nrename from test_heap.py\nrename to moved.py\n"
    ),
    "broken binary": "diff --git a/x.bin b/x.bin\nnew file mode 100644\nGIT binary patch\nliteral 9999999\nzzz\n",
    "corrupt": "--- a/heap.py\n+++ b/heap.py\n@@ -1,9 +1,9 @@\n-nothing like it\n+x\n",
    "counts too high": "--- a/heap.py\n+++ b/heap.py\n@@ -1,99999999999 +1,99999999999 @@\n x\n",
    "the shell": new("x'; echo hacked >/tmp/said; '") + "END\nexit 0\n}\necho hacked\n",
    "two names": "diff --git a/heap.py b/heap.py\n--- a/heap.py\n+++ b/test_heap.py\n@@ -1 +1 @@\n-x\n+y\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_diffs_are_invalid_and_change_nothing(verifiers: Verifiers, made: dict[str, Made], name: str) -> None:
    one = made["heap"]
    before = everything(clone_snapshot(str(one.folder), one.base))
    verdict = on_heap(verifiers, made, HOSTILE[name])
    if name == "the shell":  # an odd name, and what follows the diff is not looked at
        assert (verdict.status, "hacked" in verdict.reason) == (Status.FAIL, False)
    elif name in ("git config, tricky", "absolute, without prefixes"):  # ordinary names within the tree
        assert verdict.status in (Status.FAIL, Status.INVALID)
    else:
        assert verdict.status is Status.INVALID, verdict
    assert everything(clone_snapshot(str(one.folder), one.base)) == before
    assert not list(Path("/tmp").glob("escape*"))


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Returns mode and content of every file of a snapshot, except the file in which a test counts."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "turn")
    return {str(path): (path.lstat().st_mode, path.read_bytes()) for path in files}


def test_unusual_diffs_are_honest_ones(verifiers: Verifiers, made: dict[str, Made]) -> None:
    one = made["heap"]
    right = one.repository.with_body(one.repository.right)
    binary = one.diff({"heap.py": right, "data.bin": "\0\1\2"})
    renamed = one.diff({"heap.py": right, "NOTES": None, "NOTES.md": "heap: base\n"}, "--find-renames")
    mode = one.diff({"heap.py": right}).replace("index ", "old mode 100644\nnew mode 100755\nindex ", 1)
    mode = mode.replace(" 100644\n---", "\n---")
    assert "GIT binary patch" in binary and "rename to NOTES.md" in renamed and "new mode" in mode
    for diff in (binary, renamed, mode):
        assert on_heap(verifiers, made, diff).status is Status.PASS, diff


def test_candidates_cannot_change_what_others_meet(verifiers: Verifiers, made: dict[str, Made]) -> None:
    one = made["heap"]
    body = (
        "import os, pathlib\nfor path in pathlib.Path('/testbed').rglob('*'):\n"
        "    path.is_file() and path.write_text('')\n"
        "os.system('rm -rf /testbed/* /usr/bin /tmp/*')\nreturn 1"
    )
    assert on_heap(verifiers, made, one.patch(body)).status is not Status.PASS
    spaced = one.patch(f"{one.repository.right}  # again")
    assert on_heap(verifiers, made, spaced).status is Status.PASS


def test_a_snapshot_holds_no_history(made: dict[str, Made]) -> None:
    folder = clone_snapshot(str(made["calc"].folder), made["calc"].base)
    log = git(folder / "git", "-c", "safe.directory=*", "log", "--all", "--format=%s")
    assert log == "base\n"
    assert sorted(path.name for path in folder.iterdir()) == ["git", "tree"]


def test_a_bundle_is_as_good_as_a_repository(made: dict[str, Made], tmp_path: Path) -> None:
    one = made["calc"]
    bundle = tmp_path / "calc.bundle"
    git(one.folder, "bundle", "create", "--quiet", str(bundle), "main")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TROOP_CACHE", str(tmp_path / "elsewhere"))
        with Verifiers() as verifiers:
            verdict = verify(verifiers, problem(one, snapshot=str(bundle)), one.patch(one.repository.right))
        assert verdict.status is Status.PASS
        assert (tmp_path / "elsewhere" / "snapshots" / one.base).is_dir()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"test_command": "no-such-command"}, "gave no result: /bin/sh: .*no-such-command: not found"),
        ({"test_command": "sleep 30; true", "time_limit_s": 0.2}, "more than"),
        ({"test_patch": new("../x")}, "the test patch: the diff does not apply"),
        ({"pass_to_pass": ["test_none (test_heap.Heap.test_none)"]}, "1 of 1 tests did not pass: test_none"),
        ({"fail_to_pass": ["test_one (test_heap.Heap.test_one)"]}, "pass without one"),
        ({"results": "pytest"}, "gave no result"),
    ],
)
def test_a_task_that_cannot_judge_is_at_fault(
    verifiers: Verifiers, made: dict[str, Made], changes: dict[str, Any], reason: str
) -> None:
    asked = Problem.model_validate(
        {"id": "p", "prompt": "?", "verifier": "patch", "reference": made["heap"].reference(**changes)}
    )
    verdict = verifiers.verify(asked, made["heap"].patch("return min(items)"))
    assert verdict.status is Status.FAULT
    assert verdict.passed is None
    assert re.search(reason, verdict.reason), verdict.reason


def test_a_snapshot_that_vanishes_is_a_fault(
    made: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path))
    one = made["heap"]
    with Verifiers() as verifiers:
        asked = problem(one, memory_mb=300)
        assert verifiers.verify(asked, one.patch(one.repository.right)).passed
        (tmp_path / "snapshots" / one.base).rename(tmp_path / "moved")
        assert verifiers.verify(asked, one.patch(one.repository.wrong)).status is Status.FAULT
    gone = Problem.model_validate(
        {"id": "p", "prompt": "?", "verifier": "patch", "reference": one.reference(snapshot=str(tmp_path / "gone"))}
    )
    with pytest.raises(VerifierFault, match="no such repository"):
        PatchVerifier().verify(gone, one.patch("return 1"))


def test_no_diff_is_no_candidate(verifiers: Verifiers, made: dict[str, Made]) -> None:
    assert on_heap(verifiers, made, "I would use min().") == Verdict(Status.INVALID, "no diff in the completion")
    assert candidate_text(problem(made["heap"]), "I would use min().") is None


def sweep_of(one: Made, write_sweep: WriteSweep, **changes: Any) -> Path:
    reference = one.reference(time_limit_s=60) | changes
    gold = one.patch(one.repository.right)
    row = {"id": "p", "prompt": "Fix it.", "verifier": "patch", "reference": reference, "solution": gold}
    return write_sweep([row], verify={"audit": 1})


def test_a_sweep_of_gold_patches_passes(troop: Troop, made: dict[str, Made], write_sweep: WriteSweep) -> None:
    sweep = sweep_of(made["heap"], write_sweep)
    done = troop("run", sweep, "--local", "--no-report")
    assert done.code == 0, done.err
    assert "gold solutions: 1 tried, all pass" in done.err
    counted = troop("sql", "runs/sums", "SELECT status, count(*) FROM verdicts GROUP BY ALL", "--json")
    assert json.loads(counted.out)["status"] == "pass"
    audited = troop("audit", sweep, "--local", "--repeats", 1)
    assert audited.code == 0, audited.out + audited.err
    assert "5 known completions" in audited.out


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"snapshot": "nowhere"}, "no such repository or bundle"),
        ({"snapshot": "."}, "not a git repository"),
        ({"snapshot": "problems.jsonl"}, "not a git bundle"),
        ({"base_commit": "1" * 40}, f"it has no commit {'1' * 40}"),
        ({"snapshot": None, "image": "swebench/nothing:latest"}, "no container engine here (docker"),
    ],
)
def test_what_is_missing_is_told_before_anything_starts(
    troop: Troop,
    made: dict[str, Made],
    write_sweep: WriteSweep,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    told: str,
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setenv("TROOP_CONTAINERS", "docker")  # this machine may have another engine
    sweep = sweep_of(made["heap"], write_sweep, **changes)
    monkeypatch.setenv("TROOP_CACHE", str(sweep.parent / "cache"))
    done = troop("run", sweep, "--local")
    assert (done.code, done.out) == (2, "")
    assert done.err.count("\n") == 1
    assert "problem 'p': " in done.err
    assert told in done.err
    assert not (sweep.parent / "runs").exists()


def test_a_local_run_without_an_audit_is_told_too(
    troop: Troop, made: dict[str, Made], write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = sweep_of(made["heap"], write_sweep, snapshot="nowhere")
    monkeypatch.setenv("TROOP_CACHE", str(sweep.parent / "cache"))
    done = troop("run", sweep, "--local", "--no-audit")
    assert done.code == 2 and "no such repository or bundle" in done.err
    assert not (sweep.parent / "runs").exists()


def test_checks_name_the_problem(made: dict[str, Made]) -> None:
    check_patches([problem(one) for one in made.values()])
    broken = problem(made["calc"], snapshot="/nowhere", base_commit="2" * 40)
    with pytest.raises(BadInput, match=r"problem .calc.*/nowhere"):
        check_patches([problem(made["heap"]), broken])


def test_references_are_checked(made: dict[str, Made]) -> None:
    good = made["heap"].reference()
    PatchReference.model_validate(good)
    for changes in (
        {"snapshot": None},
        {"image": "x:latest"},
        {"snapshot": None, "image": "--privileged"},
        {"repeats": 2},
        {"base_commit": "HEAD"},
        {"fail_to_pass": []},
        {"results": "sympy"},
        {"test_patch": " "},
    ):
        with pytest.raises(ValueError):
            PatchReference.model_validate(good | changes)


def test_where_a_snapshot_lies_is_no_part_of_the_reference(made: dict[str, Made]) -> None:
    here = problem(made["heap"])
    there = problem(made["heap"], snapshot="/elsewhere", environment="/env")
    other = problem(made["heap"], repeats=5)
    assert here.reference_digest == there.reference_digest
    assert here.reference_digest != other.reference_digest
