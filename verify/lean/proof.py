"""Finds the proof in a completion, and refuses proofs that use more than a proof needs.

One process elaborates a proof and then decides on it, and Lean lets a source text extend and run the elaborator:
``macro``, ``elab``, ``#eval``, attributes, options. No proof of a theorem needs these, so a candidate that uses one is
refused before Lean sees it. Comments are removed first. The text that is left, strings included, is both searched and
given to Lean, so a candidate cannot show one text to us and another to Lean.
"""

import re

from sampling.references import LeanReference
from sampling.theorems import theorem_name, without_comments
from verify.programs.extract import fenced_blocks
from verify.special_tokens import after_thought

VERSION = "lean-extract/1"  # must change with every rule below
MAX_PROOF = 200_000  # characters
_LABELS = frozenset({"lean", "lean4", "tactics"})
# The start of a line that begins something after a continued proof.
_NEXT = re.compile(r"\n(?:theorem|lemma|example|def|end|namespace|section|import|open|#|/-|--|```|\[DONE\])")
_BEGINS = re.compile(r"(?:\s*(?P<assigned>:=)(?=\s))?(?:\s*(?P<by>by)\b[ \t]*)?")
_INDENTED = re.compile(r"\n*(?:  |\t)")
_COMMAND = re.compile(
    r"^(?:@\[|(?:theorem|lemma|def|abbrev|example|private|protected|noncomputable|axiom|open|namespace|section|variable"
    r"|instance|notation|macro|set_option|import)\b)",
    re.MULTILINE,
)
_DECLARES = r"^(?:@\[simp\]\s*|(?:private|protected|noncomputable|nonrec)\s+)*(?:theorem|lemma)\s+"
_HEADER = re.compile(r"^(?:import\s.*|set_option\s+[\w.]+\s+\S+)\s*$", re.MULTILINE)

_REFUSED = """
    sorry admit sorryAx stop axiom axioms constant opaque unsafe partial implemented_by extern export csimp native
    native_decide reduceBool reduceNat ofReduceBool ofReduceNat trustCompiler macro syntax notation notation3 infix
    infixl infixr prefix postfix binder_predicate unif_hint elab by_elab include_str initialize simproc dsimproc
    simproc_decl dsimproc_decl attribute deriving instance class structure inductive coinductive mutual namespace
    section end variable universe include omit import prelude module meta public set_option suppress_compilation
    compile_inductive irreducible_def init_quot IO unsafeIO unsafeBaseIO unsafeEIO unsafeCast lcProof lcUnreachable
"""
# Lean reads ``1axiom``, ``'a'axiom`` and ``variable?`` as two tokens; only a letter or _ makes another word.
_WORD = re.compile(rf"(?<![A-Za-z_])(?:{'|'.join(sorted(_REFUSED.split(), key=len, reverse=True))})(?![A-Za-z0-9_])")
_SHAPES = (
    (re.compile(r"#[A-Za-z_]{3,}"), "a # command"),
    (re.compile(r"(?<![A-Za-z_])(?:builtin|declare|elab|initialize|macro|register|run)_[a-z]|eval%"), "a metaprogram"),
    (re.compile(r"@\[(?!simp\])"), "an attribute"),
    (
        re.compile(r"(?<![A-Za-z0-9_])0[xXbBoO]"),
        "a numeral with a base",
    ),  # ``0xemacro`` is the numeral 0xe and the word macro
    (re.compile(r"troop", re.IGNORECASE), "a name of the verifier's"),
    (re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufeff]"), "a control character"),
)
# Options that only limit how long Lean tries.
_HARMLESS = re.compile(
    r"\bset_option\s+(?:maxHeartbeats|maxRecDepth|synthInstance\.maxHeartbeats|exponentiation\.threshold)\s+\d+\s+in\b"
)


def extract_proof(text: str, reference: LeanReference) -> str | None:
    """Returns the Lean source that a completion offers, with the theorem's statement; None where it offers none.

    1. Text before ``</think>`` is ignored, and comments are removed from the chosen text.
    2. *Continuation*: a text that begins with an indented line continues ``theorem … := by``, up to the first line
       that starts something else (a theorem, a command, a comment, a fence).
    3. *Fences*: the last block labelled Lean (else the last one without a label) that declares the theorem by its name,
       else the last one that declares nothing. A block with a theorem keeps all its helpers, but loses its ``import``
       and plain ``set_option`` lines: the problem's own header counts. Any other block is the proof.
    4. *Plain text*: the whole theorem, from the first line that declares it or a helper; else a continuation.
    5. A proof may begin with ``:=``, ``by`` or both.
    """
    if len(text) > MAX_PROOF:
        return None
    answer = after_thought(text).replace("\r\n", "\n")
    name = theorem_name(reference.statement)
    declares = re.compile(rf"{_DECLARES}{re.escape(name or '')}(?![\w'!?]|\.[A-Za-z_])", re.MULTILINE)
    source = _chosen(answer, declares)
    if source is None:
        return None
    if _COMMAND.search(source):
        whole = _HEADER.sub("", without_comments(source)).strip()
        return whole or None
    begins = _BEGINS.match(proof := without_comments(source).rstrip())
    assert begins is not None
    proof, word = proof[begins.end() :], "" if begins["assigned"] and not begins["by"] else "by"
    return f"{reference.statement} := {word}\n{_on_own_line(proof)}\n" if proof.strip() else None


def _chosen(answer: str, declares: re.Pattern[str]) -> str | None:
    if _INDENTED.match(answer):
        return _continuation(answer)
    blocks = [block for block in fenced_blocks(answer) if block.label in _LABELS or not block.label]
    if blocks:
        best = [block for block in blocks if block.label in _LABELS] or blocks
        whole = [block for block in best if declares.search(block.code)]
        bare = [block for block in best if not _COMMAND.search(block.code)]
        return (whole or bare or best)[-1].code
    if fenced_blocks(answer) or answer.lstrip().startswith(("```", "~~~")):
        return None
    if declares.search(answer):
        first = _COMMAND.search(answer)
        return answer[first.start() :] if first else None
    return _continuation(answer)


def _continuation(answer: str) -> str:
    end = _NEXT.search(answer, len(answer) - len(answer.lstrip()))
    return answer[: end.start()] if end else answer


def _on_own_line(proof: str) -> str:
    """Returns tactics to stand below ``by``; a first line that stood beside ``by`` is indented like the others."""
    first, newline, rest = proof.partition("\n")
    if not first.strip():
        return rest if newline else ""
    if first[0] != " " and (below := re.search(r"^( +)\S", rest, re.MULTILINE)):
        return below[1] + proof
    return proof


def refusal(source: str) -> str | None:
    """Returns the first thing in a source that a proof may not use, in words; None where Lean may elaborate it."""
    plain = _HARMLESS.sub(" ", source)
    if found := _WORD.search(plain):
        return f"`{found[0]}`"
    return next((words for shape, words in _SHAPES if shape.search(plain)), None)
