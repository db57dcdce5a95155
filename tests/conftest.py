"""Fixtures of many tests: the command line in this process, and a small sweep that needs no engine."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs.cli.main import main
from tests.support.lean_ray import start_lean_rays

pytest_plugins = ["tests.support.store_fixtures"]  # registered before any import, so that pytest rewrites its asserts

PROBLEMS = [
    {"id": "one", "prompt": "1+1=", "verifier": "exact", "reference": {"answer": "2"}, "solution": "2"},
    {"id": "two", "prompt": "2+2=", "verifier": "exact", "reference": {"answer": "4"}, "solution": "4"},
    {"id": "bad", "prompt": "3+3=", "verifier": "exact", "reference": {"answer": "6"}, "solution": "7"},
]


@dataclass(frozen=True)
class Finished:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Troop = Callable[..., Finished]
WriteSweep = Callable[..., Path]


# Files that start first, the longest before the others, so that no worker of pytest-xdist has one left at the end.
LONG = (
    "test_elastic", "test_chaos", "test_pipeline", "test_bad_store", "test_run_compacted", "test_twelve_cases",
    "test_audit", "test_compact", "test_page", "test_devices", "test_submit", "test_attacks", "test_vllm_server",
)  # fmt: skip
# Files with an engine in the test's own process: one worker runs them all, since importing vLLM takes ten seconds.
ENGINES = (
    "test_demo", "test_prompts", "test_drawing_keys", "test_thought_reader", "test_independence", "test_reward_engine",
    "test_score", "test_vllm_engine", "test_lora", "test_number_formats", "test_table_run",
)  # fmt: skip


# Files whose subject is the store itself. Others meet the slow S3 server, OpenStack Swift, in `make test-all` only.
ON_SWIFT = ("test_store", "test_commit", "test_leases", "test_run_s3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        on_swift = "swift" in getattr(item, "fixturenames", ()) or "swift" in item.name.rpartition("[")[2]
        if on_swift and item.path.stem not in ON_SWIFT:
            item.add_marker(pytest.mark.slow)
    order = {name: place for place, name in enumerate(ENGINES + LONG)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))  # a stable sort


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Gives a file to one worker, and all of ENGINES to the same; ``--dist loadgroup`` does nothing on pytest 9.2."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "engines" if Path(file).stem in ENGINES else file

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_finish() -> None:
    """Hides thousands of tests from the garbage collector: each whole collection took a second, and vLLM wants many."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    gc.unfreeze()  # what is never collected counts as leaked at the end


@pytest.fixture(scope="session", autouse=True)
def rays_of_many_workers() -> None:
    """Lets each worker of pytest-xdist start its own Ray."""
    start_lean_rays()


@pytest.fixture(scope="module", autouse=True)
def same_surroundings() -> Iterator[None]:
    """Gives each file the environment and the folder that the first one had, whatever tests and libraries set.

    Ray's own variables stay: it reads some once in a process, and a cluster that a later test starts has to agree.
    """
    variables, folder = dict(os.environ), Path.cwd()
    yield
    os.chdir(folder)
    for name in os.environ.keys() - variables.keys():
        if not name.startswith("RAY_"):
            del os.environ[name]
    os.environ.update(variables)


@pytest.fixture
def troop(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Troop:
    """Runs ``troop WORDS`` in this process."""

    def run(*words: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["troop", *map(str, words)])
        code = 0
        try:
            main()
        except SystemExit as error:
            code = int(error.code or 0)
        captured = capsys.readouterr()
        return Finished(code, captured.out, captured.err)

    return run


@pytest.fixture
def write_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WriteSweep:
    """Writes problems and a sweep of the gold solutions into a fresh current folder."""
    import json

    monkeypatch.chdir(tmp_path)

    def write(problems: list[dict[str, object]] | str | None = None, **changes: object) -> Path:
        given = PROBLEMS if problems is None else problems
        lines = given if isinstance(given, str) else "".join(json.dumps(problem) + "\n" for problem in given)
        (tmp_path / "problems.jsonl").write_text(lines)
        sweep = {
            "name": "sums",
            "models": [{"name": "gold", "path": "gold", "engine": "replay", "k": 4}],
            "tasks": [{"name": "sums", "kind": "jsonl", "path": "problems.jsonl"}],
            "verify": {"audit": 0},  # one gold solution is wrong, so that a run has failures to count
            **changes,
        }
        path = tmp_path / "sweep.yaml"
        path.write_text(yaml.safe_dump(sweep))
        return path

    return write


@pytest.fixture(scope="session")
def reward_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tiny reward models: ``outcome`` and ``process``."""
    from tests.support.reward_models import outcome_model, process_model  # they import torch

    root = tmp_path_factory.mktemp("reward-models")
    outcome_model(root / "outcome")
    process_model(root / "process")
    return root
