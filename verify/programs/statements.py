"""Reads Python's syntax in a text that may be no Python: where statements start, what parses, what does something.

The text is parsed to a syntax tree, nothing more; it is never executed. Every function is linear in the text's length.
"""

import ast
import contextlib
import re
import sys
import warnings
from collections.abc import Iterator

MAX_DIGITS = 100_000  # of one integer in a program that is parsed; the interpreter's own limit is 4,300
# One lexeme that decides where a statement may start. Its quantifiers are possessive, so it is linear in any text.
_LEXEME = re.compile(
    r'(?P<string>"""(?:[^\\"]|\\.|"(?!""))*+(?:"""|\Z)|'
    r"'''(?:[^\\']|\\.|'(?!''))*+(?:'''|\Z)|"
    r'"(?:[^\\"\n]|\\.)*+(?:"|(?=\n)|\Z)|'
    r"'(?:[^\\'\n]|\\.)*+(?:'|(?=\n)|\Z))"
    r"|(?P<comment>\#[^\n]*+)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<joined>\\\n)|(?P<line>\n)",
    re.DOTALL,
)
_NO_CODE = re.compile("[\0\ud800-\udfff]")
_CLAUSE = re.compile(r"(?:else|elif|except|finally)\b")


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


def line_starts(text: str) -> list[int]:
    """Returns offsets of the lines that begin outside of strings: those whose indentation means something."""
    return [0, *(lexeme.end() for lexeme in _LEXEME.finditer(text) if lexeme.lastgroup in ("line", "joined"))]


def _starts_statement(text: str, at: int) -> bool:
    return text[at : at + 1] not in ("", " ", "\t", "\n", "#", ")", "]", "}") and not _CLAUSE.match(text, at)


def parse(code: str) -> list[ast.stmt] | None:
    """Returns the statements of ``code``, or None where it is no Python. Compiles and runs nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the candidate's code: "\d" in a string and the like
        try:
            return ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return _parse_long_integers(code) if "integer string conversion" in str(error) else None


def _parse_long_integers(code: str) -> list[ast.stmt] | None:
    with long_integers():
        try:
            return ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


@contextlib.contextmanager
def long_integers() -> Iterator[None]:
    """Lets code be parsed and compiled that holds longer integers than the interpreter reads by itself."""
    kept = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(MAX_DIGITS)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(kept)


def does_something(nodes: list[ast.stmt]) -> bool:
    """Returns False for words and numbers alone, which parse as Python but are prose."""
    idle = (ast.Name, ast.Constant, ast.Tuple)
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, idle)) for node in nodes)


def is_encodable(program: str) -> bool:
    """Returns True for a text that Python can compile: without a NUL, without half a surrogate pair."""
    return _NO_CODE.search(program) is None
