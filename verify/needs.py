"""Needs of problems that a machine may lack: checked before a run writes anything, and by every verifier process."""

from collections.abc import Iterable

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


def check_languages(problems: Iterable[Problem], tier: str | None, where: str = "") -> None:
    """Raises ToolchainUnavailable, with ``where`` in front, if a language that problems ask for cannot be had here."""
    languages = languages_of(problems)
    if not languages:
        return
    with Verifiers(tier) as verifiers:
        try:
            verifiers.prepare((), languages=languages)
        except ToolchainUnavailable as error:
            raise ToolchainUnavailable(f"{where}{error}") from error
