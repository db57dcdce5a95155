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
from dataclasses import dataclass

from sampling.errors import VerifierFault
from verify.commands import MAX_PROCESSES, Finished, attend
from verify.limits import Quota
from verify.verdict import Status

ENGINES = ("docker", "podman")
ASK_S, PULL_S = 60.0, 3600.0
_ENGINE_FAILED = 125  # of ``run``: the script, which always ends with 0, cannot give it
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
        trouble = _ask([name, "version", "--format", "{{.Server.Version}}"])
        if trouble is None:
            return name
        troubles.append(f"{name}: {trouble}")
    raise NoContainer(f"no container engine here ({'; '.join(troubles)})")


def have_image(engine: str, image: str) -> None:
    """Pulls the image where it is not here yet; raises NoContainer."""
    if _ask([engine, "image", "inspect", "--format", "{{.Id}}", image]) is not None:
        trouble = _ask([engine, "pull", "--quiet", image], PULL_S)
        if trouble is not None:
            raise NoContainer(f"image {image!r} cannot be pulled by {engine} ({trouble})")


def _ask(words: Sequence[str], limit_s: float = ASK_S) -> str | None:
    """None where the command succeeds, else why not, in a line."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else " ".join(done.stderr.split())[-200:] or f"exit status {done.returncode}"


@dataclass(frozen=True, slots=True)
class ContainerPlace:
    """Where scripts of ``verify.patch`` run in an image: each in a new container."""

    engine: str
    image: str

    to_index = "cd /testbed && cp .git/index /tmp/index && export GIT_INDEX_FILE=/tmp/index"
    to_tree = "cd /testbed"

    def run(self, script: str, quota: Quota) -> Finished:
        """Raises VerifierFault where the engine fails."""
        name = f"troop-{secrets.token_hex(8)}"
        attended = attend(self._words(name, quota), script, quota, stop=lambda: self._remove(name))
        if attended.stopped is None and attended.code == _ENGINE_FAILED:
            words = " ".join(attended.output.decode("utf-8", "replace").split())[-200:]
            raise VerifierFault(f"{self.engine} could not run {self.image!r}: {words}")
        finished = attended.finished(quota, attended.code)
        if finished.status is Status.CRASH and attended.code == _KILLED:
            return Finished(Status.MEMORY, f"killed at {quota.memory_mb} MB", _KILLED, finished.output, finished.wall_s)
        return finished

    def close(self) -> None:
        """Nothing is left to close: a container ends with its script."""

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
