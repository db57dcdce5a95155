"""S3 as a store: create-only writes by ``If-None-Match: *``, and an answer to the reply that never came.

A put may reach the server while its reply is lost; boto3 then sends it again and is told 412, as if somebody else had
been first. So every object carries in its metadata the id of the attempt that wrote it, and a 412 is settled by a HEAD:
mine means won. Commits are never multipart: some servers ignore the condition there.
"""

import contextlib
import os
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import boto3.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)

from jobs.store import NO_METADATA, ObjectInfo, StoreOptions
from sampling.errors import StoreError

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

ATTEMPT = "attempt"
_TRIES = 6  # of ours, each of them several of boto3's, which gives up early once many requests have failed
_MISSING = {"404", "NoSuchKey"}
_CONTESTED = {"409", "ConditionalRequestConflict", "412", "PreconditionFailed"}
_BROKEN = (ConnectionError, HTTPClientError, IncompleteReadError, FlexibleChecksumError)
_ERRORS = (ClientError, *_BROKEN)
_BUILDING = threading.Lock()


@dataclass(frozen=True, slots=True)
class S3Store:
    """A prefix of a bucket. Holds no connection itself, so that it can be pickled; each process makes its own."""

    bucket: str
    prefix: str
    options: StoreOptions

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def check(self) -> None:
        with _translated(self):
            quick = _client(self.options, _Patience(connect_s=3, read_s=3, attempts=2))
            quick.list_objects_v2(Bucket=self.bucket, Prefix=self._name("probe"), MaxKeys=1)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        mine = {ATTEMPT: uuid.uuid4().hex, **metadata}
        with _translated(self, key):
            if self.options.allow_weak_store and (there := self._attempt_at(key)) is not None:
                return there == mine[ATTEMPT]
            return _patiently(lambda: self._create(key, data, mine))

    def _create(self, key: str, data: bytes, metadata: Mapping[str, str]) -> bool:
        """One conditional put, settled by what is there wherever the answer leaves open who wrote it."""
        try:
            self._client.put_object(
                Bucket=self.bucket, Key=self._name(key), Body=data, Metadata=dict(metadata), IfNoneMatch="*"
            )
        except _ERRORS as error:
            there = self._attempt_at(key) if _may_pass(error) else None
            if there is None:
                raise
            return there == metadata[ATTEMPT]
        return True

    def put(self, key: str, data: bytes) -> None:
        with _translated(self, key):
            _patiently(lambda: self._client.put_object(Bucket=self.bucket, Key=self._name(key), Body=data))

    def get(self, key: str) -> bytes:
        with _translated(self, key):
            return _patiently(lambda: self._client.get_object(Bucket=self.bucket, Key=self._name(key))["Body"].read())

    def head(self, key: str) -> ObjectInfo | None:
        with _translated(self, key):
            try:
                found = _patiently(lambda: self._client.head_object(Bucket=self.bucket, Key=self._name(key)))
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return ObjectInfo(key, found["ContentLength"], found["LastModified"].timestamp(), found["Metadata"])

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with _translated(self, prefix):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._name(prefix)):
                for found in page.get("Contents", []):
                    key = found["Key"].removeprefix(self._name(""))
                    yield ObjectInfo(key, found["Size"], found["LastModified"].timestamp())

    def delete(self, key: str) -> None:
        with _translated(self, key):
            _patiently(lambda: self._client.delete_object(Bucket=self.bucket, Key=self._name(key)))

    @property
    def _client(self) -> "S3Client":
        return _client(self.options, _Patience(connect_s=5, read_s=60, attempts=8))

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key

    def _attempt_at(self, key: str) -> str | None:
        """The attempt that wrote what is there, "" if it does not say, None if nothing is there."""
        there = self.head(key)
        return None if there is None else there.metadata.get(ATTEMPT, "")


@dataclass(frozen=True, slots=True)
class _Patience:
    connect_s: int
    read_s: int
    attempts: int


def _client(options: StoreOptions, patience: _Patience) -> "S3Client":
    with _BUILDING:  # building a client is not thread-safe, using it is
        return _built(options, _elsewhere(options), patience, os.getpid())


@lru_cache(maxsize=8)
def _built(options: StoreOptions, endpoint: str | None, patience: _Patience, _pid: int) -> "S3Client":
    """A client per process: one that was inherited by a fork would share its connections with the parent."""
    given: dict[str, Any] = {
        "connect_timeout": patience.connect_s,
        "read_timeout": patience.read_s,
        "max_pool_connections": 32,
        "retries": {"mode": "adaptive", "total_max_attempts": patience.attempts},
        # Servers that are not Amazon's rarely have a host name for each bucket.
        "s3": {"addressing_style": options.addressing_style or ("path" if endpoint else "auto")},
    }
    if options.request_checksum_calculation:
        given["request_checksum_calculation"] = options.request_checksum_calculation
        given["response_checksum_validation"] = options.request_checksum_calculation
    session = boto3.session.Session(profile_name=options.profile, region_name=options.region)
    region = session.region_name or "us-east-1"
    return session.client(
        "s3", endpoint_url=endpoint, region_name=region, verify=options.verify_tls, config=Config(**given)
    )


def _elsewhere(options: StoreOptions) -> str | None:
    """The endpoint, if it is not Amazon's own for the region."""
    return options.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def _patiently(request: Callable[[], T]) -> T:
    """The answer to a request, tried again after a while where it failed for a reason that may pass."""
    for number in range(_TRIES - 1):
        try:
            return request()
        except _ERRORS as error:
            if not _may_pass(error):
                raise
            time.sleep(random.uniform(0, 0.1 * 2**number))
    return request()


def _may_pass(error: Exception) -> bool:
    """A server that was busy, a connection that broke, a create in conflict with another or with a delete."""
    if isinstance(error, ClientError):
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status >= 500 or status == 429 or _code(error) in _CONTESTED
    return True


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@contextlib.contextmanager
def _translated(store: S3Store, key: str = "") -> Iterator[None]:
    where = f"{store.uri}: {key}".removesuffix(": ")
    at = f" (endpoint {store.options.endpoint_url})" if store.options.endpoint_url else ""
    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        what = "no such object" if _code(error) in _MISSING and key else said.get("Message") or "refused"
        raise StoreError(f"{where}: {_code(error)}: {what}{at}") from error
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no URL
        raise StoreError(f"{where}: {_one_line(error)}{at}") from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
