"""Lean source as text: comments, statements, proofs, the theorems of a file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.errors import BadInput
from sampling.theorems import read_file, read_theorem, theorem_name, without_comments
from tests.support.places import TASK_DATA


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a -- b\nc", "a  \nc"),
        ("a /- b /- c -/ d -/ e", "a   e"),
        ("a /- -- -/ b", "a   b"),
        ('a "-- /-" b', 'a "-- /-" b'),
        ('a /- " -/ b "', 'a   b "'),
        ("a /- b", "a  "),
        (r'a "\" -- b" -- c', r'a "\" -- b"  '),
        ("a -/ b", "a -/ b"),
    ],
)
def test_comments_are_taken_out(source: str, left: str) -> None:
    assert without_comments(source) == left


@given(st.text(alphabet='-/"\\\n ab', max_size=60))
def test_what_is_left_has_no_comment_that_could_be_taken_out(source: str) -> None:
    left = without_comments(source)
    assert len(left) <= len(source) + source.count("/-") + source.count("--")
    if '"' not in source:
        assert "--" not in left


@pytest.mark.parametrize(
    ("source", "name", "statement", "proof"),
    [
        ("theorem a : 1 = 1", "a", "theorem a : 1 = 1", None),
        ("theorem a : 1 = 1 := by\n", "a", "theorem a : 1 = 1", None),
        ("theorem a : 1 = 1 :=\n  by sorry", "a", "theorem a : 1 = 1", None),
        ("theorem a : 1 = 1 := by\n  norm_num\n  sorry", "a", "theorem a : 1 = 1", None),
        ("lemma b.c' (x : ℕ := 5) : x = x := by\n  rfl\n", "b.c'", "lemma b.c' (x : ℕ := 5) : x = x", "  rfl"),
        ("theorem a : let y := 2; y = 2 := by rfl", "a", "theorem a : let y := 2; y = 2", "rfl"),
        ("theorem a.{u} (α : Sort u) : α = α", "a", "theorem a.{u} (α : Sort u) : α = α", None),
        ("theorem a {α : Type} : α = α := rfl", "a", "theorem a {α : Type} : α = α", "exact rfl"),
    ],
)
def test_a_theorem_is_its_statement_and_its_proof(source: str, name: str, statement: str, proof: str | None) -> None:
    theorem = read_theorem(source)
    assert (theorem.name, theorem.statement, theorem.proof) == (name, statement, proof)


@pytest.mark.parametrize(
    "source", ["", "example : 1 = 1", "theorem", "theorem a", "theorem a (x : ℕ)", "def a : ℕ := 1"]
)
def test_what_states_nothing_is_no_theorem(source: str) -> None:
    with pytest.raises(ValueError, match="statement"):
        read_theorem(source)


def test_a_file_is_its_theorems_under_one_header() -> None:
    source = (
        "/- Copyright -/\nimport Mathlib\nopen Real\n\ntheorem a : 1 = 1 := by\n  rfl\n#align a a\n\n"
        "/- a note -/\ntheorem b : 2 = 2 :=\n  by sorry\n"
    )
    found = list(read_file(source, "f.lean"))
    assert [(where, theorem.name, theorem.proof) for where, theorem, _ in found] == [
        ("f.lean:5", "a", "  rfl"),
        ("f.lean:10", "b", None),
    ]
    assert {header for _, _, header in found} == {"import Mathlib\nopen Real\n\n"}


def test_a_theorem_of_a_file_that_states_nothing_is_named() -> None:
    with pytest.raises(BadInput, match=r"f\.lean:2: statement: theorem a says nothing"):
        list(read_file("import Mathlib\ntheorem a := by\n  rfl\n", "f.lean"))


@pytest.mark.parametrize(("file", "theorems", "proven"), [("Test", 245, 40), ("Validation", 244, 45)])
def test_every_theorem_of_the_papers_files_is_read(file: str, theorems: int, proven: int) -> None:
    path = TASK_DATA / f"minif2f_paper_{file}.lean"
    if not path.exists():
        pytest.skip("the shared data is not there")
    found = [theorem for _, theorem, _ in read_file(path.read_text(), str(path))]
    assert (len(found), sum(theorem.proof is not None for theorem in found)) == (theorems, proven)
    assert all(theorem_name(theorem.statement) == theorem.name for theorem in found)
    assert not any("sorry" in (theorem.proof or "") + theorem.statement for theorem in found)
