"""Folders of a bucket on a real S3 server: what lies in them, ranges of bytes, and errors that name the object."""

from pathlib import Path

import pytest

from sampling.errors import BadInput, EngineError
from sampling.s3_folder import S3Folder, S3Options
from sampling.validate import parse
from tests.support.s3_server import S3Server


@pytest.fixture
def folder(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Folder:
    for name, value in {**moto.environment(), "AWS_ENDPOINT_URL": moto.endpoint}.items():
        monkeypatch.setenv(name, value)
    client = moto.client()
    client.create_bucket(Bucket="folders")
    for key in ("a/", "a/one.txt", "a/b/two.txt"):
        client.put_object(Bucket="folders", Key=key, Body=b"0123456789")
    client.close()
    return S3Folder.parse("s3://folders/a")


def test_a_folder_is_the_files_directly_below_its_prefix(folder: S3Folder, tmp_path: Path) -> None:
    assert folder == S3Folder.parse("s3://folders/a/") and folder.uri == "s3://folders/a/"
    assert {name: size for name, (size, _) in folder.files.items()} == {"one.txt": 10}
    assert (folder.read("one.txt"), folder.read("one.txt", 2, 4)) == (b"0123456789", b"234")
    folder.download_to(tmp_path)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"0123456789"]


def test_a_revision_changes_with_a_file(folder: S3Folder, moto: S3Server) -> None:
    before = folder.revision(list)
    client = moto.client()
    client.put_object(Bucket="folders", Key="a/one.txt", Body=b"0123456780")
    client.close()
    assert S3Folder.parse("s3://folders/a").revision(list) != before


def test_an_error_names_the_object(folder: S3Folder, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"s3://folders/a/none: .*NoSuchKey"):
        folder.read("none")
    with pytest.raises(EngineError, match=r"s3://nowhere/a/: .*NoSuchBucket"):
        S3Folder.parse("s3://nowhere/a").files  # noqa: B018
    vars(folder)["files"] = {"one.txt": (9, "")}
    with pytest.raises(EngineError, match=r"s3://folders/a/one\.txt: not the 9 bytes that were listed"):
        folder.download_to(tmp_path)


@pytest.mark.parametrize(
    "url", ["minio:9000", "ftp://minio", "http://", "http://key:secret@minio", "http://minio/?a=b", "http://mi nio"]
)
def test_an_endpoint_is_an_address_without_credentials(url: str) -> None:
    with pytest.raises(BadInput, match=r"^here: endpoint_url: http\(s\)://host:port, without credentials"):
        parse(S3Options, {"endpoint_url": url}, "here")


def test_a_reader_may_pay_for_the_requests(folder: S3Folder, moto: S3Server, tmp_path: Path) -> None:
    options = S3Options(endpoint_url=moto.endpoint, requester_pays=True)
    paying = S3Folder.parse("s3://folders/a", options)
    asked: list[str] = []
    paying._client.meta.events.register(
        "before-send.s3", lambda request, **_: asked.append(str(request.headers.get("x-amz-request-payer")))
    )
    paying.download_to(tmp_path)
    assert paying.read("one.txt", 0, 1) == b"01"
    assert asked and all("requester" in header for header in asked)
