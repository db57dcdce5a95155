"""SWE-bench's published columns become problems: images, test commands, prompts, from JSONL, JSON and Parquet."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sampling.errors import BadInput
from sampling.patches import PatchReference
from sampling.problems import Problem
from sampling.tasks.load import load_task
from sampling.tasks.swebench import SUITES, Suite, image_name, runner_arguments
from sampling.tasks.task import TaskSpec
from tests.conftest import Troop
from tests.support.repositories import CALC, make
from verify.patch.suite import named_files

PATCH = """diff --git a/django/forms/models.py b/django/forms/models.py
--- a/django/forms/models.py
+++ b/django/forms/models.py
@@ -1 +1 @@
-a
+b
"""
TESTS = PATCH.replace("django/forms/models.py", "tests/model_forms/tests.py")
ROW: dict[str, Any] = {
    "repo": "django/django",
    "instance_id": "django__django-11910",
    "base_commit": "d232fd76a85870daf345fd8f8d617fe7802ae194",
    "patch": PATCH,
    "test_patch": TESTS,
    "problem_statement": "ForeignKey's to_field is lost.\r\nIn {braces} too.",
    "hints_text": "",
    "created_at": "2019-10-14T01:56:49Z",
    "version": "3.1",
    "FAIL_TO_PASS": '["test_rename (model_forms.tests.FormTests)"]',
    "PASS_TO_PASS": '["test_add (model_forms.tests.FormTests)", "A docstring."]',
    "environment_setup_commit": "0668164b4ac93a5be79f5b87fae83c657124d9ab",
}


def reference(problem: Problem) -> PatchReference:
    assert isinstance(problem.reference, PatchReference)
    return problem.reference


def written(folder: Path, *rows: dict[str, Any], suffix: str = "jsonl") -> Path:
    path = folder / f"rows.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
    else:
        path.write_text(json.dumps(list(rows)) if suffix == "json" else "".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("suffix", ["jsonl", "json", "parquet"])
def test_a_published_row(tmp_path: Path, suffix: str) -> None:
    (problem,) = load_task("swebench", written(tmp_path, ROW, suffix=suffix))
    asked = reference(problem)
    assert (problem.id, problem.verifier, problem.solution) == ("django__django-11910", "patch", PATCH)
    assert asked.image == "swebench/sweb.eval.x86_64.django_1776_django-11910:latest"
    assert asked.snapshot is None
    assert asked.fail_to_pass == ("test_rename (model_forms.tests.FormTests)",)
    assert asked.pass_to_pass == ("test_add (model_forms.tests.FormTests)", "A docstring.")
    assert asked.test_command.startswith("source /opt/miniconda3/bin/activate testbed\n")
    assert asked.test_command.endswith("--verbosity 2 --settings=test_sqlite --parallel 1 model_forms.tests")
    assert (asked.results, asked.control, asked.repeats) == ("unittest", False, 1)
    assert problem.prompt is not None
    assert "In {braces} too." in problem.prompt and "django/django" in problem.prompt
    assert problem.prompt.endswith("```diff\n")
    assert PATCH not in problem.prompt and TESTS not in problem.prompt
    assert "model_forms/tests.py" in named_files(asked)


def test_a_chat_is_asked_in_one_message(tmp_path: Path) -> None:
    (problem,) = load_task("swebench", written(tmp_path, ROW), style="chat")
    assert problem.messages is not None
    assert problem.messages[0].content.rstrip().endswith("```diff block.")


def test_the_papers_settings(tmp_path: Path) -> None:
    spec = TaskSpec.model_validate({"kind": "swebench", "path": str(written(tmp_path, ROW)), "preset": "monkeys"})
    preset = spec.from_preset
    assert preset is not None
    assert (preset.k, preset.sampling.temperature) == (250, 1.6)


def test_a_prompt_of_ones_own_may_be_the_published_text(tmp_path: Path) -> None:
    prompt = tmp_path / "own.txt"
    prompt.write_text("{text}{answer}")
    row = {**ROW, "text": "You will be provided with a partial code base…"}
    (problem,) = load_task("swebench", written(tmp_path, row), prompt=prompt)
    assert problem.prompt == row["text"]


@pytest.mark.parametrize(
    ("repo", "results", "command"),
    [
        ("sympy/sympy", "sympy", "bin/test -C --verbose lib/tests/test_a.py"),
        ("pallets/flask", "pytest", "pytest lib/tests/test_a.py"),
    ],
)
def test_every_repository_has_its_runner(tmp_path: Path, repo: str, results: str, command: str) -> None:
    data = TESTS.replace("tests/model_forms/tests.py", "lib/tests/data.json")
    row = {**ROW, "repo": repo, "test_patch": TESTS.replace("tests/model_forms/tests.py", "lib/tests/test_a.py") + data}
    asked = reference(load_task("swebench", written(tmp_path, row))[0])
    assert (asked.results, asked.control) == (results, results == "pytest")
    assert asked.test_command.endswith(command)


def test_names() -> None:
    assert image_name("PyCQA__x-1") == "swebench/sweb.eval.x86_64.pycqa_1776_x-1:latest"
    assert runner_arguments(TESTS + PATCH, SUITES["django/django"]) == ["model_forms.tests"]
    assert runner_arguments(TESTS + PATCH, Suite()) == ["tests/model_forms/tests.py", "django/forms/models.py"]


def test_columns_of_ones_own(tmp_path: Path) -> None:
    own = {
        "snapshot": "repos/django",
        "repeats": 11,
        "environment": "envs/3.1",
        "test_command": "run",
        "time_limit_s": 5,
    }
    asked = reference(load_task("swebench", written(tmp_path, {**ROW, **own}))[0])
    assert asked.image is None
    assert (asked.snapshot, asked.environment) == (str(tmp_path / "repos/django"), str(tmp_path / "envs/3.1"))
    assert (asked.repeats, asked.test_command, asked.time_limit_s) == (11, "run", 5)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"FAIL_TO_PASS": "["}, "rows.jsonl:1: FAIL_TO_PASS"),
        ({"FAIL_TO_PASS": "[]"}, "rows.jsonl:1: fail_to_pass"),
        ({"base_commit": "HEAD"}, "rows.jsonl:1: base_commit"),
        ({"test_patch": ""}, "rows.jsonl:1: test_patch"),
        ({"repo": "x"}, "rows.jsonl:1: repo"),
        ({"image": "--privileged"}, "rows.jsonl:1: image"),
        ({"repeats": 4}, "repeats: 4 runs can be a tie"),
    ],
)
def test_rows_that_cannot_be_used(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as refused:
        load_task("swebench", written(tmp_path, {**ROW, **changes}))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_samples_from_anywhere_are_judged_on_a_snapshot(
    troop: Troop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path / "cache"))
    made = make(CALC, tmp_path / "calc")
    row = {
        **ROW,
        "repo": "own/calc",
        "instance_id": "own__calc-1",
        "base_commit": made.base,
        "patch": made.patch("return a + b"),
        "test_patch": made.reference()["test_patch"],
        "FAIL_TO_PASS": json.dumps(CALC.fail_to_pass),
        "PASS_TO_PASS": json.dumps(CALC.pass_to_pass),
        "snapshot": "calc",
        "test_command": CALC.command,
    }
    samples = [made.patch("return a + b"), "Nothing.", made.patch("return b"), made.diff({"conftest.py": "\n"})]
    (tmp_path / "s.jsonl").write_text(
        "".join(json.dumps({"problem": "own__calc-1", "sample": n, "text": t}) + "\n" for n, t in enumerate(samples))
    )
    words = [
        "--task",
        f"swebench={written(tmp_path, row)}",
        "--samples",
        tmp_path / "s.jsonl",
        "--out",
        tmp_path / "v.jsonl",
    ]
    done = troop("verify", *words, "--workers", 1)
    assert done.code == 0, done.err
    verdicts = [json.loads(line)["status"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert verdicts == ["pass", "invalid", "fail", "invalid"]
    (tmp_path / "v.jsonl").unlink()
    (tmp_path / "calc").rename(tmp_path / "gone")
    monkeypatch.setenv("TROOP_CACHE", str(tmp_path / "other"))
    done = troop("verify", *words, "--workers", 1)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "no such repository or bundle" in done.err
    assert not (tmp_path / "v.jsonl").exists()
