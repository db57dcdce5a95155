"""Packages that candidates may import: files of installed distributions, of what they require, and of folders.

A candidate sees these files and nothing else of the environment. Distributions come from the environment that Troop
runs in, because that is the one with the right Python. An entry with a slash is a folder that holds packages, as
``pip install --target`` makes it.
"""

import functools
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from sampling.errors import BadInput

Names = tuple[str, ...]
NUMPY: Names = ("numpy",)
_NUMPY = re.compile(r"\bnumpy\b")


class PackageMissing(BadInput):
    """A package that candidates should have and that cannot be had here; the message names it."""


@dataclass(frozen=True, slots=True)
class Packages:
    """Top-level modules by name with their paths, the names to import beforehand, and other paths to read.

    ``versions`` names what was asked for, with versions: ``numpy 2.3.5``.
    """

    places: tuple[tuple[str, str], ...] = ()
    loaded: Names = ()
    others: tuple[str, ...] = ()
    versions: str = ""

    def as_values(self) -> tuple[list[str], list[tuple[str, str]], list[str]]:
        """Returns modules to import, places and other paths, as they cross to a fork server."""
        return list(self.loaded), list(self.places), list(self.others)


NO_PACKAGES = Packages()


def wanted(declared: Names | None, *sources: str) -> Names:
    """Returns the declared packages; where none are, NumPy if a source mentions it and it is installed."""
    if declared is not None:
        return declared
    return NUMPY if any(map(mentions_numpy, sources)) and _is_installed(NUMPY[0]) else ()


def mentions_numpy(source: str) -> bool:
    """Says that the word occurs: there are too many ways to import a module to recognise each."""
    return "numpy" in source and _NUMPY.search(source) is not None


@functools.lru_cache(maxsize=64)
def find_packages(names: Names) -> Packages:
    """Returns what candidates need to import these distributions and folders; raises PackageMissing."""
    asked = [_folder(Path(name)) if is_path(name) else _installed(name) for name in names]
    needed = [_files(one) for one in _closure(name for name in names if not is_path(name))]
    places: dict[str, str] = {}
    for part in reversed(asked + needed):  # of two modules with one name, the first that was asked for counts
        places |= dict(part.places)
    return Packages(
        tuple(places.items()),
        tuple(dict.fromkeys(name for part in asked for name in part.loaded)),
        tuple(dict.fromkeys(path for part in asked + needed for path in part.others)),
        ", ".join(part.versions for part in asked if part.versions),
    )


def is_path(name: str) -> bool:
    """Says that an entry is the path of a folder, not the name of a distribution."""
    return "/" in name


def _folder(folder: Path) -> Packages:
    """Returns the modules in a folder; only folders are imported beforehand, since single files may be scripts."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise PackageMissing(f"packages: {folder} is no folder that can be read ({error.strerror})") from error
    found = [(name, path) for path in entries if (name := _module_name(path))]
    if not found:
        raise PackageMissing(f"packages: {folder} holds no package; give the folder in which the package's folder lies")
    loaded = tuple(name for name, path in found if (path / "__init__.py").is_file())
    return Packages(tuple((name, str(path)) for name, path in found), loaded, (str(folder),))


def _installed(name: str) -> Packages:
    """Returns a distribution; its modules are imported beforehand: the one with its name, else all that are public."""
    try:
        distribution = importlib.metadata.distribution(name)
    except PackageNotFoundError as error:
        raise PackageMissing(f"packages: {name!r} is not installed{_hint(name)}") from error
    files = _files(distribution)
    public = [module for module, _ in files.places if not module.startswith("_")]
    if not public:
        raise PackageMissing(
            f"packages: {name!r} has no files of its own here (installed to be edited?); give its folder"
        )
    loaded = [module for module in public if _plain(module) == _plain(name)] or public
    return replace(files, loaded=tuple(loaded), versions=f"{name} {distribution.version}")


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _hint(name: str) -> str:
    if name in sys.stdlib_module_names:
        return "; it is part of Python, leave it out"
    owners = importlib.metadata.packages_distributions().get(name, [])
    if owners:
        return f"; the module is in {owners[0]!r}, write that"
    return "; install it into the environment of Troop on every machine, or give a folder that has it"


def _closure(names: Iterable[str]) -> list[Distribution]:
    """Returns the distributions and, as far as they are installed, all that they require."""
    waiting, found = list(names), dict[str, Distribution]()
    while waiting:
        name = waiting.pop()
        if _plain(name) in found or not _is_installed(name):
            continue
        found[_plain(name)] = distribution = importlib.metadata.distribution(name)
        waiting += _requirements(distribution)
    return list(found.values())


def _requirements(distribution: Distribution) -> Iterator[str]:
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()


def _files(distribution: Distribution) -> Packages:
    """Returns the modules of a distribution and, as others, its shared libraries and its metadata."""
    paths = _top_level(distribution)
    places = tuple((name, str(path)) for path in paths if (name := _module_name(path)))
    return Packages(places, others=tuple(str(path) for path in paths if not _module_name(path)))


def _top_level(distribution: Distribution) -> list[Path]:
    home = Path(str(distribution.locate_file("")))
    names = {file.parts[0] for file in distribution.files or () if file.parts}
    listed = distribution.read_text("top_level.txt") or "" if not names else ""
    names |= {name + ending for name in listed.split() for ending in ("", ".py")}
    kept = sorted(name for name in names if name not in ("..", "/", "__pycache__", "bin") and not name.endswith(".pth"))
    return [home / name for name in kept if (home / name).exists()]


def _module_name(path: Path) -> str | None:
    """Returns the name by which a file or a folder is imported; None where it cannot be."""
    name = path.name.split(".")[0]
    is_module = path.suffix in (".py", ".so") or (path.is_dir() and "." not in path.name)
    return name if is_module and name.isidentifier() and not name.startswith("__editable__") else None
