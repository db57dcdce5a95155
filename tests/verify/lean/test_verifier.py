"""The Lean verifier: its protocol against a process that speaks it, and proofs where there is a real Lean."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sampling.errors import VerifierFault
from sampling.problems import Problem
from sampling.references import LeanReference
from tests.support.lean_fixtures import REAL, double_environment
from verify.lean.home import LeanUnavailable, find_lean
from verify.lean.verifier import LeanVerifier
from verify.verdict import Status
from verify.verifiers import Verifiers

HEADER = "import Mathlib\n\nopen Real\n\n"
SUM = "theorem sum : 2 + 2 = 4"


def problem(statement: str = SUM, header: str = HEADER, **limits: float) -> Problem:
    reference = LeanReference.model_validate({"statement": statement, "header": header, **limits})
    return Problem(id="sum", prompt=f"{statement} := by\n", verifier="lean", reference=reference)


def lean(source: str) -> str:
    return f"Here it is.\n```lean4\n{source}\n```\n"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    return double_environment(tmp_path_factory.mktemp("lean"))


@pytest.fixture(scope="module")
def verifier(environment: Mapping[str, str]) -> Iterator[LeanVerifier]:
    made = LeanVerifier(home=find_lean(environment))
    yield made
    made.close()


@pytest.mark.parametrize(
    ("text", "status", "said"),
    [
        ("  norm_num\n", Status.PASS, ""),
        ("norm_num", Status.PASS, ""),
        (lean("import Mathlib\nset_option maxHeartbeats 9\n" + SUM + " := by\n  norm_num"), Status.PASS, ""),
        (lean(f"theorem help : 2 + 2 = 4 := by\n  norm_num\n{SUM} := help"), Status.PASS, ""),
        (lean(":= by norm_num"), Status.PASS, ""),
        ("  choose_one\n", Status.PASS, ""),
        ("  exact True.intro\n", Status.FAIL, "Type mismatch"),
        (
            lean("theorem sum : 1 + 1 = 2 := by\n  norm_num"),
            Status.FAIL,
            "Type mismatch @_root_.sum has type 1 + 1 = 2",
        ),
        (lean("theorem other : 2 + 2 = 4 := by\n  norm_num"), Status.FAIL, "Unknown constant `sum`"),
        ("  cheat\n", Status.FAIL, "depends on Lean.ofReduceBool"),
        ("  exact sum\n", Status.FAIL, "Unknown constant"),
        ("  sorry\n", Status.FAIL, "refused: a proof may not use `sorry`"),
        (lean(f"axiom help : 2 + 2 = 4\n{SUM} := help"), Status.FAIL, "refused: a proof may not use `axiom`"),
        ("  native_decide\n", Status.FAIL, "`native_decide`"),
        ("", Status.INVALID, "no proof"),
        ("```python\nprint()\n```", Status.INVALID, "no proof"),
    ],
)
def test_lean_decides_on_the_problems_own_theorem(verifier: LeanVerifier, text: str, status: Status, said: str) -> None:
    verdict = verifier.verify(problem(), text)
    assert (verdict.status, said in verdict.reason) == (status, True), verdict.reason


@pytest.mark.parametrize(
    ("tactic", "status", "said"),
    [
        ("hang", Status.TIMEOUT, "more than"),
        ("eat", Status.MEMORY, "more than 64 MB"),
        ("shout", Status.OUTPUT, "bytes of output"),
        ("crash", Status.CRASH, "ended"),
        ("abort", Status.CRASH, "ended"),
        ("babble", Status.CRASH, "no reply"),
    ],
)
def test_a_process_over_its_limits_is_replaced(verifier: LeanVerifier, tactic: str, status: Status, said: str) -> None:
    limited = problem(time_limit_s=1.0, memory_mb=64)
    assert verifier.verify(limited, "  norm_num\n").status is Status.PASS
    verdict = verifier.verify(limited, f"  {tactic}\n  norm_num\n")
    assert (verdict.status, said in verdict.reason) == (status, True), verdict.reason
    assert verifier.verify(limited, "  norm_num\n").status is Status.PASS


def test_an_answer_given_beforehand_is_no_pass(verifier: LeanVerifier) -> None:
    """The early answer counts as the answer to the candidate; the real one then comes at the wrong time and is seen."""
    forged = verifier.verify(problem(), "  forge sum\n  cheat\n")
    assert forged.status in (Status.CRASH, Status.FAIL), forged.reason
    assert verifier.verify(problem(), "  norm_num\n").status is Status.PASS


def test_the_process_stays_warm_from_proof_to_proof(verifier: LeanVerifier) -> None:
    first = verifier.verify(problem(), "  norm_num\n")
    (kept,) = [repl for header, repl in verifier.warm.items() if header == HEADER]
    served = kept.served
    assert verifier.verify(problem("theorem other : 1 + 2 = 3"), "  norm_num\n").status is Status.PASS
    assert verifier.verify(problem(), "  crawl\n").reason == "unknown tactic 'crawl'"
    assert (verifier.warm[HEADER] is kept, kept.served) == (True, served + 2)
    assert first.tier in ("isolated", "confined")
    assert first.toolchain == "Lean 4.9.0, mathlib f0957a757531"


def test_processes_of_more_headers_than_are_kept_warm_end(verifier: LeanVerifier) -> None:
    for name in ("Real", "Nat", "Rat"):
        assert verifier.verify(problem(header=f"import Mathlib\nopen {name}\n"), "  norm_num\n").status is Status.PASS
    assert len(verifier.warm) == 2


@pytest.mark.parametrize(
    ("statement", "header", "said"),
    [
        ("theorem broken : seven = 7", HEADER, "theorem broken does not elaborate: unknown identifier 'seven = 7'"),
        (SUM, "import Nowhere\n", "the header does not elaborate: unknown module prefix 'Nowhere'"),
    ],
)
def test_a_problem_that_is_no_lean_is_a_fault_whatever_the_proof(
    verifier: LeanVerifier, statement: str, header: str, said: str
) -> None:
    for text in ("  norm_num\n", "  sorry\n"):
        with pytest.raises(VerifierFault, match=said):
            verifier.verify(problem(statement, header), text)


def test_a_process_that_dies_on_the_problems_own_theorem_is_a_fault(environment: Mapping[str, str]) -> None:
    with lean_verifiers(environment) as verifiers:
        assert verifiers.verify(problem(header="import Nowhere\n"), "  norm_num\n").status is Status.FAULT
        assert verifiers.verify(problem(), "  norm_num\n").passed


def test_a_proof_reads_writes_starts_and_reaches_nothing(
    verifier: LeanVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    verdict = verifier.verify(problem(), "  peek\n")
    assert verdict.reason.startswith("could: nothing; environment: HOME LANG "), verdict.reason
    assert "SECRET" not in verdict.reason


def test_a_tree_that_hangs_is_killed_whole(tmp_path: Path) -> None:
    """Tier ``none``, the only tier in which a process can start others at all."""
    with contextlib.closing(LeanVerifier("none", find_lean(double_environment(tmp_path)))) as loose:
        assert loose.verify(problem(), "  norm_num\n").passed
        assert left(tmp_path, 2) == 2  # one for each header: none, and the problem's
        assert loose.verify(problem(time_limit_s=1.0), "  bear\n  norm_num\n").status is Status.TIMEOUT
        assert left(tmp_path, 1) == 1
    assert left(tmp_path, 0) == 0


def test_equal_proofs_in_other_words_are_verified_once(environment: Mapping[str, str]) -> None:
    with lean_verifiers(environment) as verifiers:
        texts = ["  norm_num\n", "  norm_num -- easy\n", lean(SUM + " := by\n  norm_num")]
        assert [verdict.shared for verdict in verifiers.verify_many(problem(), texts)] == [False, True, False]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TROOP_LEAN_REPL": ""}, "no Lean: set TROOP_LEAN_REPL"),
        ({"TROOP_LEAN_REPL": "/nowhere/repl"}, "'/nowhere/repl' is no program"),
        ({"TROOP_LEAN_REPL": "/bin/true"}, "true: the REPL did not take the header"),
        ({"LEAN_SYSROOT": "/nowhere"}, "LEAN_SYSROOT: /nowhere/bin/lean is no program"),
        ({"LEAN_SYSROOT": "", "PATH": "/nowhere"}, "no `lean` is on the path"),
        ({"LEAN_PATH": "/nowhere/lib"}, "LEAN_PATH: /nowhere/lib is no folder"),
    ],
)
def test_a_machine_without_lean_names_the_variable(
    environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    monkeypatch.setenv("PATH", changes.get("PATH", "/usr/bin:/bin"))
    with pytest.raises(LeanUnavailable, match=said):
        LeanVerifier(home=find_lean({**environment, **changes}))


@pytest.mark.skipif(not REAL, reason="TROOP_LEAN_REPL names no real Lean")
@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("  omega\n", Status.PASS),
        (lean("theorem comm (a b : Nat) : a + b = b + a := Nat.add_comm a b"), Status.PASS),
        ("  rfl\n", Status.FAIL),
        ("  exact Classical.choice (Nonempty.intro (Nat.add_comm a b))\n", Status.PASS),
        ("  exact False.elim (Classical.choice sorryAx)\n", Status.FAIL),
        (lean("theorem comm (a b : Nat) (h : a = b) : a + b = b + a := by omega"), Status.FAIL),
        (lean("def Nat.plus := 1\ntheorem comm : True := True.intro"), Status.FAIL),
    ],
)
def test_a_real_lean_decides(text: str, status: Status) -> None:
    comm = LeanReference(statement="theorem comm (a b : Nat) : a + b = b + a", time_limit_s=20.0)
    with Verifiers() as verifiers:
        verdict = verifiers.verify(Problem(id="comm", prompt="", verifier="lean", reference=comm), text)
        assert verdict.status is status, verdict.reason


def lean_verifiers(environment: Mapping[str, str]) -> Verifiers:
    return Verifiers(verifiers={"lean": LeanVerifier(home=find_lean(environment))})


def left(folder: Path, expected: int) -> int:
    """Counts the processes of the folder, after a wait until the kernel has ended the killed ones."""
    until = time.monotonic() + 10
    while len(processes_of(folder)) != expected and time.monotonic() < until:
        time.sleep(0.01)
    return len(processes_of(folder))


def processes_of(folder: Path) -> list[str]:
    """Process ids of this machine whose environment names the folder, whatever their parent is by now."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if str(folder).encode() in environ.read_bytes():
                found.append(environ.parent.name)
    return found
