"""A service as a model of a run, from the sweep to the report: the cap, the key, the baseline."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from jobs.store.database import run_query
from jobs.sweep import open_run
from tests.conftest import PROBLEMS, Finished, Troop, WriteSweep
from tests.support.places import ROOT
from tests.support.speaking_server import KEY, PROMPT_TOKENS, TOKENS, Handler, SpeakingServer, answers, speaking

EACH_USD = (PROMPT_TOKENS * 1000 + TOKENS * 10_000) / 1e6
RIGHT = {"choices": [{"text": "2"}], "usage": {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": TOKENS}}
FAULTS = {"1+1": answers(200, RIGHT, first=99), "3+3": answers(500, {"error": {"message": "now and then"}}, first=1)}


def service(server: SpeakingServer, **changes: object) -> dict[str, object]:
    prices = {"per_million_prompt_tokens": 1000.0, "per_million_tokens": 10_000.0}
    given = {"name": "frontier", "path": "served", "engine": "openai", "base_url": server.url, "k": 4, "baseline": True}
    return {**given, "api_key_env": "TEST_KEY", "prices": prices, **changes}


def gold() -> dict[str, object]:
    return {"name": "gold", "path": "gold", "engine": "replay", "k": 4}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr("sampling.engines.pace.FIRST_WAIT_S", 0.01)


def spent() -> float:
    sessions = Path("runs/sums/sessions").glob("*.json")
    return sum(json.loads(path.read_text())["usd"].get("frontier", 0.0) for path in sessions)


def drawn() -> int:
    query = "SELECT count(*) FROM verdicts WHERE model = 'frontier'"
    return run_query(open_run("runs/sums"), query)[1][0][0]


@pytest.mark.usefixtures("key")
def test_a_cap_stops_the_run_and_a_higher_one_continues_it(troop: Troop, write_sweep: WriteSweep) -> None:
    settings = {"temperature": 1.0, "max_tokens": 9}
    with speaking(FAULTS) as server:
        sweep = write_sweep(models=[gold(), service(server, service={"cap_usd": 0.4})], sampling=settings)
        first = troop("run", sweep, "--local", "--no-report")
        assert first.code == 3, first.err
        assert "spending cap of model frontier" in first.err
        assert spent() <= 0.4 < spent() + 0.12  # one sample could have cost 0.11
        assert 0 < drawn() < 12
        assert EACH_USD * drawn() == pytest.approx(spent())
        again = troop("run", sweep, "--local", "--no-report")
        assert (again.code, EACH_USD * drawn()) == (3, pytest.approx(spent()))
        status = json.loads(troop("status", "runs/sums", "--json").out)
        assert "models.frontier.service.cap_usd" in status["set_aside"][0]["error"]
        (line,) = [line for line in troop("status", "runs/sums").out.splitlines() if "set aside" in line]
        assert f"{len(status['set_aside']) - 1} more units: spending cap" in line
        more = troop("run", sweep, "--local", "--set", "models.frontier.service.cap_usd=2")
        assert more.code == 0, more.err
        assert len(server.seen) == 12 + 1  # each sample once, and again the one that was answered with 500
    assert drawn() == 12
    report = json.loads(Path("runs/sums/report/report.json").read_text())
    cell = next(cell for cell in report["cells"] if cell["model"] == "frontier")
    assert (cell["usd"], cell["baseline"]) == (pytest.approx(12 * EACH_USD), True)
    (crossover,) = report["crossovers"]
    assert (crossover["model"], crossover["baseline"]) == ("gold", "frontier")


@pytest.mark.usefixtures("key")
def test_a_killed_driver_leaves_behind_at_least_what_it_spent(write_sweep: WriteSweep) -> None:
    """Kills the run while answers are on their way: they are paid for, and their units are not committed."""
    asked = threading.Event()

    def hold(handler: Handler, times: int) -> bool:
        handler.answer(200, handler.samples({"n": 1, "prompt": ""}, "x"))
        if len(handler.server.seen) >= 2:
            asked.set()
            time.sleep(60)  # the rest of the answers never comes
        return True

    with speaking({"": hold}) as server:
        models = [service(server, service={"cap_usd": 50.0}, k=200)]
        command = [sys.executable, "-m", "jobs", "run", str(write_sweep(models=models)), "--local"]
        driver = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert asked.wait(120)
        driver.kill()
        driver.wait()
        assert spent() >= EACH_USD * len(server.seen)


@pytest.mark.usefixtures("key")
def test_the_key_is_written_nowhere(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    with speaking() as server:
        found = troop("run", write_sweep(models=[gold(), service(server)]), "--local")
        assert found.code == 0, found.err
        assert {sent["auth"] for sent in server.seen} == {f"Bearer {KEY}"}
        plan = troop("plan", write_sweep(models=[gold(), service(server)]), "--json")
    said = [troop("status", "runs/sums", "--json"), troop("sql", "runs/sums", "SELECT * FROM samples", "--json"), plan]
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "plan.json" for path in files) and any("sessions" in path.parts for path in files)
    for text in [path.read_bytes().decode("latin-1") for path in files] + [f.out + f.err for f in [found, *said]]:
        assert KEY not in text


def refused(found: Finished, tmp_path: Path, *words: str) -> None:
    assert found.code == 2, found
    (line,) = found.err.strip().splitlines()
    assert all(word in line for word in words), line
    assert {path.name for path in tmp_path.iterdir()} == {"problems.jsonl", "sweep.yaml"}
    assert "sk-" not in line


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"path": "nope"}, ["models.frontier.path", "'nope'", "served, other"]),
        ({"base_url": "http://127.0.0.1:9/v1"}, ["models.frontier.base_url", "http://127.0.0.1:9/v1", "reached"]),
        ({"base_url": "https://u:sk-me@host/v1"}, ["base_url", "without credentials"]),
        ({"base_url": None}, ["engine openai needs base_url"]),
        ({"base_url": []}, ["engine openai needs base_url"]),
        ({"base_url": ["http://h/v1", "http://h/v1/"]}, ["base_url", "an address occurs more than once"]),
        ({"base_url": ["http://h/v1", "https://u:sk-me@host/v1"]}, ["base_url", "without credentials"]),
        (
            {"base_url": ["http://127.0.0.1:9/v1", "http://127.0.0.1:1/v1"]},
            ["models.frontier.base_url", "http://127.0.0.1:9/v1 cannot be reached", "http://127.0.0.1:1/v1 cannot be"],
        ),
        ({"api_key_env": None}, ["models.frontier.base_url", "api_key_env", "401"]),
        ({"api_key_env": "NOT_SET"}, ["models.frontier.api_key_env", "set that variable"]),
        ({"api_key_env": "sk-put-here-by-mistake"}, ["api_key_env", "name of an environment variable"]),
        ({"service": {"cap": 1}}, ["service.cap", "cap_usd"]),
        ({"service": {"cap_usd": 1.0}, "prices": {}}, ["cap_usd needs prices"]),
        ({"service": {"extra": {"n": 3}}}, ["extra", "n is set by"]),
        ({"service": {"requests_per_minute": 0}}, ["requests_per_minute", "greater than 0"]),
        ({"engines": 2}, ["one engine", "parallel"]),
        ({"engine": "vllm", "service": {"n_per_request": 2}}, ["service is for engine openai"]),
    ],
)
def test_a_service_that_cannot_be_used_is_refused_before_anything_is_written(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, changes: dict[str, object], words: list[str]
) -> None:
    with speaking() as server:
        refused(troop("run", write_sweep(models=[service(server, **changes)]), "--local"), tmp_path, *words)


def test_a_wrong_key_is_refused_before_anything_is_written(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_KEY", "sk-wrong")
    with speaking() as server:
        found = troop("run", write_sweep(PROBLEMS, models=[service(server)]), "--local")
    refused(found, tmp_path, "models.frontier.base_url", "its key is refused (401)")


@pytest.mark.usefixtures("key")
def test_servers_of_one_model_share_a_run_that_goes_on_where_they_move(troop: Troop, write_sweep: WriteSweep) -> None:
    gone = "http://127.0.0.1:9/v1"
    with speaking(FAULTS) as one, speaking(FAULTS) as other:
        places = [one.url, gone, other.url]
        sweep = write_sweep(models=[service(one, base_url=places, parallel=2, k=20)])
        planned = troop("plan", sweep)
        assert f"asked at {one.url}, {gone}, {other.url}" in planned.out
        (warning,) = planned.err.strip().splitlines()
        assert f"base_url: {gone} cannot be reached (ConnectError); it is left out until it answers" in warning
        done = troop("run", sweep, "--local", "--no-report")
        assert done.code == 0, done.err
        assert len(one.seen) > 3 < len(other.seen) and drawn() == 60
    with speaking(FAULTS) as third:
        sweep = write_sweep(models=[service(third, k=24)])
        said = (
            f"model frontier: the service was at {one.url}, is at {third.url}; its samples count as those of one model"
        )
        planned = troop("plan", sweep)
        assert said in planned.out and "; 12 samples in" in planned.out
        done = troop("run", write_sweep(models=[service(third, k=20)]), "--local", "--no-report")
        assert done.code == 0 and said in done.err and third.seen == []
