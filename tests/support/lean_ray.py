"""Rays of tests: several on one machine, each as lean as the product's own."""

import os

from cluster import session


def start_lean_rays() -> None:
    """Makes each Ray that this process starts a lean one, also where a test starts it itself.

    Idle workers stay: a node of few cores ends those of commits after a second, and starts them again.
    """
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
    session.start_lean_rays()
