"""S3 as a store: create-only writes by ``If-None-Match: *``, and a rule for replies that are lost.

A put may reach the server while its reply is lost. Then boto3 sends it again and gets 412, as if another writer had
been first. So every object carries in its metadata the id of the attempt that wrote it, and a HEAD request settles a
412: this attempt's own id means that it won. Nothing is ever uploaded in parts: some servers ignore the condition
there, and a killed writer would leave an upload that somebody must abort.

boto3 renews credentials that expire where it can (roles, web identity, ``credential_process``, SSO). Keys in a file or
in the environment it reads once, so when a store says that they have expired, a new client is built.
"""

import contextlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

from jobs.store.base import NO_METADATA, ObjectInfo, StoreOptions
from sampling.errors import NoSuchObject, StoreError, StoreUnusable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

T = TypeVar("T")

ATTEMPT = "attempt"
_TRIES = 6  # each is several tries of boto3, which gives up early once many requests have failed
_MISSING = {"404", "NoSuchKey"}
_CONTESTED = {"409", "ConditionalRequestConflict", "412", "PreconditionFailed"}
_EXPIRED = {
    "ExpiredToken", "ExpiredTokenException", "InvalidToken", "TokenRefreshRequired", "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
}  # fmt: skip
_OTHER_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "301"}
_EXPIRED_HEAD = {"400", "403"}  # the same in an answer without a body
_REFUSED = {"AccessDenied", "403", "NoSuchBucket", "QuotaExceeded", "507", "AllAccessDisabled"}
_REFUSED |= _EXPIRED | _OTHER_REGION
# Answers of servers to a header that they do not know: of checksums, or of create-only writes.
_NOT_UNDERSTOOD = {"NotImplemented", "501", "XAmzContentSHA256Mismatch", "InvalidDigest", "MissingContentLength"}
_HINT = (
    "; if the server knows no newer checksums, set store_options.request_checksum_calculation to when_required, "
    "if it knows no create-only writes, --allow-weak-store"
)
_NO_KEYS = (
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
_BROKEN = (
    ConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError, ResponseParserError,
    CredentialRetrievalError,
)  # fmt: skip
_ERRORS = (ClientError, *_BROKEN)
_BUILDING = threading.Lock()


@dataclass(frozen=True, slots=True)
class S3Store:
    """A prefix of a bucket. Holds no connection, so that it can be pickled; each process makes its own."""

    bucket: str
    prefix: str
    options: StoreOptions

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    @property
    def is_weak(self) -> bool:
        return self.options.allow_weak_store

    def check(self) -> None:
        with _translate_errors(self):
            quick = _client(self.options, _Patience(connect_s=3, read_s=3, attempts=2))
            if self.options.region:
                quick.meta.events.register_first("needs-retry.s3", _stay_in_region, unique_id="troop-region")
            where = {"Bucket": self.bucket, "Prefix": self._object_key("probe"), **self.options.payer}
            look = partial(quick.list_objects_v2, **where, MaxKeys=1)
            if "Name" not in _retry(look, _is_busy):
                raise StoreError(f"{self.uri}: this is no S3 service, though it answers{_endpoint_words(self.options)}")

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        mine = {ATTEMPT: uuid.uuid4().hex, **metadata}
        with _translate_errors(self, key):
            if not self.options.allow_weak_store:
                return _retry(lambda: self._create(key, data, mine, IfNoneMatch="*"))
            if (there := self._attempt_at(key)) is not None:
                return there == mine[ATTEMPT]
            return _retry(lambda: self._create(key, data, mine))  # such a store may refuse the very header

    def _create(self, key: str, data: bytes, metadata: Mapping[str, str], **condition: str) -> bool:
        """Makes one put; where the answer leaves open who wrote the object, its metadata decides."""
        said = self._of_writes | condition
        try:
            self._client.put_object(**self._at(key), Body=data, Metadata=dict(metadata), **said)
        except _ERRORS as error:
            there = self._attempt_at(key) if _is_transient(error) else None
            if there is None:
                raise
            return there == metadata[ATTEMPT]
        return True

    def put(self, key: str, data: bytes) -> None:
        with _translate_errors(self, key):
            _retry(lambda: self._client.put_object(**self._at(key), Body=data, **self._of_writes))

    def get(self, key: str) -> bytes:
        with _translate_errors(self, key):
            return _retry(lambda: self._client.get_object(**self._at(key))["Body"].read())

    def head(self, key: str) -> ObjectInfo | None:
        with _translate_errors(self, key):
            try:
                found = _retry(lambda: self._client.head_object(**self._at(key)))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return ObjectInfo(key, found["ContentLength"], found["LastModified"].timestamp(), found["Metadata"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        token: str | None = ""
        while token is not None:
            with _translate_errors(self, prefix):
                page = _retry(partial(self._page, prefix, token))
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(self._object_key(""))
                yield ObjectInfo(key, found["Size"], found["LastModified"].timestamp())
            token = page.get("NextContinuationToken") if page["IsTruncated"] else None

    def delete(self, key: str) -> None:
        with _translate_errors(self, key):
            _retry(lambda: self._client.delete_object(**self._at(key)))

    @property
    def _client(self) -> "S3Client":
        return _client(self.options, _Patience(connect_s=5, read_s=60, attempts=8))

    def _page(self, prefix: str, token: str) -> "ListObjectsV2OutputTypeDef":
        where = {"Bucket": self.bucket, "Prefix": self._object_key(prefix), **self.options.payer}
        look = partial(self._client.list_objects_v2, **where)
        return look(ContinuationToken=token) if token else look()

    @property
    def _of_writes(self) -> dict[str, Any]:
        """Arguments of every put: encryption and access list."""
        options = self.options
        given = {
            "ServerSideEncryption": options.server_side_encryption,
            "SSEKMSKeyId": options.sse_kms_key_id,
            "ACL": options.acl,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _at(self, key: str) -> dict[str, Any]:
        """Arguments of every request about one object."""
        return {"Bucket": self.bucket, "Key": self._object_key(key), **self.options.payer}

    def _object_key(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _attempt_at(self, key: str) -> str | None:
        """Returns the attempt that wrote the object, "" if it does not say, None if there is no object."""
        there = self.head(key)
        return None if there is None else there.metadata.get(ATTEMPT, "")


@dataclass(frozen=True, slots=True)
class _Patience:
    """Timeouts and tries of a client's requests."""

    connect_s: int
    read_s: int
    attempts: int


def _client(options: StoreOptions, patience: _Patience) -> "S3Client":
    with _BUILDING:  # building a client is not thread-safe; using it is
        return _build_client(options, options.endpoint, patience, os.getpid())


@lru_cache(maxsize=8)
def _build_client(options: StoreOptions, endpoint: str | None, patience: _Patience, _pid: int) -> "S3Client":
    """Builds a client for this process; one inherited through a fork would share connections with the parent."""
    given: dict[str, Any] = {
        "connect_timeout": patience.connect_s,
        "read_timeout": patience.read_s,
        "max_pool_connections": 32,
        "retries": {"mode": "adaptive", "total_max_attempts": patience.attempts},
        "s3": {"addressing_style": options.style},
    }
    if options.request_checksum_calculation:
        given["request_checksum_calculation"] = options.request_checksum_calculation
        given["response_checksum_validation"] = options.request_checksum_calculation
    session = boto3.session.Session(profile_name=options.profile, region_name=options.region)
    region = session.region_name or "us-east-1"
    return session.client(
        "s3", endpoint_url=endpoint, region_name=region, verify=options.verify_tls, config=Config(**given)
    )


def _stay_in_region(response: tuple[Any, Any] | None, **_: object) -> None:
    """Raises where a server names another region than the spec, since boto3 would follow it in silence."""
    if response is not None and response[1].get("Error", {}).get("Code") in _OTHER_REGION:
        raise ClientError(response[1], "ListObjectsV2")


def _retry(request: Callable[[], T], is_transient: Callable[[Exception], bool] | None = None) -> T:
    """Returns the answer to a request; after a failure that may pass, waits a random time and tries again."""
    for number in range(_TRIES - 1):
        try:
            return request()
        except _ERRORS as error:
            if not (is_transient or _is_transient)(error):
                raise
            if _has_expired(error):
                with _BUILDING:
                    _build_client.cache_clear()
            time.sleep(random.uniform(0, 0.1 * 2**number))
    return request()


def _is_transient(error: Exception) -> bool:
    """Returns True for a busy server, a broken connection, a create in conflict, and keys that may be renewed."""
    if isinstance(error, ClientError):
        return _is_busy(error) or _has_expired(error) or _code(error) in _CONTESTED
    return True


def _is_busy(error: Exception) -> bool:
    status = error.response["ResponseMetadata"]["HTTPStatusCode"] if isinstance(error, ClientError) else 0
    return status >= 500 or status == 429


def _has_expired(error: Exception) -> bool:
    return _code(error) in _EXPIRED | _EXPIRED_HEAD


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@contextlib.contextmanager
def _translate_errors(store: S3Store, key: str = "") -> Iterator[None]:
    where = f"{store.uri}: {key}".removesuffix(": ")
    try:
        yield
    except ClientError as error:
        raise _store_error(error, where, key, _endpoint_words(store.options)) from error
    except _NO_KEYS as error:
        raise StoreUnusable(f"{where}: {_one_line(error)}; no keys, so nothing here can be read or written") from error
    except (BotoCoreError, ResponseParserError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise StoreError(f"{where}: {_one_line(error)}{_endpoint_words(store.options)}") from error


def _store_error(error: ClientError, where: str, key: str, at: str) -> StoreError:
    code, said = _code(error), error.response.get("Error", {}).get("Message") or "refused"
    if code in _MISSING and key:
        return NoSuchObject(f"{where}: {code}: no such object{at}")
    if code.isdigit() and not key:
        return StoreError(f"{where}: not an answer of an S3 service: {code} {said}{at}")
    kind = StoreUnusable if code in _REFUSED | _NOT_UNDERSTOOD else StoreError
    return kind(f"{where}: {code}: {said}{at}{_HINT if code in _NOT_UNDERSTOOD else ''}")


def _endpoint_words(options: StoreOptions) -> str:
    return f" (endpoint {options.endpoint})" if options.endpoint else ""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
