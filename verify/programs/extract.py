"""Finds the program in a completion. Models wrap code in prose, fences and half sentences; verifiers need one text.

All code verifiers share these rules. The rules are pure: they never execute the text. To know if a piece of text is
Python, they parse it (to a syntax tree, nothing more), with bounds on length and depth.
"""

import ast
import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from verify.programs.indentation import body_column, indented_bodies
from verify.programs.statements import does_something, is_encodable, parse, statement_starts
from verify.special_tokens import after_thought

VERSION = "extract/4"  # must change with every rule below: it is part of the version of all code verdicts
MAX_TEXT = 2_000_000  # characters; the longest contexts of today are far shorter
MAX_PARSED = 200_000  # characters of unfenced text that are searched for code
PYTHON_LABELS = frozenset({"py", "py3", "python", "python3", "pypy", "pypy3"})

_BEGIN = re.compile(r"^[ \t]*\[BEGIN\][ \t]*\n?", re.MULTILINE)
_DONE = re.compile(r"^[ \t]*\[DONE\]", re.MULTILINE)
_TAG = re.compile(
    r"^[ \t]*(?:<(?P<tag>code|python|answer|solution)>|\[(?P<mark>PYTHON|CODE|ANSWER)\])[ \t]*\n?", re.MULTILINE
)
# Quantifiers are possessive, so one pass is linear in any text.
_FENCE = re.compile(
    r"^[ \t]{0,12}+(?P<mark>`{3,}+|~{3,}+)[ \t]*+(?P<label>[^\s`~]{0,40}+)[^\n`]{0,200}+$", re.MULTILINE
)
_CODE_LINE = re.compile(
    r"^(?:import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|(?:async[ \t]+)?def[ \t]+\w|class[ \t]+\w|@\w"
    r"|if[ \t]+__name__\b|[\w, *]{1,80}=[^=\n]{0,200}\b(?:input|open|stdin)\b[.(])",
    re.MULTILINE,
)
_PRINTS = re.compile(r"\b(?:print|write|writelines|stdout)\b")
_QUOTED = 4  # fences that are looked at, to see if one is inside a string
_KEPT_AFTER_BODY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)


@lru_cache(maxsize=4)  # asked twice of each completion: for the candidate's digest, and to run it
def extract_code(text: str, *, prefix: str = "", entry_point: str | None = None, prints: bool = False) -> str | None:
    """Returns the program that ``text`` offers, or None where it offers none.

    1. Thoughts, special tokens and what follows the end of the turn are ignored (``verify.special_tokens``), and so is
       text after a line that begins with ``[DONE]`` and before ``[BEGIN]`` (MBPP's format). Where there is no fence,
       the last ``<code>``, ``<python>``, ``<answer>``, ``<solution>``, ``[PYTHON]``, ``[CODE]`` or ``[ANSWER]`` at
       the start of a line holds the program.
    2. *Continuation*: a text whose first line is indented continues a ``prefix`` (the prompt's own code, for example a
       signature with its docstring) and gives the prefix plus the body. The body ends at the first fence or unindented
       line. Functions, classes, imports and assignments after the body are kept, up to the first thing that is none of
       these, does not parse, or defines ``entry_point`` again.
    3. *Fences* (an unclosed one runs to the end; one inside a string closes nothing): the last block that defines
       ``entry_point``, else the last block. A block labelled Python goes before an unlabelled one, and an unlabelled
       one before any other. The prefix before its own definition of ``entry_point`` (imports, helpers) is put in front.
       A block that is an indented body continues the prefix. Code before a first, unlabelled fence is the program: the
       prompt opened its fence.
    4. *Plain text*: the whole text if it parses; else the text without prose before its first line of code and after
       its last complete statement. The prefix's imports and helpers are put in front.
    5. A block or plain text that does not define ``entry_point`` is tried as a body of the prefix that lost its
       indentation, on its first line or on all lines (``verify.programs.indentation``).
    6. For an ``entry_point`` that is a method (``Solution.solve``), a block has to define the class.
    7. Of a program that ``prints`` its answer, a block that prints nothing is taken only where no other does.
    8. A text that continues the prefix but does not parse is still a candidate (which will fail) if no rule finds a
       better one. A program with a NUL or a lone surrogate, or a text of over ``MAX_TEXT`` characters, offers none.
    """
    if len(text) > MAX_TEXT or len(prefix) > MAX_TEXT:
        return None
    answer = _between_marks(after_thought(text).replace("\r\n", "\n").lstrip("\ufeff\u200b"))
    prefix = prefix.replace("\r\n", "\n")
    name = entry_point.partition(".")[0] if entry_point else None
    tagged = _tagged(answer)
    program = _choose(tagged, prefix, name, prints) if tagged is not None else None
    program = program if program is not None else _choose(answer, prefix, name, prints)
    return program if program is not None and program.strip() and is_encodable(program) else None


