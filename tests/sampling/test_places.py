from pathlib import Path

import pytest

from sampling.errors import BadInput
from sampling.places import check_scheme, expand_home, local_path


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("~", "/home/ann"), ("~/x/y", "/home/ann/x/y"), ("~/x/", "/home/ann/x/"), ("~nobody-here/x", "~nobody-here/x"),
        ("a/~/x", "a/~/x"), ("file:///data/x", "/data/x"), ("FILE://localhost/data/x", "/data/x"),
        ("file:/data/a%20b%23c", "/data/a b#c"), ("a#b?c", "a#b?c"), ("s3://b/a#b?c", "s3://b/a#b?c"), ("", ""),
    ],
)  # fmt: skip
def test_a_place_is_a_path_without_its_shorthand(monkeypatch: pytest.MonkeyPatch, text: str, path: str) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert local_path(text) == path
    assert expand_home("~/x") == str(Path("/home/ann/x"))


@pytest.mark.parametrize(
    "text", ["file://host/x", "file:x", "file:///a#b", "file:///a?b", "file://", "file:////h/x", "file:///a%00"]
)
def test_a_file_url_that_may_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="no file of this machine; allowed: file:///path"):
        local_path(text)


def test_urls_of_other_kinds_are_refused() -> None:
    check_scheme("s3://bucket/x", "s3")
    check_scheme("a/b", "s3")
    with pytest.raises(BadInput, match=r"http://h/x: cannot be opened; allowed: a path, s3://…, hf://…"):
        check_scheme("http://h/x", "s3", "hf")
