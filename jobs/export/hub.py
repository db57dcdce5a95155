"""A data set on the Hugging Face hub as the target of an export: all files become visible with one commit."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.store.base import NO_METADATA, ObjectInfo
from sampling.errors import BadInput, StoreError
from sampling.tasks.sources import check_reachable

PREFIX = "hf://datasets/"
_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_OF_GIT = {".gitattributes"}


@dataclass
class HubDataSet:
    """A data set that is private where this creates it. Files wait on the hub, unseen, until ``publish``."""

    name: str
    operations: dict[str, Any] = field(default_factory=dict)
    created: bool = False

    @property
    def uri(self) -> str:
        return PREFIX + self.name

    def check(self) -> None:
        """Raises BadInput where no token is at hand, StoreError where the hub cannot be reached."""
        from huggingface_hub import get_token

        if not get_token():
            raise BadInput(f"--out {self.uri}: no token for the hub; set HF_TOKEN, or `hf auth login` once")
        with self._errors():
            check_reachable()  # the client itself tries for half a minute

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._errors():
            try:
                names = self._api().list_repo_files(self.name, repo_type="dataset")
            except RepositoryNotFoundError:
                names = []
        yield from (ObjectInfo(n, 0, 0.0) for n in sorted(names) if n.startswith(prefix) and n not in _OF_GIT)

    def put_new(self, key: str, data: bytes, metadata: Mapping[str, str] = NO_METADATA) -> bool:
        from huggingface_hub import CommitOperationAdd

        addition = CommitOperationAdd(path_in_repo=key, path_or_fileobj=data)
        with self._errors():
            if not self.created:
                self._api().create_repo(self.name, repo_type="dataset", private=True, exist_ok=True)
                self.created = True
            self._api().preupload_lfs_files(self.name, [addition], repo_type="dataset")  # frees the bytes
        self.operations[key] = addition
        return True

    def delete(self, key: str) -> None:
        """Forgets a file that was not published; the hub removes what no commit names."""
        self.operations.pop(key, None)

    def publish(self, message: str) -> None:
        """Makes one commit of all files."""
        with self._errors():
            self._api().create_commit(
                self.name, list(self.operations.values()), commit_message=message, repo_type="dataset"
            )

    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(library_name="troop")

    def _errors(self) -> "_Errors":
        return _Errors(self.uri)


@dataclass(frozen=True)
class _Errors:
    """Translates errors of the hub's client, and of the library that it speaks HTTP with, into one line."""

    where: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        from huggingface_hub.errors import HfHubHTTPError

        if isinstance(error, HfHubHTTPError):
            code = error.response.status_code
            raise StoreError(f"{self.where}: the hub answers {code}; may the token write there?") from error
        if kind is not None and (issubclass(kind, OSError) or kind.__module__.startswith(("httpx", "httpcore"))):
            raise StoreError(f"{self.where}: the hub cannot be reached ({kind.__name__})") from error


def parse_hub(place: str) -> HubDataSet | None:
    """Returns the data set that a place names; None for other places. Raises BadInput for another place on the hub."""
    if not place.startswith("hf://"):
        return None
    name = place.removeprefix(PREFIX)
    if not place.startswith(PREFIX) or not _NAME.fullmatch(name):
        raise BadInput(f"--out {place}: no data set of the hub; allowed: {PREFIX}owner/name")
    return HubDataSet(name)