def _between_marks(text: str) -> str:
    if "[DONE]" in text and (done := _DONE.search(text)):
        text = text[: done.start()]
    if "[BEGIN]" in text and (begin := deque(_BEGIN.finditer(text), maxlen=1)):
        text = text[begin[0].end() :].partition("[DONE]")[0]
    return text


def _tagged(text: str) -> str | None:
    """Returns the text in the last pair of tags that may hold a program; None where there is none, or a fence."""
    if ">" not in text and "]" not in text:
        return None
    opened = deque(_TAG.finditer(text), maxlen=1)
    if not opened or _FENCE.search(text):
        return None
    closing = f"</{opened[0]['tag']}>" if opened[0]["tag"] else f"[/{opened[0]['mark']}]"
    return text[opened[0].end() :].partition(closing)[0]


def _choose(text: str, prefix: str, entry_point: str | None, prints: bool) -> str | None:
    body = _body(text, prefix)
    if body is not None and (program := _continued(prefix, body, entry_point)):
        return program
    block = _begun_in_prompt(text) or _best_block(text, entry_point, prints)
    code = block if block is not None else _plain(text)
    if code is not None and _defines(code, entry_point):
        return _head(prefix, entry_point) + code
    inner = _body(block, prefix) if block is not None else None
    if inner is not None and (program := _continued(prefix, inner, entry_point)):
        return program
    if entry_point and (program := _with_indentation(prefix, block or text, entry_point)):
        return program
    if inner is not None:
        return prefix + inner
    if code is not None:
        return _head(prefix, entry_point) + code
    return None if body is None else prefix + body


def _with_indentation(prefix: str, text: str, entry_point: str) -> str | None:
    """Returns ``prefix`` continued by a body that has lost its indentation; None where ``text`` is no such body."""
    text = text[:MAX_PARSED]
    column = body_column(prefix) if prefix else None
    if column is None:
        return None
    bodies = indented_bodies(text, _up_to_prose(text.lstrip("\n")) or text, column)
    return next((program for body in bodies if (program := _continued(prefix, body, entry_point))), None)


def _body(text: str, prefix: str) -> str | None:
    """Returns the start of ``text`` that can continue ``prefix``, up to the first fence; None where none can."""
    if not prefix:
        return None
    fence = _FENCE.search(text)
    body = (text[: fence.start()] if fence else text)[:MAX_PARSED]
    first = body.lstrip("\n")
    if not body.strip() or (prefix.endswith("\n") and first[:1] not in (" ", "\t")):
        return None
    return body


def _continued(prefix: str, body: str, entry_point: str | None) -> str | None:
    """Returns ``prefix`` with its body and the definitions after it; None where the body itself is no Python."""
    program = prefix + body
    cuts = [cut for cut in statement_starts(program) if cut > len(prefix)]
    ends = [*cuts, len(program)]
    if parse(program[: ends[0]]) is None:
        return None
    kept = ends[0]
    for start, end in pairwise(ends):
        statement = program[start:end]
        nodes = parse(statement)
        if nodes is None or not all(isinstance(node, _KEPT_AFTER_BODY) for node in nodes):
            break
        if _defines(statement, entry_point):
            break
        kept = end
    return program[:kept]


def _plain(text: str) -> str | None:
    """Returns unfenced text as a program, without the prose around it; reads only the start of a very long text."""
    text = text[:MAX_PARSED]
    nodes = parse(text)
    if nodes is not None:
        return text if does_something(nodes) else None
    for start in _plain_starts(text):
        program = _up_to_prose(text[start:])
        if program is not None:
            return program
    return None


def _plain_starts(text: str) -> list[int]:
    """Offsets where code may begin: the first word, and after prose the first line that only code looks like."""
    first = len(text) - len(text.lstrip())
    code = _CODE_LINE.search(text)
    return [first, code.start()] if code and code.start() > first else [first]


