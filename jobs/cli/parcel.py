"""The files of a sweep that travel to a cluster: one zip file, whose only folder holds what the current folder does.

So no jobs.py, verify.py or cluster.py of the user lies where Python looks for modules.
"""

import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from jobs.sweep import Sweep
from sampling.engines.gpu_memory import gib
from sampling.errors import BadInput

INSIDE = "files"
LEFT_OUT = (".*", "__pycache__", "node_modules", "runs", "venv")  # unless the sweep names a file below
MOST_BYTES = 500 << 20  # Ray takes packages up to 512 MiB
NAMED_IN_ERROR = 3
_DATE = (2000, 1, 1, 0, 0, 0)  # the same files make the same package, which Ray then has already


def pack(sweep_file: Path, sweep: Sweep, given: Sequence[str], excludes: Sequence[str], parcel: Path) -> str:
    """Writes the zip file ``parcel``; returns the sweep's path in it.

    ``given`` are the ``--set`` assignments. Raises BadInput where a file that the sweep names would not travel, or
    where all together are too large.
    """
    here = Path.cwd().resolve()
    named = list(_named(sweep_file, sweep, given, here, excludes))
    listed = [path for path in _listed(here) if not _left_out(path.relative_to(here), (*LEFT_OUT, *excludes))]
    files = sorted({*listed, *(file for path in named for file in _below(path))})
    _check_size(files, here)
    with zipfile.ZipFile(parcel, "w", zipfile.ZIP_DEFLATED) as package:
        for file in files:
            about = zipfile.ZipInfo(f"{INSIDE}/{file.relative_to(here).as_posix()}", _DATE)
            about.external_attr, about.compress_type = (file.stat().st_mode & 0o777) << 16, zipfile.ZIP_DEFLATED
            package.writestr(about, file.read_bytes())
    return f"{INSIDE}/{sweep_file.resolve().relative_to(here).as_posix()}"


def _named(sweep_file: Path, sweep: Sweep, given: Sequence[str], here: Path, excludes: Sequence[str]) -> Iterator[Path]:
    """Yields the files and folders that the sweep names and that lie in the current folder."""
    words = "\n".join([sweep_file.read_text("utf-8", "replace"), *given])
    for what, path in _local(sweep_file, sweep):
        if path.is_relative_to(here):
            if _left_out(path.relative_to(here), excludes):
                raise BadInput(f"--exclude: leaves out {path.relative_to(here)}, which is {what}")
            yield path
        elif str(path) not in words:  # one that is written whole is taken to be on the cluster
            where = "go to a folder that holds both, and submit there"
            raise BadInput(f"submit: {path} is {what} and outside this folder, which is what travels; {where}")


def _local(sweep_file: Path, sweep: Sweep) -> Iterator[tuple[str, Path]]:
    """Yields what there is of the sweep on this machine, each with a name for messages."""
    yield "the sweep", sweep_file.resolve()
    for task in sweep.tasks:
        for key in ("path", "few_shot", "prompt"):
            value = getattr(task, key)
            if value and Path(value).exists():
                yield f"{key} of task {task.title}", Path(value).resolve()
    for model in sweep.models:
        if model.engine != "openai" and Path(model.path).is_absolute() and Path(model.path).exists():
            yield f"path of model {model.name}", Path(model.path)
    lists = [sweep.verify.packages, *(task.packages for task in sweep.tasks)]
    for package in sorted({name for packages in lists for name in packages or ()}):
        if "/" in package and Path(package).exists():
            yield "a folder of packages", Path(package).resolve()


def _listed(here: Path) -> list[Path]:
    """Lists the files of a folder; in a git repository, those that it tracks or does not ignore."""
    words = ["git", "-C", str(here), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        told = subprocess.run(words, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
    except (OSError, subprocess.CalledProcessError):
        return list(_below(here))
    return [path for name in told.split("\0") if name and (path := here / name).is_file()]


def _below(path: Path) -> Iterable[Path]:
    if path.is_file():
        return [path]
    return (file for file in path.rglob("*") if file.is_file() and not _left_out(file.relative_to(path), LEFT_OUT))


def _left_out(path: Path, patterns: Sequence[str]) -> bool:
    """Tells whether a pattern fits the path or the name of a folder on it."""
    names = [*path.parts, path.as_posix()]
    return any(fnmatch(name, pattern.rstrip("/")) for pattern in patterns for name in names)


def _check_size(files: Sequence[Path], here: Path) -> None:
    sizes = {file: file.stat().st_size for file in files}
    if (total := sum(sizes.values())) > MOST_BYTES:
        largest = sorted(files, key=lambda file: -sizes[file])[:NAMED_IN_ERROR]
        names = ", ".join(f"{file.relative_to(here)} ({gib(sizes[file])})" for file in largest)
        cure = "leave some out with --exclude, or put them into s3://"
        raise BadInput(
            f"submit: this folder holds {gib(total)}, a job takes {gib(MOST_BYTES)}; largest: {names}; {cure}"
        )
