"""One short task on each of some nodes of the connected cluster, for what only a process there can see."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from cluster.session import one_line

T = TypeVar("T")

ANSWER_S = 60.0  # a node may first have to start a process


class NoAnswer(str):
    """The reason why a node gave no answer."""


class Failed(NoAnswer):
    """The error that the function raised on a node, which is there and answers."""


def ask_nodes(
    function: Callable[..., T], arguments: Mapping[str, tuple[Any, ...]], patience_s: float = ANSWER_S
) -> dict[str, T | NoAnswer]:
    """Calls ``function(*arguments[node_id])`` on each node, all at the same time; returns the answers by node.

    A node that is gone, that fails or that takes longer than ``patience_s`` seconds has NoAnswer. One where the
    function raised an error has Failed.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=0)(function)

    def ask(node: str, given: tuple[Any, ...]) -> Any:
        return task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(*given)

    asked = {ask(node, given): node for node, given in arguments.items()}
    done, late = ray.wait(list(asked), num_returns=len(asked), timeout=patience_s) if asked else ([], [])
    for ref in late:
        ray.cancel(ref, force=True)
    answers: dict[str, T | NoAnswer] = {asked[ref]: NoAnswer(f"no answer in {patience_s:g} s") for ref in late}
    return answers | {asked[ref]: _answer(ref) for ref in done}


def _answer(ref: Any) -> Any:
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return ray.get(ref)
    except RayTaskError as error:
        return Failed(one_line(error))
    except RayError as error:
        return NoAnswer(one_line(error))
