"""A workspace: a repository at the base commit of a problem, in which scripts run and whose changes are thrown away."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

from verify.sandbox.commands import Finished
from verify.sandbox.limits import Quota

_SHOWN = 300  # characters of an output in a message


class PatchUnavailable(Exception):
    """Raised where this machine lacks git, the snapshot, the container engine or the image; the message says which."""


class Workspace(Protocol):
    """A place for the scripts of ``verify.patch.scripts``; every script starts in the same state.

    ``to_index`` and ``to_tree`` are shell text. After ``to_index``, git works on an index of its own at the base
    commit; after ``to_tree``, the working directory is the tree of files. Verdicts name the ``tier``.
    """

    @property
    def tier(self) -> str: ...
    @property
    def to_index(self) -> str: ...
    @property
    def to_tree(self) -> str: ...

    def run(self, script: str, quota: Quota) -> Finished:
        """Runs a script to its end or to a limit; raises VerifierFault where this machine fails."""


def failure_of(
    words: Sequence[str], limit_s: float, environment: Mapping[str, str] | None = None, given: bytes = b""
) -> str | None:
    """Runs a program of our own on ``given``; returns None where it succeeds, else the reason in one line."""
    try:
        done = subprocess.run(words, input=given, capture_output=True, env=environment, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    said = done.stderr.decode("utf-8", "replace")
    return last_words(said) if said.strip() else f"exit status {done.returncode}"


def last_words(output: str) -> str:
    """Returns the end of an output as one line that a terminal can show."""
    words = " ".join(output.split())[-_SHOWN:]
    return "".join(c if c.isprintable() else "?" for c in words) or "nothing was said"
