"""The protocol of a store: a flat space of keys whose only strong promise is create-only writes.

Troop commits each unit exactly once, and this rests on ``put_new`` alone: of all callers that write one key, one wins,
and each learns whether it won. A folder keeps this promise with a temporary file, fsync and ``link()``
(jobs/store/folder.py), S3 with ``If-None-Match: *`` (jobs/store/s3.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

from sampling.s3_folder import S3Options

NO_METADATA: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One object as a listing or a HEAD request describes it."""

    key: str
    """Key of the object within its store."""

    size: int
    """Length in bytes."""

    modified: float
    """Seconds since the epoch at which the object was last written, by the store's clock."""

    metadata: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Metadata of an S3 object, filled by ``head`` alone: listings do not carry it, and folders do not keep it."""


class Store(Protocol):
    """A flat space of keys. Picklable, since it travels to the tasks that write. Every method raises StoreError."""

    def __hash__(self) -> int:
        """Returns the hash of the place: stores are values, and equal stores reach the same place."""

    @property
    def uri(self) -> str:
        """Path or URI that opens this store again."""

    @property
    def is_weak(self) -> bool:
        """Tells whether ``put_new`` cannot keep its promise when two writers race."""

    def check(self) -> None:
        """Raises StoreError, within seconds, if the place cannot be reached or does not exist."""

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        """Creates an object. Returns True if this call created it, False if another writer's object is at the key."""

    def put(self, key: str, data: bytes) -> None:
        """Writes an object and replaces any that is at the key. Used for reports, never for results."""

    def get(self, key: str) -> bytes:
        """Returns the content of an object; raises NoSuchObject where there is none."""

    def head(self, key: str) -> ObjectInfo | None:
        """Returns what is known of an object, or None if there is none."""

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yields the objects whose keys start with ``prefix``, sorted by key."""

    def delete(self, key: str) -> None:
        """Removes an object; a key that holds none is no error."""


class StoreOptions(S3Options):
    """Options to reach a store, and to write to it."""

    request_checksum_calculation: Literal["when_supported", "when_required"] | None = None
    """Checksums to send with requests. Set ``when_required`` for servers that refuse the newer checksums. Default:
    boto3's own rule."""

    server_side_encryption: Literal["AES256", "aws:kms", "aws:kms:dsse"] | None = None
    """Encryption that the store is asked for with each object. Default: the bucket's own rule."""

    sse_kms_key_id: str | None = None
    """Key of AWS KMS for ``aws:kms``: its id or ARN, never the key itself. Default: the bucket's, else Amazon's own."""

    acl: Literal["private", "bucket-owner-read", "bucket-owner-full-control"] | None = None
    """Access list of each object, for buckets of another account that ask for one. Default: none is sent."""

    allow_weak_store: bool = False
    """Accept a store that ignores create-only writes (``If-None-Match``). Two runs that write to it at once may
    overwrite each other's units; see ``--allow-weak-store``."""
