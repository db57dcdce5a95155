"""A bound on what code costs that a slow or busy machine does not break.

Tests that ask "is it linear?" meet text on which the wrong way costs hundreds of times more. The bound is on CPU time,
which other programs take no part of, and a machine may be ten times slower than the one on which it was written down.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

SLOWER = 10.0


@contextmanager
def cpu_below(seconds: float) -> Iterator[None]:
    """Fails when the block takes more CPU time of this process than ``SLOWER`` times ``seconds``."""
    began = time.process_time()
    yield
    spent = time.process_time() - began
    assert spent < SLOWER * seconds, f"{spent:.1f} s of CPU time; {seconds:g} s are usual"
