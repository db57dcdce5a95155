"""Does the work of children a few times in the zygote itself, before it serves.

The interpreter fills caches as it goes: attributes by type, instructions by the types they met. A child that finds them
empty fills them on pages that it has to copy first, and the next child does so again. Therefore harmless programs with
what candidates use most are compiled, run and answered here, by the same functions.
"""

import os
import sys
from typing import Any

from verify.sandbox import child, wire

_TIMES = 20  # an instruction is adapted after eight runs
_PROGRAM = """
import math
from collections import defaultdict
from typing import List

class Node:
    def __init__(self, value, left=None):
        self.value, self.left = value, left

def f(numbers: List[int], *rest, key=None, **more):
    seen, text = {}, ""
    for index, number in enumerate(numbers):
        if number % 2 == 0 and number not in seen:
            seen[number] = index
            text += f"{number}-{chr(ord('a') + 1)}"
        elif number > 10 or not rest:
            continue
        else:
            break
    try:
        first = [int(x) for x in str(abs(numbers[0]))] if numbers else []
    except (ValueError, IndexError):
        return None
    ordered = sorted(set(first), key=lambda x: -x)
    while ordered and len(ordered) > 3:
        ordered.pop()
    return ordered, seen, text.strip().split("-"), sum(first), max(1, 2.5), Node(1).value is None
"""
_SCRIPT = """
n = int(input())
for line in range(n):
    a, b = map(int, input().split())
    print(a + b, end=' ')
print()
"""
_TEST = "def check(candidate):\n    assert candidate([1, 2]) == [2, 1]\n    assert not candidate([])\n"


def rehearse() -> None:
    """Runs, calls and tests harmless programs; leaves nothing behind but filled caches."""
    kept = {name: getattr(sys, name) for name in ("stdin", "__stdin__", "stdout", "__stdout__")}
    modules = {name: sys.modules.get(name) for name in ("__main__", "candidate", "tests")}
    for _ in range(_TIMES):
        _calls()
        _program()
        _test()
    vars(sys).update(kept)
    for name, module in modules.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


def _calls() -> None:
    answers = child.answer_calls(_PROGRAM, "", "f", [[[3, 4, 12]], [[]]])
    wire.parse(wire.pack(answers)[4:])
    functions: dict[str, Any] = {}
    child.introduced({"f": lambda numbers: numbers.reverse() or numbers}, ("f",), functions)
    request = wire.parse(wire.pack(["f", [wire.encode([[1, 2]]), wire.encode({})]])[4:])
    wire.pack(child.serve_call(functions, request))


def _program() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"2\n1 2\n3 4\n")
    sink = os.open("/dev/null", os.O_WRONLY)
    child.run_program(_SCRIPT, child.Streams(reader, sink))
    sys.stdout.flush()
    for descriptor in (reader, writer, sink):
        os.close(descriptor)


def _test() -> None:
    namespace = child.new_module("tests")
    child.run(compile(_TEST, "tests.py", "exec"), namespace, "tests.py")
    namespace["check"](lambda numbers: wire.decode(wire.encode(numbers[::-1])))
