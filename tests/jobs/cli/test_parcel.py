"""Tests of the package that travels with `troop submit`: all that the sweep names, and no module at its top."""

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from jobs.cli import parcel
from jobs.cli.parcel import pack
from jobs.sweep import load_sweep
from jobs.sweep_file import variables_of
from sampling.errors import BadInput
from tests.conftest import WriteSweep


def packed(sweep: Path, *excludes: str, given: tuple[str, ...] = ()) -> tuple[str, set[str]]:
    out = Path("/tmp") / f"{sweep.parent.name}.zip"
    try:
        found = pack(sweep, load_sweep(sweep, given), given, excludes, out)
        return found.inside, set(zipfile.ZipFile(out).namelist())
    finally:
        out.unlink(missing_ok=True)


def test_a_folder_with_modules_of_our_names_has_none_at_the_top(write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep()
    for name in ("jobs.py", "verify.py", "cluster.py"):
        (tmp_path / name).write_text("raise SystemExit(0)\n")
    (tmp_path / "runs" / "old").mkdir(parents=True)
    (tmp_path / "runs" / "old" / "plan.json").write_text("{}")
    (tmp_path / ".env").write_text("SECRET=1\n")
    inside, names = packed(sweep)
    assert inside == "files/sweep.yaml"
    assert names == {f"files/{name}" for name in ("sweep.yaml", "problems.jsonl", "jobs.py", "verify.py", "cluster.py")}


def test_ignored_files_stay_here_but_for_those_that_the_sweep_names(write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep = write_sweep()
    subprocess.run(["git", "init", "-q"], check=True)
    (tmp_path / ".gitignore").write_text("*.jsonl\nbig/\n")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "weights.bin").write_bytes(b"0" * 9)
    (tmp_path / "notes.md").write_text("x")
    assert packed(sweep)[1] == {"files/sweep.yaml", "files/problems.jsonl", "files/notes.md"}
    assert packed(sweep, "*.md")[1] == {"files/sweep.yaml", "files/problems.jsonl"}


def test_a_file_below_a_folder_that_is_left_out_travels_where_it_is_named(
    write_sweep: WriteSweep, tmp_path: Path
) -> None:
    sweep = write_sweep()
    (tmp_path / "runs").mkdir()
    (tmp_path / "problems.jsonl").rename(tmp_path / "runs" / "problems.jsonl")
    given = ("tasks.sums.path=runs/problems.jsonl",)
    assert "files/runs/problems.jsonl" in packed(sweep, given=given)[1]
    with pytest.raises(BadInput, match=r"^--exclude: leaves out runs/problems.jsonl, which is path of task sums$"):
        packed(sweep, "runs", given=given)


def test_what_lies_outside_is_refused_unless_it_is_written_whole(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = write_sweep()
    (here := tmp_path / "here").mkdir()
    monkeypatch.chdir(here)
    with pytest.raises(
        BadInput, match=r"sweep.yaml is the sweep and outside this folder, which is what travels; go to"
    ):
        packed(Path("../sweep.yaml"))
    inside = here / "sweep.yaml"
    inside.write_text(sweep.read_text().replace("problems.jsonl", "../problems.jsonl"))
    with pytest.raises(BadInput, match=r"problems.jsonl is path of task sums and outside this folder"):
        packed(inside)
    inside.write_text(sweep.read_text().replace("problems.jsonl", f"{tmp_path}/problems.jsonl"))
    assert packed(inside)[1] == {"files/sweep.yaml"}  # taken to be on the cluster


def test_adapters_travel_with_their_sweep(write_sweep: WriteSweep, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    (tmp_path / ".gitignore").write_text("lora\nmodel\n")
    subprocess.run(["git", "init", "-q"], check=True)
    adapters = {"here": "./lora", "hub": "owner/lora", "bucket": "s3://b/lora"}
    names = packed(write_sweep(models=[{"name": "m", "path": "./model", "adapters": adapters}]))[1]
    assert {"files/model/config.json", "files/lora/adapter_config.json"} <= names
    with pytest.raises(BadInput, match=r"'./none' is the adapter of model m\+x, and there is no such file or folder"):
        packed(write_sweep(models=[{"name": "m", "path": "o/m", "adapters": {"x": "./none"}}]))


def written(tmp_path: Path, *problems: dict[str, object]) -> None:
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))


COMMON = {"id": "a", "prompt": "?", "solution": "x"}
CHECKER = "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n    return 1.0\n"
PATCH = {"base_commit": "0" * 40, "test_patch": "x", "fail_to_pass": ["t"], "test_command": "pytest"}


def test_files_that_problems_name_travel_with_all_that_git_keeps(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """A checker in a folder that is left out, a snapshot with its .git, a folder of packages."""
    sweep = write_sweep()
    for name, text in {"runs/own.py": CHECKER, "runs/pack/one.py": "x = 1", "repo/calc.py": "x = 1"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "-q", "repo"], check=True)
    patch = {**PATCH, "snapshot": "repo"}
    written(
        tmp_path,
        {**COMMON, "verifier": "custom", "reference": {"path": "runs/own.py", "packages": ["runs/pack/"]}},
        {**COMMON, "id": "b", "verifier": "patch", "reference": patch},
    )
    names = packed(sweep)[1]
    assert {"files/runs/own.py", "files/runs/pack/one.py", "files/repo/calc.py", "files/repo/.git/HEAD"} <= names
    assert "files/repo/.git/refs/heads/" in names  # an empty folder, without which git knows no repository


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        ({"verifier": "custom", "reference": {"path": "none.py"}}, r"none.py: no such file"),
        (
            {"verifier": "custom", "reference": {"path": "../own.py"}},
            r"own.py is checker of a problem of task sums and out",
        ),
        (
            {"verifier": "patch", "reference": {**PATCH, "snapshot": "none"}},
            r"none is snapshot of a .*there is no such",
        ),
        ({"verifier": "patch", "reference": {**PATCH, "snapshot": "../repo"}}, r"repo is snapshot of .* and outside"),
        (
            {"verifier": "patch", "reference": {**PATCH, "snapshot": "repo", "environment": "../env"}},
            r"env is environm",
        ),
    ],
)
def test_what_a_problem_names_and_would_not_travel_is_refused(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: dict[str, object], said: str
) -> None:
    (here := tmp_path / "here").mkdir()
    (here / "repo").mkdir()
    (tmp_path / "own.py").write_text(CHECKER)
    write_sweep().rename(here / "sweep.yaml")
    written(here, {**COMMON, **problem})
    monkeypatch.chdir(here)
    with pytest.raises(BadInput, match=said):
        packed(here / "sweep.yaml")


