"""Honest programs, which have to pass, whatever is forbidden to attackers."""

# ruff: noqa: E501 (programs stand as they are)

from typing import Any

from tests.attacks.case import Case, control, program, tested


def _returns(name: str, code: str, *calls: tuple[list[Any], Any], **more: Any) -> Case:
    return Case(name, code, "pass", calls=calls, **more)


_PLUS = "def f(x):\n    return x + 1000\n"
_CALLS: tuple[tuple[list[Any], Any], ...] = (([3], 1003), ([8], 1008))

CASES = (
    _returns("simple", _PLUS, *_CALLS),
    _returns(
        "types",
        "def f():\n    return {'k': (1, [0.5, None, False]), 'm': {7}, 9: b'ab', (0, 1): frozenset([5]), 'c': 1 + 2j}\n",
        ([], {"k": (1, [0.5, None, False]), "m": {7}, 9: b"ab", (0, 1): frozenset([5]), "c": 1 + 2j}),
    ),
    _returns("big-integer", "def f(n):\n    return 3 ** n\n", ([9000], 3**9000)),
    _returns(
        "prints",
        "import sys\nprint('a')\n" + _PLUS.replace("return", "print('b' * 500, file=sys.stderr);return"),
        *_CALLS,
    ),
    _returns(
        "recursion",
        "import sys\nsys.setrecursionlimit(30000)\ndef f(n):\n    return n and 1 + f(n - 1)\n",
        ([8000], 8000),
    ),
    _returns(
        "subclasses",
        "from collections import *\nP = namedtuple('P', 'x y')\ndef f(t):\n"
        "    return [Counter(t), OrderedDict(a=1), P(1, 2), deque([1]) and defaultdict(int, b=2)]\n",
        (["aab"], [{"a": 2, "b": 1}, {"a": 1}, (1, 2), {"b": 2}]),
    ),
    _returns(
        "catches-all",
        "def f(x):\n    try:\n        raise SystemExit\n    except BaseException:\n        return x + 1000\n",
        *_CALLS,
    ),
    _returns("devnull", "import os\nopen(os.devnull, 'w').write('x')\n" + _PLUS, *_CALLS),
    _returns(
        "random-bytes", "import os, random, uuid\nos.urandom(8), random.random(), uuid.uuid4()\n" + _PLUS, *_CALLS
    ),
    _returns(
        "dataclass",
        "from dataclasses import dataclass, asdict\n@dataclass(order=True)\nclass A:\n    v: list[int]\n"
        "def f(x):\n    return asdict(max(A([x]), A([0])))\nif __name__ == '__main__':\n    pass\n",
        ([2], {"v": [2]}),
    ),
    _returns(
        "threads",
        "from threading import Thread\ndef f(n):\n    out = []\n    ts = [Thread(target=out.append, args=(i,)) for i in range(n)]\n"
        "    [t.start() for t in ts]\n    [t.join() for t in ts]\n    return sorted(out)\n",
        ([20], list(range(20))),
    ),
    _returns(
        "asyncio",
        "import asyncio\nasync def g(x):\n    await asyncio.sleep(0.001)\n    return x\n"
        "async def h(n):\n    return await asyncio.gather(*map(g, range(n)))\ndef f(n):\n    return asyncio.run(h(n))\n",
        ([5], [0, 1, 2, 3, 4]),
    ),
    _returns(
        "own-signal",
        "import os, signal\nseen = []\nsignal.signal(signal.SIGUSR1, lambda *a: seen.append(1))\n"
        "def f():\n    os.kill(os.getpid(), signal.SIGUSR1)\n    return len(seen)\n",
        ([], 1),
    ),
    _returns("memory", "def f():\n    return len(bytearray(150 << 20)) >> 20\n", ([], 150)),
    _returns("large-value", "def f(n):\n    return ['x' * 10] * n\n", ([20000], ["x" * 10] * 20000)),
    _returns(
        "iterator",
        "def f(n):\n    return (i * i for i in range(n))\n",
        ([3], [0, 1, 4]),
        tests="def check(candidate):\n    assert list(candidate(3)) == [0, 1, 4]\n",
    ),
    _returns("text", "def f(s):\n    return s[::-1]\n", (["aß水\ud800\0"], "\0\ud800水ßa")),
    _returns(
        "method",
        "class Solution:\n    def solve(self, x):\n        return x + 1\n",
        ([1], 2),
        entry_point="Solution.solve",
    ),
    _returns("closed-streams", "import sys\nsys.stdout = sys.stderr = None\n" + _PLUS, *_CALLS),
    control(
        tested(
            "raises",
            "def f(x):\n    raise ValueError('low' if x < 0 else 'high')\n",
            """
        for x, word in ((-1, 'low'), (1, 'high')):
            try:
                candidate(x)
            except ValueError as error:
                assert word in str(error)
            else:
                raise AssertionError
        """,
        )
    ),
    control(
        tested(
            "own-exception",
            "class Odd(Exception):\n    pass\ndef f(x):\n    raise Odd('no')\n",
            """
        try:
            candidate(1)
        except Exception as error:
            assert 'no' in str(error)
        else:
            assert False
        """,
        )
    ),
    control(
        tested(
            "in-place",
            "def f(a, *, d):\n    a.sort()\n    d['n'] = len(a)\n",
            """
        a, d = [3, 1, 2], {}
        assert candidate(a, d=d) is None
        assert a == [1, 2, 3] and d == {'n': 3}
        """,
        )
    ),
    control(tested("tolerance", "def f(x):\n    return x / 3\n", "assert abs(candidate(1) - 0.33333) < 1e-4")),
    control(
        tested(
            "random-tests",
            "def f(a):\n    return sorted(a, reverse=True)\n",
            """
        import random
        for seed in range(30):
            a = random.Random(seed).sample(range(99), 9)
            assert candidate(list(a)) == sorted(a)[::-1]
        """,
        )
    ),
    control(
        program("input", "n = int(input())\nprint(max(int(input()) for _ in range(n)))\n", "7\n", stdin="2\n5\n7\n")
    ),
    control(program("open-0", "print(open(0).read()[::-1])\n", "cba\n", stdin="abc")),
    control(
        program(
            "stdin-bytes", "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))\n", "6\n", stdin="1 2\n3"
        )
    ),
    control(
        program(
            "file-input", "import fileinput\nprint(*[len(l) for l in fileinput.input()])\n", "3 2\n", stdin="ab\ncd"
        )
    ),
    control(
        program(
            "main-exit",
            "import sys\ndef main():\n    print('ok')\n    sys.exit(0)\nif __name__ == '__main__':\n    main()\n",
        )
    ),
    control(program("exit-word", "print('ok')\nquit()\n")),
    control(
        program(
            "until-end",
            "t = 0\ntry:\n    while True:\n        t += int(input())\nexcept EOFError:\n    print(t)\n",
            "3\n",
            stdin="1\n2\n",
        )
    ),
    control(program("at-exit", "import atexit\natexit.register(lambda: print('ok'))\n")),
    control(program("raw-write", "import os\nos.write(1, b'ok')\n")),
    control(
        program(
            "threaded-recursion",
            """
        import sys, threading
        sys.setrecursionlimit(10**6)
        threading.stack_size(256 << 20)
        def g(n):
            return n and g(n - 1)
        def main():
            g(20000)
            print('ok')
        threading.Thread(target=main).start()
        """,
        )
    ),
    control(program("large-output", "print('ok' * 200000)\n", "ok" * 200000)),
    control(
        program(
            "noise-on-stderr", "import sys, warnings\nwarnings.warn('x')\nsys.stderr.write('y' * 99999)\nprint('ok')\n"
        )
    ),
    control(
        program(
            "scratch",
            """
        import tempfile
        with tempfile.NamedTemporaryFile('w+') as file:
            file.write('ok')
            file.seek(0)
            print(file.read())
        """,
            excused="has no writable folder, as promised",
        )
    ),
)
