"""Repositories at a commit, made ready once per node: a tree of files, and git's own data to apply diffs with.

A snapshot is named by its commit alone, so it is whole or not there (one rename), however many processes make it. It
holds no history: nothing in it tells how the problem was solved later. Candidates see the tree through a layer of their
own (``verify.sandbox.commands``) and cannot change it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling.errors import VerifierFault
from sampling.node import cache_folder, only_one
from verify.sandbox import namespaces
from verify.sandbox.commands import Finished, Jail
from verify.sandbox.limits import Quota

MAKE_S = 1800.0
# The user's own settings, hooks and filters have no part in it; a repository may belong to somebody else.
_GIT = ("git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "protocol.allow=never",
        "-c", "protocol.file.allow=always")  # fmt: skip
_VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
}


class NoSnapshot(Exception):
    """A repository that is not there, or has no such commit; the message says which."""


def check_source(source: str, commit: str) -> None:
    """Raises NoSnapshot where this machine could not make a snapshot."""
    if shutil.which("git") is None:
        raise NoSnapshot("git is not installed here")
    if _made(commit).is_dir():
        return
    if not Path(source).exists():
        raise NoSnapshot(f"snapshot {source!r}: no such repository or bundle")
    if Path(source).is_file():
        _git(["bundle", "list-heads", source], f"snapshot {source!r}: not a git bundle")
        return  # which commits it brings is known when it is unpacked
    _git(["-C", source, "rev-parse", "--git-dir"], f"snapshot {source!r}: not a git repository")
    _git(["-C", source, "cat-file", "-e", f"{commit}^{{commit}}"], f"snapshot {source!r}: it has no commit {commit}")


def prepared(source: str, commit: str) -> Path:
    """The folder of the snapshot, made if it is not there; raises NoSnapshot."""
    folder = _made(commit)
    if not folder.is_dir():
        with only_one([f"snapshot-{commit}"]):
            if not folder.is_dir():
                _make(source, commit, folder)
    return folder


def _made(commit: str) -> Path:
    return cache_folder() / "snapshots" / commit


def _make(source: str, commit: str, folder: Path) -> None:
    check_source(source, commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as made:
        whole, git, tree = f"{made}/whole", f"{made}/new/git", f"{made}/new/tree"
        Path(tree).mkdir(parents=True)
        shared = ["--shared"] if Path(source).is_dir() else []
        _git(["clone", "--quiet", "--bare", *shared, source, whole], f"snapshot {source!r}: cannot be cloned")
        _git(["-C", whole, "update-ref", "refs/heads/base", commit], f"snapshot {source!r}: it has no commit {commit}")
        _git(["clone", "--quiet", "--bare", "--depth=1", "--single-branch", "--branch=base", f"file://{whole}", git])
        _git([f"--git-dir={git}", "read-tree", "base"])
        _git([f"--git-dir={git}", f"--work-tree={tree}", "checkout-index", "--all"])
        _hand_over(Path(f"{made}/new"))
        Path(f"{made}/new").rename(folder)


def _hand_over(folder: Path) -> None:
    """To who candidates will be: a layer over a file can be written by whoever may write the file."""
    if os.geteuid() == 0:
        for parent, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(parent) / name, namespaces.NOBODY, namespaces.NOBODY, follow_symlinks=False)


def _git(words: Sequence[str], trouble: str = "") -> None:
    try:
        subprocess.run(
            [*_GIT, *words],
            check=True,
            capture_output=True,
            text=True,
            errors="replace",
            env=_VARIABLES,
            timeout=MAKE_S,
        )
    except subprocess.CalledProcessError as error:
        raise NoSnapshot(" ".join((trouble or f"git {words[-1]}: {error.stderr.strip()[-200:]}").split())) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSnapshot(f"git {words[0]}: {error}") from error


@dataclass(frozen=True, slots=True)
class SnapshotPlace:
    """Where scripts of ``verify.patch.verifier`` run on a snapshot: in a jail, with git's data to read, the tree to
    change."""

    folder: Path
    environment: str

    @property
    def to_index(self) -> str:
        """Shell words after which ``git`` works on an index of its own, at the base commit."""
        git = namespaces.shown_at(f"{self.folder}/git")
        return (
            f"export GIT_DIR='{git}' GIT_INDEX_FILE=/tmp/index GIT_OBJECT_DIRECTORY=/tmp/objects "
            f"GIT_ALTERNATE_OBJECT_DIRECTORIES='{git}/objects'\n"
            'mkdir /tmp/objects && cp "$GIT_DIR/index" /tmp/index'
        )

    to_tree = f"cd {namespaces.TREE}"

    def run(self, script: str, quota: Quota) -> Finished:
        return self._jail().run(script, quota)

    def _jail(self) -> Jail:
        if not self.folder.is_dir():
            raise VerifierFault(f"snapshot {self.folder}: it is gone")
        trees = interpreter_trees(self.environment)
        path = ":".join([namespaces.shown_at(f"{self.environment}/bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        variables = (("PATH", path), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CEILING_DIRECTORIES", "/"))
        return Jail((f"{self.folder}/git", *trees), f"{self.folder}/tree", variables)


def default_environment() -> str:
    """The environment that Troop itself runs in."""
    return sys.prefix


def interpreter_trees(environment: str) -> tuple[str, ...]:
    """An environment and, where it is virtual, the tree of the interpreter behind it."""
    interpreter = Path(environment, "bin", "python")
    behind = str(interpreter.resolve().parent.parent) if interpreter.exists() else environment
    return (environment, behind) if not behind.startswith(("/usr/", "/bin")) and behind != "/usr" else (environment,)
