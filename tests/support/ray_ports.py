"""Free ports for several Rays on one machine: a start waits seconds for a port that another Ray's agent holds."""

from functools import partialmethod


def take_any_port() -> None:
    """Makes each Ray that this process starts ask for a free port; ``ray.init`` has no argument for that (2.60)."""
    from ray._private.parameter import RayParams

    RayParams.__init__ = partialmethod(RayParams.__init__, dashboard_agent_listen_port=0)
