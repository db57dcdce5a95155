"""Rays of tests: several on one machine, each without the processes that no test here asks anything of."""

import os
from functools import partialmethod
from typing import Any


def start_lean_rays() -> None:
    """Makes each Ray that this process starts take any port, and start neither its autoscaler nor its log monitor.

    A start waits seconds for a port that another Ray's agent holds, and each Python process costs a second of a core.
    Without a dashboard its server is left out too, which serves nothing then. ``ray.init`` has no arguments for these
    (2.60). Idle workers stay: a node of few cores ends those of commits after a second, and starts them again.
    """
    os.environ.setdefault("RAY_idle_worker_killing_time_threshold_ms", "60000")
    from ray._private.node import Node
    from ray._private.parameter import RayParams

    lean = {"dashboard_agent_listen_port": 0, "include_log_monitor": False, "no_monitor": True}
    RayParams.__init__ = partialmethod(RayParams.__init__, **lean)
    start_api_server = Node.start_api_server

    def start_if_asked_for(node: Node, *, include_dashboard: bool | None, raise_on_failure: bool) -> Any:
        if include_dashboard is not False:
            start_api_server(node, include_dashboard=include_dashboard, raise_on_failure=raise_on_failure)

    Node.start_api_server = start_if_asked_for
