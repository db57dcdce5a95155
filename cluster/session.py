"""The connection to Ray: an existing cluster, or one started on this machine; and what Ray tells this process."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

from cluster.address import check_address, make_token, use_token
from sampling.engines.devices import Grant
from sampling.errors import BadInput

_LEAN = "start_api_server_of_ray"
LOOPBACK = "127.0.0.1"
# Ray's usage report is of no use to a run; its token authentication stays on. A Ray of our own keeps the processes that
# commit: starting a new one costs a second of a core, and commits are rare.
DEFAULTS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_idle_worker_killing_time_threshold_ms": "600000",
}


@contextmanager
def connect_ray(address: str | None) -> Iterator[tuple[float, float]]:
    """Connects to ``address`` and yields the cluster's (CPU cores, GPUs); raises BadInput when no cluster answers.

    ``auto`` means a cluster that was started on this machine. None means the cluster that this job runs in
    (``RAY_ADDRESS``); without one, a new cluster on this machine, which ends with the run.
    """
    check_address(address)
    if not (address or os.environ.get("RAY_ADDRESS")):
        make_token()
    use_token()
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray

    address = address or os.environ.get("RAY_ADDRESS")
    here: dict[str, Any] = {} if address else {"include_dashboard": False, "_node_ip_address": LOOPBACK}
    if not address:
        start_lean_rays()
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **here)
    except Exception as error:  # Ray raises a plain Exception where the machine is too busy to start it
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        where = f"no cluster answers at {address!r}" if address else "no cluster can be started on this machine"
        raise BadInput(f"ray: {where} ({reason}); `ray start --head` starts one") from error
    try:
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        yield float(resources.get("CPU", 1)), float(resources.get("GPU", 0))
    finally:
        ray.shutdown()


def start_lean_rays() -> None:
    """Makes each Ray that this process starts leave out what nobody asks anything of, and take any port.

    These are the autoscaler, the log monitor and, without a dashboard, its server: each costs a second of a core, and
    a start waits for the last. A port that another Ray's agent holds costs seconds too. ``ray.init`` has no arguments
    for these (2.60); where Ray's private parts are others one day, all of it starts.
    """
    from ray._private import node, parameter

    rays: Any = node.Node
    parameters: Any = parameter.RayParams
    if not hasattr(rays, "start_api_server") or hasattr(rays, _LEAN):
        return
    lean = {"dashboard_agent_listen_port": 0, "include_log_monitor": False, "no_monitor": True}
    parameters.__init__ = partialmethod(parameters.__init__, **lean)
    setattr(rays, _LEAN, start := rays.start_api_server)

    def start_if_asked_for(self: Any, *, include_dashboard: bool | None, raise_on_failure: bool) -> None:
        if include_dashboard is not False:
            start(self, include_dashboard=include_dashboard, raise_on_failure=raise_on_failure)

    rays.start_api_server = start_if_asked_for


def granted() -> Grant | None:
    """Returns the node and the GPUs that Ray gave this process; None in a process that Ray did not start."""
    import ray

    if not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return Grant(context.get_node_id(), tuple(sorted(context.get_accelerator_ids().get("GPU", ()))))


def own_nodes() -> tuple[str, ...]:
    """Returns the id of this process's node, and of all others in its placement group where it has one."""
    import ray
    from ray.util import get_current_placement_group, placement_group_table

    here, group = ray.get_runtime_context().get_node_id(), get_current_placement_group()
    if group is None:
        return (here,)
    nodes: dict[int, str] = placement_group_table(group)["bundles_to_node_id"]
    return tuple(sorted({here, *nodes.values()}))


def alive_nodes() -> list[dict[str, Any]]:
    """Returns Ray's rows (https://docs.ray.io/en/latest/ray-core/api/doc/ray.nodes.html) of the living nodes."""
    import ray

    return [row for row in ray.nodes() if row["Alive"]]  # type: ignore[no-untyped-call]


def one_line(error: BaseException) -> str:
    """Returns the last line of an error, which Ray may have wrapped into a remote traceback."""
    lines = [line.strip() for line in str(getattr(error, "cause", None) or error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
