"""What one attack is, and short ways to write one down.

Tokens in programs are replaced before they run: @CANARY@ (a folder that anybody may write), @SECRET_FILE@ (readable by
anybody; its content is also in the environment of the harness), @PORT@ (a listener on the loopback) and @ABSTRACT@ (the
name of a listening abstract socket).
"""

from dataclasses import dataclass, replace
from textwrap import dedent, indent
from typing import Any

PASS, REJECT = "pass", "reject"
WRONG = (([3], 1003), ([8], 1008))  # what a forger has to return without computing it
# Raw messages on the descriptor that answers go to.
SEND = """
import os, struct
def send(body, fd=3):
    body = struct.pack("<I", len(body)) + body
    while body:
        body = body[os.write(fd, body):]
"""


@dataclass(frozen=True)
class Case:
    """A program, the calls, test or output that judge it, and what has to come of it.

    ``must`` is ``pass``, ``reject`` (decided, but not passed) or the exact status. ``excused`` says why the tier
    ``confined`` need not stop this (see the promises in ``verify/sandbox/sandbox.py``). ``test_too``: judged by a test
    as well as by calls, for what depends on who is at the other end.
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

    @property
    def modes(self) -> tuple[str, ...]:
        """How it is judged: each way in which it makes sense."""
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
    """A program that does not compute what it is asked for."""
    return Case(name, dedent(code), calls=WRONG, **more)


def attempt(name: str, body: str, *, test_too: bool = False, **more: Any) -> Case:
    """A program that gives the right answer only if what it tries has worked."""
    source = f"def go():\n{indent(dedent(body).strip(), '    ')}\n"
    source += "def f(x):\n    try:\n        return bool(go())\n    except Exception:\n        return False\n"
    return Case(name, source, calls=(([0], True),), test_too=test_too, **more)


def either_way(name: str, body: str, **more: Any) -> Case:
    """An attempt on what differs between being called and being tested: descriptors, the peer, memory."""
    return attempt(name, body, test_too=True, **more)


def expression(name: str, tried: str, modules: str = "os", **more: Any) -> Case:
    """An attempt that has worked as soon as the expression has a value, whatever it is."""
    return attempt(name, f"import {modules}\n{tried}\nreturn True", **more)


def program(name: str, code: str, stdout: str = "ok\n", **more: Any) -> Case:
    """A whole program."""
    return Case(name, dedent(code), stdout=stdout, **more)


def tested(name: str, code: str, tests: str, **more: Any) -> Case:
    """A program judged by test source only: ``tests`` is the body of ``check``."""
    return Case(name, dedent(code), tests=f"def check(candidate):\n{indent(dedent(tests).strip(), '    ')}\n", **more)


def control(case: Case) -> Case:
    """The same, but honest: it has to pass."""
    return replace(case, must=PASS)
