"""Checks the Lean verifier with a real Lean and no library: right proofs, wrong proofs, and ways to cheat.

    python -m bench.lean_core /path/to/lean

Neither mathlib nor the REPL is needed: the theorems use a few definitions of our own (``INIT``, which that Lean
compiles), and ``lean_core_repl.py`` implements the REPL's protocol. Lean's parser, elaborator, kernel and messages are
real; the warm process and the sandbox are tested elsewhere (tests/verify/lean/test_verifier.py).
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from sampling.errors import VerifierFault
from sampling.problems import Problem
from sampling.references import LeanReference
from verify.lean.home import find_lean
from verify.lean.verifier import LeanVerifier
from verify.sandbox.launch import base_interpreter

INIT = """prelude
set_option genCtorIdx false
universe u
axiom lcErased : Type
axiom lcAny : Type
inductive True : Prop where | intro : True
inductive False : Prop
inductive Eq {α : Sort u} (a : α) : α → Prop where | refl : Eq a a
inductive Nat : Type where | zero : Nat | succ (n : Nat) : Nat
axiom propext {a b : Prop} (f : a → b) (g : b → a) : Eq a b
axiom beyond : True
"""
TYPE = "(a b : Nat) (h : Eq a b) : Eq b a"
SYM = f"theorem sym {TYPE}"
PROOF = "h.rec Eq.refl"
POLY = "theorem poly {α : Sort v} (a : α) : Eq a a"
# Name, statement, completion, expected status ("fault": the problem itself is not a theorem).
CASES = [
    ("a term", SYM, f":= {PROOF}", "pass"),
    ("the whole theorem", SYM, f"{SYM} := {PROOF}", "pass"),
    ("with a helper", SYM, f"theorem help {TYPE} := {PROOF}\n{SYM} := help a b h", "pass"),
    ("other binders, the same type", SYM, f"theorem sym (x y : Nat) (h : Eq x y) : Eq y x := {PROOF}", "pass"),
    ("implicit binders", SYM, f"theorem sym {{a b : Nat}} (h : Eq a b) : Eq b a := {PROOF}", "pass"),
    ("propext", "theorem pe (a b : Prop) (f : a → b) (g : b → a) : Eq a b", ":= propext f g", "pass"),
    ("all universes", POLY, ":= Eq.refl", "pass"),
    ("one universe", POLY, "theorem poly {α : Type} (a : α) : Eq a a := Eq.refl", "fail"),
    ("a wrong term", SYM, ":= h", "fail"),
    ("itself", SYM, f"{SYM} := sym a b h", "fail"),
    ("another statement", SYM, "theorem sym (a b : Nat) (h : Eq a b) : Eq a b := h", "fail"),
    ("one more hypothesis", SYM, "theorem sym (a b : Nat) (h : Eq a b) (k : False) : Eq b a := k.rec", "fail"),
    ("an Eq of its own", SYM, f"def X.Eq (a b : Nat) : Prop := True\nopen X\ntheorem sym {TYPE} := True.intro", "fail"),
    ("its name in a namespace", SYM, f"theorem X.sym {TYPE} := {PROOF}", "fail"),
    ("another theorem", SYM, f"theorem other {TYPE} := {PROOF}", "fail"),
    ("an axiom beyond", "theorem t : True", ":= beyond", "fail"),
    ("sorry", SYM, ":= sorry", "fail"),
    ("an axiom of its own", SYM, f"axiom ha (a b : Nat) : Eq a b\n{SYM} := ha b a", "fail"),
    ("#print axioms itself", SYM, f"{SYM} := {PROOF}\n#print axioms sym", "fail"),
    ("the kernel skipped", SYM, f"set_option debug.skipKernelTC true in\n{SYM} := {PROOF}", "fail"),
    ("no proposition", "theorem data (a : Nat) : Nat", ":= a", "fault"),
    ("an unknown name", "theorem broken (a : Nat.nope) : Eq a a", ":= Eq.refl", "fault"),
    ("no syntax", "theorem broken : → True", ":= Eq.refl", "fault"),
]  # fmt: skip


def judge(lean: Path) -> int:
    """Prints a table of all cases; returns how many had another status than expected."""
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        verifier = LeanVerifier("none", find_lean(_make_toolchain(lean, Path(folder))))
        print(f"{verifier.home.toolchain}\n\n| case | expected | got | reason |\n|---|---|---|---|")
        for name, statement, text, expected in CASES:
            reference = LeanReference(statement=statement)
            problem = Problem(id=name, prompt="", verifier="lean", reference=reference)
            try:
                verdict = verifier.verify(problem, text)
                got, reason = verdict.status.value, verdict.reason
            except VerifierFault as error:
                got, reason = "fault", str(error)
            wrong += got != expected
            print(f"| {name} | {expected} | {got} | {reason[:100]} |")
        verifier.close()
    print(f"\n{len(CASES)} cases, {wrong} not as expected")
    return wrong


def _make_toolchain(lean: Path, folder: Path) -> dict[str, str]:
    """Makes a toolchain whose only library is ``INIT``; returns the environment variables that select it."""
    library, program = folder / "lib" / "lean", folder / "bin" / "lean"
    library.mkdir(parents=True)
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nLEAN_SYSROOT={folder} LEAN_PATH={library} exec {lean.resolve()} "$@"\n')
    program.chmod(0o755)
    (folder / "Init.lean").write_text(INIT)
    subprocess.run([program, "-o", library / "Init.olean", "Init.lean"], check=True, cwd=folder)
    command = f"{base_interpreter()} {Path(__file__).resolve().with_name('lean_core_repl.py')} {program}"
    return {"TROOP_LEAN_REPL": command, "LEAN_SYSROOT": str(folder)}


if __name__ == "__main__":
    sys.exit(min(judge(Path(sys.argv[1])), 1))
