"""Several Rays on one machine: each start waits seconds for a port that another's agent holds, or goes without it."""

from functools import partialmethod


def take_any_port() -> None:
    """From here on a Ray that this process starts asks for a free one; ``ray.init`` has no word for that (2.60)."""
    from ray._private.parameter import RayParams

    RayParams.__init__ = partialmethod(RayParams.__init__, dashboard_agent_listen_port=0)
