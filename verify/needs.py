"""Needs of problems that a machine may lack: checked before a run writes anything, and by every verifier process."""

from collections.abc import Iterable

from sampling.problems import Problem
from sampling.references import CodeReference
from verify.sandbox.packages import Names, PackageMissing, find_packages


def packages_of(problems: Iterable[Problem]) -> list[Names]:
    """Returns the lists of packages that problems declare, each once."""
    references = (problem.reference for problem in problems)
    return list(dict.fromkeys(r.packages for r in references if isinstance(r, CodeReference) and r.packages))


def check_packages(problems: Iterable[Problem], where: str = "") -> None:
    """Raises PackageMissing, with ``where`` in front, if a package that problems declare is not installed here."""
    for names in packages_of(problems):
        try:
            find_packages(names)
        except PackageMissing as error:
            raise PackageMissing(f"{where}{error}") from error
