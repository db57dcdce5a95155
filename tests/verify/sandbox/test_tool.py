"""A program that is not ours, asked over its pipes, in every tier that this machine gives."""

import shutil
from collections.abc import Iterator

import pytest

from verify.sandbox.limits import Quota
from verify.sandbox.tiers import TIERS, TierUnavailable
from verify.sandbox.tool import Stopped, Tool, open_tool
from verify.verdict import Status

QUOTA = Quota(wall_s=5.0, memory_mb=64)
CAT, TRUE = str(shutil.which("cat")), str(shutil.which("true"))


@pytest.fixture(params=TIERS)
def cat(request: pytest.FixtureRequest) -> Iterator[Tool]:
    try:
        tool = open_tool([CAT], [CAT], {"A": "b"}, request.param)
    except TierUnavailable as error:
        pytest.skip(str(error))
    assert tool.tier == request.param
    yield tool
    tool.close()


def test_answers_end_with_a_blank_line(cat: Tool) -> None:
    large = b"x" * 300_000 + b"\n\n"
    assert [cat.ask(text, QUOTA) for text in (b"one\n\n", large, b"two\n\n")] == [b"one\n\n", large, b"two\n\n"]
    assert cat.wall_s > 0


def test_silence_runs_into_the_time_limit(cat: Tool) -> None:
    with pytest.raises(Stopped, match=r"more than 0\.1 s") as found:
        cat.ask(b"no blank line", Quota(wall_s=0.1, memory_mb=64))
    assert found.value.status is Status.TIMEOUT


def test_an_answer_has_a_largest_size(cat: Tool) -> None:
    with pytest.raises(Stopped, match="more than 1000 bytes of output") as found:
        cat.ask(b"x" * 100_000 + b"\n\n", Quota(wall_s=5.0, memory_mb=64, output_bytes=1000))
    assert found.value.status is Status.OUTPUT


def test_a_program_that_ends_is_a_crash() -> None:
    ending = open_tool([TRUE], [TRUE], {}, None)
    with pytest.raises(Stopped, match="ended") as found:
        ending.ask(b"\n\n", QUOTA)
    assert found.value.status is Status.CRASH
    ending.close()
    assert not ending.alive


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(TierUnavailable, match=r"executing /nowhere/repl: .*No such file"):
        open_tool(["/nowhere/repl"], [], {}, None)
