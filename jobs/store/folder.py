"""A folder as a store: create-only writes by a temporary file, fsync and ``link()``.

A write that is killed at any instant is either undone or done. No link below the folder is followed: a run that came
from elsewhere could name any file of its reader by one.
"""

import contextlib
import errno
import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.store.base import NO_METADATA, ObjectInfo
from sampling.errors import NoSuchObject, StoreError, StoreUnusable

_TMP = ".tmp"  # hidden: names that start with a dot are never listed
_UNUSABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """A folder on a file system with hard links, created by the first write."""

    root: Path

    @property
    def uri(self) -> str:
        return str(self.root)

    @property
    def is_weak(self) -> bool:
        return False

    def check(self) -> None:
        """Raises StoreError where the path exists but is no folder that can be read."""
        with _translate_errors(self.uri):
            if self.root.exists():
                next(self.root.iterdir(), None)

    def clear_temporary(self, before: float) -> None:
        """Removes temporary files that killed writers left before ``before``, in seconds since the epoch."""
        with _translate_errors(self.uri):
            folder = self._no_link(self.root / _TMP)
            left = folder.iterdir() if folder.is_dir() else iter(())
            for path in left:
                with contextlib.suppress(FileNotFoundError):
                    if path.lstat().st_mtime < before:
                        path.unlink()

    def remove_temporary(self) -> None:
        """Removes the folder for temporary files, if it is empty: for folders that hold no run."""
        with contextlib.suppress(OSError):
            (self.root / _TMP).rmdir()

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        path = self._path(key)
        with _translate_errors(f"{self.uri}: {key}"), self._temporary(data) as tmp:
            _make_folders(path.parent)
            try:
                os.link(tmp, path)
            except FileExistsError:
                # NFS may lose a reply and repeat the call: then this call made the link, and the file has both names.
                if tmp.stat().st_nlink == 1:
                    return False
            _sync_folder(path.parent)
        return True

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _translate_errors(f"{self.uri}: {key}"), self._temporary(data) as tmp:
            _make_folders(path.parent)
            tmp.replace(path)
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        with _translate_errors(f"{self.uri}: {key}"):
            return _read_file(self._path(key))

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with _translate_errors(f"{self.uri}: {key}"):
            return _info(path, key) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        with _translate_errors(f"{self.uri}: {prefix}"):
            start = self._path(folder) if folder else self.root
            yield from _walk(start, folder + "/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        with _translate_errors(f"{self.uri}: {key}"):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        assert all(part and not part.startswith(".") for part in parts), f"not a key: {key!r}"
        path = self.root
        for part in parts:
            path = self._no_link(path / part)
        return path

    def _no_link(self, path: Path) -> Path:
        """Returns the path; raises StoreError where it is a link."""
        if path.is_symlink():
            raise StoreError(_link_trouble(path))
        return path

    @contextlib.contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        """Writes ``data`` to a temporary file on the same file system, safely on disk; removes its name at the end."""
        tmp = self._no_link(self.root / _TMP) / uuid.uuid4().hex
        _make_folders(tmp.parent)
        try:
            with tmp.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield tmp
        finally:
            tmp.unlink(missing_ok=True)


def _link_trouble(path: Path) -> str:
    return f"{path}: is a link; a run's folder holds none, and none is followed"


def _read_file(path: Path) -> bytes:
    """Returns the content of a regular file; a pipe or a device would make its reader wait, or never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        return file.read()


def _walk(folder: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
    """Yields files below ``folder`` in the order of their whole keys, slashes included."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        found = sorted((e.name + "/" * e.is_dir(), e.is_symlink()) for e in entries if not e.name.startswith("."))
    for name, is_link in found:
        key = base + name
        if is_link and (key.startswith(prefix) or prefix.startswith(key)):
            raise StoreError(_link_trouble(folder / name))
        if name.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
            yield from _walk(folder / name, key, prefix)
        elif key.startswith(prefix) and not name.endswith("/"):
            with contextlib.suppress(FileNotFoundError):  # deleted since the folder was read
                yield _info(folder / name, key)


def _info(path: Path, key: str) -> ObjectInfo:
    stat = path.stat()
    return ObjectInfo(key, stat.st_size, stat.st_mtime)


def _make_folders(folder: Path) -> None:
    """Creates a folder and its parents so that they survive a power cut: syncs each new name in its parent."""
    if not folder.is_dir():
        _make_folders(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _translate_errors(where: str) -> Iterator[None]:
    """Raises StoreError, with the cause chained, for every OSError inside."""
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{where}: no such object") from error
    except OSError as error:
        kind = StoreUnusable if error.errno in _UNUSABLE else StoreError
        raise kind(f"{where}: {error.strerror or error}") from error
