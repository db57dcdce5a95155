"""Test suites in a container image, through the engine that a machine has: Docker or Podman.

The image brings the repository (at ``/testbed``), its dependencies and git; nothing of this machine is seen in it,
there is no network, and what it writes is gone with it. What a candidate may reach is the engine's promise, not ours.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sampling.errors import VerifierFault
from verify.patch.scripts import OWN_CODES
from verify.sandbox.commands import MAX_PROCESSES, Finished, run_watched
from verify.sandbox.limits import Quota
from verify.verdict import Status

ENGINES = ("docker", "podman")
ASK_S, PULL_S = 60.0, 3600.0
_KILLED = 137


class NoContainer(Exception):
    """No engine that answers, or an image that cannot be had; the message says which."""


def find_engine() -> str:
    """The container engine of this machine that answers (``TROOP_CONTAINERS`` names one); raises NoContainer."""
    asked = os.environ.get("TROOP_CONTAINERS")
    troubles = []
    for name in (asked,) if asked else ENGINES:
        if shutil.which(name) is None:
            troubles.append(f"{name} is not installed")
            continue
        trouble = _ask([name, "ps", "--quiet"])
        if trouble is None:
            return name
        troubles.append(f"{name}: {trouble}")
    raise NoContainer(f"no container engine here ({'; '.join(troubles)})")


def have_image(engine: str, image: str) -> bool:
    """Pulls the image where it is not here yet, and says whether it did; raises NoContainer."""
    if _ask([engine, "image", "inspect", "--format", "{{.Id}}", image]) is None:
        return False
    trouble = _ask([engine, "pull", "--quiet", image], PULL_S)
    if trouble is not None:
        raise NoContainer(f"image {image!r} cannot be pulled by {engine} ({trouble})")
    return True


def _ask(words: Sequence[str], limit_s: float = ASK_S) -> str | None:
    """None where the command succeeds, else why not, in a line."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-200:] or f"exit status {done.returncode}"


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """Where scripts of ``verify.patch.verifier`` run in an image: each in a new container."""

    engine: str
    image: str

    to_index = "cd /testbed && cp .git/index /tmp/index && export GIT_INDEX_FILE=/tmp/index"
    to_tree = "cd /testbed"

    def run(self, script: str, quota: Quota) -> Finished:
        """Raises VerifierFault where the engine fails: any end that is neither the script's own nor the kernel's.

        The script is process 1 of its container, which nothing inside can end.
        """
        name = f"troop-{secrets.token_hex(8)}"
        watched = run_watched(self._words(name, quota), script, quota, stop=lambda: self._remove(name))
        finished = watched.finished(quota, watched.code)
        if watched.stopped is not None or watched.code in OWN_CODES:
            return finished
        if watched.code == _KILLED:
            return replace(finished, status=Status.MEMORY, reason=f"killed at {quota.memory_mb} MB")
        words = " ".join(finished.output.split())[-200:]
        raise VerifierFault(f"{self.engine} could not run {self.image!r}: exit status {watched.code}: {words}")

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
