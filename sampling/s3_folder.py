"""A folder of an S3 bucket, read-only: model weights and task files lie in such folders."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sampling.errors import EngineError

S3 = "s3://"
TRIES = 8  # of one request


@dataclass(frozen=True)
class S3Folder:
    """The files directly below a prefix of a bucket. The standard AWS settings give credentials and endpoint."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, uri: str) -> "S3Folder":
        """Returns the folder at ``s3://bucket/prefix``, with or without a final slash."""
        bucket, _, prefix = uri.removeprefix(S3).partition("/")
        return cls(bucket, prefix.strip("/") + "/" if prefix.strip("/") else "")

    @property
    def uri(self) -> str:
        return f"{S3}{self.bucket}/{self.prefix}"

    @cached_property
    def files(self) -> Mapping[str, tuple[int, str]]:
        """Size in bytes and ETag of each file, by name; raises EngineError."""
        with _translate_errors(self.uri):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
            )
            found = [entry for page in pages for entry in page.get("Contents", []) if entry["Key"] != self.prefix]
        return {entry["Key"].removeprefix(self.prefix): (entry["Size"], entry["ETag"]) for entry in found}

    @property
    def revision(self) -> str:
        """Hash of all names, sizes and ETags: it changes when any file changes."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()[:16]

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Returns bytes ``first`` to ``last``, both included, of a file that is not empty; raises EngineError."""
        with _translate_errors(self.uri + name):
            span = f"bytes={first}-{'' if last is None else last}"
            data: bytes = self._client.get_object(Bucket=self.bucket, Key=self.prefix + name, Range=span)["Body"].read()
        return data

    def download_to(self, folder: Path) -> None:
        """Downloads every file and compares its size with the listing; raises EngineError."""
        for name, (size, _) in self.files.items():
            with _translate_errors(self.uri + name):
                self._client.download_file(self.bucket, self.prefix + name, str(folder / name))
            if (folder / name).stat().st_size != size:
                raise EngineError(f"{self.uri}{name}: not the {size:,} bytes that were listed")

    @cached_property
    def _client(self) -> Any:
        import boto3.session
        from botocore.config import Config

        elsewhere = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        style: Any = {"addressing_style": "path" if elsewhere else "auto"}
        return boto3.session.Session().client("s3", config=Config(s3=style, retries={"total_max_attempts": TRIES}))


@contextmanager
def _translate_errors(uri: str) -> Iterator[None]:
    """Raises EngineError that names the object for every error of the S3 client."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(f"{uri}: {reason}") from error
