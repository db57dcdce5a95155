"""Finds the program in a completion. Models wrap code in prose, fences and half sentences; verifiers need one text.

All code verifiers share these rules. The rules are pure: they never execute the text. To know if a piece of text is
Python, they parse it (to a syntax tree, nothing more), with bounds on length and depth.
"""

import ast
import re
import warnings
from dataclasses import dataclass
from itertools import pairwise

from verify.special_tokens import after_thought

VERSION = "extract/2"  # must change with every rule below: it is part of the version of all code verdicts
MAX_TEXT = 2_000_000  # characters; the longest contexts of today are far shorter
MAX_PARSED = 200_000  # characters of unfenced text that are searched for code
PYTHON_LABELS = frozenset({"py", "py3", "python", "python3", "pypy", "pypy3"})

_DONE = re.compile(r"^\[DONE\]", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]{0,12}(?P<mark>`{3,}|~{3,})[ \t]*(?P<label>[^\s`~]{0,40})[^\n`]{0,200}$", re.MULTILINE)
_CODE_LINE = re.compile(
    r"^(?:import[ \t]+\w|from[ \t]+[\w.]+[ \t]+import\b|(?:async[ \t]+)?def[ \t]+\w|class[ \t]+\w|@\w"
    r"|if[ \t]+__name__\b)",
    re.MULTILINE,
)
# One lexeme that decides where a statement may start. Its quantifiers are possessive, so it is linear in any text.
_LEXEME = re.compile(
    r'(?P<string>"""(?:[^\\"]|\\.|"(?!""))*+(?:"""|\Z)|'
    r"'''(?:[^\\']|\\.|'(?!''))*+(?:'''|\Z)|"
    r'"(?:[^\\"\n]|\\.)*+(?:"|(?=\n)|\Z)|'
    r"'(?:[^\\'\n]|\\.)*+(?:'|(?=\n)|\Z))"
    r"|(?P<comment>\#[^\n]*+)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<joined>\\\n)|(?P<line>\n)",
    re.DOTALL,
)
_CLAUSE = re.compile(r"(?:else|elif|except|finally)\b")
_KEPT_AFTER_BODY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign)


def extract_code(text: str, *, prefix: str = "", entry_point: str | None = None) -> str | None:
    """Returns the program that ``text`` offers, or None where it offers none.

    1. Text before ``</think>`` and text after a line that begins with ``[DONE]`` (MBPP's format) are ignored.
    2. *Continuation*: a text whose first line is indented continues a ``prefix`` (the prompt's own code, for example a
       signature with its docstring) and gives the prefix plus the body. The body ends at the first fence or unindented
       line. Functions, classes, imports and assignments after the body are kept, up to the first thing that is none of
       these, does not parse, or defines ``entry_point`` again.
    3. *Fences* (an unclosed one runs to the end): the last block that defines ``entry_point``, else the last block. A
       block labelled Python goes before an unlabelled one, and an unlabelled one before any other. The prefix before
       its own definition of ``entry_point`` (imports, helpers) is put in front. A block that is an indented body
       continues the prefix. Code before a first, unlabelled fence is the program: the prompt opened its fence.
    4. *Plain text*: the whole text if it parses; else the text without prose before its first line of code and after
       its last complete statement. The prefix's imports and helpers are put in front.
    5. For an ``entry_point`` that is a method (``Solution.solve``), a block has to define the class.
    6. A text that continues the prefix but does not parse is still a candidate (which will fail) if no rule finds a
       better one. A program with a NUL or a lone surrogate, or a text of over ``MAX_TEXT`` characters, offers none.
    """
    if len(text) > MAX_TEXT or len(prefix) > MAX_TEXT:
        return None
    answer = _DONE.split(after_thinking(text).replace("\r\n", "\n"), maxsplit=1)[0]
    name = entry_point.partition(".")[0] if entry_point else None
    program = _choose(answer, prefix.replace("\r\n", "\n"), name)
    return program if program is not None and program.strip() and _encodable(program) else None


def after_thinking(text: str) -> str:
    """Returns the answer after the thoughts in ``text``, without special tokens; nothing after an unfinished one."""
    return after_thought(text)


def _choose(text: str, prefix: str, entry_point: str | None) -> str | None:
    body = _body(text, prefix)
    if body is not None and (program := _continued(prefix, body, entry_point)):
        return program
    block = _begun_in_prompt(text) or _best_block(text, entry_point)
    if block is None:
        plain = _plain(text)
        if plain is not None:
            return _head(prefix, entry_point) + plain
        return None if body is None else prefix + body
    inner = _body(block, prefix) if not _defines(block, entry_point) else None
    if inner is not None:
        return _continued(prefix, inner, entry_point) or prefix + inner
    return _head(prefix, entry_point) + block


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
    if _parse(program[: ends[0]]) is None:
        return None
    kept = ends[0]
    for start, end in pairwise(ends):
        statement = program[start:end]
        nodes = _parse(statement)
        if nodes is None or not all(isinstance(node, _KEPT_AFTER_BODY) for node in nodes):
            break
        if _defines(statement, entry_point):
            break
        kept = end
    return program[:kept]


def _plain(text: str) -> str | None:
    """Returns unfenced text as a program, without the prose around it; reads only the start of a very long text."""
    text = text[:MAX_PARSED]
    nodes = _parse(text)
    if nodes is not None:
        return text if _does_something(nodes) else None
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
        nodes = _parse(text[start:end])
        if nodes is None or (nodes and not _does_something(nodes)):
            break
        kept, working = end, working or bool(nodes)
    return text[:kept] if working else None


def _does_something(nodes: list[ast.stmt]) -> bool:
    """Returns False for words and numbers alone, which parse as Python but are prose."""
    idle = (ast.Name, ast.Constant, ast.Tuple)
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, idle)) for node in nodes)


@dataclass(frozen=True, slots=True)
class Block:
    label: str
    code: str

    @property
    def rank(self) -> int:
        return 2 if self.label in PYTHON_LABELS else 1 if not self.label else 0


def _best_block(text: str, entry_point: str | None) -> str | None:
    blocks = fenced_blocks(text)
    if not blocks:
        return None
    defining = [block for block in blocks if _defines(block.code, entry_point)]
    best = max(block.rank for block in blocks)
    return (defining or [block for block in blocks if block.rank == best])[-1].code


def _begun_in_prompt(text: str) -> str | None:
    fence = _FENCE.search(text)
    if not fence or fence["label"]:
        return None
    before = text[: min(fence.start(), MAX_PARSED)]
    nodes = _parse(before)
    return before if nodes and _does_something(nodes) else None


def fenced_blocks(text: str) -> list[Block]:
    """Returns the fenced blocks that are not empty. A labelled fence inside a block ends it and opens the next."""
    blocks: list[Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["mark"][0] == opened["mark"][0] and len(fence["mark"]) >= len(opened["mark"]):
            blocks.append(_block(text, opened, fence.start()))
            opened = fence if fence["label"] else None
    if opened is not None:
        blocks.append(_block(text, opened, len(text)))
    return [block for block in blocks if block.code.strip()]


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


def statement_starts(text: str) -> list[int]:
    """Returns offsets of lines that start a top-level statement: unindented, outside strings, brackets, comments."""
    starts, depth, decorated = [], 0, False
    if _starts_statement(text, 0):
        starts.append(0)
        decorated = text.startswith("@")
    for lexeme in _LEXEME.finditer(text):
        if lexeme.lastgroup == "open":
            depth += 1
        elif lexeme.lastgroup == "close":
            depth = max(0, depth - 1)
        elif lexeme.lastgroup == "line" and depth == 0 and _starts_statement(text, lexeme.end()):
            if not decorated:
                starts.append(lexeme.end())
            decorated = text.startswith("@", lexeme.end())
    return starts


def _starts_statement(text: str, at: int) -> bool:
    return text[at : at + 1] not in ("", " ", "\t", "\n", "#", ")", "]", "}") and not _CLAUSE.match(text, at)


def _parse(code: str) -> list[ast.stmt] | None:
    """Returns the statements of ``code``, or None where it is no Python. Compiles and runs nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the candidate's code: "\d" in a string and the like
        try:
            return ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def _encodable(program: str) -> bool:
    return "\0" not in program and not any("\ud800" <= character <= "\udfff" for character in program)
