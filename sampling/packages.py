"""Packages that programs in the sandbox may import: how a problem, a task or a sweep names them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from sampling.places import expand_home
from sampling.validate import Plain

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def _named_package(entry: str) -> str:
    if "/" not in entry and not _DISTRIBUTION.fullmatch(entry):
        raise ValueError("a package is the name of a distribution (scikit-learn) or the path of a folder, with a slash")
    return entry


PackageEntry = Annotated[str, AfterValidator(_named_package)]


class WithPackages(Plain):
    """A reference whose programs run in the sandbox."""

    packages: tuple[PackageEntry, ...] | None = None
    """Packages that candidate, tests and checker may import beside the standard library. Example: `[numpy, networkx]`.

    Each is a distribution that is installed where Troop runs, whose requirements come with it, or the path of a folder
    that holds packages, which a slash tells apart. Default: the task's, else the sweep's; else NumPy alone, if it is
    installed.
    """


def under_folder(packages: tuple[str, ...] | None, folder: Path) -> tuple[str, ...] | None:
    """Returns the packages with paths that start at ``folder``; names of distributions stay as they are."""
    return packages and tuple(
        str((folder / expand_home(entry)).resolve()) if "/" in entry else entry for entry in packages
    )
