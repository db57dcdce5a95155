"""Snapshots: repositories at one commit, cloned once per node. A tree of files, and git's data to apply diffs with.

The commit alone names a snapshot, and one rename publishes it: it is complete or absent, however many processes make
it. Git reads the stranger's repository in a jail (``verify.patch.source``). A snapshot holds no history, so nothing in
it tells how the problem was solved later. Candidates see the tree through a layer of their own
(``verify.sandbox.commands``) and cannot change it.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sampling.errors import VerifierFault
from sampling.node import cache_folder, only_one
from verify.patch.source import find_source
from verify.patch.workspace import PatchUnavailable, failure_of
from verify.sandbox import namespaces
from verify.sandbox.commands import Finished, Jail
from verify.sandbox.limits import Quota

CLONE_S = 1800.0  # for one git command
# Git works here on a repository of ours alone; the user's own settings, hooks, attributes and filters are off.
_GIT = ("git", "-c", "safe.directory=*", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
        "-c", "protocol.allow=never", "-c", "core.attributesFile=/dev/null")  # fmt: skip
_VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LFS_SKIP_SMUDGE": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
}


def check_source(source: str, commit: str) -> None:
    """Raises PatchUnavailable where this machine cannot make a snapshot of the repository or bundle at the commit."""
    if shutil.which("git") is None:
        raise PatchUnavailable("git is not installed here")
    if _snapshot_folder(commit).is_dir():
        return
    find_source(source).check(commit)


def clone_snapshot(source: str, commit: str) -> Path:
    """Returns the folder of the snapshot, which it clones if it is not there; raises PatchUnavailable."""
    folder = _snapshot_folder(commit)
    if not folder.is_dir():
        with only_one([f"snapshot-{commit}"]):
            if not folder.is_dir():
                _clone(source, commit, folder)
    return folder


def _snapshot_folder(commit: str) -> Path:
    return cache_folder() / "snapshots" / commit


def _clone(source: str, commit: str, folder: Path) -> None:
    if shutil.which("git") is None:
        raise PatchUnavailable("git is not installed here")
    pack = find_source(source).read_pack(commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as made:
        git, tree = Path(made, "new", "git"), Path(made, "new", "tree")
        tree.mkdir(parents=True)
        _git(["init", "--quiet", "--bare", "--template=", str(git)])
        _git([f"--git-dir={git}", "index-pack", "--stdin"], pack)
        (git / "shallow").write_text(f"{commit}\n")
        _git([f"--git-dir={git}", "update-ref", "refs/heads/base", commit])
        _git([f"--git-dir={git}", "symbolic-ref", "HEAD", "refs/heads/base"])
        _git([f"--git-dir={git}", "read-tree", "base"])
        _git([f"--git-dir={git}", f"--work-tree={tree}", "checkout-index", "--all"])
        _give_to_candidates(Path(made, "new"))
        Path(made, "new").rename(folder)


def _give_to_candidates(folder: Path) -> None:
    """Makes the user of candidates the owner: only who may write a file can write it in a layer over it."""
    if os.geteuid() == 0:
        for parent, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(parent) / name, namespaces.NOBODY, namespaces.NOBODY, follow_symlinks=False)


def _git(words: Sequence[str], given: bytes = b"") -> None:
    """Runs git on a repository of ours; raises PatchUnavailable."""
    failure = failure_of([*_GIT, *words], CLONE_S, _VARIABLES, given)
    if failure is not None:
        raise PatchUnavailable(f"git {words[-1]}: {failure}")


@dataclass(frozen=True, slots=True)
class SnapshotWorkspace:
    """A workspace on a snapshot: each script runs in a new jail, where it can read git's data and change the tree.

    ``environment`` is the prefix or virtual environment whose programs come first on the path.
    """

    folder: Path
    environment: str

    @property
    def to_index(self) -> str:
        git = namespaces.shown_at(f"{self.folder}/git")
        return (
            f"export GIT_DIR='{git}' GIT_INDEX_FILE=/tmp/index GIT_OBJECT_DIRECTORY=/tmp/objects "
            f"GIT_ALTERNATE_OBJECT_DIRECTORIES='{git}/objects'\n"
            'mkdir /tmp/objects && cp "$GIT_DIR/index" /tmp/index'
        )

    to_tree = f"cd {namespaces.TREE}"
    tier = "isolated"

    def run(self, script: str, quota: Quota) -> Finished:
        return self._make_jail().run(script, quota)

    def _make_jail(self) -> Jail:
        if not self.folder.is_dir():
            raise VerifierFault(f"snapshot {self.folder}: it is gone")
        trees = interpreter_trees(self.environment)
        path = ":".join([namespaces.shown_at(f"{self.environment}/bin"), "/usr/local/bin", "/usr/bin", "/bin"])
        variables = (("PATH", path), ("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CEILING_DIRECTORIES", "/"))
        return Jail((f"{self.folder}/git", *trees), f"{self.folder}/tree", variables)


def default_environment() -> str:
    """Returns the environment that Troop itself runs in."""
    return sys.prefix


def interpreter_trees(environment: str) -> tuple[str, ...]:
    """Returns the environment and, where it is virtual, the tree of the interpreter behind it."""
    interpreter = Path(environment, "bin", "python")
    behind = str(interpreter.resolve().parent.parent) if interpreter.exists() else environment
    return (environment, behind) if not behind.startswith(("/usr/", "/bin")) and behind != "/usr" else (environment,)
