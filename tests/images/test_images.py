"""The CPU image as its users run it, and the patch verifier on an image made from it: `make test-images`."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sampling.problems import Problem
from tests.conftest import PROBLEMS
from tests.images.engine import IMAGE, find_working
from tests.support.repositories import HANG, HEAP, Made, make
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers

pytestmark = [
    pytest.mark.skipif(IMAGE not in os.environ, reason="make test-images builds the image and runs this"),
    pytest.mark.timeout(600),
]
MOST_BYTES = 1_500_000_000
FULL_GUARD = ("--cap-drop", "ALL", "--security-opt", "no-new-privileges")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("engine")
    with pytest.MonkeyPatch.context() as patch:
        found = find_working(folder)
        if found is None:
            pytest.skip("no container engine here runs the image")
        patch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        patch.setenv("TROOP_CONTAINERS", found)
        yield found


def inside(
    engine: str, folder: Path, *words: str, guard: tuple[str, ...] = FULL_GUARD
) -> "subprocess.CompletedProcess[str]":
    folder.chmod(0o777)  # the image's user is no user of this machine
    command = [engine, "run", "--rm", "--network", "host", *guard, "-v", f"{folder}:/work", "-w", "/work"]
    return subprocess.run(
        [*command, os.environ[IMAGE], *words], capture_output=True, text=True, check=False, timeout=300
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a sweep of gold solutions, one of them wrong."""
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in PROBLEMS))
    sweep: dict[str, Any] = {
        "name": "sums",
        "models": [{"name": "gold", "path": "gold", "engine": "replay", "k": 4}],
        "tasks": [{"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}],
        "verify": {"audit": 0},
    }
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep))
    return tmp_path


def test_the_image_is_small(engine: str) -> None:
    words = [engine, "image", "inspect", "--format", "{{.Size}}", os.environ[IMAGE]]
    assert int(subprocess.run(words, capture_output=True, text=True, check=True).stdout) <= MOST_BYTES


def test_it_plans(engine: str, folder: Path) -> None:
    planned = inside(engine, folder, "troop", "plan", "sweep.yaml")
    assert planned.returncode == 0 and "12" in planned.stdout, planned.stderr


@pytest.mark.parametrize("guard", [(), FULL_GUARD], ids=["default", "full"])
@pytest.mark.parametrize("tier", ["isolated", "confined"])
def test_both_tiers_hold_under_the_engines_default_seccomp(
    engine: str, folder: Path, tier: str, guard: tuple[str, ...]
) -> None:
    ran = inside(engine, folder, "troop", "run", "sweep.yaml", "--local", "--set", f"verify.tier={tier}", guard=guard)
    assert ran.returncode == 0, ran.stderr
    assert (folder / "runs" / "sums" / "report" / "report.html").is_file()


def test_an_ordinary_user_runs_a_ray_of_its_own(engine: str, folder: Path) -> None:
    ran = inside(engine, folder, "troop", "run", "sweep.yaml", "--no-report")
    assert ran.returncode == 0, ran.stderr
    asked = """SELECT count(*) AS rows, count(*) FILTER (passed) AS right, min(code_version) AS code
        FROM samples JOIN verdicts USING (model, task, problem_idx, sample_idx)"""
    told = json.loads(inside(engine, folder, "troop", "sql", "runs/sums", asked, "--json").stdout)
    assert (told["rows"], told["right"]) == (12, 8)
    assert told["code"] not in ("", "unknown")  # the commit is in the image


def test_samples_of_a_file_are_verified(engine: str, folder: Path) -> None:
    (folder / "samples.jsonl").write_text(json.dumps({"problem": "one", "sample": 0, "text": "2"}) + "\n")
    words = ("--task", "jsonl=problems.jsonl", "--samples", "samples.jsonl", "--out", "verdicts.jsonl")
    assert inside(engine, folder, "troop", "verify", *words).returncode == 0
    assert json.loads((folder / "verdicts.jsonl").read_text())["status"] == "pass"


@pytest.fixture(scope="module")
def heap(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Made]]:
    """An image as SWE-bench makes them: the CPU image with a repository at its base commit in ``/testbed``."""
    folder = tmp_path_factory.mktemp("heap")
    made = make(HEAP, folder / "heap")
    builder = shutil.which("buildah") or engine
    name = "localhost/troop-test-heap"
    (folder / "Dockerfile").write_text(
        f"FROM {os.environ[IMAGE]}\nUSER 0\nCOPY heap /testbed\nRUN git config --global --add safe.directory /testbed\n"
    )
    environment = os.environ | {"BUILDAH_ISOLATION": "chroot"}
    built = subprocess.run([builder, "build", "-t", name, str(folder)], capture_output=True, text=True, env=environment)
    assert built.returncode == 0, built.stderr
    yield name, made
    subprocess.run([engine, "image", "rm", "--force", name], capture_output=True, check=False)


def verdict_on(heap: tuple[str, Made], diff: str, **changes: Any) -> Verdict:
    reference = heap[1].reference(snapshot=None, image=heap[0], time_limit_s=60) | changes
    problem = Problem.model_validate({"id": "p", "prompt": "?", "verifier": "patch", "reference": reference})
    with Verifiers() as verifiers:
        verdict = verifiers.verify(problem, diff)
    assert verdict.tier == "container" or verdict.status is Status.INVALID, verdict
    return verdict


def judge(heap: tuple[str, Made], diff: str, **changes: Any) -> Status:
    return verdict_on(heap, diff, **changes).status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("return min(items)", Status.PASS),
        ("return items[1]", Status.FAIL),
        ("import os\nos._exit(0)", Status.FAIL),  # tests that end before they have said anything
    ],
)
def test_patches_are_judged_in_a_real_image(heap: tuple[str, Made], body: str, status: Status) -> None:
    assert judge(heap, heap[1].patch(body)) is status


def test_a_flaky_patch_is_judged_by_most_of_its_runs(heap: tuple[str, Made]) -> None:
    """Tries a body that is right in half of its runs, each in a container that knows nothing of the others."""
    body = "import os\nreturn min(items) if os.urandom(1)[0] % 2 else items[1]"
    made = [verdict_on(heap, heap[1].patch(f"{body}  # {number}"), repeats=3) for number in range(4)]
    assert {verdict.status for verdict in made} <= {Status.PASS, Status.FAIL}, made
    assert all(re.search(r"\([23] runs\)", verdict.reason) for verdict in made), made


def test_a_patch_of_the_tests_and_one_that_hangs(heap: tuple[str, Made]) -> None:
    assert judge(heap, heap[1].diff({"test_heap.py": "\n"})) is Status.INVALID
    assert judge(heap, heap[1].patch(HANG), time_limit_s=5) is Status.TIMEOUT
    left = subprocess.run(["pgrep", "-f", "sleep 4481.5"], capture_output=True, check=False)
    assert left.returncode == 1, "the container's processes outlived it"
