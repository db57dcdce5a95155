"""A folder of an S3 bucket, read-only: model weights and task files lie in such folders."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from sampling.errors import EngineError
from sampling.validate import Plain

S3 = "s3://"
TRIES = 8  # of one request


class S3Options(Plain):
    """Options to reach a bucket. Credentials come from the standard AWS chain, never from a file of Troop's."""

    endpoint_url: str | None = None
    """URL of an S3 server that is not Amazon's. Example: `http://minio:9000`.

    Default: the AWS environment variables, else Amazon's endpoint for the region.
    """

    region: str | None = Field(default=None, min_length=1)
    """Region of the bucket. Default: the AWS configuration, else us-east-1. Example: `eu-west-1`."""

    profile: str | None = Field(default=None, min_length=1)
    """Profile of the AWS configuration files that has the credentials. Default: the standard AWS chain."""

    addressing_style: Literal["path", "virtual", "auto"] | None = None
    """Place of the bucket's name in URLs: in the path or in the host name.

    Default: path for an endpoint of your own, auto for Amazon's.
    """

    verify_tls: bool = True
    """Verifies the server's TLS certificate; false accepts any certificate, as of a test server."""

    requester_pays: bool = False
    """Pays for the requests, as a bucket that charges its readers wants it."""

    @field_validator("endpoint_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            url = urlsplit(value)
            more = "@" in url.netloc or set("?# ") & set(value) or not value.isprintable()
            if url.scheme not in {"http", "https"} or not url.hostname or more:
                raise ValueError("http(s)://host:port, without credentials, query, fragment and spaces")
        return value

    @property
    def endpoint(self) -> str | None:
        """URL of the server, or None for Amazon's own."""
        return self.endpoint_url or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None

    @property
    def style(self) -> str:
        """Addressing style; servers that are not Amazon's rarely have a host name for each bucket."""
        return self.addressing_style or ("path" if self.endpoint else "auto")

    @property
    def payer(self) -> dict[str, Any]:
        """Arguments of every request by which this side pays for it."""
        return {"RequestPayer": "requester"} if self.requester_pays else {}


STANDARD = S3Options()  # the standard AWS settings alone


@dataclass(frozen=True)
class S3Folder:
    """The files directly below a prefix of a bucket."""

    bucket: str
    prefix: str
    options: S3Options = STANDARD

    @classmethod
    def parse(cls, uri: str, options: S3Options = STANDARD) -> "S3Folder":
        """Returns the folder at ``s3://bucket/prefix``, with or without a final slash."""
        bucket, _, prefix = uri.removeprefix(S3).partition("/")
        return cls(bucket, prefix.strip("/") + "/" if prefix.strip("/") else "", options)

    @property
    def uri(self) -> str:
        return f"{S3}{self.bucket}/{self.prefix}"

    @cached_property
    def files(self) -> Mapping[str, tuple[int, str]]:
        """Size in bytes and ETag of each file, by name; raises EngineError."""
        with self._translated():
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/", **self.options.payer
            )
            found = [entry for page in pages for entry in page.get("Contents", []) if entry["Key"] != self.prefix]
        return {entry["Key"].removeprefix(self.prefix): (entry["Size"], entry["ETag"]) for entry in found}

    def revision(self, chosen: Callable[[Iterable[str]], Iterable[str]]) -> str:
        """Returns a hash of names, sizes and ETags of the files that ``chosen`` keeps; raises EngineError."""
        kept = sorted((name, self.files[name]) for name in chosen(self.files))
        return hashlib.sha256(repr(kept).encode()).hexdigest()[:16]

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Returns bytes ``first`` to ``last``, both included, of a file that is not empty; raises EngineError."""
        where = {"Bucket": self.bucket, "Key": self.prefix + name, **self.options.payer}
        with self._translated(name):
            span = f"bytes={first}-{'' if last is None else last}"
            data: bytes = self._client.get_object(**where, Range=span)["Body"].read()
        return data

    def download_to(self, folder: Path) -> None:
        """Downloads every file and compares its size with the listing; raises EngineError."""
        for name, (size, _) in self.files.items():
            with self._translated(name):
                place = str(folder / name)
                self._client.download_file(self.bucket, self.prefix + name, place, ExtraArgs=self.options.payer)
            if (folder / name).stat().st_size != size:
                raise EngineError(f"{self.uri}{name}: not the {size:,} bytes that were listed")

    @cached_property
    def _client(self) -> Any:
        import boto3.session
        from botocore.config import Config

        options = self.options
        style: Any = {"addressing_style": options.style}
        session = boto3.session.Session(profile_name=options.profile, region_name=options.region)
        return session.client(
            "s3",
            endpoint_url=options.endpoint,
            verify=options.verify_tls,
            config=Config(s3=style, retries={"total_max_attempts": TRIES}),
        )

    @contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        """Raises EngineError that names the object, and a server of its own, for every error of the S3 client."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            at = f" (endpoint {self.options.endpoint_url})" if self.options.endpoint_url else ""
            raise EngineError(f"{self.uri}{name}: {reason}{at}") from error
