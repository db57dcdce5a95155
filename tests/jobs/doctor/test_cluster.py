"""Nodes looked at by a process on them, on a real Ray of this machine, and what a run refuses for it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.errands import NoAnswer, ask_nodes
from cluster.nodes import NodeState, list_nodes
from cluster.session import connect_ray
from jobs.doctor import cluster as doctor
from jobs.doctor.cluster import MOST_SKEW_S, Needs, examine_nodes, refuse_unfit
from jobs.doctor.finding import Examination, Finding
from jobs.doctor.node import Wanted, look_at_node
from jobs.store.base import StoreOptions
from sampling.errors import BadInput
from sampling.settings import ModelSpec
from tests.conftest import Troop, WriteSweep
from tests.support.s3_server import S3Server

GOLD = ModelSpec(name="gold", path="gold", engine="replay")


@pytest.fixture(scope="module")
def node() -> Iterator[str]:
    """The id of the only node of a Ray that has no keys for any store."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with connect_ray(None):
            yield list_nodes()[0].node_id


def found(examination: Examination) -> dict[str, Finding]:
    return {finding.what: finding for finding in examination.findings}


def test_every_node_is_looked_at_where_it_is(node: str, tmp_path: Path) -> None:
    seen = found(examine_nodes(Needs((GOLD,), store=str(tmp_path / "run"))))
    assert set(seen) == {"clock", "glibc", "engine", "shared memory", "disk", "sandbox", "store", "model gold"}
    assert all(finding.usable and len(finding.nodes) == 1 for finding in seen.values()), seen
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]  # what it wrote is gone again


def test_a_key_that_only_the_driver_has_ends_a_run_before_it_samples(
    node: str, moto: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = moto.new_store(monkeypatch)
    needs = Needs(store=store.uri, options=store.options)
    assert not found(examine_nodes(needs))["store"].usable
    with pytest.raises(BadInput, match=r"^node \S+: store: .*credentials.*; `troop doctor SWEEP --cluster auto`"):
        refuse_unfit(needs, "auto")


def test_a_model_that_the_nodes_lack_is_named(node: str, tmp_path: Path) -> None:
    lacking = ModelSpec(name="m", path=str(tmp_path / "nowhere"))
    finding = found(examine_nodes(Needs((lacking,))))["model m"]
    assert not finding.usable and "no model at" in finding.seen


def test_a_function_that_fails_or_hangs_on_a_node_is_no_answer(node: str) -> None:
    def fail() -> None:
        raise ValueError("broken there")

    def hang() -> None:
        import time

        time.sleep(60)

    assert ask_nodes(fail, {node: ()})[node] == "broken there"
    late = ask_nodes(hang, {node: ()}, patience_s=1)[node]
    assert isinstance(late, NoAnswer) and late == "no answer in 1 s"


def test_a_folder_that_is_not_the_drivers_is_told(tmp_path: Path) -> None:
    findings = {f.what: f for f in look_at_node(Wanted(store=str(tmp_path), written="probe/of-the-driver")).findings}
    assert "not the driver's folder" in findings["store"].seen


def test_a_node_with_gpus_needs_a_driver_and_the_gpu_wheels() -> None:
    findings = {f.what: f for f in look_at_node(Wanted(gpus=2)).findings}
    assert "install nvidia-driver-580" in findings["driver"].seen
    assert "Ray has 2" in findings["GPUs"].seen and not findings["GPUs"].usable
    assert "requirements/gpu.txt" in findings["engine"].seen
    assert findings["toolkit"].usable


@pytest.mark.parametrize(("off", "usable"), [(0, True), (MOST_SKEW_S - 5, True), (300, False), (-300, False)])
def test_a_clock_may_differ_by_little(off: float, usable: bool) -> None:
    finding = doctor._clock(1000.0 + off, 1000.0, 1002.0)
    assert finding.usable is usable and (usable or "chrony" in finding.seen)


def test_equal_findings_are_one_line_and_many_nodes_are_counted() -> None:
    few, many = (tuple(f"n{i}" for i in range(count)) for count in (2, 9))
    rows: Any = [("driver", True, "580", many), ("driver", False, "570", few)]
    text = Examination(findings=tuple(Finding(what=w, usable=u, seen=s, nodes=n) for w, u, s, n in rows)).as_text()
    assert text.splitlines() == ["ok  driver  9 nodes       580", "--  driver  nodes n0, n1  570"]


def test_the_command_ends_with_2_if_a_node_lacks_something(
    node: str, troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: None)  # this process is connected, and stays so
    monkeypatch.setattr("ray.shutdown", lambda: None)
    told = troop("doctor", write_sweep(), "--cluster", "auto")
    assert told.code == 0 and "store" in told.out and "model gold" in told.out, told
    lacking = troop("doctor", write_sweep(models=[{"name": "m", "path": "nowhere"}]), "--cluster", "auto")
    assert lacking.code == 2 and "--  model m" in lacking.out
    assert troop("doctor", write_sweep()).code == 2  # a sweep is for a cluster


def test_options_reach_the_store(node: str, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store = moto.new_store(monkeypatch)
    with pytest.raises(Exception, match=r"127\.0\.0\.1:9"):
        examine_nodes(Needs(store=store.uri, options=StoreOptions(endpoint_url="http://127.0.0.1:9")))


def test_one_node_asks_the_hub_and_each_is_asked_for_its_own_part() -> None:
    nodes = [NodeState("head", 4, 0), NodeState("a", 8, 4, {"pool": "verify"}), NodeState("b", 8, 4)]
    models = [ModelSpec(name=name, path=path) for name, path in (("hub", "owner/name"), ("here", "/models/here"))]
    needs = Needs(models, verifier_nodes="pool=verify")
    asked = [doctor._wanted(node, nodes, needs, "") for node in nodes]
    assert [[model.name for model in each.models] for each in asked] == [[], ["hub", "here"], ["here"]]
    assert [each.tier for each in asked] == [None, "auto", None]


def test_a_look_that_fails_ends_a_run_and_one_that_is_late_does_not(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a look on the node that raises there, as an unforeseen one may: the node is there, and would fail a run."""

    def broken(wanted: Wanted) -> Any:
        raise ValueError("no such thing here")

    monkeypatch.setattr(doctor, "look_at_node", broken)
    with pytest.raises(BadInput, match=r"^node \S+: look: no such thing here; `troop doctor"):
        refuse_unfit(Needs(), "auto")
    monkeypatch.setattr(doctor, "ask_nodes", lambda function, asked: dict.fromkeys(asked, NoAnswer("no answer in 1 s")))
    refuse_unfit(Needs(), "auto")
