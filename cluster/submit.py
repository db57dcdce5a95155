"""A run as a Ray job: this folder travels to the cluster, the job's exit code comes back."""

import asyncio
import logging
import os
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sampling.errors import BadInput

EXCLUDED = (".git", ".venv", "runs", "**/__pycache__", "tests")
JOB_FAILED = 1


def submit_job(address: str, words: Sequence[str], folder: Path, *, wait: bool) -> int:
    """Submits ``python -m jobs WORDS`` with ``folder`` as working directory; the job's exit code, or 0 without wait.

    Raises BadInput when no cluster answers at ``address``, or when it refuses this machine's token.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray's clusters ask for it, but its client does not offer it
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for name in ("ray", JobSubmissionClient.__module__):
        logging.getLogger(name).setLevel(logging.WARNING)
    entrypoint = shlex.join(["python", "-m", "jobs", *words])  # the cluster's own: Ray runs it in the workers' shell
    try:
        client = JobSubmissionClient(address)
        runtime_env = {"working_dir": str(folder), "excludes": list(EXCLUDED)}
        job = client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env)
    except AuthenticationError as error:
        raise BadInput(
            f"ray jobs: {address!r} refuses this machine's token; copy the cluster's ~/.ray/auth_token"
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise BadInput(f"ray jobs: {address!r}: {str(error).strip().splitlines()[0]}") from error
    print(f"troop: submitted {job}; `ray job stop {job} --address {address}` ends it", file=sys.stderr, flush=True)
    return asyncio.run(_follow(client, job)) if wait else 0


async def _follow(client: Any, job: str) -> int:
    """Prints the job's log until it ends."""
    async for lines in client.tail_job_logs(job):
        print(lines, end="", flush=True)
    info = client.get_job_info(job)
    code = info.driver_exit_code
    if code is not None:
        return int(code)
    match = re.search(r"exit code (\d+)", info.message or "")
    return int(match[1]) if match else (0 if str(info.status) == "SUCCEEDED" else JOB_FAILED)
