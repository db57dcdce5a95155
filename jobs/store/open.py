"""Opens a store by its URI, and proves before a run that the store keeps its promise."""

import contextlib
import re
import uuid
from pathlib import Path

from jobs.store.base import Store, StoreOptions
from jobs.store.folder import DirectoryStore
from jobs.store.layout import PROBE
from sampling.errors import BadInput, StoreError
from sampling.places import local_path

# Schemes of other clouds' stores; docs/cluster.md says what was tried.
OTHER_CLOUDS = ("gs", "gcs", "az", "azure", "abfs", "abfss", "adl", "wasb", "wasbs")
INSTEAD = (
    "; Troop has no store for this cloud's own interface: take an S3 service with create-only writes (If-None-Match), "
    "or a folder that all nodes share"
)


def open_store(uri: str, options: StoreOptions | None = None) -> Store:
    """Returns the store at a path, a ``file://`` or an ``s3://bucket/prefix`` URI; contacts and writes nothing yet."""
    if uri[:5].lower() == "s3://":
        from jobs.store.s3 import S3Store  # boto3 takes a third of a second to import

        bucket, _, prefix = uri[5:].partition("/")  # not as a URL: ? and # are letters of a key as any other
        if not re.fullmatch(r"[^?#\s]+", bucket):
            raise BadInput(f"{uri}: no bucket; expected s3://bucket/prefix")
        return S3Store(bucket, prefix.strip("/"), options or StoreOptions())
    path = local_path(uri)
    if "://" in path or not path:
        advice = INSTEAD if uri.partition("://")[0].lower() in OTHER_CLOUDS else ""
        raise BadInput(
            f"{uri or 'an empty store'}: cannot be opened; allowed: a path, file:///path, s3://bucket/prefix{advice}"
        )
    return DirectoryStore(Path(path).absolute())


def probe_store(store: Store) -> None:
    """Proves before a run that the store is there, can be written, and refuses a second create of one key.

    Raises StoreError in one line. A store that breaks the promise only when creates race is not found out here. Results
    stay right even there, since every verdict file names the samples it was made from.
    """
    store.check()
    key = f"{PROBE}{uuid.uuid4().hex}"
    first, second = store.put_new(key, b"first"), store.put_new(key, b"second")
    kept = store.get(key)
    listed = [info.key for info in store.list(key)]
    with contextlib.suppress(StoreError):  # a user who may not delete may still run: Troop needs no deletion
        store.delete(key)
    if not first or second or kept != b"first":
        raise StoreError(
            f"{store.uri}: does not honour create-only writes (If-None-Match), so two writers could overwrite each "
            "other; use another store, or --allow-weak-store if you are sure that only one run writes here"
        )
    if listed != [key]:
        raise StoreError(f"{store.uri}: an object just written is not listed; Troop needs a consistent listing")
