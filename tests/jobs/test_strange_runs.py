"""Runs that came from strangers: nothing that a run names is contacted, opened, followed or believed without bounds."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.address import make_token
from jobs.store.folder import DirectoryStore
from jobs.store.layers import BLANK, Layer, decode_layer
from jobs.store.sealed_parquet import is_whole, parse_footer, seal
from sampling.errors import BadInput, DamagedFile, StoreError
from tests.conftest import Troop, WriteSweep
from tests.support.speaking_server import KEY, Handler, speaking

JUDGED = [{"id": "q", "prompt": "3+3?", "verifier": "judge", "reference": {"answer": "6"}, "solution": "6"}]


def edit_plan(change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the plan of the run as anybody with its folder can: sealed again."""
    path = Path("runs/sums/plan.json")
    plan = json.loads(path.read_bytes())
    change(plan)
    plan["sha256"] = BLANK
    path.write_bytes(seal(json.dumps(plan, indent=1).encode()))


def test_a_judge_that_a_run_names_is_never_asked(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hole: the plan's base_url got the value of the plan's api_key_env."""
    monkeypatch.setenv("JUDGE_KEY", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very secret")
    with speaking({"": says_pass}) as mine, speaking({"": says_pass}) as theirs:
        settings = {"path": "served", "base_url": mine.url, "api_key_env": "JUDGE_KEY", "service": {"check": False}}
        sweep = write_sweep(problems=JUDGED, judge=settings, verify={"audit": 0})
        assert troop("run", sweep, "--local", "--no-report").code == 0
        before = len(mine.seen)

        def change(plan: dict[str, Any]) -> None:
            plan["sweep"]["judge"] |= {"base_url": theirs.url, "api_key_env": "AWS_SECRET_ACCESS_KEY"}

        edit_plan(change)
        monkeypatch.setattr("jobs.reverify.current_version", lambda *_: "fixed")
        refused = troop("verify", "runs/sums", "--workers", "1")
        assert refused.code == 2 and "no service is asked because a run names it" in refused.err
        assert "troop verify" in refused.err and refused.err.count("\n") == 1
        assert troop("verify", "runs/sums", "--sweep", str(sweep), "--workers", "1").code == 0
        assert theirs.seen == [] and len(mine.seen) > before > 0


def says_pass(handler: Handler, _: int) -> bool:
    reply = {"message": {"content": "Right.\nVERDICT: pass"}, "finish_reason": "stop"}
    handler.answer(200, {"choices": [reply], "usage": {"prompt_tokens": 3, "completion_tokens": 3}})
    return True


PLACES = {
    "repository": ("patch", {"snapshot": "/root"}),
    "image": ("patch", {"image": "evil.example/image"}),
    "environment": ("patch", {"snapshot": "/x", "environment": "/root/.ssh"}),
    "packages": ("python", {"packages": ["/root/secrets/"]}),
}
PATCH = {"base_commit": "1" * 40, "test_patch": "x", "fail_to_pass": ["t::t"], "test_command": "true"}
PYTHON = {"entry_point": "f", "cases": [{"args": [], "expected": 1}]}


@pytest.mark.parametrize("kind", PLACES)
def test_a_place_that_a_run_names_is_never_opened(kind: str) -> None:
    from jobs.reverify import _with_own_places
    from sampling.problems import Problem

    verifier, extra = PLACES[kind]
    reference = {**(PATCH if verifier == "patch" else PYTHON), **extra}
    problem = Problem.model_validate({"id": "p\x1b[2J", "prompt": "?", "verifier": verifier, "reference": reference})
    with pytest.raises(
        BadInput, match=r"nothing is read or fetched because a run names it; give your sweep"
    ) as refused:
        _with_own_places({"t": {0: problem}}, None, "runs/x")
    assert str(refused.value).isprintable()


FOOTER = {"kind": "verdicts", "schema": 3, "attempt": "0f", "samples": "", "samples_sha256": "", "engine_s": 1.0}


@pytest.mark.parametrize(
    "pairs",
    [
        {"samples": "../other/samples/model=m/task=t/s=00000/u0000000-0f.parquet"},
        {"samples": "samples/model=m/task=t/../../../x-0f.parquet"},
        {"samples": "/etc/passwd"},
        {"samples": "verdicts/v=1/model=m/task=t/s=00000/u0000000.parquet"},
        {"samples": ["a"]},
        {"engine_s": -1.0},
        {"judge_usd": -1e9},
        {"judge_usd": float("nan")},
        {"merged": "abc"},
        {"attempt": None},
    ],
)
def test_a_footer_names_samples_of_this_run_only(pairs: dict[str, object]) -> None:
    good = "samples/model=m/task=t/s=00000/u0000000-0f.parquet"
    assert parse_footer({b"troop": json.dumps({**FOOTER, "samples": good}).encode()}, "f").samples == good
    with pytest.raises(DamagedFile, match="its footer"):
        parse_footer({b"troop": json.dumps({**FOOTER, **pairs}).encode()}, "f")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "{", "[]", "null", "\x00"])
def test_a_strange_footer_or_plan_is_told_in_one_line(text: str) -> None:
    with pytest.raises(StoreError):
        parse_footer({b"troop": text.encode()}, "f")
    with pytest.raises(BadInput) as refused:
        decode_layer(text.encode(), "plan.json")
    assert "\n" not in str(refused.value)


def test_links_in_a_run_are_not_followed(tmp_path: Path) -> None:
    """The hole: `troop clean` emptied the folder that `.tmp` pointed to, and a report went where `report/` did."""
    mine, store = tmp_path / "mine", DirectoryStore(tmp_path / "run")
    (tmp_path / "run").mkdir()
    mine.mkdir()
    (mine / "precious").write_text("x")
    os.utime(mine / "precious", (0, 0))
    for name in (".tmp", "report", "verdicts", "plan.json", "probe"):
        (tmp_path / "run" / name).symlink_to(mine / "precious" if name == "plan.json" else mine)
    for use in (
        lambda: store.clear_temporary(time.time()),
        lambda: store.put("report/report.html", b"x"),
        lambda: store.put_new("new.json", b"x"),
        lambda: store.get("plan.json"),
        lambda: store.head("plan.json"),
        lambda: store.delete("probe/precious"),
        lambda: list(store.list("verdicts/")),
        lambda: list(store.list("plan.")),
        lambda: list(store.list("probe/")),
    ):
        with pytest.raises(StoreError, match="is a link; a run's folder holds none"):
            use()
    assert (mine / "precious").read_text() == "x" and list(mine.iterdir()) == [mine / "precious"]


def test_a_run_may_be_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    store = DirectoryStore(tmp_path / "runs" / "one")
    assert store.put_new("plan.json", b"x") and store.get("plan.json") == b"x"


def test_a_pipe_in_a_run_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "plan.json")
    with pytest.raises(StoreError, match="not a regular file"):
        DirectoryStore(tmp_path).get("plan.json")


def test_a_plan_without_its_seal_is_refused(troop: Troop, write_sweep: WriteSweep) -> None:
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0
    path = Path("runs/sums/plan.json")
    whole = path.read_bytes()
    plan = json.loads(whole)
    for sha256 in ({"sha256": BLANK}, {}):
        del plan["sha256"]
        plan |= sha256
        path.write_text(json.dumps(plan, indent=1))
        refused = troop("status", "runs/sums")
        assert refused.code == 2 and "SHA-256 does not match" in refused.err
        plan["sha256"] = ""
    assert not is_whole(b'"sha256": "' + BLANK.encode() + b'"')


@pytest.mark.parametrize(
    "numbers",
    [
        {"last_sample": 2**62},
        {"first_unit": 2**40},
        {"first_problem": -5},
        {"last_problem": 0},
        {"samples_per_unit": 1, "problems_per_unit": 1, "last_sample": 2**31 - 1},
    ],
)
def test_a_plan_of_more_units_than_there_can_be_is_refused(numbers: dict[str, int], tmp_path: Path) -> None:
    block = {"model": "m", "task": "t", "first_unit": 0, "first_problem": 0, "last_problem": 3, "first_sample": 0}
    block |= {"last_sample": 4, "problems_per_unit": 3, "samples_per_unit": 4, **numbers}
    layer = Layer.model_validate(
        {
            "number": 0,
            "created": "x",
            "code_version": "x",
            "sweep": {},
            "models": (),
            "problems": (),
            "blocks": (block,),
        }
    )
    with pytest.raises(BadInput, match="numbers that no plan has"):
        decode_layer(layer.encode(), "plan.json")
    gone = {"model": "m", "task": "t", "units": ((0, 10**12),)}
    retracted = Layer.model_validate({**layer.model_dump(), "blocks": (), "retracted": (gone,)})
    with pytest.raises(BadInput, match="gives up units that no plan has"):
        decode_layer(retracted.encode(), "plan.json")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("set_aside.json", "{}"),
        ("set_aside.json", "[" * 100_000),
        ("set_aside.json", '[{"model": "m"}]'),
        ("plan.0001.json", "nothing"),
    ],
)
def test_strange_objects_of_a_run_end_a_command_in_one_line(
    troop: Troop, write_sweep: WriteSweep, file: str, text: str
) -> None:
    assert troop("run", write_sweep(), "--local", "--no-report").code == 0
    shutil.rmtree("runs/sums/verdicts")  # then the units that were set aside are listed
    Path("runs/sums", file).write_text(text)
    found = troop("status", "runs/sums")
    assert found.code == 2 and found.err.count("\n") == 1 and file in found.err, found.err


def test_a_session_cannot_make_room_below_a_cap(troop: Troop, write_sweep: WriteSweep) -> None:
    from jobs.store.sessions import read_sessions

    Path("sessions").mkdir()
    Path("sessions/x.json").write_text('{"started": "20260101T000000.000000Z", "usd": {"judge": -1000000.0}}')
    with pytest.raises(BadInput, match="greater than or equal to 0"):
        read_sessions(DirectoryStore(Path.cwd()))


def test_messages_show_no_control_character(troop: Troop, write_sweep: WriteSweep) -> None:
    """Tries a key, a prompt and the name of a file: a terminal obeys some characters."""
    problem = {"id": "q", "prompt": "1+1=\x1b[2J\u202e\n\tok", "verifier": "exact", "reference": {"answer": "2"}}
    plan = troop("plan", write_sweep(problems=[problem]))
    assert plan.code == 0 and "1+1=\\x1b[2J\\u202e" in plan.out and "\x1b" not in plan.out + plan.err, plan.err
    for change in ({"k\x9b2J": 1}, {"sampling": {"te\u202emp": 1}}):
        refused = troop("plan", write_sweep(**change))
        assert refused.code == 2 and "unknown key" in refused.err
        assert all(c.isprintable() for c in refused.err.rstrip("\n")), refused.err
    assert all(c.isprintable() for c in troop("plan", "no\x1b[2Jthing.yaml").err.rstrip("\n"))


def test_the_token_of_a_ray_of_our_own_is_the_users_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    make_token()
    token = tmp_path / ".ray" / "auth_token"
    assert (token.stat().st_mode & 0o777, token.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    first = token.read_text()
    assert len(first) == 64 and list(token.parent.iterdir()) == [token]
    token.chmod(0o644)
    make_token()
    assert (token.read_text(), token.stat().st_mode & 0o777) == (first, 0o600)
