"""The sweeps in examples/ are planned as a user plans them, with the published files where a machine has them."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from jobs.sweep import load_sweep
from sampling.tasks.recipes import KINDS
from tests.conftest import Troop
from tests.sampling.tasks.files import CONTEST, parquet
from tests.sampling.tasks.made_rows import (
    AIME_2024,
    BIGCODE,
    GPQA,
    HUMANEVAL_PLUS,
    IFEVAL,
    MBPP_PLUS,
    MMLU_PRO,
    OLYMPIAD,
    STDIN,
)
from tests.support.places import ROOT, TASK_DATA

EXAMPLES = ROOT / "examples"
FILES = {
    "gsm8k": "gsm8k_test.jsonl",
    "math": "math500_test.json",
    "humaneval": "HumanEval.jsonl.gz",
    "mbpp": "mbpp.jsonl",
    "codecontests": "codecontests_sample20.jsonl",
    "minif2f": "minif2f_deepseek.jsonl",
}
MADE = {
    "aime": AIME_2024, "olympiadbench": OLYMPIAD, "gpqa": GPQA, "mmlu_pro": MMLU_PRO, "ifeval": IFEVAL,
    "humaneval_plus": HUMANEVAL_PLUS, "mbpp_plus": MBPP_PLUS, "bigcodebench": BIGCODE, "livecodebench": STDIN,
}  # fmt: skip
UNSOLVED = ("ifeval", "livecodebench")  # published without solutions
POOL = TASK_DATA / "gsm8k_train_first512.jsonl"


def given(path: Path) -> list[str]:
    """Returns the assignments that name the files of a sweep's tasks."""
    tasks = yaml.safe_load(path.read_text())["tasks"]
    words = [f"tasks.{task['kind']}.path={TASK_DATA / FILES[task['kind']]}" for task in tasks if task["kind"] in FILES]
    return words + [f"tasks.gsm8k.few_shot={POOL}" for task in tasks if "few_shot" in task and task["kind"] == "gsm8k"]


@pytest.mark.skipif(not TASK_DATA.exists(), reason="the published files are not here")
@pytest.mark.parametrize("name", ["gsm8k", "math", "codecontests", "humaneval", "mbpp", "minif2f", "gold"])
def test_an_example_is_planned(troop: Troop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    words = [word for assignment in given(EXAMPLES / f"{name}.yaml") for word in ("--set", assignment)]
    found = troop("plan", EXAMPLES / f"{name}.yaml", *words)
    assert found.code == 0, found.err
    assert "samples to draw" in found.out and not list(tmp_path.iterdir())


@pytest.mark.skipif(not TASK_DATA.exists(), reason="the published files are not here")
def test_the_papers_experiment_is_planned(troop: Troop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plans with stand-ins for all models, which no test machine has, and with all tasks except SWE-bench Lite."""
    sweep = yaml.safe_load((EXAMPLES / "monkeys.yaml").read_text())
    known = [task for task in sweep["tasks"] if task["kind"] in KINDS and task["kind"] in FILES]
    names = {task["kind"] for task in known}
    models = [{**m, "path": "gold", "engine": "replay", "gpus": 1, "engines_per_gpu": 1} for m in sweep["models"]]
    models = [{**m, "tasks": kept} for m in models if (kept := [t for t in m["tasks"] if t in names])]
    contests = [{**CONTEST, "name": str(i), "description": f"Print twice the number {i}."} for i in range(3)]
    pq.write_table(pa.Table.from_pylist(contests), tmp_path / "contests.parquet")
    places = {kind: str(TASK_DATA / file) for kind, file in FILES.items()} | {"codecontests": "contests.parquet"}
    pools = {"gsm8k": str(POOL), "codecontests": "contests.parquet"}
    tasks = [
        {**t, "path": places[t["kind"]]} | ({"few_shot": pools[t["kind"]]} if "few_shot" in t else {}) for t in known
    ]
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**sweep, "models": models, "tasks": tasks}))
    monkeypatch.chdir(tmp_path)
    found = troop("plan", "sweep.yaml")
    assert found.code == 0, found.err
    assert "pythia-12b on math: 128 problems × k=10,000 = 1,280,000 samples" in found.out
    assert "llama-3-8b-instruct on gsm8k: 128 problems × k=10,000" in found.out
    assert "pythia-12b on gsm8k" not in found.out
    assert "with temperature 0.6, top_p 0.95, max_tokens 1,024" in found.out


@pytest.mark.parametrize("name", ["monkeys", "swebench"])
def test_what_needs_data_that_is_nowhere_here_is_a_sweep(name: str) -> None:
    (task,) = [task for task in load_sweep(EXAMPLES / f"{name}.yaml").tasks if task.kind == "swebench"]
    assert task.from_preset and task.from_preset.k == 250


def test_todays_benchmarks_are_planned(troop: Troop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Plans each named benchmark with rows as they are published, in place of its data on the hub."""
    sweep = yaml.safe_load((EXAMPLES / "benchmarks.yaml").read_text())
    model = {"name": "gold", "engine": "replay", "path": "gold"}
    tasks = [{**task, "path": f"{task['kind']}.parquet"} for task in sweep["tasks"]]
    for kind, row in MADE.items():
        parquet(tmp_path, row, name=f"{kind}.parquet")
    assert {task["kind"] for task in tasks} == {*MADE}
    asked = [task for task in tasks if task["kind"] not in UNSOLVED]
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump({**sweep, "models": [model], "tasks": asked}))
    monkeypatch.chdir(tmp_path)
    found = troop("run", "sweep.yaml", "--local", "--no-report")
    assert found.code == 0, found.err
    counted = troop("sql", "runs/benchmarks", "SELECT count(*), sum(passed::int) FROM verdicts", "--json").out
    assert [*json.loads(counted).values()] == [4 * len(asked)] * 2


def test_a_table_is_planned(troop: Troop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [{"question": f"Which is {word}?", "choices": ["red", "blue"], "label": n} for n, word in enumerate("ab")]
    path = parquet(tmp_path, *rows, name="quiz.parquet")
    monkeypatch.chdir(tmp_path)
    found = troop("plan", EXAMPLES / "table.yaml", "--set", f"tasks.quiz.path={path}")
    assert found.code == 0 and "| Question: Which is a?\n  | A) red" in found.out, found.out + found.err


def test_a_judged_sweep_is_one() -> None:
    judge = load_sweep(EXAMPLES / "judged.yaml").judge
    assert judge and judge.service.cap_usd == 5
