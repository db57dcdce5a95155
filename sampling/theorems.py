"""Lean 4 source as text: comments, statement and proof of a theorem, the theorems of a file.

This module reads text and elaborates nothing; it must not be trusted with hostile text. ``verify/lean/verifier.py``
judges proofs.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sampling.errors import BadInput

NAME = r"[A-Za-z_][A-Za-z0-9_']*(?:\.[A-Za-z_][A-Za-z0-9_']*)*"
_HEAD = re.compile(rf"\s*(?:theorem|lemma)\s+({NAME})(?=[\s:({{\[⦃]|\.\{{)")
_STARTS = re.compile(r"^(?:theorem|lemma)\s", re.MULTILINE)
_LEXEME = re.compile(
    r'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)|--[^\n]*+|/-', re.DOTALL
)  # linear: an unclosed string ends with the text
_EDGE = re.compile(r"/-|-/")
_OPEN, _CLOSE = "([{⟨⦃", ")]}⟩⦄"
_UNFINISHED = re.compile(r"\bsorry\b")


@dataclass(frozen=True, slots=True)
class Theorem:
    """A theorem: ``statement`` is the text before ``:=``, ``proof`` the text after ``:= by``, None if unfinished."""

    name: str
    statement: str
    proof: str | None = None


def without_comments(source: str) -> str:
    """Returns the source with each comment replaced by a blank; an unclosed comment goes to the end of the text."""
    kept, at = [], 0
    while found := _LEXEME.search(source, at):
        if found[0][0] == '"':
            kept.append(source[at : found.end()])
            at = found.end()
        else:
            kept += [source[at : found.start()], " "]
            at = _after_block(source, found.end()) if found[0] == "/-" else found.end()
    return "".join([*kept, source[at:]])


def _after_block(source: str, at: int) -> int:
    """Returns the end of the block comment whose inside begins at ``at``; comments may be nested."""
    depth = 1
    for edge in _EDGE.finditer(source, at):
        depth += 1 if edge[0] == "/-" else -1
        if depth == 0:
            return edge.end()
    return len(source)


def theorem_name(statement: str) -> str | None:
    """Returns the name that ``theorem NAME …`` declares; None where the text does not begin with a theorem."""
    found = _HEAD.match(statement)
    return found[1] if found else None


def read_theorem(source: str) -> Theorem:
    """Parses one theorem with or without ``:= by …``; raises ValueError that says what is missing."""
    name = theorem_name(source)
    if name is None:
        raise ValueError("statement: `theorem NAME … : …` is needed")
    end = _proof_at(source)
    statement, proof = source[:end].strip(), source[end:].removeprefix(":=").strip()
    if ":" not in _outside_brackets(statement):
        raise ValueError(f"statement: theorem {name} says nothing; `theorem {name} … : …` is needed")
    if not proof or proof == "by" or _UNFINISHED.search(proof):
        return Theorem(name, statement)
    tactics = re.match(r"by\b[ \t]*\n?", proof)
    return Theorem(name, statement, proof[tactics.end() :] if tactics else f"exact {proof}")


def read_file(source: str, where: str) -> Iterator[tuple[str, Theorem, str]]:
    """Yields each top-level theorem of a file, as (place, theorem, header of the file: ``import``, ``open``, …).

    Raises BadInput that names the line of a theorem that cannot be read.
    """
    starts = [found.start() for found in _STARTS.finditer(source)]
    header = without_comments(source[: starts[0]] if starts else source).strip() + "\n\n"
    for start, end in zip(starts, [*starts[1:], len(source)], strict=True):
        place = f"{where}:{source.count(chr(10), 0, start) + 1}"
        try:
            yield place, read_theorem(_own_lines(source[start:end])), header
        except ValueError as error:
            raise BadInput(f"{place}: {error}") from error


def _own_lines(source: str) -> str:
    """Returns a theorem's text without the commands and comments that follow it (``#align …``, a docstring)."""
    return re.split(r"\n(?=#|/-|--|end\b|namespace\b|section\b|open\b)", source, maxsplit=1)[0]


def _proof_at(source: str) -> int:
    """Returns the offset of the ``:=`` before the proof, outside all brackets; the end of the text if there is none.

    The first ``:= by`` counts, else the first ``:=``.
    """
    plain = _outside_brackets(source)
    found = re.search(r":=\s*by\b", plain) or re.search(r":=", plain)
    return found.start() if found else len(source)


def _outside_brackets(source: str) -> str:
    """Returns the text with blanks in place of everything in brackets, so that offsets stay the same."""
    depth, out = 0, []
    for letter in source:
        depth -= letter in _CLOSE
        out.append(letter if depth <= 0 else " ")
        depth += letter in _OPEN
    return "".join(out)
