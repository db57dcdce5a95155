"""Task files from a bucket of a real S3 server, from the hub's own library, and what is said where neither is there."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.errors import BadInput
from sampling.tasks.load import load_task
from sampling.tasks.sources import HubFile, HubSplit, check_reachable, is_remote, under
from tests.support.s3_server import S3Server

ROW = {"question": "1+1?", "answer": "#### 2"}


@pytest.fixture
def bucket(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**moto.environment(), "AWS_ENDPOINT_URL": moto.endpoint}.items():
        monkeypatch.setenv(name, value)
    client = moto.client()
    client.create_bucket(Bucket="tasks")
    client.put_object(Bucket="tasks", Key="data/own.jsonl", Body=b'{"question": "1+1?", "answer": "#### 2"}\n')
    client.close()


@pytest.mark.usefixtures("bucket")
def test_a_file_in_a_bucket() -> None:
    assert [problem.id for problem in load_task("gsm8k", "s3://tasks/data/own.jsonl", shots=0)] == ["gsm8k/0"]
    for place, said in [
        ("s3://tasks/data/none.jsonl", "s3://tasks/data/none.jsonl: .*NoSuchKey"),
        ("s3://none/own.jsonl", "s3://none/own.jsonl: .*NoSuchBucket"),
        ("s3://tasks", "s3://tasks: names no file; allowed: s3://bucket/key"),
        ("s3://tasks/data/", "names no file"),
    ]:
        with pytest.raises(BadInput, match=said):
            load_task("gsm8k", place)


def test_the_hubs_library_reads_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library reads a local folder of that name as the data set, so the test needs no hub."""
    pytest.importorskip("datasets")
    (tmp_path / "owner/name/data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([ROW]), tmp_path / "owner/name/data/test-00000-of-00001.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    assert load_task("gsm8k", "hf://owner/name?split=test", shots=0)[0].prompt == "Question: 1+1?\nAnswer:"
    with pytest.raises(BadInput, match=r"hf://owner/name\?split=dev: cannot be had from the hub"):
        load_task("gsm8k", "hf://owner/name?split=dev")


def test_a_hub_that_cannot_be_reached_is_told_with_the_file_to_bring(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput) as refused:
        load_task("gsm8k", "hf://openai/gsm8k/main?split=test")
    assert str(refused.value) == (
        "hf://openai/gsm8k/main?split=test: cannot be had from the hub (http://127.0.0.1:9 cannot be reached); bring "
        "the file and give its path: github.com/openai/grade-school-math, grade_school_math/data/test.jsonl"
    )


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(
        BadInput, match=r"needs the package datasets \(`.* -m pip install datasets`\); or bring the file"
    ):
        load_task("codecontests", "hf://deepmind/code_contests?split=test")


class Hub(BaseHTTPRequestHandler):
    """A hub with one file at two revisions, as https://huggingface.co serves it."""

    files: ClassVar = {"main/data/a b.jsonl": "a" * 40, "refs%2Fpr%2F1/data/a b.jsonl": "b" * 40}

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        name = self.path.removeprefix("/datasets/owner/name/resolve/").replace("%20", " ")
        commit = self.files.get(name)
        body = json.dumps({"question": f"{commit}?", "answer": "#### 2"}).encode() + b"\n" if commit else b""
        self.send_response(200 if commit or self.path == "/" else 404)
        for key, value in {"X-Repo-Commit": commit, "ETag": f'"{commit}"', "X-Error-Code": "EntryNotFound"}.items():
            if value and (commit is None) == (key == "X-Error-Code"):
                self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Prints nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_file_of_the_hub_is_read_at_its_revision(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(place: str) -> str:
        return (load_task("gsm8k", place, shots=0)[0].prompt or "")[len("Question: ") :][0]

    place = "hf://datasets/owner/name@refs/pr/1/data/a b.jsonl"
    assert asked("hf://datasets/owner/name/data/a b.jsonl") == "a"
    assert asked("hf://datasets/owner/name@main/data/a b.jsonl") == "a"
    assert asked(place) == asked("hf://datasets/owner/name@refs%2Fpr%2F1/data/a b.jsonl") == "b"
    with pytest.raises(BadInput, match=r"c\.jsonl: cannot be had from the hub \(it answers 404\); bring the file"):
        load_task("gsm8k", "hf://datasets/owner/name@main/data/c.jsonl")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert asked(place) == "b", "what the cache has needs no hub"
    with pytest.raises(BadInput, match=r"give its path: huggingface\.co/datasets/owner/name, c\.jsonl"):
        load_task("gsm8k", "hf://datasets/owner/name/c.jsonl")


@pytest.mark.parametrize(
    "place", ["hf://", "hf://openai", "hf://a/b/c/d", "hf://a/b?splits=x", "hf://a/../b", "hf://a/b@"]
)
def test_a_place_that_the_hub_cannot_have(place: str) -> None:
    with pytest.raises(BadInput, match=r"hf://owner/name\[@revision\]\[/config\]\[\?split=test\]"):
        load_task("gsm8k", place)


@pytest.mark.parametrize("rest", ["", "a", "a/b", "a/b@main", "a/b/../../x.jsonl", "a/b@x/", "a/b/c.jsonl?split=x"])
def test_a_file_that_the_hub_cannot_have(rest: str) -> None:
    with pytest.raises(BadInput, match=r"allowed: hf://datasets/owner/name\[@revision\]/file\.jsonl"):
        load_task("gsm8k", f"hf://datasets/{rest}")


def test_places() -> None:
    assert HubSplit.parse("hf://a/b") == ("a/b", "", "test", None)
    assert HubSplit.parse("hf://a/b/c?split=train") == ("a/b", "c", "train", None)
    assert HubSplit.parse("hf://a/b@v1.0/c") == ("a/b", "c", "test", "v1.0")
    assert HubFile.parse("hf://datasets/a/b@refs/convert/parquet/c/d.parquet") == (
        "a/b",
        "refs/convert/parquet",
        "c/d.parquet",
    )
    assert under("s3://b/k", Path("/x")) == "s3://b/k" and under("k.jsonl", Path("/x")) == "/x/k.jsonl"
    assert is_remote("hf://a/b") and not is_remote("/a/b")


def test_a_hub_that_does_not_answer_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        check_reachable()
