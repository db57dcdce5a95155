"""Finds the program in a completion for a problem that asks for another language than Python.

The rules are those of ``verify.programs.extract`` where they can be: no parser of these languages decides here, so a
program is told by its fences, its entry point and the first words of its lines. Every rule is linear in the text.
"""

import re
from dataclasses import dataclass

from verify.programs.extract import MAX_TEXT, Block, fenced_blocks
from verify.programs.statements import is_encodable
from verify.special_tokens import after_thought

VERSION = "source/1"  # must change with every rule below


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks of a language's programs: labels of fences, the entry point, first words of a line of code."""

    labels: frozenset[str]
    entry: re.Pattern[str]
    begin: re.Pattern[str]


def _look(labels: str, entry: str, begin: str) -> _Look:
    return _Look(frozenset(labels.split()), re.compile(entry), re.compile(rf"^(?:{begin})", re.MULTILINE))


_C_BEGIN = r"#[ \t]{0,9}(?:include|define|pragma)\b|(?:int|signed|void|auto)[ \t]{1,9}main[ \t]{0,9}\("
LOOKS = {
    "c": _look("c h", r"\bmain\s{0,9}\(", _C_BEGIN),
    "cpp": _look("cpp c++ cc cxx hpp c", r"\bmain\s{0,9}\(", rf"{_C_BEGIN}|using[ \t]|template\b"),
    "java": _look(
        "java", r"\bvoid\s{1,9}main\s{0,9}\(", r"import[ \t]|package[ \t]|(?:public |final |abstract ){0,3}class[ \t]"
    ),
    "go": _look("go golang", r"\bfunc\s{1,9}main\s{0,9}\(", r"package[ \t]|import[ \t(]|func[ \t]"),
    "rust": _look(
        "rust rs", r"\bfn\s{1,9}main\s{0,9}\(", r"use[ \t]|fn[ \t]|extern crate\b|#!?\[|struct[ \t]|mod[ \t]"
    ),
    "javascript": _look(
        "javascript js node nodejs mjs cjs",
        r"\S",
        r"(?:const|let|var|function|class|import|async)\b|['\"]use strict['\"]|process\.|require\(|console\.",
    ),
}
_LAST = re.compile(r"[;})\]]")


def find_program(text: str, language: str) -> str | None:
    """Returns the program that ``text`` offers in ``language``, or None where it offers none.

    1. Text before the last ``</think>`` is ignored.
    2. *Fences*: blocks labelled with the language count, else blocks without a label, else other blocks; of these, the
       last one with an entry point (``main``), else the last one. Code before a first fence without a label is the
       program if it has an entry point: the prompt had opened that fence.
    3. *Plain text*: from the first line that looks like code to the last line with ``;`` or a closing bracket.
    4. A program with a NUL or half a surrogate pair, or a text of over ``MAX_TEXT`` characters, offers none.
    """
    if len(text) > MAX_TEXT:
        return None
    answer, look = after_thought(text).replace("\r\n", "\n"), LOOKS[language]
    blocks = fenced_blocks(answer)
    program = (
        _begun_in_prompt(answer, blocks, look) or _best(blocks, look) or (None if blocks else _plain(answer, look))
    )
    return program if program is not None and is_encodable(program) else None


def _best(blocks: list[Block], look: _Look) -> str | None:
    """Returns the code of the block that counts."""
    ranks = [2 if block.label in look.labels else 1 if not block.label else 0 for block in blocks]
    highest = max(ranks, default=0)
    best = [block.code for block, rank in zip(blocks, ranks, strict=True) if rank == highest]
    whole = [code for code in best if look.entry.search(code)]
    return (whole or best)[-1] if best else None


def _begun_in_prompt(text: str, blocks: list[Block], look: _Look) -> str | None:
    """Returns the code before a first fence without a label, which closes what the prompt had opened."""
    fence = re.search(r"^(?:```|~~~)[ \t]*$", text, re.MULTILINE)
    if fence is None or any(block.label in look.labels for block in blocks):
        return None
    before = text[: fence.start()]
    return _plain(before, look) if look.begin.search(before) and look.entry.search(before) else None


def _plain(text: str, look: _Look) -> str | None:
    first = look.begin.search(text)
    if first is None:
        return None
    lines = text[first.start() :].split("\n")
    kept = max((number for number, line in enumerate(lines) if _LAST.search(line)), default=-1)
    return "\n".join(lines[: kept + 1]) + "\n" if kept >= 0 else None
