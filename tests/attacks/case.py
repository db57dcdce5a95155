"""One attack as data, and short functions to write one down.

Tokens in programs are replaced before they run: @CANARY@ (a folder that anybody may write to), @SECRET_FILE@ (anybody
may read it; its content is also in the environment of the harness), @PORT@ (a listener on the loopback) and @ABSTRACT@
(the name of a listening abstract socket).
"""

from dataclasses import dataclass, replace
from textwrap import dedent, indent
from typing import Any

PASS, REJECT = "pass", "reject"
WRONG = (([3], 1003), ([8], 1008))  # a forger has to return these without computing them
# Sends raw messages on the descriptor for answers.
SEND = """
import os, struct
def send(body, fd=3):
    body = struct.pack("<I", len(body)) + body
    while body:
        body = body[os.write(fd, body):]
"""


@dataclass(frozen=True)
class Case:
    """A program, the calls, test or output that judge it, and the verdict that it must get.

    ``must`` is ``pass``, ``reject`` (decided, but not passed) or the exact status. ``excused`` says why the tier
    ``confined`` need not stop this (``docs/sandbox.md``). ``test_too``: a test judges it as well as calls, since the
    process at the other end matters. ``packages`` are what the task declares.
    """

    name: str
    code: str
    must: str = REJECT
    calls: tuple[tuple[list[Any], Any], ...] = ()
    tests: str = ""
    stdin: str = ""
    stdout: str | None = None
    entry_point: str = "f"
    wall_s: float = 5.0
    memory_mb: int = 256
    excused: str = ""
    test_too: bool = True
    packages: tuple[str, ...] | None = None

    @property
    def modes(self) -> tuple[str, ...]:
        """Lists the ways in which it is judged: all that make sense for it."""
        if self.stdout is not None:
            return ("stdio",)
        if not self.calls:
            return ("test",)
        return ("calls", "test") if self.test_too else ("calls",)

    @property
    def test_source(self) -> str:
        lines = [f"    assert candidate(*{arguments!r}) == {expected!r}\n" for arguments, expected in self.calls]
        return self.tests or "def check(candidate):\n" + "".join(lines)


def forger(name: str, code: str, **more: Any) -> Case:
    """Describes a program that does not compute what it is asked for."""
    return Case(name, dedent(code), calls=WRONG, **more)


def attempt(name: str, body: str, *, test_too: bool = False, **more: Any) -> Case:
    """Describes a program that gives the right answer only if its attempt has worked."""
    source = f"def go():\n{indent(dedent(body).strip(), '    ')}\n"
    source += "def f(x):\n    try:\n        return bool(go())\n    except Exception:\n        return False\n"
    return Case(name, source, calls=(([0], True),), test_too=test_too, **more)


def either_way(name: str, body: str, **more: Any) -> Case:
    """Describes an attempt that is judged by calls and by a test, which differ in descriptors, peer and memory."""
    return attempt(name, body, test_too=True, **more)


def expression(name: str, tried: str, modules: str = "os", **more: Any) -> Case:
    """Describes an attempt that has worked as soon as the expression has any value."""
    return attempt(name, f"import {modules}\n{tried}\nreturn True", **more)


def program(name: str, code: str, stdout: str = "ok\n", **more: Any) -> Case:
    """Describes a whole program, judged by its output."""
    return Case(name, dedent(code), stdout=stdout, **more)


def tested(name: str, code: str, tests: str, **more: Any) -> Case:
    """Describes a program that is judged by test source only: ``tests`` is the body of ``check``."""
    return Case(name, dedent(code), tests=f"def check(candidate):\n{indent(dedent(tests).strip(), '    ')}\n", **more)


def control(case: Case) -> Case:
    """Returns the same case as an honest program: it has to pass."""
    return replace(case, must=PASS)
