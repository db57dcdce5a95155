"""Troop as a library: run sweeps, read runs, verify completions. docs/library.md shows each function at work.

Every function does what the command of the same name does, through the same code, and raises the same errors, all of
them under ``TroopError``. Heavy packages are imported by the functions that need them, so that ``import troop`` takes
some hundredths of a second.

    >>> import troop
    >>> run = troop.run("sweep.yaml")
    >>> run.verdicts.arrow()
"""

import contextlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sampling.errors import (
    BadInput,
    DamagedFile,
    EngineError,
    EngineRefused,
    NoSuchObject,
    StoreError,
    StoreUnusable,
    TroopError,
    VerifierFault,
)
from troop.loaded import Rows, Run

if TYPE_CHECKING:
    from jobs.describe import PlanDescription
    from jobs.report.schema import Report
    from jobs.run import Outcome
    from jobs.status import RunStatus
    from jobs.sweep import Sweep
    from sampling.problems import Problem
    from verify.verdict import Status, Verdict

__all__ = [
    "BadInput", "DamagedFile", "EngineError", "EngineRefused", "NoSuchObject", "Outcome", "PlanDescription", "Problem",
    "Report", "Rows", "Run", "RunStatus", "Status", "StoreError", "StoreUnusable", "Sweep", "TroopError", "Verdict",
    "VerifierFault", "load", "plan", "problem", "problems", "run", "sweep", "verify",
]  # fmt: skip

# Models that are imported when they are first asked for, with their modules.
_LAZY = {
    "Outcome": "jobs.run",
    "PlanDescription": "jobs.describe",
    "Problem": "sampling.problems",
    "Report": "jobs.report.schema",
    "RunStatus": "jobs.status",
    "Status": "verify.verdict",
    "Sweep": "jobs.sweep",
    "Verdict": "verify.verdict",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'troop' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def sweep(source: "Sweep | Mapping[str, Any] | str | Path", *assignments: str) -> "Sweep":
    """Returns the sweep of a YAML file, or of a mapping with a sweep's keys; raises BadInput.

    ``assignments`` are as for ``--set``: ``troop.sweep("sweep.yaml", "k=4", "models.small.gpus=0.5")``. Relative paths
    start at the file's folder, those of a mapping at the current one.
    """
    from copy import deepcopy

    from jobs.sweep import Sweep, load_sweep, make_sweep

    if isinstance(source, Mapping):
        return make_sweep(deepcopy(dict(source)), Path.cwd(), "sweep", assignments)
    if isinstance(source, Sweep):
        if assignments:
            raise BadInput("sweep: assignments are for a file or a mapping, not for a sweep that is made already")
        return source
    return load_sweep(Path(source), assignments)


def plan(source: "Sweep | Mapping[str, Any] | str | Path", *assignments: str) -> "PlanDescription":
    """Returns what a run of the sweep would do, and writes nothing; raises BadInput where the run would."""
    from jobs.describe import describe_plan

    return describe_plan(sweep(source, *assignments))


def run(
    source: "Sweep | Mapping[str, Any] | str | Path",
    *assignments: str,
    address: str | None = None,
    local: bool = False,
    surplus: Literal["ask", "keep", "drop"] = "ask",
    say: Callable[[str], None] | None = None,
) -> Run:
    """Runs or continues a sweep, and returns its run with the ``outcome`` of this call; raises TroopError.

    ``address`` is a Ray cluster's; without it a Ray on this machine works, and with ``local`` this process. ``surplus``
    says what becomes of samples that an earlier, larger k planned. ``say`` gets each line of progress; by default they
    go to standard error. No report is written: ``write_report`` of the run does that.
    """
    from cluster.address import use_token
    from jobs.run import run_sweep
    from jobs.store.open import open_store
    from jobs.store.stored_run import read_run

    use_token()
    made = sweep(source, *assignments)
    with _no_running_loop():
        outcome = run_sweep(made, address=address, local=local, say=say or _say, surplus=surplus)
    return Run(read_run(open_store(made.run_uri, made.store_options)), outcome)


def load(run: str | Path, *, version: str | None = None, scores: str | None = None) -> Run:
    """Opens the run at a path, at an ``s3://`` prefix, or of a sweep's file; raises BadInput where there is none.

    ``version`` chooses between versions of the verdicts, ``scores`` between versions of the scores.
    """
    from jobs.sweep import open_run

    return Run(open_run(str(run), version, scores))


def problems(task: Mapping[str, Any]) -> "tuple[Problem, ...]":
    """Returns the problems of a task, given by the keys of an item of a sweep's ``tasks``; raises BadInput."""
    from sampling.tasks.task import TaskSpec
    from sampling.validate import parse

    return parse(TaskSpec, dict(task), "task").under(Path()).load()


def problem(line: Mapping[str, Any]) -> "Problem":
    """Returns a problem, given by the keys of a line of a ``jsonl`` task; raises BadInput."""
    from sampling.problems import parse_row

    return parse_row(dict(line), "problem")


def verify(
    problem: "Problem | Mapping[str, Any]", texts: str | Iterable[str], *, tier: str | None = None
) -> "list[Verdict]":
    """Returns the verdict on each completion of a problem, in order; raises BadInput where this machine cannot verify.

    Programs run in the sandbox of this machine; ``tier`` is the weakest that is accepted. One call with many texts
    starts the sandbox once.
    """
    from jobs.verify_file import verify_texts

    made = _problem(problem) if isinstance(problem, Mapping) else problem
    return verify_texts(made, [texts] if isinstance(texts, str) else list(texts), tier=tier)


_problem = problem  # the name of an argument hides the function


@contextlib.contextmanager
def _no_running_loop() -> Iterator[None]:
    """Hides the event loop of a notebook's kernel, which stands still until the cell ends: a run has one of its own.

    A thread would do too, but an interrupt reaches the main thread alone, and has to end the run.
    """
    import asyncio

    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)


def _say(line: str) -> None:
    print(f"troop: {line}", file=sys.stderr, flush=True)
