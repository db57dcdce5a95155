"""The files of a sweep that travel to a cluster: one zip file, whose only folder holds what the current folder does.

So no jobs.py, verify.py or cluster.py of the user lies where Python looks for modules. What the sweep or its problems
name by a relative path travels, wherever it lies below the current folder; what they name by a full path (``/data``,
``~/data``, or by a variable) and lies elsewhere is expected to be on the cluster.
"""

import subprocess
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from pathlib import Path

from jobs.sweep import Sweep
from jobs.sweep_file import written_texts
from sampling.engines.gpu_memory import gib
from sampling.engines.replay_engine import GOLD
from sampling.errors import BadInput
from sampling.places import HUB_ID, local_path
from sampling.settings import ModelSpec
from sampling.tasks.named_files import Named, files_of
from sampling.tasks.sources import is_remote

INSIDE = "files"
LEFT_OUT = (".*", "__pycache__", "node_modules", "runs", "venv")  # unless the sweep names a file below
MOST_BYTES = 500 << 20  # Ray takes packages up to 512 MiB
NAMED_IN_ERROR = 3
_DATE = (2000, 1, 1, 0, 0, 0)  # the same files make the same package, which Ray then has already


@dataclass(frozen=True)
class Parcel:
    """A packed zip file: the sweep's path in it, its number of files, and what the cluster is expected to have."""

    inside: str
    files: int
    expected: tuple[str, ...]


def pack(sweep_file: Path, sweep: Sweep, given: Sequence[str], excludes: Sequence[str], parcel: Path) -> Parcel:
    """Writes the zip file ``parcel``.

    ``given`` are the ``--set`` assignments. Raises BadInput where a file that the sweep or one of its problems names
    would not travel or is not there, or where all together are too large.
    """
    here = Path.cwd().resolve()
    named = list(_named(sweep_file, sweep, given))
    inside = [each for each in named if each.path.is_relative_to(here)]
    for each in named:
        if not each.in_full:
            _check_travels(each, here, excludes)
    listed = [path for path in _listed(here) if not _left_out(path.relative_to(here), (*LEFT_OUT, *excludes))]
    files = sorted({*listed, *(file for each in inside for file in _below(each.path, each.whole_tree))})
    _check_size(files, here)
    with zipfile.ZipFile(parcel, "w", zipfile.ZIP_DEFLATED) as package:
        for file in files:
            name = f"{INSIDE}/{file.relative_to(here).as_posix()}"
            about = zipfile.ZipInfo(f"{name}/" if file.is_dir() else name, _DATE)
            about.external_attr, about.compress_type = (file.stat().st_mode & 0o777) << 16, zipfile.ZIP_DEFLATED
            package.writestr(about, b"" if file.is_dir() else file.read_bytes())
    expected = dict.fromkeys(f"{each.path} ({each.what})" for each in named if each.in_full)
    place = f"{INSIDE}/{sweep_file.resolve().relative_to(here).as_posix()}"
    return Parcel(place, len(files), tuple(expected))


def _named(sweep_file: Path, sweep: Sweep, given: Sequence[str]) -> Iterator[Named]:
    """Yields the sweep, and what it and its problems name, each with whether it is named by a full path."""
    places = {place for text in written_texts(sweep_file, given) if (place := local_path(text)).startswith("/")}
    full = {str(Path(place).resolve()) for place in places}
    for each in _local(sweep_file, sweep):
        is_sweep = each.path == sweep_file.resolve()
        yield replace(each, in_full=not is_sweep and (each.in_full or str(each.path) in full))


def _check_travels(each: Named, here: Path, excludes: Sequence[str]) -> None:
    if not each.path.is_relative_to(here):
        raise BadInput(
            f"submit: {each.path} is {each.what} and outside this folder, which is what travels; go to a folder that "
            "holds both, and submit there, or give the full path that it has on every node"
        )
    if not each.path.exists():
        raise BadInput(f"submit: {each.path} is {each.what}, and there is no such file or folder")
    if _left_out(each.path.relative_to(here), excludes):
        raise BadInput(f"--exclude: leaves out {each.path.relative_to(here)}, which is {each.what}")


def _local(sweep_file: Path, sweep: Sweep) -> Iterator[Named]:
    """Yields the files and folders that are named, as paths of this machine, each with a name for messages."""
    yield Named("the sweep", sweep_file.resolve())
    for task in sweep.tasks:
        yield from files_of(task)
    for model in sweep.models:
        yield from _of_model(model)
    lists = [sweep.verify.packages, *(task.packages for task in sweep.tasks)]
    for package in sorted({name for packages in lists for name in packages or ()}):
        if "/" in package:
            yield Named("a folder of packages", Path(package).resolve())


def _of_model(model: ModelSpec) -> Iterator[Named]:
    if model.engine == "openai" or model.path == GOLD:
        return
    places = {f"path of model {model.name}": model.path}
    if model.adapter:
        places[f"the adapter of model {model.name}"] = model.adapter.path
    for what, place in places.items():
        if is_remote(place):
            continue
        is_full = Path(place).is_absolute()
        if is_full or place.startswith(".") or not HUB_ID.fullmatch(place):
            if not is_full:  # it would be a full path if it were there
                raise BadInput(f"submit: {place!r} is {what}, and there is no such file or folder")
            yield Named(what, Path(place).resolve())
    for key, value in model.vllm.items():
        if isinstance(value, str) and "/" in value and not Path(value).is_absolute() and Path(value).exists():
            said = f"models.{model.name}.vllm.{key}: {value!r} is a relative path, which vLLM looks for elsewhere there"
            raise BadInput(f"submit: {said}; give a full path that every node has")


def _listed(here: Path) -> list[Path]:
    """Lists the files of a folder; in a git repository, those that it tracks or does not ignore."""
    words = ["git", "-C", str(here), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        told = subprocess.run(words, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
    except (OSError, subprocess.CalledProcessError):
        return list(_below(here))
    return [path for name in told.split("\0") if name and (path := here / name).is_file()]


def _below(path: Path, whole_tree: bool = False) -> Iterable[Path]:
    """Lists a file or the files of a folder; of a whole tree also hidden files and empty folders (git needs both)."""
    if path.is_file():
        return [path]
    if whole_tree:
        return (file for file in path.rglob("*") if file.is_file() or (file.is_dir() and not any(file.iterdir())))
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