def _up_to_prose(text: str) -> str | None:
    ends = [*(cut for cut in statement_starts(text) if cut > 0), len(text)]
    kept, working = 0, False
    for start, end in pairwise([0, *ends]):
        nodes = parse(text[start:end])
        if nodes is None or (nodes and not does_something(nodes)):
            break
        kept, working = end, working or bool(nodes)
    return text[:kept] if working else None


@dataclass(frozen=True, slots=True)
class Block:
    label: str
    code: str

    @property
    def rank(self) -> int:
        return 2 if self.label in PYTHON_LABELS else 1 if not self.label else 0


def _best_block(text: str, entry_point: str | None, prints: bool) -> str | None:
    blocks = fenced_blocks(text)
    if not blocks:
        return None
    defining = [block for block in blocks if _defines(block.code, entry_point)]
    rank = max(block.rank for block in blocks)
    best = defining or [block for block in blocks if block.rank == rank]
    printing = [block for block in best if _PRINTS.search(block.code)] if prints else []
    return (printing or best)[-1].code


def _begun_in_prompt(text: str) -> str | None:
    fence = _FENCE.search(text)
    if not fence or fence["label"]:
        return None
    before = text[: min(fence.start(), MAX_PARSED)]
    nodes = parse(before)
    return before if nodes and does_something(nodes) else None


def fenced_blocks(text: str) -> list[Block]:
    """Returns the fenced blocks that are not empty. A labelled fence inside a block ends it and opens the next."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    fences = list(_FENCE.finditer(text))
    quoted = 0
    for at, fence in enumerate(fences):
        if opened is None:
            opened = fence
        elif at >= quoted and fence["mark"][0] == opened["mark"][0] and len(fence["mark"]) >= len(opened["mark"]):
            quoted = _after_string(text, opened.end(), fences[at : at + _QUOTED]) + at
            if quoted > at:
                continue
            blocks.append(_block(text, opened, fence.start()))
            opened = fence if fence["label"] else None
    if opened is not None:
        blocks.append(_block(text, opened, len(text)))
    return [block for block in blocks if block.code.strip()]


def _after_string(text: str, start: int, fences: list[re.Match[str]]) -> int:
    """Returns how many of ``fences``, from the first, are inside a string of the program that begins at ``start``.

    A fence counts as quoted if the text before it ends inside a triple-quoted string, and the text before a later one
    is Python.
    """
    if not _is_open(text[start : fences[0].start()]):
        return 0
    for number, fence in enumerate(fences[1:], start=1):
        code = text[start : fence.start()]
        if len(code) <= MAX_PARSED and not _is_open(code) and parse(code) is not None:
            return number
    return 0


def _is_open(code: str) -> bool:
    return code.count('"""') % 2 == 1 or code.count("'''") % 2 == 1


def _block(text: str, opened: re.Match[str], end: int) -> Block:
    """Returns the text between two fences, without the indentation of the opening fence (a block in a list)."""
    code = text[opened.end() + 1 : end]
    indent = opened[0][: len(opened[0]) - len(opened[0].lstrip())]
    if indent:
        code = "\n".join(line.removeprefix(indent) for line in code.split("\n"))
    return Block(opened["label"].lower().strip("{}.:"), code)


def _defines(code: str, entry_point: str | None) -> bool:
    if not entry_point:
        return False
    name = re.escape(entry_point)
    forms = rf"(?:async[ \t]+)?def[ \t]+{name}[ \t]*\(|class[ \t]+{name}\b|{name}[ \t]*(?::[^=\n]{{1,80}})?=(?!=)"
    return bool(re.search(rf"^(?:{forms})", code, re.MULTILINE))


def _head(prefix: str, entry_point: str | None) -> str:
    """Returns the part of ``prefix`` before its definition of ``entry_point``: imports and helpers."""
    if entry_point:
        found = re.search(rf"^(?:async[ \t]+)?(?:def|class)[ \t]+{re.escape(entry_point)}\b", prefix, re.MULTILINE)
        prefix = prefix[: found.start()] if found else prefix
    lines = prefix.rstrip().split("\n")
    while lines and lines[-1].startswith("@"):
        lines.pop()
    head = "\n".join(lines).rstrip()
    return head + "\n\n\n" if head else ""
