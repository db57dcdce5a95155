"""Where results are kept: a folder or an S3 bucket behind one protocol whose only strong promise is create-only writes.

Everything Troop promises about doing a unit exactly once rests on ``put_new``: of all who write one key, one wins, and
each learns whether it was the one. A folder keeps that with a temporary file, fsync and ``link()``, which a kill at any
instant leaves either undone or done; S3 keeps it with ``If-None-Match: *`` (jobs/store/s3.py).
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol
from urllib.parse import unquote, urlsplit

from sampling.errors import BadInput, NoSuchObject, StoreError, StoreUnusable
from sampling.validate import Plain

NO_METADATA: Mapping[str, str] = MappingProxyType({})
_TMP = ".tmp"  # hidden: names that start with a dot are never listed
PROBE = "probe/"
_UNUSABLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as a listing or a HEAD shows it; ``modified`` is in seconds of the store's clock.

    ``metadata`` is filled by ``head`` on S3 only: a listing does not carry it, and a folder does not keep it.
    """

    key: str
    size: int
    modified: float
    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)


class Store(Protocol):
    """A flat space of keys. Picklable: it travels to the tasks that write. Every method raises StoreError."""

    @property
    def uri(self) -> str:
        """What a person would give to open this store again."""

    def check(self) -> None:
        """Raises StoreError, within seconds, if the place cannot be reached or does not exist."""

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        """Creates an object. True: this call created it. False: it is there already and somebody else's."""

    def put(self, key: str, data: bytes) -> None:
        """Writes an object over whatever was there: for reports, never for results."""

    def get(self, key: str) -> bytes:
        """An object's content."""

    def head(self, key: str) -> ObjectInfo | None:
        """What is known of an object, or None if there is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """The objects whose keys start with ``prefix``, sorted by key."""

    def delete(self, key: str) -> None:
        """Removes an object; one that is not there is no error."""


class StoreOptions(Plain):
    """How to reach a store. Credentials come from the standard AWS chain, never from a file of Troop's."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    addressing_style: Literal["path", "virtual", "auto"] | None = None
    request_checksum_calculation: Literal["when_supported", "when_required"] | None = None
    verify_tls: bool = True
    allow_weak_store: bool = False


def open_store(uri: str, options: StoreOptions | None = None) -> Store:
    """The store at a path, a ``file://`` or an ``s3://bucket/prefix`` URI; nothing is contacted or written yet."""
    parts = urlsplit(uri)
    if parts.scheme == "s3":
        from jobs.store.s3 import S3Store  # boto3 takes a third of a second to import

        if not parts.netloc:
            raise BadInput(f"{uri}: no bucket; expected s3://bucket/prefix")
        return S3Store(parts.netloc, parts.path.strip("/"), options or StoreOptions())
    if parts.scheme == "file":
        return DirectoryStore(Path(unquote(parts.path)))
    if "://" in uri or not uri:
        raise BadInput(
            f"{uri or 'an empty store'}: cannot be opened; allowed: a path, file:///path, s3://bucket/prefix"
        )
    return DirectoryStore(Path(uri).expanduser().absolute())


def probe_store(store: Store) -> None:
    """Proves before a run that the store is there, can be written, and refuses a second create of one key.

    Raises StoreError in one line. A store that breaks the promise only when creates race is not found out here; the
    results stay right even there, since every verdict file names the samples it was made from.
    """
    store.check()
    key = f"{PROBE}{uuid.uuid4().hex}"
    first, second = store.put_new(key, b"first"), store.put_new(key, b"second")
    kept = store.get(key)
    listed = [info.key for info in store.list(key)]
    with contextlib.suppress(StoreError):  # who may not delete may still run: Troop deletes nothing it needs to
        store.delete(key)
    if not first or second or kept != b"first":
        raise StoreError(
            f"{store.uri}: does not honour create-only writes (If-None-Match), so two writers could overwrite each "
            "other; use another store, or --allow-weak-store if you are sure that only one run writes here"
        )
    if listed != [key]:
        raise StoreError(f"{store.uri}: an object just written is not listed; Troop needs a consistent listing")


@dataclass(frozen=True, slots=True)
class DirectoryStore:
    """A folder on a file system with hard links. Folders are made when first written to."""

    root: Path

    @property
    def uri(self) -> str:
        return str(self.root)

    def check(self) -> None:
        """A folder is made when first written to; what is there already has to be one that can be read."""
        with _translated(self.uri):
            if self.root.exists():
                next(self.root.iterdir(), None)

    def clear_temporary(self, before: float) -> None:
        """Removes what writers that were killed left behind before ``before``, in seconds since the epoch."""
        with _translated(self.uri):
            left = (self.root / _TMP).iterdir() if (self.root / _TMP).is_dir() else iter(())
            for path in left:
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < before:
                        path.unlink()

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        path = self._path(key)
        with _translated(f"{self.uri}: {key}"), self._written(data) as tmp:
            _make_folders(path.parent)
            try:
                os.link(tmp, path)
            except FileExistsError:
                # On NFS a reply may be lost and the call repeated: then it was us, and the file has both names.
                if tmp.stat().st_nlink == 1:
                    return False
            _sync_folder(path.parent)
        return True

    def put(self, key: str, data: bytes) -> None:
        path = self._path(key)
        with _translated(f"{self.uri}: {key}"), self._written(data) as tmp:
            _make_folders(path.parent)
            tmp.replace(path)
            _sync_folder(path.parent)

    def get(self, key: str) -> bytes:
        with _translated(f"{self.uri}: {key}"):
            return self._path(key).read_bytes()

    def head(self, key: str) -> ObjectInfo | None:
        path = self._path(key)
        with _translated(f"{self.uri}: {key}"):
            return _info(path, key) if path.is_file() else None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]
        with _translated(f"{self.uri}: {prefix}"):
            start = self._path(folder) if folder else self.root
            yield from _walk(start, folder + "/" if folder else "", prefix)

    def delete(self, key: str) -> None:
        with _translated(f"{self.uri}: {key}"):
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        parts = key.split("/")
        assert all(part and not part.startswith(".") for part in parts), f"not a key: {key!r}"
        return self.root.joinpath(*parts)

    @contextlib.contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A temporary file on the same file system with ``data`` safely on disk; its name is gone afterwards."""
        tmp = self.root / _TMP / uuid.uuid4().hex
        _make_folders(tmp.parent)
        try:
            with tmp.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield tmp
        finally:
            tmp.unlink(missing_ok=True)


def _walk(folder: Path, base: str, prefix: str) -> Iterator[ObjectInfo]:
    """Files below ``folder`` in the order of their whole keys, which a slash takes part in."""
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        names = sorted(e.name + "/" * e.is_dir() for e in entries if not e.name.startswith("."))
    for name in names:
        key = base + name
        if name.endswith("/") and (key.startswith(prefix) or prefix.startswith(key)):
            yield from _walk(folder / name, key, prefix)
        elif key.startswith(prefix) and not name.endswith("/"):
            with contextlib.suppress(FileNotFoundError):  # deleted since the folder was read
                yield _info(folder / name, key)


def _info(path: Path, key: str) -> ObjectInfo:
    stat = path.stat()
    return ObjectInfo(key, stat.st_size, stat.st_mtime)


def _make_folders(folder: Path) -> None:
    """``mkdir -p`` that survives a power cut: each new folder's name is synced in its parent."""
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
def _translated(where: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NoSuchObject(f"{where}: no such object") from error
    except OSError as error:
        kind = StoreUnusable if error.errno in _UNUSABLE else StoreError
        raise kind(f"{where}: {error.strerror or error}") from error
