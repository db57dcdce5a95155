"""Runs test suites in a container image, through this machine's container engine: Docker or Podman.

The image brings the repository (at ``/testbed``), its dependencies and git. Nothing of this machine is visible in the
container, there is no network, and all that it writes is gone with it. The engine, not Troop, promises this.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass, replace

from sampling.errors import VerifierFault
from verify.patch.scripts import OWN_CODES
from verify.patch.workspace import PatchUnavailable, failure_of, last_words
from verify.sandbox.commands import MAX_PROCESSES, Finished, run_watched
from verify.sandbox.limits import Quota
from verify.verdict import Status

ENGINES = ("docker", "podman")
ASK_S, PULL_S = 60.0, 3600.0
_KILLED = 137  # exit status of a container that the kernel killed


def find_engine() -> str:
    """Returns the container engine of this machine that answers; raises PatchUnavailable.

    ``TROOP_CONTAINERS`` names the only one to try; without it, Docker comes before Podman.
    """
    asked = os.environ.get("TROOP_CONTAINERS")
    troubles = []
    for name in (asked,) if asked else ENGINES:
        if shutil.which(name) is None:
            troubles.append(f"{name} is not installed")
            continue
        trouble = failure_of([name, "ps", "--quiet"], ASK_S)
        if trouble is None:
            return name
        troubles.append(f"{name}: {trouble}")
    raise PatchUnavailable(f"no container engine here ({'; '.join(troubles)})")


def pull_if_missing(engine: str, image: str) -> bool:
    """Pulls the image if this machine does not have it, and returns True if so; raises PatchUnavailable."""
    if failure_of([engine, "image", "inspect", "--format", "{{.Id}}", image], ASK_S) is None:
        return False
    trouble = failure_of([engine, "pull", "--quiet", image], PULL_S)
    if trouble is not None:
        raise PatchUnavailable(f"image {image!r} cannot be pulled by {engine} ({trouble})")
    return True


@dataclass(frozen=True, slots=True)
class ContainerWorkspace:
    """A workspace in a container image; each script runs in a new container."""

    engine: str
    image: str

    to_index = "cd /testbed && cp .git/index /tmp/index && export GIT_INDEX_FILE=/tmp/index"
    to_tree = "cd /testbed"
    tier = "container"

    def run(self, script: str, quota: Quota) -> Finished:
        """Runs a script as process 1 of a new container, which nothing inside the container can end.

        Raises VerifierFault where the engine fails: at any exit status that neither the script nor the kernel gives.
        """
        name = f"troop-{secrets.token_hex(8)}"
        watched = run_watched(self._words(name, quota), script, quota, stop=lambda: self._remove(name))
        finished = watched.finished(quota, watched.code)
        if watched.stopped is not None or watched.code in OWN_CODES:
            return finished
        if watched.code == _KILLED:
            return replace(finished, status=Status.MEMORY, reason=f"killed at {quota.memory_mb} MB")
        ended = f"exit status {watched.code}: {last_words(finished.output)}"
        raise VerifierFault(f"{self.engine} could not run {self.image!r}: {ended}")

    def _words(self, name: str, quota: Quota) -> list[str]:
        memory = f"{quota.memory_mb}m"
        return [
            self.engine, "run", "--rm", "--interactive", "--name", name, "--pull", "never", "--network", "none",
            "--memory", memory, "--memory-swap", memory, "--pids-limit", str(MAX_PROCESSES), "--cap-drop", "ALL",
            "--security-opt", "no-new-privileges", "--entrypoint", "/bin/bash", self.image, "-s",
        ]  # fmt: skip

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run([self.engine, "rm", "--force", name], capture_output=True, timeout=ASK_S, check=False)
