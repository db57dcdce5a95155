"""Needs of problems that a machine may lack: checked before a run writes anything, and by every verifier process."""

from collections.abc import Iterable, Mapping

from sampling.packages import WithPackages
from sampling.problems import Problem
from sampling.references import StdioReference
from verify.languages.toolchains import ToolchainUnavailable
from verify.sandbox.packages import Names, PackageMissing, find_packages
from verify.verifiers import Verifiers


def packages_of(problems: Iterable[Problem]) -> list[Names]:
    """Returns the lists of packages that problems declare, each once."""
    references = (problem.reference for problem in problems)
    return list(dict.fromkeys(r.packages for r in references if isinstance(r, WithPackages) and r.packages))


def check_packages(problems: Iterable[Problem], where: str = "") -> None:
    """Raises PackageMissing, with ``where`` in front, if a package that problems declare is not installed here."""
    for names in packages_of(problems):
        try:
            find_packages(names)
        except PackageMissing as error:
            raise PackageMissing(f"{where}{error}") from error


def languages_of(problems: Iterable[Problem]) -> list[str]:
    """Returns the languages other than Python that problems ask for, each once."""
    references = (problem.reference for problem in problems)
    languages = dict.fromkeys(r.language for r in references if isinstance(r, StdioReference))
    return [language for language in languages if language != "python"]


def check_languages(tasks: Mapping[str, Iterable[Problem]], tier: str | None) -> None:
    """Raises ToolchainUnavailable if a language that problems ask for cannot be had here, after the key of its task.

    Each language is tried once, all of them in one sandbox.
    """
    asked: dict[str, str] = {}  # language -> the first task that asks for it
    for where, given in tasks.items():
        asked = dict.fromkeys(languages_of(given), where) | asked
    if not asked:
        return
    with Verifiers(tier) as verifiers:
        for language, where in asked.items():
            try:
                verifiers.prepare((), languages=[language])
            except ToolchainUnavailable as error:
                raise ToolchainUnavailable(f"{where}{error}") from error
