"""Outputs of whole programs that attack the task's own checker (``checker: check.py``), which decides on them."""

from dataclasses import dataclass

HEAD = "def check(input, output, expected):\n"
# Accepts any order of the right words, as a task with several right outputs would.
ANY_ORDER = HEAD + "    return sorted(output.split()) == sorted(expected.split())\n"
NUMBER = HEAD + "    return abs(float(output) - float(expected)) < 1e-6\n"
INTEGER = HEAD + "    return int(output) == int(expected)\n"
JSON = "import json\n" + HEAD + "    return json.loads(output) == json.loads(expected)\n"
REGEX = "import re\n" + HEAD + "    return re.fullmatch(r'(a|a)*b', output) is not None\n"
EVAL = HEAD + "    return bool(eval(output) == 18)\n"
NOISY = HEAD + "    print(output * 99)\n    return output == expected\n"
FILE = HEAD + "    return open(output.strip()).read() != ''\n"
ANSWER = HEAD + "    return output.strip()\n"
INDEX = HEAD + "    return [int(word) for word in output.split()][int(output.split()[0])] == 18\n"


@dataclass(frozen=True)
class Output:
    """A checker, a Python program whose output attacks it, and the statuses that may come of it; none is a pass."""

    name: str
    checker: str
    program: str
    ends: tuple[str, ...] = ("fault",)


def _prints(name: str, checker: str, text: str, *ends: str) -> Output:
    """Describes a program that prints a text: a Python expression."""
    return Output(name, checker, f"import sys\nsys.stdout.write({text})\n", ends or ("fault",))


CASES = (
    _prints("nothing", ANY_ORDER, "''", "fail"),
    _prints("all-words", ANY_ORDER, "' '.join(map(str, range(1000)))", "fail"),
    _prints("not-a-number", NUMBER, "'nan'", "fail"),
    _prints("infinite", NUMBER, "'inf'", "fail"),
    _prints("beyond-floats", NUMBER, "'1e999'", "fail"),
    _prints("no-number", NUMBER, "'18 or 19'"),
    _prints("many-digits", INTEGER, "'1' * 900_000", "fail", "fault"),
    _prints("other-digits", INTEGER, "'\\u0661\\u0669'", "fail"),
    _prints("deep", JSON, "'[' * 500_000"),
    _prints("equal-hashes", JSON, "'{' + ','.join(f'\"{n}\": 1' for n in range(50_000)) + '}'", "fail"),
    _prints("bomb", REGEX, "'a' * 60"),
    _prints("noise", NOISY, "'x' * 1_000_000", "fail", "fault"),
    _prints("true", ANSWER, "'True'"),
    _prints("index-out-of-range", INDEX, "'1000000'"),
    _prints("halves-of-pairs", ANY_ORDER, "'18\\x00\\x1b[2J'", "fail"),
    Output("bytes", ANY_ORDER, "import os\nos.write(1, bytes(range(256)) * 99)\n", ("fail",)),
    _prints("read-a-secret", FILE, "'@SECRET_FILE@'"),
    _prints("read-proc", FILE, "'/proc/1/environ'"),
    _prints("exit", EVAL, "'__import__(\"os\")._exit(0)'"),
    _prints("endless", EVAL, "'[0 for n in iter(int, 1)]'"),
    _prints("all-memory", EVAL, "'[bytearray(1 << 24) for n in range(999)]'"),
    _prints("write", EVAL, '\'open("@CANARY@/x", "w")\''),
    _prints("forged-answer", EVAL, '\'[__import__("os").write(3, bytes([9]) * 99), __import__("os")._exit(0)]\''),
    _prints("kill-the-parent", EVAL, '\'__import__("os").kill(__import__("os").getppid(), 9)\'', "fail", "fault"),
    _prints("too-much", ANY_ORDER, "'18 ' * 2_000_000", "output"),
    Output("after-the-right-one", ANY_ORDER, "print(18)\nraise SystemExit(3)\n", ("crash",)),
)
