"""Places of the runs: a folder, or a bucket of a real S3 server behind a bad network."""

import contextlib
import os
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import boto3.session

from jobs.store.base import StoreOptions
from tests.chaos.network import BadNetwork
from tests.support.faulty_proxy import faulty_proxy
from tests.support.s3_server import S3Server, swift_server


@dataclass(frozen=True)
class Place:
    """A place that stores runs: ``store`` and ``options`` for the sweep, and the network that breaks requests."""

    store: str
    options: StoreOptions = field(default_factory=StoreOptions)
    environment: Mapping[str, str] = field(default_factory=dict)
    network: BadNetwork | None = None
    server: S3Server | None = None

    def local_copy(self, run: str, folder: Path) -> Path:
        """Returns a folder with the run's objects; fetches objects of a bucket past the bad network."""
        if self.server is None:
            return Path(self.store) / run
        client = _client(self.server)
        bucket = self.store.removeprefix("s3://")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{run}/")
        keys = [found["Key"] for page in pages for found in page.get("Contents", [])]

        def fetch(key: str) -> None:
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(fetch, keys))
        return folder / run


@contextlib.contextmanager
def bad_bucket(folder: Path, rate: float, seed: int) -> Iterator[Place]:
    """Creates a fresh bucket; raises CannotStart where no server can be started."""
    network = BadNetwork("", rate=rate, seed=seed)
    with swift_server(folder) as server, faulty_proxy(server.endpoint, network):
        os.environ |= server.environment()
        bucket = f"chaos-{uuid.uuid4().hex}"
        _client(server).create_bucket(Bucket=bucket)
        options = StoreOptions(endpoint_url=network.endpoint)
        yield Place(f"s3://{bucket}", options, server.environment(), network, server)


def _client(server: S3Server):  # type: ignore[no-untyped-def]
    return boto3.session.Session().client("s3", endpoint_url=server.endpoint)
