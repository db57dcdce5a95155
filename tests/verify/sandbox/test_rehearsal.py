"""The rehearsal does what children do, and leaves no trace of it."""

import random
import sys
from pathlib import Path

from verify.sandbox.rehearsal import rehearse


def test_a_rehearsal_leaves_nothing_behind() -> None:
    main, streams, state = sys.modules["__main__"], (sys.stdin, sys.stdout, sys.__stdout__), random.getstate()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    rehearse()
    assert sys.modules.get("__main__") is main
    assert (sys.stdin, sys.stdout, sys.__stdout__) == streams
    assert random.getstate() == state
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
