"""Worker processes that each own verifiers: one machine verifies on all its cores, without Ray."""

import multiprocessing
import multiprocessing.util
import os
import signal
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Self, TypeVar

from sampling.problems import Problem
from verify.verifiers import REMEMBERED, Verifiers

B = TypeVar("B")
R = TypeVar("R")
Work = Callable[[Verifiers, Mapping[str, Problem], B], R]


class VerifierProcesses:
    """A pool of processes; each keeps its verifiers and all problems for all its batches."""

    def __init__(
        self, problems: Mapping[str, Problem], tier: str | None, workers: int, *, remembered: int = REMEMBERED
    ) -> None:
        self._others = set(multiprocessing.active_children())
        context = multiprocessing.get_context("spawn")
        given = (problems, tier, remembered)
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=given)

    def submit(self, work: Work[B, R], batch: B) -> Future[R]:
        """Runs ``work(verifiers, problems, batch)`` in one process; raises BrokenProcessPool when one has died."""
        return self._pool.submit(_work, work, batch)

    def finish(self) -> None:
        """Waits until every process has closed its verifiers."""
        self._pool.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for child in set(multiprocessing.active_children()) - self._others:
            child.terminate()


_worker: tuple[Verifiers, Mapping[str, Problem]]


def _start(problems: Mapping[str, Problem], tier: str | None, remembered: int) -> None:
    """Makes the verifiers of this process; the pool calls it once in each."""
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt goes to the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    verifiers = Verifiers(tier, remembered=remembered)
    multiprocessing.util.Finalize(None, verifiers.close, exitpriority=10)
    _worker = (verifiers, problems)


def _end_with_parent() -> None:
    """Ends this process when the parent has ended: a killed parent cannot end its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(work: Work[B, R], batch: B) -> R:
    return work(*_worker, batch)
