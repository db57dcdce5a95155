"""The tracker of a run: a thread that logs what the run shows, so that a slow or broken tracker holds nothing up."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from cluster.tally import Progress
from jobs.store.base import Store
from jobs.store.stored_run import read_run
from jobs.sweep import Track
from jobs.track.entries import Entries, TrackedRun, entries_of, progress_values
from jobs.track.mlflow_log import MlflowLog
from jobs.track.wandb_log import WandbLog
from sampling.words import printable

EVERY_S = 30.0  # between two snapshots that are logged
LAST_S = 120.0  # that the end of a run waits for its trackers, at most


class Log(Protocol):
    """One tracker's run."""

    @property
    def place(self) -> str: ...
    def progress(self, values: dict[str, float]) -> None: ...
    def final(self, entries: Entries) -> None: ...
    def close(self) -> None: ...


class Tracker:
    """Logs snapshots while a run goes on, and its numbers at the end; says one line for each tracker that fails."""

    def __init__(self, track: Track, find_store: Callable[[], Store], say: Callable[[str], None]) -> None:
        self._track, self._find_store, self._say = track, find_store, say
        self._waiting: queue.Queue[dict[str, float] | bool] = queue.Queue()
        self._next = 0.0
        self._logs: dict[str, Log] | None = None
        self._thread = threading.Thread(target=self._work, daemon=True, name="tracker")
        if track.names:
            self._thread.start()

    def watch(self, progress: Progress) -> None:
        """Takes a snapshot; most are left out."""
        if self._thread.is_alive() and (time.monotonic() >= self._next) and self._waiting.empty():
            self._next = time.monotonic() + EVERY_S
            self._waiting.put(progress_values(progress))

    def end(self, whole: bool) -> None:
        """Logs the numbers of a run that came to its ``whole`` end, and waits for it, but not for ever."""
        if not self._thread.is_alive():
            return
        self._waiting.put(whole)
        self._thread.join(LAST_S)
        if self._thread.is_alive():
            self._say(f"warning: track.{', '.join(self._track.names)}: no end in {LAST_S:g} s; the run is not touched")
            self._say = lambda _: None

    def _work(self) -> None:
        while True:
            item = self._waiting.get()
            if isinstance(item, dict):
                self._each(lambda log, values=item: log.progress(values))  # type: ignore[misc]
                continue
            if item:
                self._finish()
            self._each(lambda log: log.close())
            return

    def _finish(self) -> None:
        from jobs.reporting import read_report  # a run without trackers starts without it

        try:
            entries = entries_of(read_report(read_run(self._find_store())))
        except Exception as error:  # noqa: BLE001  a tracker never fails a run
            self._warn(", ".join(self._track.names), error)
            return
        self._each(lambda log: log.final(entries))
        for log in (self._logs or {}).values():
            self._say(f"tracked in {log.place}")

    def _each(self, act: Callable[[Log], None]) -> None:
        """Does something with every tracker that has not failed."""
        if self._logs is None:
            self._logs = self._opened()
        for name, log in list(self._logs.items()):
            try:
                act(log)
            except Exception as error:  # noqa: BLE001  a tracker never fails a run
                del self._logs[name]
                self._warn(name, error)

    def _opened(self) -> dict[str, Log]:
        try:
            run = TrackedRun.of(read_run(self._find_store()))
        except Exception as error:  # noqa: BLE001  a tracker never fails a run
            self._warn(", ".join(self._track.names), error)
            return {}
        found: dict[str, Log] = {}
        if self._track.wandb:
            found["wandb"] = WandbLog(self._track.wandb, run)
        if self._track.mlflow:
            found["mlflow"] = MlflowLog(self._track.mlflow, run)
        return found

    def _warn(self, name: str, error: Exception) -> None:
        said = printable((str(error).strip() or type(error).__name__).splitlines()[0])[:300]
        self._say(f"warning: track.{name}: {said}; the run is not touched, and the same command logs it again")
