"""Test suites in containers without an engine: a script stands in for it.

The stand-in understands the words of Docker's command line that we use, and runs the given script over a copy of a
repository. The tests do not show what a real engine does with these words.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobs.doctor.machine import examine
from sampling.errors import BadInput, VerifierFault
from sampling.problems import Problem
from tests.support.repositories import HANG, HEAP, Made, git, make
from verify.patch.containers import ContainerWorkspace, find_engine, pull_if_missing
from verify.patch.verifier import check_patches
from verify.patch.workspace import PatchUnavailable
from verify.sandbox.limits import Quota
from verify.verdict import Status
from verify.verifiers import Verifiers

QUOTA = Quota(wall_s=30.0, memory_mb=256)
ENGINE = """#!/bin/bash
# Stands in for a container engine: images are folders below IMAGES.
echo "$@" >>IMAGES/said
case "$1 $2" in
  "ps "*) exec true ;;
  "image inspect") test -d "IMAGES/${@: -1}" ;;
  "pull "*) echo "no registry here" >&2; exit 1 ;;
  "rm "*) kill -9 -- -"$(cat "IMAGES/${@: -1}.pid")" ;;
  "run "*)
    while [ "$1" != --name ]; do shift; done
    name=$2
    while [ "$1" != /bin/bash ]; do shift; done
    test -d "IMAGES/$2" || { echo "no such image"; exit 125; }
    mkdir "IMAGES/$name" && cp -a "IMAGES/$2/." "IMAGES/$name"
    sed "s,/tmp/,IMAGES/$name/.git/info/,g; s,/testbed,IMAGES/$name,g" >"IMAGES/$name.sh"
    echo $$ >"IMAGES/$name.pid"
    exec bash "IMAGES/$name.sh" ;;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the stand-in, where its images lie."""
    images = tmp_path / "images"
    images.mkdir()
    path = images / "docker"
    path.write_text(ENGINE.replace("IMAGES", str(images)))
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{images}:{Path(shutil.which('python3') or '').parent}:{os.environ['PATH']}")
    return images


@pytest.fixture
def heap(engine: Path) -> Made:
    """Repository in an image, at its base commit."""
    made = make(HEAP, engine / "heap")
    git(made.folder, "config", "user.name", "x")
    return made


def problem(made: Made, **changes: Any) -> Problem:
    reference = made.reference(snapshot=None, image="heap", time_limit_s=30) | changes
    return Problem.model_validate({"id": "p", "prompt": "?", "verifier": "patch", "reference": reference})


def test_patches_in_an_image(engine: Path, heap: Made) -> None:
    asked = problem(heap)
    check_patches([asked])
    with Verifiers() as verifiers:
        right = verifiers.verify(asked, heap.patch("return min(items)"))
        assert (right.status, right.tier) == (Status.PASS, "container"), right
        assert verifiers.verify(asked, heap.patch("return items[1]")).status is Status.FAIL
        assert verifiers.verify(asked, heap.diff({"test_heap.py": "\n"})).status is Status.INVALID
        assert verifiers.verify(asked, "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n").status is Status.INVALID
        assert verifiers.verify(asked, heap.patch("import os\nos._exit(0)")).status is Status.FAIL
    said = (engine / "said").read_text()
    assert "--network none --memory 4096m --memory-swap 4096m --pids-limit 256 --cap-drop ALL" in said
    assert "--security-opt no-new-privileges --entrypoint /bin/bash heap -s" in said


def test_hanging_tests_are_ended_with_their_container(
    engine: Path, heap: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("verify.patch.verifier.run_baseline", lambda suite: suite)
    with Verifiers() as verifiers:
        verdict = verifiers.verify(problem(heap, time_limit_s=1), heap.patch(HANG.replace("4481.5", "4491.5")))
    assert verdict.status is Status.TIMEOUT
    assert "rm --force troop-" in (engine / "said").read_text()
    left = [each for each in psutil.process_iter(["cmdline"]) if "4491.5" in (each.info["cmdline"] or [])]
    for each in left:  # of a session of its own: a real engine ends those too, the stand-in does not
        each.kill()


def test_an_image_that_cannot_be_had_is_told(engine: Path, heap: Made) -> None:
    gone = problem(heap, image="gone:latest")
    with pytest.raises(
        BadInput, match=r"problem 'p': image 'gone:latest' cannot be pulled by docker \(no registry here\)"
    ):
        check_patches([problem(heap), gone])
    with Verifiers() as verifiers:
        verdict = verifiers.verify(gone, heap.patch("return min(items)"))
    assert verdict.status is Status.FAULT
    assert "cannot be pulled" in verdict.reason
    assert pull_if_missing("docker", "heap") is False


@pytest.mark.parametrize(("code", "status"), [(125, None), (1, None), (126, None), (137, Status.MEMORY)])
def test_an_end_that_is_not_the_scripts_is_a_fault(engine: Path, heap: Made, code: int, status: Status | None) -> None:
    workspace = ContainerWorkspace("docker", "heap")
    if status is None:
        with pytest.raises(VerifierFault, match=f"exit status {code}"):
            workspace.run(f"exit {code}", QUOTA)
    else:
        assert workspace.run(f"exit {code}", QUOTA).status is status


def test_an_image_without_the_repository_is_at_fault(engine: Path, heap: Made) -> None:
    asked, diff = problem(heap), heap.patch("return min(items)")
    shutil.rmtree(heap.folder / ".git")
    with Verifiers() as verifiers:
        verdict = verifiers.verify(asked, diff)
    assert verdict.status is Status.FAULT
    assert "git cannot work on the snapshot" in verdict.reason


def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **engines: str) -> Callable[[], str]:
    for name, script in engines.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return find_engine


def test_the_engine_that_answers_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = machine(monkeypatch, tmp_path, docker="echo no daemon >&2; exit 1", podman="echo 5.0")
    assert find() == "podman"
    monkeypatch.setenv("TROOP_CONTAINERS", "docker")
    with pytest.raises(PatchUnavailable, match=r"no container engine here \(docker: no daemon\)"):
        find()


def test_the_doctor_says_what_patches_need(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen = {finding.what: finding for finding in examine().findings}
    assert (seen["git"].usable, seen["git"].seen[:12]) == (True, "git version ")
    machine(monkeypatch, tmp_path)
    seen = {finding.what: finding for finding in examine().findings}
    assert not seen["git"].usable and not seen["containers"].usable
    assert "docker is not installed; podman is not installed" in seen["containers"].seen
    assert "\n" not in examine().as_text().replace("\nok", "").replace("\n--", "")
