"""Theorems through the command line: a sweep, an audit, samples from a file, and a machine that has no Lean."""

import json
from pathlib import Path

import pytest

from tests.conftest import Troop, WriteSweep
from tests.support.lean_fixtures import double_environment

THEOREMS = [
    {
        "id": name,
        "prompt": f"theorem {name} : {says} := by\n",
        "verifier": "lean",
        "reference": {"header": "import Mathlib\n", "statement": f"theorem {name} : {says}"},
        "solution": solution,
    }
    for name, says, solution in (
        ("four", "2 + 2 = 4", "  norm_num\n"),
        ("three", "1 + 2 = 3", "```lean4\ntheorem three : 1 + 2 = 3 := by\n  norm_num\n```"),
    )
]
BROKEN = {**THEOREMS[0], "id": "odd", "reference": {"statement": "theorem odd : seven = 7"}, "solution": None}


@pytest.fixture
def lean(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in double_environment(tmp_path_factory.mktemp("lean")).items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("lean")
def test_a_sweep_of_theorems_keeps_what_judged_them(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("run", write_sweep(THEOREMS, verify={"audit": 2}), "--local", "--no-report")
    assert (found.code, "gold solutions: 2 tried, all pass" in found.err) == (0, True), found.err
    query = "SELECT passed, toolchain, count(*) AS n FROM verdicts GROUP BY ALL"
    rows = json.loads(troop("sql", "runs/sums", query, "--json").out)
    assert rows == {"passed": True, "toolchain": "Lean 4.9.0, mathlib f0957a757531", "n": 8}


@pytest.mark.parametrize("verify", [{}, {"audit": 0}])
def test_without_lean_nothing_starts(
    troop: Troop, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: dict[str, int]
) -> None:
    monkeypatch.delenv("TROOP_LEAN_REPL", raising=False)
    found = troop("run", write_sweep(THEOREMS, verify=verify), "--local", "--no-report")
    (line,) = found.err.splitlines()
    assert found.code == 2
    assert "task sums: no Lean: set TROOP_LEAN_REPL" in line
    assert not (tmp_path / "runs").exists()


def test_runs_without_theorems_have_the_column_too(troop: Troop, write_sweep: WriteSweep) -> None:
    troop("run", write_sweep(), "--local", "--no-report")
    query = "SELECT count(*) AS n, count(toolchain) AS named FROM verdicts"
    assert json.loads(troop("sql", "runs/sums", query, "--json").out) == {"n": 12, "named": 0}


@pytest.mark.usefixtures("lean")
def test_an_audit_names_the_theorem_that_is_no_lean(troop: Troop, write_sweep: WriteSweep) -> None:
    found = troop("audit", write_sweep([*THEOREMS, BROKEN]), "--local", "--json")
    report = json.loads(found.out)
    assert found.code == 2
    assert {(finding["problem"], finding["got"]) for finding in report["findings"]} == {("odd", "fault")}
    assert "theorem odd does not elaborate: unknown identifier" in report["findings"][0]["reason"]
    assert (report["tasks"][0]["gold"], report["tasks"][0]["tried"]) == (2, 2)


@pytest.mark.usefixtures("lean")
def test_samples_from_a_file_are_judged(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    write_sweep([*THEOREMS, BROKEN])
    texts = [
        ("four", "  norm_num"),
        ("four", "  sorry"),
        ("three", "  exact four"),
        ("odd", "  norm_num"),
        ("four", ""),
    ]
    rows = [{"problem": name, "sample": number, "text": text} for number, (name, text) in enumerate(texts)]
    (tmp_path / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("verify", "--task", "jsonl=problems.jsonl", "--samples", "samples.jsonl", "--out", "verdicts.jsonl")
    found = troop(*words, "--workers", "1")
    assert found.code == 0, found.err
    verdicts = [json.loads(line) for line in (tmp_path / "verdicts.jsonl").read_text().splitlines()]
    assert [verdict["status"] for verdict in verdicts] == ["pass", "fail", "fail", "fault", "invalid"]
    assert "theorem odd does not elaborate" in found.err


@pytest.mark.usefixtures("lean")
def test_the_doctor_finds_lean(troop: Troop) -> None:
    assert "Lean 4.9.0, mathlib f0957a757531" in troop("doctor").out


def test_the_doctor_says_which_variable_to_set(troop: Troop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROOP_LEAN_REPL", raising=False)
    assert "no Lean: set TROOP_LEAN_REPL" in troop("doctor").out


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"statement": "example : 1 = 1"}, "`theorem NAME"),
        ({"statement": "theorem t"}, "theorem"),
        ({"header": "import Mathlib"}, "statement"),
        ({"statement": "theorem t : 1 = 1", "time_limit_s": 0}, "time_limit_s"),
        ({"statement": "theorem t : 1 = 1", "proof": "rfl"}, "unknown key"),
    ],
)
def test_a_reference_that_is_no_theorem_is_refused_by_name(
    troop: Troop, write_sweep: WriteSweep, reference: dict[str, object], said: str
) -> None:
    found = troop("plan", write_sweep([{**THEOREMS[0], "reference": reference}]))
    assert found.code == 2
    assert "problems.jsonl:1" in found.err and said in found.err, found.err
