"""Submission of a run as a Ray job: the files of a sweep travel to the cluster, and the job's exit code comes back."""

import asyncio
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cluster.address import token_advice
from sampling.errors import BadInput

# The interpreter of the environment that Ray itself is in: the shell's parent is a Ray worker, which has Ray's library
# mapped. Elsewhere the one on the PATH. -P keeps a jobs.py in the job's folder out of its imports.
_RAYS = r"s|^[^/]*\(/.*\)/lib/python[^/]*/site-packages/ray/_raylet\.so$|\1/bin/python|p"
PYTHON = (
    f"python=$(sed -n '{_RAYS}' /proc/$PPID/maps 2>/dev/null | head -n 1); "
    '[ -x "$python" ] || python=$(command -v python || command -v python3) || exit 127; '
    '"$python" -P -c "import jobs.cli.main" 2>/dev/null || '
    "{ echo \"troop: $python, the Python of this cluster's Ray, has no Troop (or is older than 3.11); "
    'install it there" >&2; exit 2; }; '
    'exec "$python" -P -m jobs'
)
JOB_FAILED, STOPPED, NOT_FOUND = 1, 130, 127
LOST_S = 600.0  # for which a dashboard may not answer while a job is followed
AGENT_S = 30.0  # a fresh cluster may take so long until a node can run jobs
RUN = "troop_run"  # the key in a job's metadata for the run that it works on


def submit_job(
    address: str,
    words: Sequence[str],
    parcel: Path,
    *,
    wait: bool,
    run: str = "",
    only_one: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Submits ``python -m jobs WORDS`` with the zip file ``parcel`` as working directory; returns the job's exit code.

    Without ``wait`` it returns 0 at once. ``run`` names what the job works on; ``variables`` are in its environment.
    With ``only_one`` it submits nothing and returns 0 while another job works on the run. Raises BadInput when no
    cluster answers at ``address``, or when it refuses this machine's token.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # clusters ask for a token; Ray's client offers none by default
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", JobSubmissionClient.__module__):
        logging.getLogger(name).setLevel(logging.WARNING)
    entrypoint = f"{PYTHON} {shlex.join(words)}"
    try:
        client = JobSubmissionClient(address)
        if only_one and (other := _job_of(client, run)):
            print(f"troop: {other} already works on {run}; nothing submitted", file=sys.stderr, flush=True)
            return 0
        runtime_env = {"working_dir": str(parcel), "env_vars": dict(variables)}
        job = _submit_job(client, {"entrypoint": entrypoint, "runtime_env": runtime_env, "metadata": {RUN: run}})
    except AuthenticationError as error:
        raise BadInput(f"ray jobs: {address!r} {token_advice()}") from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BadInput(f"ray jobs: {address!r}: {str(error).strip().splitlines()[0]}") from error
    print(f"troop: submitted {job}; `ray job stop {job} --address {address}` ends it", file=sys.stderr, flush=True)
    return asyncio.run(_follow(client, job)) if wait else 0


def _submit_job(client: Any, job: Mapping[str, object]) -> str:
    """Submits, and returns the job's id. Waits up to AGENT_S for a new cluster's agent, which takes the job."""
    deadline = time.monotonic() + AGENT_S
    while True:
        try:
            return str(client.submit_job(**job))
        except RuntimeError as error:
            if "No available agent" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(1)


def _job_of(client: Any, run: str) -> str | None:
    """Returns the id of the job that works on the run now, or None."""
    for job in client.list_jobs():
        if (job.metadata or {}).get(RUN) == run and not job.status.is_terminal():
            return str(job.submission_id)
    return None


async def _follow(client: Any, job: str) -> int:
    """Prints the job's log until the job ends, over as many connections as it takes; returns its exit code."""
    log, answered_at = _Log(), time.monotonic()
    while True:
        try:
            await log.print_rest(client, job)
            info, answered_at = client.get_job_info(job), time.monotonic()
        except Exception as error:  # Ray's client raises whatever its transport does
            if time.monotonic() - answered_at > LOST_S:
                raise BadInput(f"{job}: the cluster has not answered for {LOST_S:g} s; the job may go on") from error
        else:
            if info.status.is_terminal():
                return _exit_code(job, info)
        await asyncio.sleep(1)


class _Log:
    """A job's log on this screen; a new connection sends all of it again, from the start."""

    def __init__(self) -> None:
        self._printed = 0  # characters

    async def print_rest(self, client: Any, job: str) -> None:
        """Prints what is new until the connection ends."""
        seen = 0
        async for lines in client.tail_job_logs(job):
            print(lines[max(0, self._printed - seen) :], end="", flush=True)
            seen += len(lines)
            self._printed = max(self._printed, seen)


def _exit_code(job: str, info: Any) -> int:
    code, match = info.driver_exit_code, re.search(r"exit code (\d+)", info.message or "")
    if str(info.status) == "STOPPED":
        print(f"troop: {job}: stopped; the same command continues its run", file=sys.stderr, flush=True)
        return STOPPED
    if code is None and str(info.status) != "SUCCEEDED" and not match:
        print(f"troop: {job}: {info.status}: {info.message}", file=sys.stderr, flush=True)
        return JOB_FAILED
    code = int(code if code is not None else match[1] if match else 0)
    if code == NOT_FOUND:
        print(
            f"troop: {job}: no python on the head's PATH; start Ray where Troop is installed",
            file=sys.stderr,
            flush=True,
        )
    return code
