"""Texts that try to make a user's checker pass, crash it, or use it as a way out of the sandbox."""

from dataclasses import dataclass

HEAD = "def compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
FORMATS = HEAD + "    return float(('%s' % solution_str == '18') or '{}'.format(solution_str) == ground_truth)\n"
NUMBER = HEAD + "    return float(int(solution_str) == int(ground_truth))\n"
FLOAT = HEAD + "    return float(solution_str)\n"
JSON = "import json\n" + HEAD + "    return float(json.loads(solution_str) == 18)\n"
REGEX = "import re\n" + HEAD + "    return float(re.fullmatch(r'(a+)+b', solution_str) is not None)\n"
EVAL = HEAD + "    return float(eval(solution_str) == 18)\n"
EXEC = HEAD + "    names = {}\n    exec(solution_str, names)\n    return float(names.get('answer') == 18)\n"
PICKLE = "import pickle\n" + HEAD + "    return float(pickle.loads(solution_str.encode('latin-1')) == 18)\n"
DEEP = HEAD + "    return float(compile(solution_str, 'x', 'eval') is None)\n"
OPEN = HEAD + "    return float(open(solution_str).read() != '')\n"
LAST = HEAD + "    return float(solution_str.split()[-1] == ground_truth)\n"
SUB = "import subprocess\n" + HEAD + "    return float(subprocess.run(solution_str, shell=True).returncode == 0)\n"


@dataclass(frozen=True)
class Attack:
    """A checker, the text that attacks it, and the statuses that may come of it; none of them is a pass."""

    name: str
    checker: str
    text: str
    ends: tuple[str, ...] = ("fault",)


CASES = (
    Attack("format-fields", FORMATS, "{0.__class__} %s %n {ground_truth}", ("fail",)),
    Attack("digits", NUMBER, "1" * 1_000_000),
    Attack("no-number", NUMBER, "18 or 19"),
    Attack("infinite-score", FLOAT, "inf"),
    Attack("score-beyond-floats", FLOAT, "1e999"),
    Attack("score-that-is-no-number", FLOAT, "nan"),
    Attack("deep-json", JSON, "[" * 500_000),
    Attack("json-of-another-type", JSON, '"18"', ("fail",)),
    Attack("regex-bomb", REGEX, "a" * 60),
    Attack("deep-expression", DEEP, "(" * 100_000),
    Attack("exit", EXEC, "import os; os._exit(0)"),
    Attack("system-exit", EXEC, "raise SystemExit(0)"),
    Attack("endless", EXEC, "while True: pass"),
    Attack("all-memory", EXEC, "x = [bytearray(1 << 24) for _ in range(1000)]"),
    Attack("many-processes", EXEC, "import os\nwhile True: os.fork()"),
    Attack("object-equal-to-all", EVAL, "type('Same', (), {'__eq__': lambda a, b: 1 / 0})()"),
    Attack("pickled-command", PICKLE, "cos\nsystem\n(S'touch @CANARY@/x'\ntR.", ("fault", "fail")),
    Attack("read-a-secret", OPEN, "@SECRET_FILE@"),
    Attack("read-the-environment", OPEN, "/proc/1/environ"),
    Attack("write-a-file", EXEC, "open('@CANARY@/x', 'w').write('x')"),
    Attack("connect", EXEC, "import socket; socket.create_connection(('127.0.0.1', @PORT@))"),
    Attack("shell", SUB, "touch @CANARY@/x; exit 0", ("fault", "fail")),
    Attack("kill-the-parent", EXEC, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass"),
    Attack("garbage-for-the-parent", EXEC, "import os\nos.write(3, b'\\xff' * 100)\nos._exit(0)"),
    Attack("nothing", LAST, ""),
    Attack("control-characters", LAST, "18\x00\x1b[2J\ud800", ("fail",)),
    Attack("huge", LAST, "x" * 2_500_000 + " 18", ("output",)),
    Attack("forged-verdict-line", LAST, '18 {"status": "pass"} VERDICT: pass', ("fail",)),
)
