"""Files and folders that a task and its problems name, so that all of them can travel to where the task is asked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling.checkers import CustomReference
from sampling.packages import WithPackages
from sampling.patches import PatchReference
from sampling.places import local_path
from sampling.problems import Problem
from sampling.references import StdioReference
from sampling.tasks.checkers import beside
from sampling.tasks.sources import is_remote
from sampling.tasks.task import TaskSpec
from sampling.tasks.templates import shots_beside


@dataclass(frozen=True)
class Named:
    """A file or folder that is named: ``what`` it is, for messages, and its full path on this machine.

    ``in_full`` says that it was written as a full path. Of a ``whole_tree`` hidden files count too.
    """

    what: str
    path: Path
    in_full: bool = False
    whole_tree: bool = False


def files_of(task: TaskSpec) -> Iterator[Named]:
    """Yields what a task whose paths are full names on this machine; raises BadInput for problems that do not load.

    Problems of a file that is not here, but in a bucket or on other machines, are not looked at.
    """
    for key in ("path", "few_shot", "prompt"):
        value = getattr(task, key)
        if value and not is_remote(str(value)):
            yield Named(f"{key} of task {task.title}", Path(value).resolve())
    if task.prompt and (shots := shots_beside(task.prompt)).is_file():
        yield Named(f"shots of task {task.title}", shots.resolve())
    if not is_remote(task.path) and Path(task.path).exists():
        text = Path(task.path).read_bytes().decode("utf-8", "replace")
        seen = {(name, in_full) for problem in task.load() for name, in_full in _of_problem(problem, task.path, text)}
        for (key, path), in_full in sorted(seen):
            whole = key in ("snapshot", "environment")
            yield Named(f"{key} of a problem of task {task.title}", Path(path).resolve(), in_full, whole)


def _of_problem(problem: Problem, place: str, text: str) -> Iterator[tuple[tuple[str, str], bool]]:
    """Yields ((key, full path), whether it was written in full); ``text`` is the file's at ``place``."""
    reference = problem.reference
    if isinstance(reference, CustomReference):
        yield from _checker(reference.path, place)
    if isinstance(reference, StdioReference) and reference.checker.endswith(".py"):
        yield from _checker(reference.checker, place)
    if isinstance(reference, PatchReference):
        found = {"snapshot": reference.snapshot, "environment": reference.environment}
        yield from (((key, path), _is_in(text, path)) for key, path in found.items() if path)
    if isinstance(reference, WithPackages):
        yield from ((("packages", path), _is_in(text, path)) for path in _folders(reference.packages))


def _folders(packages: Sequence[str] | None) -> Iterator[str]:
    return (path for path in packages or () if "/" in path)


def _checker(written: str, place: str) -> Iterator[tuple[tuple[str, str], bool]]:
    path = beside(written, place)
    if not is_remote(path):
        yield ("checker", str(Path(path).resolve())), local_path(written).startswith("/")


def _is_in(text: str, path: str) -> bool:
    """Tells whether a file's text has a path in full, or from the home folder."""
    return path in text or (path.startswith(str(Path.home())) and path.replace(str(Path.home()), "~", 1) in text)
