"""Files of checkers, read where problems are loaded."""

from collections.abc import Iterable
from pathlib import Path

from sampling.checkers import CustomReference, check_output_checker
from sampling.errors import BadInput
from sampling.places import HUB, local_path
from sampling.problems import Problem
from sampling.references import StdioReference
from sampling.s3_folder import S3Options
from sampling.tasks.sources import is_remote, read_bytes


def with_checkers(problems: Iterable[Problem], place: str, options: S3Options) -> list[Problem]:
    """Returns the problems with the text of their checkers' files, each of which is read once.

    Raises BadInput for a file that is not there, or that has no function of a known convention.
    """
    texts: dict[str, str] = {}
    return [_with_checker(problem, place, texts, options) for problem in problems]


def _with_checker(problem: Problem, place: str, texts: dict[str, str], options: S3Options) -> Problem:
    reference = problem.reference
    if isinstance(reference, CustomReference):
        name, field = reference.path, "source"
    elif isinstance(reference, StdioReference) and reference.checker.endswith(".py"):
        name, field = reference.checker, "checker_source"
    else:
        return problem
    path = beside(name, place)
    if path not in texts:
        texts[path] = _read(path, problem, options)
    read = reference.model_copy(update={field: texts[path]})
    try:
        if isinstance(read, CustomReference):
            read.found  # noqa: B018  raises ValueError
        else:
            check_output_checker(texts[path])
    except ValueError as error:
        raise BadInput(f"{path}: {error} (problem {problem.id!r})") from error
    return problem.model_copy(update={"reference": read})


def _read(path: str, problem: Problem, options: S3Options) -> str:
    try:
        return read_bytes(path, options).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: cannot be read as UTF-8 text ({error})") from error
    except BadInput as error:
        raise BadInput(f"{error} (the checker of problem {problem.id!r})") from error


def beside(path: str, place: str) -> str:
    """Returns the place of a file that is named from the folder of the problems' own file."""
    path = local_path(path)
    if is_remote(path) or Path(path).is_absolute():
        return path
    if place.startswith(HUB):
        raise BadInput(f"{place}: path {path!r}: no folder on the hub has checkers; give a full path")
    return f"{place.rpartition('/')[0]}/{path}" if is_remote(place) else str(Path(place).resolve().parent / path)
