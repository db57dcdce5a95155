"""A run computes in one number format: the best that its machines do natively, or the sweep's."""

import json
from collections.abc import Collection
from pathlib import Path

import pytest

from sampling.engines.gpu_memory import GpuShare
from sampling.engines.hardware import Formats
from sampling.engines.model_info import ModelInfo
from sampling.engines.vllm_engine import check_format
from sampling.errors import EngineRefused
from sampling.settings import ModelSpec
from tests.conftest import PROBLEMS, Troop, WriteSweep
from tests.support.places import SMALL_MODEL

ASKED = [{**problem, "prompt": "0=1 >"} for problem in PROBLEMS]
VLLM = {"name": "small", "path": str(SMALL_MODEL), "k": 2, "device": "cpu"}
OLD, NEW = ["float32"], ["float32", "float16", "bfloat16"]


def compute_in(monkeypatch: pytest.MonkeyPatch, formats: Collection[str], gpu: Collection[str] | None = None) -> None:
    """Makes this machine look like another one; what it computes stays right."""
    here = Formats(frozenset(formats), None if gpu is None else frozenset(gpu))
    for module in ("jobs.backends", "jobs.describe", "sampling.engines.vllm_engine"):
        monkeypatch.setattr(f"{module}.formats_here", lambda: here)


def drawn_in(troop: Troop, tmp_path: Path) -> object:
    """Returns the only number format of a run's samples, and their number."""
    asked = "SELECT dtype, count(*) n FROM samples GROUP BY ALL"
    return json.loads(troop("sql", tmp_path / "runs" / "sums", asked, "--json").out)


@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")
def test_a_run_keeps_the_format_of_its_first_machines(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = write_sweep(ASKED, models=[VLLM], sampling={"temperature": 1.0, "max_tokens": 2})
    compute_in(monkeypatch, OLD)
    said = "models.small: computes in float32; its config says bfloat16, which the machine emulates"
    assert said in troop("plan", sweep).out
    done = troop("run", "--local", sweep)
    assert (done.code, said in done.err) == (0, True), done
    planned = json.loads((tmp_path / "runs" / "sums" / "plan.json").read_text())["models"]
    assert [model["dtype"] for model in planned] == ["float32"]
    compute_in(monkeypatch, NEW)
    more = troop("run", "--local", sweep, "--set", "models.small.k=4")
    assert more.code == 0, more
    assert drawn_in(troop, tmp_path) == {"dtype": "float32", "n": 12}


@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")
def test_engines_that_start_before_the_plan_is_written_compute_in_its_format(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_in(monkeypatch, OLD)
    done = troop("run", write_sweep(ASKED, models=[VLLM], sampling={"temperature": 1.0, "max_tokens": 2}))
    assert done.code == 0, done
    assert drawn_in(troop, tmp_path) == {"dtype": "float32", "n": 6}


@pytest.mark.parametrize("gpu", [None, GpuShare(1.0)])
def test_an_engine_on_a_machine_that_emulates_the_format_is_refused(
    monkeypatch: pytest.MonkeyPatch, gpu: GpuShare | None
) -> None:
    compute_in(monkeypatch, OLD, OLD)
    model, info = ModelSpec.model_validate(VLLM), ModelInfo(revision="1", dtype="bfloat16")
    kind = "GPU" if gpu else "CPU"
    with pytest.raises(EngineRefused, match=f"computes in bfloat16, which this {kind} emulates; give models.small.dty"):
        check_format(model, info, gpu)
    check_format(model.model_copy(update={"dtype": "bfloat16"}), info, gpu)  # told
    check_format(model, ModelInfo(revision="1", dtype="float32"), gpu)
    compute_in(monkeypatch, NEW, NEW)
    check_format(model, info, gpu)
