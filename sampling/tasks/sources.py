"""Sources of a task's file: a path, a bucket, or the Hugging Face hub. Every command reads it anew.

``s3://bucket/key`` is read with the task's ``s3_options``. ``hf://datasets/owner/name@revision/file.jsonl`` is a file
of a data set, as the hub itself writes its place. ``hf://owner/name@revision/config?split=test`` is a split (revision
and config may be left out); the package ``datasets`` reads it. Where the hub cannot be reached, the error says which
file to bring instead.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

from sampling.errors import BadInput, EngineError
from sampling.places import HUB, check_scheme, local_path
from sampling.s3_folder import S3, S3Folder, S3Options

HUB_TIMEOUT_S = 10.0
HUB_FILES = f"{HUB}datasets/"
_NAME = r"(?P<name>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>refs/(?:convert|pr)/[\w.-]+|[\w.%-]+))?"
_HUB_SPLIT = re.compile(rf"{HUB}{_NAME}(?:/(?P<config>\w[\w.-]*))?(?:\?split=(?P<split>\w[\w.-]*))?")
_HUB_FILE = re.compile(rf"{HUB_FILES}{_NAME}/(?P<path>(?!\.)[^/?#]+(?:/(?!\.)[^/?#]+)*)")
# By name on the hub, in small letters: a file with the same rows that can be fetched from elsewhere.
PUBLISHED: Mapping[str, str] = {
    "openai/gsm8k": "github.com/openai/grade-school-math, grade_school_math/data/{split}.jsonl",
    "openai/openai_humaneval": "github.com/openai/human-eval, data/HumanEval.jsonl.gz",
    "google-research-datasets/mbpp": "github.com/google-research/google-research, mbpp/mbpp.jsonl",
}


def is_remote(place: str) -> bool:
    return place.startswith((S3, HUB))


def under(place: str, folder: Path) -> str:
    """Returns a path taken from ``folder``; a remote place stays as it is. Raises BadInput for another kind of URL."""
    check_scheme(place, "s3", "hf", "file")
    return place if is_remote(place) else str(folder / local_path(place))


def read_bytes(place: str, options: S3Options) -> bytes:
    """Returns the bytes of a whole file; raises BadInput."""
    if place.startswith(S3):
        return _read_from_bucket(place, options)
    if place.startswith(HUB_FILES):
        return _read_from_hub(place)
    try:
        return Path(place).read_bytes()
    except FileNotFoundError as error:
        raise BadInput(f"{place}: no such file") from error
    except OSError as error:
        raise BadInput(f"{place}: cannot be read ({error.strerror})") from error


def _read_from_bucket(place: str, options: S3Options) -> bytes:
    parent, _, name = place.rpartition("/")
    if parent.rstrip("/") == S3.rstrip("/") or not name:
        raise BadInput(f"{place}: names no file; allowed: s3://bucket/key")
    try:
        return S3Folder.parse(parent, options).read(name)
    except EngineError as error:
        raise BadInput(str(error)) from error


def _read_from_hub(place: str) -> bytes:
    """Returns a file of a data set, from the hub or from its client's cache; raises BadInput."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    file = HubFile.parse(place)
    with _translate_errors(place, file):
        try:
            found = hf_hub_download(
                file.name, file.path, repo_type="dataset", revision=file.revision, etag_timeout=HUB_TIMEOUT_S,
                local_files_only=not _is_reachable(),
            )  # fmt: skip
        except HfHubHTTPError as error:
            raise OSError(f"it answers {error.response.status_code}") from error
        return Path(found).read_bytes()


class HubFile(NamedTuple):
    """A file of a data set on the hub. Without a ``revision`` it is that of the main branch."""

    name: str
    revision: str | None
    path: str

    @classmethod
    def parse(cls, place: str) -> "HubFile":
        found = _HUB_FILE.fullmatch(place)
        if not found:
            raise BadInput(f"{place}: no file on the hub; allowed: {HUB_FILES}owner/name[@revision]/file.jsonl")
        return cls(found["name"], _revision(found), found["path"])

    @property
    def instead(self) -> str:
        """Advice for a machine that cannot reach the hub: which file to bring."""
        return f"bring the file and give its path: huggingface.co/datasets/{self.name}, {self.path}"


class HubSplit(NamedTuple):
    """A split of a data set on the hub. An empty ``config`` stands for a data set that has only one."""

    name: str
    config: str
    split: str
    revision: str | None = None

    @classmethod
    def parse(cls, place: str) -> "HubSplit":
        found = _HUB_SPLIT.fullmatch(place)
        if not found:
            raise BadInput(f"{place}: no place on the hub; allowed: {HUB_FILES}owner/name[@revision]/file.jsonl, "
                           f"{HUB}owner/name[@revision][/config][?split=test]")  # fmt: skip
        return cls(found["name"], found["config"] or "", found["split"] or "test", _revision(found))

    @property
    def instead(self) -> str:
        """Advice for a machine that cannot reach the hub: which file to bring."""
        where = PUBLISHED.get(self.name.lower())
        folder = f"{self.config or 'data'}/{self.split}-*.parquet"
        there = where.format(split=self.split) if where else f"huggingface.co/datasets/{self.name}, {folder}"
        return f"bring the file and give its path: {there}"


def _revision(found: re.Match[str]) -> str | None:
    return unquote(found["revision"]) if found["revision"] else None


def hub_rows(place: str) -> Iterator[Mapping[str, Any]]:
    """Yields the rows of a split while they arrive; raises BadInput where hub, data set or ``datasets`` is missing."""
    hub = HubSplit.parse(place)
    with _translate_errors(place, hub):
        import datasets

        if not Path(hub.name).is_dir():  # the library would take a folder of that name for the data set
            check_reachable()
        named = {"split": hub.split, "revision": hub.revision, "streaming": True}
        yield from datasets.load_dataset(hub.name, hub.config or None, **named)


def check_reachable() -> None:
    """Tries the hub once; raises ConnectionError. The library itself would wait half a minute for a missing hub."""
    import httpx
    from huggingface_hub.constants import ENDPOINT

    try:
        httpx.head(ENDPOINT, timeout=HUB_TIMEOUT_S)
    except httpx.TransportError as error:
        raise ConnectionError(f"{ENDPOINT} cannot be reached") from error


def _is_reachable() -> bool:
    try:
        check_reachable()
    except ConnectionError:
        return False
    return True


@contextmanager
def _translate_errors(place: str, hub: HubSplit | HubFile) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise BadInput(
            f"{place}: needs the package datasets (`{sys.executable} -m pip install datasets`); or {hub.instead}"
        ) from error
    except (
        OSError,
        ValueError,
    ) as error:  # the library's errors, of the network and of names, are all of these two types
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise BadInput(f"{place}: cannot be had from the hub ({reason}); {hub.instead}") from error
