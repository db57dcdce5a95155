"""Finds how a Java source file must be called and which class ``java`` has to start, from its source alone."""

import re
from typing import NamedTuple

# Quantifiers are possessive, so one pass is linear in any text.
_LEXEME = re.compile(
    r'(?P<skipped>/\*(?:[^*]|\*(?!/))*+(?:\*/|\Z)|//[^\n]*+|"""(?:[^"\\]|\\.|"(?!""))*+(?:"""|\Z)|'
    r""""(?:[^"\\\n]|\\.)*+"?|'(?:[^'\\\n]|\\.)*+'?)"""
    r"|(?P<open>\{)|(?P<close>\})"
    r"|\b(?P<package>package)\s++(?P<path>[\w.]++)"
    r"|\b(?P<public>public\s++)?+(?:(?:abstract|final|sealed|strictfp)\s++)*+"
    r"(?:class|interface|enum|record)\s++(?P<class>[^\W\d]\w{0,200})"
    r"|\bstatic\s++(?:(?:final|public|synchronized)\s++)*+void\s++(?P<main>main)\s*+\(",
    re.DOTALL,
)
DEFAULT = "Main"


class JavaNames(NamedTuple):
    """The name that the source file must have, and the full name of the class to start."""

    file: str
    main: str


def java_names(source: str) -> JavaNames:
    """Returns the names in a source: the file is called after the outermost public class.

    The first outermost class with ``static void main`` is started, else the public one, else the first.
    """
    package, depth, current, public, first, found = "", 0, "", "", "", ""
    for lexeme in _LEXEME.finditer(source):
        if lexeme["open"]:
            depth += 1
        elif lexeme["close"]:
            depth = max(depth - 1, 0)
        elif lexeme["path"] and not package and depth == 0:
            package = lexeme["path"] + "."
        elif lexeme["class"] and depth == 0:
            current = lexeme["class"]
            first = first or current
            public = public or (current if lexeme["public"] else "")
        elif lexeme["main"] and not found:
            found = current
    return JavaNames(public or DEFAULT, package + (found or public or first or DEFAULT))
