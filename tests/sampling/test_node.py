import multiprocessing
import time
from pathlib import Path

import pytest

from sampling.node import cache_folder, one_first

SPAWN = multiprocessing.get_context("spawn")


def start(folder: Path) -> list[tuple[str, float]]:
    """Returns the log of one process's start of an engine, as (event, time)."""
    log: list[tuple[str, float]] = []

    def work() -> None:
        log.append(("in, compiled" if (folder / "done").exists() else "in", time.monotonic()))
        time.sleep(0.3)
        log.append(("out", time.monotonic()))

    one_first("compile", folder / "done", work)
    return log


def test_one_engine_compiles_and_the_rest_find_it_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path))
    with SPAWN.Pool(3) as pool:
        starts = pool.map(start, [tmp_path] * 3, chunksize=1)
    first = [log for log in starts if log[0][0] == "in"]
    assert len(first) == 1
    assert all(log[0][1] >= first[0][1][1] for log in starts if log is not first[0])


def test_a_start_that_fails_leaves_the_next_one_to_compile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        one_first("compile", tmp_path / "done", lambda: 1 / 0)
    assert not (tmp_path / "done").exists()
    assert one_first("compile", tmp_path / "done", lambda: 5) == 5


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROOP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/troop")
