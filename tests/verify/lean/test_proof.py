"""The proof that a completion offers, and the words that a proof may not use."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.references import LeanReference
from sampling.theorems import read_file
from tests.support.places import TASK_DATA
from verify.lean.proof import extract_proof, refusal

REFERENCE = LeanReference(header="import Mathlib\n", statement="theorem sum (x : ℕ) : x = x := by")
STATEMENT = "theorem sum (x : ℕ) : x = x"


@pytest.mark.parametrize(
    ("text", "proof"),
    [
        ("  norm_num\n  linarith", "by\n  norm_num\n  linarith"),
        ("norm_num\n  linarith", "by\n  norm_num\n  linarith"),
        ("by norm_num", "by\nnorm_num"),
        (":= by\n  simp", "by\n  simp"),
        (":= rfl", "\n rfl"),
        ("  simp\n\ntheorem other : 1 = 1 := by\n  rfl", "by\n  simp"),
        ("  simp\n#align sum sum\n", "by\n  simp"),
        ("  simp\n```\nThat is all.", "by\n  simp"),
        ("  simp -- it is easy\n  /- or\n not -/\n  rfl", "by\n  simp  \n   \n  rfl"),
        ("```lean4\nby\n  simp\n```", "by\n  simp"),
        ("No:\n```lean\nsimp\n```\nbetter:\n```lean\nrfl\n```\n", "by\nrfl"),
        ("<think>```lean\nwrong\n```</think>```lean\n  simp\n```", "by\n  simp"),
        ("```\n  simp\n```", "by\n  simp"),
    ],
)
def test_a_proof_goes_below_the_problems_own_statement(text: str, proof: str) -> None:
    assert extract_proof(text, REFERENCE) == f"{STATEMENT} := {proof}\n"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"```lean4\nimport Mathlib\nopen Nat\n\n{STATEMENT} := rfl\n```", f"open Nat\n\n{STATEMENT} := rfl"),
        (f"```lean\nset_option maxHeartbeats 400000\n\n{STATEMENT} := rfl\n```", f"{STATEMENT} := rfl"),
        (
            f"```lean\nset_option maxRecDepth 9 in\n{STATEMENT} := rfl\n```",
            f"set_option maxRecDepth 9 in\n{STATEMENT} := rfl",
        ),
        (f"Sure:\n{STATEMENT} := rfl", f"{STATEMENT} := rfl"),
        (f"```lean\nlemma h : 1 = 1 := rfl\n{STATEMENT} := rfl\n```", f"lemma h : 1 = 1 := rfl\n{STATEMENT} := rfl"),
        (f"```lean\n{STATEMENT} := rfl\n```\n```lean\n#eval 1\n```", f"{STATEMENT} := rfl"),
        ("```lean\ntheorem other : 1 = 1 := rfl\n```", "theorem other : 1 = 1 := rfl"),
        ("```lean\n@[simp] private theorem sum : 1 = 1 := rfl\n```", "@[simp] private theorem sum : 1 = 1 := rfl"),
    ],
)
def test_a_whole_theorem_is_taken_with_its_helpers(text: str, source: str) -> None:
    assert extract_proof(text, REFERENCE) == source


@pytest.mark.parametrize(
    "text", ["", "  \n", "```python\npass\n```", "-- nothing", "/- nothing", "```lean\n```", "by", "x" * 200_001]
)
def test_no_proof_is_none(text: str) -> None:
    assert extract_proof(text, REFERENCE) is None


@pytest.mark.parametrize(
    "source",
    [
        "by sorry",
        "by admit",
        "exact sorryAx _ false",
        "axiom h : False",
        "1axiom h : False",
        "'a'axiom h : False",
        "by native_decide",
        "by decide +native",
        "by simp (config := {native := true})",
        "Lean.ofReduceBool",
        'macro "x" : term => `(1)',
        "macro_rules | `(x) => `(1)",
        'local notation "a" => b',
        'syntax "x" : tactic',
        'elab "x" : command => pure ()',
        "elab_rules : tactic | `(x) => pure ()",
        "run_cmd pure ()",
        "run_tac done",
        "by_elab return x",
        "#eval 1",
        "#print axioms x",
        "#exit",
        "initialize pure ()",
        "builtin_initialize x : Nat",
        "@[implemented_by f] def g := 1",
        '@[extern "x"] def g := 1',
        "@[reducible] def g := 1",
        "attribute [simp] x",
        "unsafe def f := 1",
        "partial def f := 1",
        "opaque f : Nat",
        "instance : Inhabited Nat := ⟨1⟩",
        "set_option debug.skipKernelTC true in",
        "set_option maxHeartbeats 5",
        "namespace X",
        "end X",
        "section",
        "variable (h : False)",
        "variable? (h : False)",
        "lemma axiom' : False",
        "include h",
        "universe u",
        "import Mathlib",
        "deriving instance Repr for X",
        "eval% x",
        'include_str "/etc/passwd"',
        "simproc x (1) := fun _ => pure .continue",
        "register_simp_attr x",
        "unsafeCast x",
        "theorem _troop_1 : True",
        "0xemacro",
        "0b1axiom",
        "a\x00b",
        "a\ud800b",
        "exact λaxiom",
    ],
)
def test_what_could_change_the_verifier_is_refused(source: str) -> None:
    assert refusal(source) is not None


@pytest.mark.parametrize(
    "source",
    [
        "set_option maxHeartbeats 400000 in\nset_option maxRecDepth 1000 in\ntheorem a : x := by simp",
        "open Nat Real\nopen scoped BigOperators",
        "@[simp] lemma a : x := by rfl",
        "private def f (n : ℕ) := n % 2",
        "by simp [Polynomial.eval_add, Finset.sum_range_succ] at h₁ ⊢",
        "exact Polynomial.eval x p",
        "have hend : a := b",
        "by classical exact h",
        "have sectional := Classical.choice h",
        "by norm_num [h_end, instances]",
        "∃ x, x = #s",
        "calc a = b := by ring\n    _ ≤ c := by nlinarith [sq_nonneg (a - b)]",
        "rcases h with ⟨x, rfl⟩ | h",
        "noncomputable def f := 1",
        "by exact?",
        "have x0x := h",
        "x * 10 + b0b",
        "by decide",
        "by aesop",
        "by interval_cases x <;> simp_all",
    ],
)
def test_what_proofs_need_is_not(source: str) -> None:
    assert refusal(source) is None


@given(
    before=st.text(alphabet="(){}[]⟨⟩=+-*,;:.|'\"`0123456789 \n\t!?λ∑ℕ₁", max_size=4),
    word=st.sampled_from(["axiom", "sorry", "macro", "elab", "unsafe", "native_decide", "set_option", "run_cmd"]),
    after=st.text(alphabet='(){}[]⟨⟩=+-*,;:.|"` \n\tλ∑ℕ₁', max_size=4),
)
def test_no_neighbour_that_is_no_letter_hides_a_word(before: str, word: str, after: str) -> None:
    assert refusal(before + word + after) is not None


@given(st.text(alphabet='-/"\\\n axiom', max_size=40))
def test_what_lean_gets_is_what_was_looked_through(text: str) -> None:
    """A comment that hides a word from us would hide it from Lean too: it is gone."""
    source = extract_proof(f"  simp {text}", REFERENCE)
    if source is not None and refusal(source) is None:
        assert not any(word in source.split() for word in ("axiom", "sorry"))


@pytest.mark.parametrize("file", ["minif2f_deepseek.jsonl", "minif2f_paper_Test.lean", "minif2f_paper_Validation.lean"])
def test_no_published_statement_or_proof_is_refused(file: str) -> None:
    path = TASK_DATA / file
    if not path.exists():
        pytest.skip("the shared data is not there")
    text = path.read_text()
    if path.suffix == ".lean":
        sources = [f"{t.statement} := by\n{t.proof or ''}" for _, t, _ in read_file(text, file)]
    else:
        sources = [json.loads(line)["formal_statement"] for line in text.splitlines()]
    assert {source: words for source in sources if (words := refusal(source))} == {}