def test_what_is_written_as_a_full_path_is_expected_on_the_cluster(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names problems by ~, by a variable, by a file URL and by a full path, and their checker by ~."""
    sweep, home = write_sweep(), tmp_path / "home"
    for name in ("few", "own.py", "in.jsonl"):
        home.mkdir(exist_ok=True)
        (home / name).write_text(CHECKER)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DATA", str(home))
    (here := tmp_path / "here").mkdir()
    written(home, {**COMMON, "verifier": "custom", "reference": {"path": "~/own.py"}})
    (home / "problems.jsonl").rename(home / "in.jsonl")
    monkeypatch.chdir(here)
    for path in ("~/in.jsonl", "${DATA}/in.jsonl", f"file://{home}/in.jsonl", f"{home}/in.jsonl"):
        (here / "sweep.yaml").write_text(sweep.read_text().replace("problems.jsonl", path))
        found = pack(Path("sweep.yaml"), load_sweep(Path("sweep.yaml")), (), (), tmp_path / "out.zip")
        assert found.files == 1
        assert set(found.expected) == {
            f"{home}/in.jsonl (path of task sums)",
            f"{home}/own.py (checker of a problem of task sums)",
        }
    assert variables_of(here / "sweep.yaml", ["tasks.sums.path=${DATA}/in.jsonl"]) == ["DATA"]


def test_a_relative_path_of_an_engine_argument_is_refused(write_sweep: WriteSweep, tmp_path: Path) -> None:
    model = {"name": "m", "path": "o/n", "vllm": {"chat_template": "./own.jinja"}}
    sweep = write_sweep(models=[model])
    (tmp_path / "own.jinja").write_text("x")
    with pytest.raises(BadInput, match=r"models\.m\.vllm\.chat_template: './own\.jinja' is a relative path"):
        packed(sweep)
    with pytest.raises(BadInput, match=r"'\./none' is path of model m, and there is no such file or folder"):
        packed(sweep, given=("models.m.path=./none",))


def test_a_folder_that_is_too_large_is_told_before_it_is_packed(
    write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parcel, "MOST_BYTES", 10_000)
    sweep = write_sweep()
    (tmp_path / "weights.bin").write_bytes(b"0" * 20_000)
    with pytest.raises(
        BadInput, match=r"^submit: this folder holds .*; largest: weights.bin \(.*; leave some out with"
    ):
        packed(sweep)
    assert packed(sweep, "*.bin")[0] == "files/sweep.yaml"


def test_the_same_files_make_the_same_package(write_sweep: WriteSweep, tmp_path: Path) -> None:
    sweep, one, other = write_sweep(), tmp_path / ".one.zip", tmp_path / ".other.zip"
    for out in (one, other):
        pack(sweep, load_sweep(sweep), (), (), out)
    assert one.read_bytes() == other.read_bytes()


def test_ray_takes_packages_that_large() -> None:
    from ray._private.runtime_env.packaging import GCS_STORAGE_MAX_SIZE

    assert parcel.MOST_BYTES <= GCS_STORAGE_MAX_SIZE
