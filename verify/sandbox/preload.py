"""Loads what candidates need before the zygote is confined, and keeps the interpreter's files within reach.

Each sample pays for every page that its fork touches, so the first work of all children is done here once: imports, the
first ``compile`` (which builds all syntax tree types), the first message. Modules may not register at-fork handlers:
a single-threaded process does not need them, and a ``random`` that is not seeded again makes verdicts repeatable.
"""

# No pathlib in the zygote: every fork pays for every module that it has imported.
# ruff: noqa: PTH100, PTH110, PTH112, PTH114, PTH116, PTH118, PTH120, PTH123, PTH208

import _sitebuiltins
import _socket
import builtins
import json
import marshal
import os
import signal
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import spec_from_file_location
from collections.abc import Callable, Iterable
from typing import Any

from verify.sandbox import wire
from verify.sandbox.namespaces import HOST_NAME

MAX_THREAD_STACK = 64 << 20
_SYSTEM_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")
_DATA = ("/usr/share/zoneinfo", "/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_WARM = """
import math
def f(a, *b, k=1):
    try:
        return [x for x in (a, k)] + list({'a': b})
    except ValueError as error:
        raise
class C:
    def __init__(self):
        self.x = f'{1}'
r = f(1, 2)
"""


def settle() -> None:
    """A plain process: default signals, integers of any length, and the names that ``-S`` leaves out."""
    sys.set_int_max_str_digits(0)  # time and output limits bound what a program reads and prints
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
    sys.argv = ["main.py"]
    _hide_host()
    sys.modules["candidate"] = sys.modules["__main__"]  # a name that is there already costs its children no new table


def _hide_host() -> None:
    """Answers for the kernel, which is not asked in ``confined``: in a namespace it would tell the same name."""
    told = os.uname()
    answer = os.uname_result((told.sysname, HOST_NAME, told.release, told.version, told.machine))
    vars(os)["uname"] = lambda: answer
    vars(_socket)["gethostname"] = lambda: HOST_NAME


def load(modules: Iterable[str]) -> list[str]:
    """Imports what candidates often use, and returns the paths of the interpreter, which they may read."""
    _import_all(("threading", *modules))
    _bound_thread_stacks()
    _warm_up()
    return [*_interpreter_trees(), *_DATA]


def load_packages(modules: Iterable[str], places: Iterable[tuple[str, str]], others: Iterable[str]) -> None:
    """Lets ``places`` be imported, and imports ``modules`` from them. Raises RuntimeError that names the module.

    ``places`` are modules by name with their files or folders, ``others`` the paths of their metadata and libraries.
    """
    sys.meta_path.append(Importer(places, others))
    try:
        _import_all(modules)
    except Exception as error:
        raise RuntimeError(f"importing {', '.join(modules)}: {type(error).__name__}: {error}") from error
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        raise RuntimeError(f"importing {', '.join(modules)} starts {threads - 1} threads, which no fork would have")


def _import_all(modules: Iterable[str]) -> None:
    register, os.register_at_fork = os.register_at_fork, _ignore
    for name in modules:
        __import__(name)
    os.register_at_fork = register


class Importer:
    """Finds top-level modules that each have a path of their own; the folders around them stay unreadable."""

    def __init__(self, places: Iterable[tuple[str, str]], others: Iterable[str]) -> None:
        self.places, self.others = dict(places), list(others)

    def find_spec(self, name: str, path: object = None, target: object = None) -> Any:
        """Returns how to import a module, None for one that is not here."""
        place = self.places.get(name)
        if place is None:
            return None
        if not os.path.isdir(place):
            return spec_from_file_location(name, place)
        if os.path.exists(start := os.path.join(place, "__init__.py")):
            return spec_from_file_location(name, start, submodule_search_locations=[place])
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [place]
        return spec

    def find_distributions(self, context: Any) -> Iterable[Any]:
        """Yields the metadata of the packages, for those that ask for a version or for entry points."""
        from importlib.metadata import PathDistribution
        from pathlib import Path

        for other in self.others:
            found = PathDistribution(Path(other))
            if other.endswith("-info") and (context.name is None or _plain(context.name) == _plain(found.name)):
                yield found

    def move(self, place: Callable[[str], str]) -> None:
        """Looks under other names from now on."""
        self.places = {name: place(path) for name, path in self.places.items()}
        self.others = list(map(place, self.others))


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(".", "_")


def _ignore(**_handlers: object) -> None:
    """Stands in for ``os.register_at_fork`` while modules are loaded."""


def _bound_thread_stacks() -> None:
    """Bounds ``threading.stack_size``: programs ask for more than their memory to recurse, and need no such stack."""
    threading: Any = sys.modules["threading"]
    real: Callable[[int], int] = threading.stack_size

    def stack_size(size: int = 0) -> int:
        return real(min(size, MAX_THREAD_STACK))

    threading.stack_size = stack_size


def _warm_up() -> None:
    exec(compile(_WARM, "warm.py", "exec"), {})  # noqa: S102
    wire.decode(json.loads('[1,{"t":[2,{"d":[["a",1.5]]}]}]'))
    wire.pack(wire.encode([1, "a", (2.5, None), {"a": {1}}]))
    marshal.loads(marshal.dumps((1, {"a": [2]}, "text")))


def _interpreter_trees() -> list[str]:
    """Returns the standard library, and the folders of the shared libraries that its extensions need."""
    standard = os.path.dirname(os.path.realpath(os.__file__))
    own = os.path.join(os.path.realpath(sys.base_prefix), "lib")
    return [standard if own in _SYSTEM_LIBRARIES else own, *_library_folders()]


def _library_folders() -> list[str]:
    """Returns the system folders of the libraries mapped now, under the names by which the loader looks for them."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        mapped = {line.split(maxsplit=5)[5].strip() for line in file if ".so" in line}
    folders = {os.path.dirname(path) for path in mapped if path.startswith(_SYSTEM_LIBRARIES)}
    links = {path for path in _SYSTEM_LIBRARIES if os.path.islink(path)}
    return sorted(folders - set(_SYSTEM_LIBRARIES[:1])) + sorted(links)


def keep_reachable(readable: list[str], first: int) -> None:
    """Keeps folders reachable that only root may enter, before root becomes nobody.

    They are opened now, from descriptor ``first`` on, and named ``/proc/self/fd/N``: no parent folder is entered any
    more. ``readable`` is changed in place.
    """
    if os.geteuid() != 0:
        return
    for at, tree in enumerate(readable):
        if os.path.exists(tree) and not _others_may_enter(tree):
            folder = os.open(tree, os.O_PATH | os.O_CLOEXEC)
            os.dup2(folder, first)
            os.close(folder)
            readable[at] = f"/proc/self/fd/{first}"
            _move_imports(tree, readable[at])
            first += 1


def follow(before: Iterable[str], after: Iterable[str]) -> None:
    """Makes later imports look in folders that have another name in the new world."""
    for old, new in zip(before, after, strict=True):
        if old != new:
            _move_imports(old, new)


def _others_may_enter(path: str) -> bool:
    parents = [path[:end] for end in range(1, len(path)) if path[end] == "/"]
    return all(os.stat(parent).st_mode & 0o001 for parent in parents)


def _move_imports(tree: str, moved: str) -> None:
    """Makes later imports look for their files under the folder's new name."""

    def place(path: str) -> str:
        return moved + path[len(tree) :] if path == tree or path.startswith(tree + "/") else path

    sys.path[:] = map(place, sys.path)
    for module in list(sys.modules.values()):
        paths = getattr(module, "__path__", None)
        if isinstance(paths, list):
            paths[:] = map(place, paths)
    for finder in sys.meta_path:
        if isinstance(finder, Importer):
            finder.move(place)
    sys.path_importer_cache.clear()


def check_reachable() -> None:
    """Raises RuntimeError if the interpreter's own files cannot be read any more."""
    for module in ("this.py", "antigravity.py"):
        if any(os.access(os.path.join(path, module), os.R_OK) for path in sys.path):
            return
    where = os.path.dirname(os.__file__)
    raise RuntimeError(f"{where} cannot be read without root; install Python where every user can read it")


def forget_path() -> None:
    """Removes our modules and the repository's root from what a candidate can import: all of ours is loaded by now."""
    home = os.path.abspath(__file__)
    for _ in ("preload.py", "sandbox", "verify"):
        home = os.path.dirname(home)
    sys.path[:] = [path for path in sys.path if path != home]
    sys.path_importer_cache.clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "verify"]:
        del sys.modules[name]
