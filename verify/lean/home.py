"""Finds this machine's Lean: the REPL's program, the toolchain, the libraries, and their versions.

``TROOP_LEAN_REPL`` is Troop's variable; ``LEAN_SYSROOT`` and ``LEAN_PATH`` are Lean's own, as ``lake env`` prints them.
The REPL is https://github.com/leanprover-community/repl, built with the same toolchain as the libraries.
"""

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from verify.sandbox.tiers import TierUnavailable

REPL, SYSROOT, LIBRARIES = "TROOP_LEAN_REPL", "LEAN_SYSROOT", "LEAN_PATH"
_ASK_S = 30.0  # for `lean --version` and the like


class LeanUnavailable(TierUnavailable):
    """Raised where this machine has no Lean that can check a proof; the message names the variable to set."""


@dataclass(frozen=True, slots=True)
class LeanHome:
    """The REPL's command, paths that it may read, its environment, and versions (``Lean 4.9.0, mathlib 3bec2b2``)."""

    command: tuple[str, ...]
    readable: tuple[str, ...]
    environment: Mapping[str, str]
    toolchain: str


def find_lean(environ: Mapping[str, str]) -> LeanHome:
    """Returns the Lean that the variables name; raises LeanUnavailable."""
    words = shlex.split(environ.get(REPL, ""))
    if not words:
        raise LeanUnavailable(f"no Lean: set {REPL} to the program of leanprover-community/repl (see docs/lean.md)")
    program = shutil.which(words[0])
    if program is None:
        raise LeanUnavailable(f"{REPL}: {words[0]!r} is no program; the REPL's .lake/build/bin/repl is needed")
    sysroot = _sysroot(environ)
    libraries = [Path(entry).resolve() for entry in environ.get(LIBRARIES, "").split(":") if entry]
    missing = [str(path) for path in libraries if not path.is_dir()]
    if missing:
        raise LeanUnavailable(
            f"{LIBRARIES}: {missing[0]} is no folder; `lake env` in the project prints the right ones"
        )
    given = [str(Path(word).resolve()) for word in words[1:] if Path(word).exists()]
    command = (str(Path(program).resolve()), *(_absolute(word) for word in words[1:]))
    environment = {SYSROOT: str(sysroot), LIBRARIES: ":".join(map(str, libraries)), "LANG": "C.UTF-8", "HOME": "/tmp"}
    readable = (command[0], *given, str(sysroot), *map(str, libraries))
    return LeanHome(command, readable, environment, _versions(sysroot, libraries))


def _absolute(word: str) -> str:
    return str(Path(word).resolve()) if Path(word).exists() else word


def _sysroot(environ: Mapping[str, str]) -> Path:
    """Returns the toolchain's folder: from the variable, else from the ``lean`` on the path."""
    given = environ.get(SYSROOT)
    lean = Path(given, "bin", "lean") if given else Path(shutil.which("lean") or "")
    if not lean.is_file():
        found = f"{lean} is no program" if given else "it is not set and no `lean` is on the path"
        raise LeanUnavailable(f"{SYSROOT}: {found}; `lean --print-prefix` prints the right one")
    return Path(given or _ask(lean, "--print-prefix")).resolve()


def _versions(sysroot: Path, libraries: list[Path]) -> str:
    version = _ask(sysroot / "bin" / "lean", "--version")
    found = re.search(r"version ([\w.+-]+)", version)
    if found is None:
        raise LeanUnavailable(f"{sysroot}/bin/lean: says no version ({version[:60]!r})")
    mathlib = next(_mathlibs(libraries), None)
    return f"Lean {found[1]}" + (f", mathlib {mathlib}" if mathlib else "")


def _mathlibs(libraries: list[Path]) -> Iterator[str]:
    """Yields mathlib's revision from the project's manifest (Lake's format: packages with name, inputRev and rev)."""
    for folder in dict.fromkeys(parent for library in libraries for parent in library.parents):
        try:
            packages = json.loads((folder / "lake-manifest.json").read_text(encoding="utf-8"))["packages"]
            yield from (str(package["rev"])[:12] for package in packages if package["name"] == "mathlib")
        except (OSError, ValueError, KeyError, TypeError):
            continue


def _ask(lean: Path, option: str) -> str:
    try:
        words = [str(lean), option]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=_ASK_S).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise LeanUnavailable(f"{lean} {option}: failed ({error})") from error
