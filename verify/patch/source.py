"""Reads one commit of a stranger's repository or bundle, by git in a jail, without the repository's own settings.

Git runs commands that the settings of a repository name: hooks, filters, file monitors, helpers of remotes that it asks
for missing objects. So git never opens a stranger's repository. It opens an empty one of ours, in the scratch of a
jail, that borrows nothing but the folders of objects. What leaves the jail is a pack, and git names what is in a pack
by its hash: it holds the commit that was asked for or nothing of use.
"""

import base64
import binascii
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from verify.patch.workspace import PatchUnavailable, last_words
from verify.sandbox.commands import Finished, Jail
from verify.sandbox.limits import Quota
from verify.sandbox.namespaces import shown_at

MOST_FILES = 500_000  # of a tree
MOST_BYTES = 4 << 30  # of the files of a tree
MOST_PACK = 128 << 20  # bytes
READ_S = 1800.0
_MOST_FOLDERS, _DEPTH = 32, 5  # of borrowed objects; git itself follows five steps
_MOST_POINTER = 1 << 16  # bytes of a file that names another folder
_MISSING, _LARGE = 6, 7  # exit codes: no such commit; a tree that is too large
_OFF = "-c core.packedGitLimit=512m -c core.packedGitWindowSize=32m -c pack.threads=1 -c core.bigFileThreshold=32m"
_VARIABLES = (
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("GIT_DIR", "/tmp/whole"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_TERMINAL_PROMPT", "0"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """A repository, by its folders of objects, or a bundle."""

    name: str
    objects: tuple[str, ...] = ()
    bundle: str | None = None

    def check(self, commit: str) -> None:
        """Raises PatchUnavailable where git cannot read the commit. Of a bundle only its list of heads is read."""
        if self.bundle:
            finished = self._run(f"git bundle list-heads {shlex.quote(shown_at(self.bundle))} || exit {_MISSING}")
            self._raise_failure(finished, "not a git bundle")
        else:
            self._raise_failure(self._run(f"{self._borrow()}\n{_find(commit)}"), f"it has no commit {commit}")

    def read_pack(self, commit: str) -> bytes:
        """Returns a pack with the commit and its tree, without history; raises PatchUnavailable."""
        count = f"{{ n++; b += $4 }} n > {MOST_FILES} || b > {MOST_BYTES} {{ exit 9 }}"
        size = f"git {_OFF} ls-tree -r -l {commit} | awk '{count}'"
        steps = [
            self._borrow(),
            _find(commit),
            f"echo {commit} >/tmp/whole/shallow",
            f"{size} || exit {_LARGE}",
            f"echo {commit} | git {_OFF} pack-objects --quiet --revs --stdout --window=0 >/tmp/pack || exit {_MISSING}",
            f"[ $(wc -c </tmp/pack) -le {MOST_PACK} ] || exit {_LARGE}",
            "base64 -w 0 /tmp/pack >&3",
        ]
        finished = self._run("\n".join(steps), MOST_PACK * 7 // 5)  # base64 takes a third more
        self._raise_failure(finished, f"it has no commit {commit}")
        try:
            return base64.b64decode(finished.output, validate=True)
        except (binascii.Error, ValueError) as error:
            raise PatchUnavailable(f"snapshot {self.name!r}: git wrote no pack ({error})") from error

    def _borrow(self) -> str:
        """Returns shell text that makes a repository with the objects of this one."""
        if self.bundle:
            return f"git {_OFF} bundle unbundle {shlex.quote(shown_at(self.bundle))} >/dev/null || exit {_MISSING}"
        places = " ".join(shlex.quote(shown_at(folder)) for folder in self.objects)
        return f"printf '%s\\n' {places} >/tmp/whole/objects/info/alternates"

    def _run(self, script: str, output_bytes: int = 1 << 20) -> Finished:
        """Runs a script after a repository was made; what it writes to descriptor 3 is the output where it succeeds."""
        begin = "{\nexec 3>&1 >/tmp/said 2>&1\ngit init --quiet --bare --template= /tmp/whole"
        begin += " && mkdir -p /tmp/whole/objects/info"
        end = "code=$?\n[ $code = 0 ] || head -c 2000 /tmp/said >&3\nexit $code\n}\n"
        text = f"{begin}\n(\n{script}\n)\n{end}"
        quota = Quota(READ_S if output_bytes > MOST_PACK else 60.0, 2048, output_bytes)
        readable = (self.bundle,) if self.bundle else self.objects
        return Jail(readable, None, _VARIABLES).run(text, quota)

    def _raise_failure(self, finished: Finished, trouble: str) -> None:
        if finished.status is not None:
            raise PatchUnavailable(f"snapshot {self.name!r}: git took {finished.reason}")
        if finished.code == _LARGE:
            most = f"{MOST_FILES:,} files, {MOST_BYTES >> 30} GiB, {MOST_PACK >> 20} MiB packed"
            raise PatchUnavailable(f"snapshot {self.name!r}: the tree is too large or damaged; allowed: {most}")
        if finished.code != 0:
            raise PatchUnavailable(f"snapshot {self.name!r}: {trouble} ({last_words(finished.output)})")


def find_source(name: str) -> Source:
    """Returns the repository or bundle at a path; raises PatchUnavailable. Reads no settings and runs no git."""
    try:
        path = Path(name).resolve()
        if not path.exists():
            raise PatchUnavailable(f"snapshot {name!r}: no such repository or bundle")
        if path.is_file():
            return _readable(Source(name, bundle=str(path)), path)
        folders = _object_folders(path)
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a NUL, a folder that may not be read
        raise PatchUnavailable(f"snapshot {name!r}: cannot be read ({str(error)[:200]})") from error
    if not folders:
        raise PatchUnavailable(f"snapshot {name!r}: not a git repository")
    return _readable(Source(name, objects=tuple(map(str, folders))), *folders)


def _readable(source: Source, *paths: Path) -> Source:
    """Returns the source; raises PatchUnavailable where the user of candidates, as whom git runs, may not read it."""
    closed = [path for path in paths if os.geteuid() == 0 and not path.stat().st_mode & 0o004]
    if closed:
        cure = f"chmod -R o+rX {shlex.quote(str(closed[0]))}"
        raise PatchUnavailable(f"snapshot {source.name!r}: closed to others, and root reads it as nobody; `{cure}`")
    return source


def _find(commit: str) -> str:
    return f"git {_OFF} cat-file -e '{commit}^{{commit}}' || exit {_MISSING}"


def _object_folders(repository: Path) -> list[Path]:
    """Returns the folder of a repository's objects and the folders that it borrows from; none where it has none."""
    git = repository / ".git"
    if git.is_file():
        git = repository / (_pointer(git) or "").removeprefix("gitdir:").strip()
    elif not git.is_dir():
        git = repository
    if not (git / "HEAD").exists():
        return []
    found: list[Path] = []
    _add_borrowed(git / (_pointer(git / "commondir") or "").strip() / "objects", found, _DEPTH)
    return found


def _add_borrowed(folder: Path, found: list[Path], depth: int) -> None:
    try:
        folder = folder.resolve()
        is_folder = folder.is_dir()
    except (OSError, RuntimeError):  # a name that is too long, a loop of links: git ignores such a line too
        return
    usable = is_folder and folder.name == "objects" and "\n" not in str(folder)
    if not usable or folder in found or len(found) >= _MOST_FOLDERS:
        return
    found.append(folder)
    for line in (_pointer(folder / "info" / "alternates") or "").split("\n") if depth else ():
        if line.strip() and "\0" not in line and not line.startswith(("#", '"')):
            _add_borrowed(folder / line, found, depth - 1)


def _pointer(file: Path) -> str | None:
    """Returns the text of a small file; None where there is none. A pipe or device is none, so nothing hangs."""
    if not file.is_file() or file.stat().st_size > _MOST_POINTER:
        return None
    return file.read_bytes()[:_MOST_POINTER].decode("utf-8", "surrogateescape")
