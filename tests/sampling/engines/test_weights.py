"""Weights from a folder and from a real S3 server: once per node, whole or not at all, whatever dies."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from sampling.engines.model_info import bucket_revision, inspect_model
from sampling.engines.weights import local_weights
from sampling.errors import BadInput, EngineError, EngineRefused
from sampling.s3_folder import S3Folder, S3Options
from sampling.settings import ModelSpec
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.places import SMALL_MODEL
from tests.support.s3_server import S3Server

SPAWN = multiprocessing.get_context("spawn")
URI = "s3://weights/small"


@pytest.fixture
def bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Puts the demo's small model into a bucket; returns the server's address."""
    for name, value in {**moto.environment(), "AWS_ENDPOINT_URL": moto.endpoint, "TROOP_CACHE": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    client = moto.client()
    client.create_bucket(Bucket="weights")
    for path in SMALL_MODEL.iterdir():
        client.upload_file(str(path), "weights", f"small/{path.name}")
    client.close()
    return moto.endpoint


def same_files(folder: Path) -> bool:
    return {p.name: p.read_bytes() for p in folder.iterdir()} == {p.name: p.read_bytes() for p in SMALL_MODEL.iterdir()}


def spec(path: str = URI) -> ModelSpec:
    return ModelSpec(name="m", path=path)


def test_a_model_in_a_bucket_is_known_as_well_as_one_in_a_folder(bucket: str) -> None:
    there, here = inspect_model(spec(), "models.m"), inspect_model(spec(str(SMALL_MODEL)), "models.m")
    assert (there.parameters, there.floats, there.layers) == (here.parameters, here.floats, here.layers)
    assert there.floats and there.revision == bucket_revision(S3Folder.parse(URI))


def test_a_file_that_no_engine_reads_is_no_other_revision(bucket: str, moto: S3Server, tmp_path: Path) -> None:
    client, noted = moto.client(), spec("s3://weights/noted")
    for path in SMALL_MODEL.iterdir():
        client.upload_file(str(path), "weights", f"noted/{path.name}")
    before = inspect_model(noted, "models.m").revision
    for name in ("README.md", "readme.txt", "LICENSE.txt", ".gitattributes", "trainer_state.json", "old/model.bin"):
        client.put_object(Bucket="weights", Key=f"noted/{name}", Body=b"of no effect")
    assert inspect_model(noted, "models.m").revision == before
    assert local_weights(noted.path, before).is_dir()
    client.put_object(Bucket="weights", Key="noted/chat_template.jinja", Body=b"{{ messages }}")
    client.close()
    assert inspect_model(noted, "models.m").revision != before


def test_a_model_lies_on_another_service_than_the_standard_one(
    bucket: str, swift: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers have the bucket; the swift one alone has the model."""
    client = swift.client()
    client.create_bucket(Bucket="weights")
    for path in SMALL_MODEL.iterdir():
        client.upload_file(str(path), "weights", f"elsewhere/{path.name}")
    client.close()
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    there = ModelSpec.model_validate(
        {"name": "m", "path": "s3://weights/elsewhere", "s3_options": {"endpoint_url": swift.endpoint}}
    )
    revision = inspect_model(there, "models.m").revision
    assert same_files(local_weights(there.path, revision, there.s3_options))
    with pytest.raises(BadInput, match=r"s3://weights/elsewhere/ has no config\.json"):
        inspect_model(spec("s3://weights/elsewhere"), "models.m")
    gone = there.model_copy(update={"s3_options": S3Options(endpoint_url="http://127.0.0.1:9")})
    with pytest.raises(BadInput, match=r"s3://weights/elsewhere/: .* \(endpoint http://127\.0\.0\.1:9\)$"):
        inspect_model(gone, "models.m")


def test_processes_of_one_node_fetch_a_file_once(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = bucket_revision(S3Folder.parse(URI))
    with faulty_proxy(bucket) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        with SPAWN.Pool(3) as pool:
            folders = pool.starmap(local_weights, [(URI, revision)] * 6, chunksize=1)
        fetched = [line for line in proxy.requests if line.startswith("GET /weights/small/")]
    assert len(set(folders)) == 1 and same_files(folders[0])
    assert len(fetched) == len(set(fetched)) == len(list(SMALL_MODEL.iterdir()))


def fetch_and_die(uri: str, revision: str) -> None:
    """Downloads all files except the last, then kills this process."""
    copy, files = S3Folder.download_to, dict(S3Folder.parse(uri).files)

    def copy_some(self: S3Folder, folder: Path) -> None:
        del files[sorted(files)[-1]]
        vars(self)["files"] = files
        copy(self, folder)
        os.kill(os.getpid(), signal.SIGKILL)

    S3Folder.download_to = copy_some  # type: ignore[method-assign]
    local_weights(uri, revision)


def test_a_killed_download_is_never_taken_for_whole(bucket: str, tmp_path: Path) -> None:
    revision = bucket_revision(S3Folder.parse(URI))
    dying = SPAWN.Process(target=fetch_and_die, args=(URI, revision))
    dying.start()
    dying.join(60)
    (half,) = (tmp_path / "weights").iterdir()
    assert (dying.exitcode, half.suffix) == (-signal.SIGKILL, ".half")
    whole = local_weights(URI, revision)
    assert same_files(whole) and list((tmp_path / "weights").iterdir()) == [whole]


def test_a_broken_connection_is_tried_again(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    revision = bucket_revision(S3Folder.parse(URI))
    with faulty_proxy(bucket, FaultyProxy("", ["ok", "503", "cut before", "reset"], method="GET")) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
        assert same_files(local_weights(URI, revision))


def test_other_files_than_those_planned_are_refused(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(EngineRefused, match="changed since the run was planned"):
        local_weights(URI, "another revision")
    assert not list((tmp_path / "weights").iterdir())


def test_a_bucket_that_has_no_model_is_bad_input(bucket: str) -> None:
    with pytest.raises(BadInput, match=r"models\.m\.path: s3://weights/none/ has no config\.json"):
        inspect_model(spec("s3://weights/none"), "models.m")
    with pytest.raises(BadInput, match=r"models\.m\.path: s3://nobucket/m/: .*NoSuchBucket"):
        inspect_model(spec("s3://nobucket/m"), "models.m")
    with pytest.raises(EngineError, match="s3://nobucket/m/"):
        local_weights("s3://nobucket/m", "r")


def test_a_folder_is_used_where_it_lies_and_must_be_on_every_node(tmp_path: Path) -> None:
    assert local_weights(str(SMALL_MODEL), "r") == SMALL_MODEL
    with pytest.raises(EngineRefused, match="a path must be there on every node"):
        local_weights(str(tmp_path / "none"), "r")
