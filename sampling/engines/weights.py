"""A model's files on this machine: fetched once per node, however many engines of the model start there.

Files from a bucket get their place by one rename, once all of them are there: a download that was killed is never taken
for whole. Files from the hub lie in its own cache, whose library keeps the same promise file by file and knows from the
listing of a commit which are still missing.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from sampling.errors import EngineError, EngineRefused
from sampling.node import cache_folder, only_one

S3 = "s3://"
TRIES = 8  # of a request
# What a hub's repository holds beside the weights that vLLM loads: other formats, and folders of its own.
NOT_NEEDED = ("*/*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.gguf", "consolidated*")
ONLY_OTHER_FORMATS = ("*/*", "*.ckpt", "*.h5", "*.msgpack", "*.onnx")


def local_weights(path: str, revision: str) -> Path:
    """The folder with the model's files on this machine, after fetching what is not there.

    ``path`` is a folder, an ``s3://`` folder or a hub id, ``revision`` what ``inspect_model`` found there. Raises
    EngineRefused for a folder that this machine does not have, EngineError where fetching fails: that may pass.
    """
    if path.startswith(S3):
        return _from_bucket(S3Folder.parse(path), revision)
    if Path(path).is_dir():
        return Path(path)
    if Path(path).is_absolute():
        raise EngineRefused(f"{os.uname().nodename}: no folder {path!r} here; a path must be there on every node")
    return _from_hub(path, revision)


@dataclass(frozen=True)
class S3Folder:
    """The files right below a prefix of a bucket. The standard AWS settings say who asks, and where."""

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, uri: str) -> "S3Folder":
        bucket, _, prefix = uri.removeprefix(S3).partition("/")
        return cls(bucket, prefix.strip("/") + "/" if prefix.strip("/") else "")

    @property
    def uri(self) -> str:
        return f"{S3}{self.bucket}/{self.prefix}"

    @cached_property
    def files(self) -> Mapping[str, tuple[int, str]]:
        """Size and ETag by name; raises EngineError."""
        with _told(self):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
            )
            found = [entry for page in pages for entry in page.get("Contents", []) if entry["Key"] != self.prefix]
        return {entry["Key"].removeprefix(self.prefix): (entry["Size"], entry["ETag"]) for entry in found}

    @property
    def revision(self) -> str:
        """Changes with any file."""
        return hashlib.sha256(repr(sorted(self.files.items())).encode()).hexdigest()[:16]

    def read(self, name: str, first: int = 0, last: int | None = None) -> bytes:
        """Bytes ``first`` to ``last``, both included, of a file that is not empty; raises EngineError."""
        with _told(self, name):
            span = f"bytes={first}-{'' if last is None else last}"
            data: bytes = self._client.get_object(Bucket=self.bucket, Key=self.prefix + name, Range=span)["Body"].read()
        return data

    def copy_to(self, folder: Path) -> None:
        """Every file, each of the size that was listed; raises EngineError."""
        for name, (size, _) in self.files.items():
            with _told(self, name):
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


def _from_bucket(source: S3Folder, revision: str) -> Path:
    name = hashlib.sha256(f"{source.uri} {revision}".encode()).hexdigest()[:32]
    whole = cache_folder() / "weights" / name
    with only_one([f"weights-{name}"]):
        if not whole.is_dir():
            _copy(source, revision, whole)
    return whole


def _copy(source: S3Folder, revision: str, whole: Path) -> None:
    """Called by one process of a node at a time: what another left half done is in nobody's hands."""
    half = whole.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        source.copy_to(half)
        if S3Folder(source.bucket, source.prefix).revision != revision:
            raise EngineRefused(
                f"{source.uri}: changed since the run was planned; give the new files a path of their own"
            )
        half.rename(whole)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _from_hub(path: str, revision: str) -> Path:
    """Nothing is asked of the hub once all files of the commit are here."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    name = hashlib.sha256(f"{path} {revision}".encode()).hexdigest()[:32]
    with only_one([f"weights-{name}"]):
        try:
            folder = Path(snapshot_download(path, revision=revision, ignore_patterns=list(NOT_NEEDED)))
            if not any(folder.glob("*.safetensors")):
                folder = Path(snapshot_download(path, revision=revision, ignore_patterns=list(ONLY_OTHER_FORMATS)))
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise EngineError(f"model {path!r} cannot be fetched from the hub ({_first_line(error)})") from error
    return folder


@contextmanager
def _told(folder: S3Folder, name: str = "") -> Iterator[None]:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError, OSError) as error:
        raise EngineError(f"{folder.uri}{name}: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
