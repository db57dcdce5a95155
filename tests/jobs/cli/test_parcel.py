"""Tests of the package that travels with `troop submit`: all that the sweep names, and no module at its top."""

import subprocess
import zipfile
from pathlib import Path

import pytest

from jobs.cli import parcel
from jobs.cli.parcel import pack
from jobs.sweep import load_sweep
from sampling.errors import BadInput
from tests.conftest import WriteSweep


def packed(sweep: Path, *excludes: str, given: tuple[str, ...] = ()) -> tuple[str, set[str]]:
    out = Path("/tmp") / f"{sweep.parent.name}.zip"
    try:
        inside = pack(sweep, load_sweep(sweep, given), given, excludes, out)
        return inside, set(zipfile.ZipFile(out).namelist())
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
