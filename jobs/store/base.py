"""The protocol of a store: a flat space of keys whose only strong promise is create-only writes.

Everything Troop promises about doing a unit exactly once rests on ``put_new``: of all callers that write one key, one
wins, and each learns whether it won. A folder keeps this promise with a temporary file, fsync and ``link()``
(jobs/store/folder.py), S3 with ``If-None-Match: *`` (jobs/store/s3.py).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Protocol

from sampling.validate import Plain

NO_METADATA: Mapping[str, str] = MappingProxyType({})


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

    def __hash__(self) -> int:
        """Stores are values: equal ones reach the same place."""

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
    """Connection to an S3 store; a folder ignores it. Credentials come from the standard AWS chain, never from here."""

    endpoint_url: str | None = None
    """Address of an S3-compatible service: `https://minio.example:9000`.

    None takes `AWS_ENDPOINT_URL_S3`, then `AWS_ENDPOINT_URL`, then Amazon's own.
    """
    region: str | None = None
    """Region of the bucket: `eu-central-1`. None takes the profile's or the environment's, else `us-east-1`."""
    profile: str | None = None
    """Profile of the AWS configuration files. None takes `AWS_PROFILE`, or the default profile."""
    addressing_style: Literal["path", "virtual", "auto"] | None = None
    """Place of the bucket's name in addresses: in the `path`, or in the host name (`virtual`).

    None means `path` where an endpoint is set, else `auto`, which leaves it to boto3.
    """
    request_checksum_calculation: Literal["when_supported", "when_required"] | None = None
    """Checksums of requests and replies. `when_required` helps with services that refuse newer checksums.

    None leaves it to boto3 and its environment variables.
    """
    verify_tls: bool = True
    """Check of the service's TLS certificate. Set false only for a service with a self-signed one."""
    allow_weak_store: bool = False
    """Permission to use a store that ignores create-only writes, as `--allow-weak-store` does.

    Two writers could then overwrite each other, so only one run may write at a time.
    """
