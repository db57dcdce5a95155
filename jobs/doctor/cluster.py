"""The nodes of a cluster, each looked at by a process on it, and what that says about a run."""

import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from cluster.errands import Failed, NoAnswer, ask_nodes
from cluster.nodes import NodeState, list_nodes
from jobs.doctor.finding import Examination, Finding
from jobs.doctor.node import Look, Wanted, look_at_node
from jobs.store.base import StoreOptions
from jobs.store.layout import PROBE
from jobs.store.open import open_store
from sampling.errors import BadInput, StoreError
from sampling.places import HUB_ID
from sampling.settings import ModelSpec

ANSWER, LOOK = "answer", "look"  # a node that does not answer may be busy; where a look fails, a run would too
MOST_SKEW_S = 60.0  # S3 refuses requests from clocks that are 15 minutes off; leases and logs suffer before


@dataclass(frozen=True)
class Needs:
    """Needs of a run: models where engines run, a tier where verifiers run, the store everywhere.

    ``verifier_nodes`` marks the nodes for verifiers, as ``verify.nodes`` does.
    """

    models: Sequence[ModelSpec] = ()
    tier: str = "auto"
    verifier_nodes: str | None = None
    store: str | None = None
    options: StoreOptions = field(default_factory=StoreOptions)


def examine_nodes(needs: Needs) -> Examination:
    """Looks at every living node of the connected cluster; equal findings of several nodes are one entry."""
    with _written(needs) as written:
        nodes = list_nodes()
        asked = {node.node_id: (_wanted(node, nodes, needs, written),) for node in nodes}
        began = time.time()
        answers = ask_nodes(look_at_node, asked)
        ended = time.time()
    findings: dict[tuple[str, bool, str], list[str]] = {}
    for node, answer in answers.items():
        for finding in _findings(answer, began, ended):
            host = answer.host if isinstance(answer, Look) else node[:8]
            findings.setdefault((finding.what, finding.usable, finding.seen), []).append(host)
    order = list(dict.fromkeys(what for what, _, _ in findings))
    rows = sorted(findings.items(), key=lambda row: order.index(row[0][0]))
    return Examination(
        findings=tuple(
            Finding(what=what, usable=usable, seen=seen, nodes=tuple(sorted(hosts)))
            for (what, usable, seen), hosts in rows
        )
    )


def refuse_unfit(needs: Needs, address: str | None) -> None:
    """Raises BadInput for the first thing that a node lacks for a run; a node that is slow to answer is no reason."""
    for finding in examine_nodes(needs).findings:
        if not finding.usable and finding.what != ANSWER:
            more = f"; `troop doctor SWEEP --cluster {address or 'auto'}` looks again"
            raise BadInput(f"{finding.place()}: {finding.what}: {finding.seen}{more}")


def _findings(answer: Look | NoAnswer, began: float, ended: float) -> Iterator[Finding]:
    if isinstance(answer, NoAnswer):
        yield Finding(what=LOOK if isinstance(answer, Failed) else ANSWER, usable=False, seen=str(answer))
        return
    yield _clock(answer.clock, began, ended)
    yield from answer.findings


def _clock(clock: float, began: float, ended: float) -> Finding:
    """Compares a node's clock with this machine's, which it must have been between ``began`` and ``ended``."""
    off = max(began - clock, clock - ended, 0.0)
    right = off <= MOST_SKEW_S
    seen = "right" if right else f"{off:.0f} s off; start an NTP service, such as chrony"
    return Finding(what="clock", usable=right, seen=seen)


def _wanted(node: NodeState, nodes: Sequence[NodeState], needs: Needs, written: str) -> Wanted:
    """Returns what is asked of one node: engines run where GPUs are, or anywhere if there are none."""
    with_gpus = node.gpus > 0 or not any(other.gpus for other in nodes)
    asks_hub = node == max(nodes, key=lambda other: other.gpus)  # one node: a hub refuses hundreds of questions
    verifies = needs.verifier_nodes is None or node.carries(needs.verifier_nodes)
    return Wanted(
        gpus=node.gpus,
        models=tuple(
            model
            for model in needs.models
            if (with_gpus or model.engine != "vllm" or model.device == "cpu")
            and (asks_hub or not HUB_ID.fullmatch(model.path))
        ),
        tier=needs.tier if verifies else None,
        store=needs.store,
        options=needs.options,
        written=written,
    )


@contextmanager
def _written(needs: Needs) -> Iterator[str]:
    """Yields the key of an object in the store that every node must see; "" without a store."""
    if needs.store is None:
        yield ""
        return
    store, key = open_store(needs.store, needs.options), f"{PROBE}{uuid.uuid4().hex}"
    store.put_new(key, b"seen by every node?")
    try:
        yield key
    finally:
        with suppress(StoreError):
            store.delete(key)
