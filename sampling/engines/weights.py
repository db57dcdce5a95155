"""A model's files on this machine: fetched once per node, however many engines of the model start there.

A download from a bucket is renamed into place once all its files are there, so a killed download is never used. Files
from the hub lie in the hub library's own cache: the library keeps the same promise for each file, and knows from the
listing of a commit which files are still missing.
"""

import hashlib
import logging
import os
import shutil
from dataclasses import replace
from pathlib import Path

from sampling.engines.model_info import bucket_revision
from sampling.errors import EngineError, EngineRefused
from sampling.node import cache_folder, only_one
from sampling.s3_folder import S3, STANDARD, S3Folder, S3Options

# Files of a hub repository that vLLM does not load: other formats, and everything in subfolders.
NOT_NEEDED = ("*/*", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack", "*.onnx", "*.gguf", "consolidated*")
ONLY_OTHER_FORMATS = ("*/*", "*.ckpt", "*.h5", "*.msgpack", "*.onnx")


def local_weights(path: str, revision: str, options: S3Options = STANDARD) -> Path:
    """Returns the folder with the model's files on this machine; fetches what is missing.

    ``path`` is a folder, an ``s3://`` folder or a hub id; ``revision`` is what ``inspect_model`` found there;
    ``options`` reach the bucket. Raises EngineRefused for a folder that this machine does not have, EngineError where
    fetching fails, which may pass.
    """
    if path.startswith(S3):
        return _fetch_from_bucket(S3Folder.parse(path, options), revision)
    if Path(path).is_absolute():
        if Path(path).is_dir():
            return Path(path)
        raise EngineRefused(f"{os.uname().nodename}: no folder {path!r} here; a path must be there on every node")
    return _fetch_from_hub(path, revision)


def _fetch_from_bucket(source: S3Folder, revision: str) -> Path:
    name = hashlib.sha256(f"{source.uri} {revision}".encode()).hexdigest()[:32]
    whole = cache_folder() / "weights" / name
    with only_one([f"weights-{name}"]):
        if not whole.is_dir():
            _download(source, revision, whole)
    return whole


def _download(source: S3Folder, revision: str, whole: Path) -> None:
    """Fetches all files into ``whole``. The caller holds the lock, so a half-done folder belongs to no live process."""
    half = whole.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    try:
        source.download_to(half)
        if bucket_revision(replace(source)) != revision:
            raise EngineRefused(
                f"{source.uri}: changed since the run was planned; give the new files a path of their own"
            )
        half.rename(whole)
    except BaseException:
        shutil.rmtree(half, ignore_errors=True)
        raise


def _fetch_from_hub(path: str, revision: str) -> Path:
    """Fetches a hub commit into the hub library's cache; asks the hub nothing once all of its files are there."""
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
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise EngineError(f"model {path!r} cannot be fetched from the hub ({reason})") from error
    return folder
