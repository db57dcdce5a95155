"""Functions under calls, test source and asserts: right ones pass, forgers fail, gold solutions pass."""

# ruff: noqa: E501 (programs stand as they are)

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from sampling.problems import Problem
from sampling.references import PythonReference
from tests.support.places import TASK_DATA
from verify.mutants import known_completions
from verify.python import PythonVerifier
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.verdict import Status, Verdict

CASES = {"cases": [{"args": [3], "expected": 1003}, {"args": [8], "expected": 1008}], "entry_point": "f"}
TESTS = {"tests": "def check(candidate):\n    assert candidate(3) == 1003\n    assert candidate(8) == 1008\n"}
TESTS |= {"entry_point": "f"}  # type: ignore[dict-item]
ASSERTS = {"asserts": ["assert f(3) == 1003", "assert f(8) == 1008"]}
ALL = [CASES, TESTS, ASSERTS]


@pytest.fixture(scope="module", params=SAFE_TIERS)
def verifier(request: pytest.FixtureRequest) -> Iterator[PythonVerifier]:
    try:
        made = PythonVerifier(Sandbox(request.param))
    except TierUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def verify(verifier: PythonVerifier, reference: dict[str, Any], code: str, **more: Any) -> Verdict:
    given = PythonReference.model_validate({"time_limit_s": 10.0, "memory_mb": 256, **reference, **more})
    problem = Problem(id="p", prompt="x", verifier="python", reference=given)
    return verifier.verify(problem, f"```python\n{code}\n```")


@pytest.mark.parametrize("reference", ALL, ids=["cases", "tests", "asserts"])
def test_right_and_wrong(verifier: PythonVerifier, reference: dict[str, Any]) -> None:
    right = verify(verifier, reference, "def f(x):\n    return x + 1000")
    assert (right.status, right.reason) == (Status.PASS, "")
    assert right.tier == verifier.sandbox.tier
    assert right.cpu_s > 0
    assert verify(verifier, reference, "def f(x):\n    return 1003").status is Status.FAIL


FORGERS = [
    "class E(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef f(x):\n    return E(5)",
    "class E:\n    __eq__ = lambda s, o: True\ndef f(x):\n    return E()",
    "class E:\n    __class__ = property(lambda s: int)\n    __eq__ = lambda s, o: True\ndef f(x):\n    return E()",
    "import os\ndef f(x):\n    os._exit(0)",
    "def f(x):\n    raise SystemExit(0)",
    "def f(x):\n    raise StopIteration",
    "import builtins\nbuiltins.AssertionError = type('Q', (BaseException,), {})\ndef f(x):\n    return -1",
    "import builtins\nbuiltins.exec = builtins.compile = lambda *a, **k: None\ndef f(x):\n    return -1",
    'import os\nfor fd in range(3, 99):\n    try:\n        os.write(fd, b\'src\\n\\x0b\\0\\0\\0["pass",""]\')\n'
    "    except OSError:\n        pass\ndef f(x):\n    return -1",
    "def f(x):\n    return lambda: 1",
    "def f(x):\n    a = []\n    a.append(a)\n    return a",
    "import threading, os, time\nthreading.Thread(target=lambda: (time.sleep(0.05), os._exit(0))).start()\n"
    "def f(x):\n    time.sleep(0.3)",
    "raise SystemExit(0)",
    "import os\nos._exit(0)",
    "def g(x):\n    return x + 1000",
    "f = 5",
    "def f(x:",
]


@pytest.mark.parametrize("reference", ALL, ids=["cases", "tests", "asserts"])
@pytest.mark.parametrize("code", FORGERS)
def test_forgers_fail(verifier: PythonVerifier, reference: dict[str, Any], code: str) -> None:
    verdict = verify(verifier, reference, code)
    assert verdict.status in (Status.FAIL, Status.CRASH), verdict.reason


@pytest.mark.parametrize("reference", ALL, ids=["cases", "tests", "asserts"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("while True: pass", Status.TIMEOUT),
        ("import time; time.sleep(9)", Status.TIMEOUT),
        ("return bytearray(1 << 31)", Status.MEMORY),
        ("import os; os.abort()", Status.CRASH),
        ("import ctypes; ctypes.string_at(0)", Status.CRASH),
    ],
)
def test_how_it_ends(verifier: PythonVerifier, reference: dict[str, Any], body: str, status: Status) -> None:
    verdict = verify(verifier, reference, f"def f(x):\n    {body}", time_limit_s=0.5)
    assert verdict.status is status, verdict.reason


@pytest.mark.parametrize("reference", ALL, ids=["cases", "tests", "asserts"])
def test_a_module_that_never_loads_is_the_candidates_fault(verifier: PythonVerifier, reference: dict[str, Any]) -> None:
    assert verify(verifier, reference, "while True: pass", time_limit_s=0.5).status is Status.TIMEOUT


@pytest.mark.parametrize(
    "broken",
    [
        {"tests": "def check(candidate:\n", "entry_point": "f"},
        {"tests": "def check(candidate):\n    assert helper(1)\n    candidate(1)\n", "entry_point": "f"},
        {"tests": "while True: pass\n", "entry_point": "f"},
        {"tests": "def check(candidate):\n    pass\n", "entry_point": "f"},
        {"tests": "import os\nos._exit(0)\n", "entry_point": "f"},
        {"asserts": ["assert f(1) =="]},
        {"asserts": ["assert f(1) == 1"], "setup": "root = Missing()"},
        {"asserts": ["assert f(1) == 1"], "setup": "while True: pass"},
        {"cases": [{"args": [object()], "expected": 1}], "entry_point": "f"},
    ],
)
def test_broken_tasks_are_faults(verifier: PythonVerifier, broken: dict[str, Any]) -> None:
    verdict = verify(verifier, broken, "def f(x):\n    return 1", time_limit_s=0.7)
    assert verdict.status is Status.FAULT
    assert "task's own" in verdict.reason or "never called" in verdict.reason
    assert verdict.passed is None


@pytest.mark.parametrize("tests", [
    "    for _ in range(candidate(1)): pass\n",  # hangs on a huge number
    "    assert len(candidate(1)) == 3\n",
    "    assert candidate(1)[0]\n",
    "    try:\n        candidate(1)\n    except:\n        pass\n    assert helper\n",
])  # fmt: skip
def test_what_the_test_does_with_an_answer_is_never_a_fault(verifier: PythonVerifier, tests: str) -> None:
    reference = {"tests": f"def check(candidate):\n{tests}", "entry_point": "f"}
    verdict = verify(verifier, reference, "def f(x):\n    return 10**18", time_limit_s=0.7)
    assert verdict.status in (Status.FAIL, Status.TIMEOUT), verdict.reason


def test_what_crosses_between_test_and_candidate(verifier: PythonVerifier) -> None:
    tests = """
import math
def check(candidate):
    numbers, table, seen = [3, 1, 2], {"a": 1}, {1}
    assert candidate(numbers, table, seen=seen) == (None, [1, 2, 3], "é\\ud800", 7**500, {(1, 2): frozenset({3})})
    assert (numbers, table, seen) == ([1, 2, 3], {"a": 1, "b": 2}, {1, 2})
    assert list(candidate.__call__(numbers, table, seen=set(), lazily=True)) == [0, 1, 4]
    try:
        candidate(None, None)
        assert False
    except AttributeError as error:
        assert "sort" in str(error)
"""
    code = """
def f(numbers, table, seen=(), lazily=False):
    if lazily:
        return (n * n for n in range(3))
    numbers.sort()
    table["b"] = 2
    seen.add(2)
    return None, numbers, "é\\ud800", 7**500, {(1, 2): frozenset({3})}
"""
    verdict = verify(verifier, {"tests": tests, "entry_point": "f"}, code)
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


def test_an_exception_cannot_end_the_tests_loop(verifier: PythonVerifier) -> None:
    tests = "def check(candidate):\n    assert all(map(lambda x: candidate(x) == x + 1, [1, 2, 3]))\n"
    verdict = verify(verifier, {"tests": tests, "entry_point": "f"}, "def f(x):\n    raise StopIteration")
    assert verdict.status is Status.FAIL


def test_an_answer_that_cannot_cross_is_no_exception_to_catch(verifier: PythonVerifier) -> None:
    tests = "def check(candidate):\n    try:\n        candidate(1)\n    except:\n        return\n    assert False\n"
    verdict = verify(verifier, {"tests": tests, "entry_point": "f"}, "def f(x):\n    return object()")
    assert verdict.status is Status.FAIL
    assert "cannot leave" in verdict.reason


def test_the_prompts_helpers_are_there_for_both_sides(verifier: PythonVerifier) -> None:
    prefix = 'import math\n\ndef half(x):\n    return x / 2\n\ndef f(x):\n    """Half of x, up."""\n'
    reference = {
        "tests": "def check(candidate):\n    assert candidate(3) == half(4)\n",
        "entry_point": "f",
        "prefix": prefix,
    }
    problem = Problem(id="p", prompt="x", verifier="python", reference=PythonReference.model_validate(reference))
    assert verifier.verify(problem, "    return math.ceil(half(x))\n").status is Status.PASS


def test_asserts_find_their_functions(verifier: PythonVerifier) -> None:
    setup = "import math\ndef near(a, b):\n    return math.isclose(a, b)"
    asserts = ["assert near(area(1), math.pi)", "assert set(roots(4)) == set((2, -2))"]
    code = "def near(a, b):\n    return True\ndef set(x):\n    return 1\n"
    code += "def area(r):\n    return {} * r\ndef roots(x):\n    return [2, -2]"
    assert verify(verifier, {"asserts": asserts, "setup": setup}, code.format("math.pi")).status is Status.PASS
    wrong = verify(verifier, {"asserts": asserts, "setup": setup}, code.format("3"))
    assert (wrong.status, wrong.reason) == (Status.FAIL, "assert 1 of 2: AssertionError")
    assert (
        verify(verifier, {"asserts": ["assert sum(1, 2) == 3"]}, "def sum(a, b):\n    return a + b").status
        is Status.PASS
    )


def test_a_shared_process_is_flagged(verifier: PythonVerifier) -> None:
    asserts = ["assert f(Pair(1, 2)) == Pair(2, 1)"]
    code = "class Pair:\n    def __init__(self, a, b):\n        self.a, self.b = a, b\n"
    code += (
        "    def __eq__(self, o):\n        return (self.a, self.b) == (o.a, o.b)\ndef f(p):\n    return Pair(p.b, p.a)"
    )
    apart = verify(verifier, {"asserts": asserts}, code)
    assert apart.status is Status.FAIL
    assert "not compared across processes" in apart.reason
    shared = verify(verifier, {"asserts": asserts, "shared": True}, code)
    assert shared.status is Status.PASS
    assert "shared" in shared.reason
    wrong = verify(verifier, {"asserts": asserts, "shared": True}, code.replace("Pair(p.b, p.a)", "Pair(0, 0)"))
    assert wrong.status is Status.FAIL
    assert "shared" in wrong.reason


GUARDED = "def f(x):\n    return x + 1000\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize("reference", ALL, ids=["cases", "tests", "asserts"])
@pytest.mark.parametrize("trial", [
    "assert f(1) == 2", "import sys; sys.exit(0)", "n = int(input())", "import unittest; unittest.main()",
    "while True: pass", "raise KeyError",
])  # fmt: skip
def test_a_main_block_does_not_run(verifier: PythonVerifier, reference: dict[str, Any], trial: str) -> None:
    """Kind: the model's own trial behind the main guard fails, ends, reads or hangs."""
    for guard in (GUARDED, GUARDED.replace("__name__ == '__main__'", '"__main__" == __name__')):
        assert verify(verifier, reference, guard + trial).status is Status.PASS


@pytest.mark.parametrize(
    ("asserts", "code"),
    [
        (["assert math.isclose(f(1), 1)"], "import math\ndef f(x):\n    return x"),
        (["assert isclose(f(1), pi)"], "from math import *\ndef f(x):\n    return x * pi"),
        (["assert f('aab') == Counter('aab')"], "from collections import Counter\ndef f(x):\n    return Counter(x)"),
        (["assert add(LIMIT, 1) == 11"], "LIMIT = 10\ndef add(a, b):\n    return a + b"),
        (["assert TABLE['a'] == 1"], "TABLE = {'a': 1}"),
        (["assert list(map(sq, [1, 2])) == [1, 4]"], "def sq(x):\n    return x * x"),
        (["assert sorted([3, 1, 2], key=neg) == [3, 2, 1]"], "def neg(x):\n    return -x"),
        (["from functools import reduce", "assert reduce(add, [1, 2, 3]) == 6"], "def add(a, b):\n    return a + b"),
        (
            ["try:\n    f(-1)\n    assert False\nexcept TooLow as error:\n    assert str(error) == 'low'"],
            "class TooLow(ValueError): pass\ndef f(x):\n    raise TooLow('low')",
        ),
        (["try:\n    f(-1)\nexcept ValueError as e:\n    assert type(e).__name__ == 'E'"],
         "class E(ValueError): pass\ndef f(x):\n    raise E"),
    ],
)  # fmt: skip
def test_asserts_use_what_the_candidate_defines(verifier: PythonVerifier, asserts: list[str], code: str) -> None:
    """Kind: modules, helpers, constants, exceptions and functions handed on that only the candidate has."""
    verdict = verify(verifier, {"asserts": asserts}, code)
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


@pytest.mark.parametrize(
    ("asserts", "code"),
    [
        (["assert isclose(f(1), 5)"], "def isclose(a, b):\n    return True\ndef f(x):\n    return x"),
        (["assert Counter(f('a')) == Counter('b')"], "def Counter(x):\n    return 1\ndef f(x):\n    return x"),
        (["from math import *", "assert isclose(f(1), 5)"], "def isclose(*a):\n    return 1\ndef f(x):\n    return x"),
        (["assert math.isclose(f(1), 5)"], "class math:\n    isclose = lambda *a: True\ndef f(x):\n    return x"),
        (["b = same([1]); b.append(2)", "a = [1]; b = same(a); b.append(2); assert a == [1]"],
         "def same(a):\n    return a"),
        (["assert f(1) == 5"], "f = 5"),
        (["assert LIMIT == 5 and f(1) == 2"], "LIMIT = 5\ndef f(x):\n    return 5"),
        (["assert f(1)() == 3"], "def f(x):\n    return lambda: 4"),
    ],
)  # fmt: skip
def test_names_of_the_test_are_not_the_candidates(verifier: PythonVerifier, asserts: list[str], code: str) -> None:
    """Kind: a candidate that defines the test's own helpers, gives values for functions, or hides its aliasing."""
    assert verify(verifier, {"asserts": asserts}, code).status is Status.FAIL


REMOTE = [
    ("import itertools\nassert list(itertools.islice(f(), 3)) == [0, 1, 2]", "import itertools\nf = itertools.count"),
    ("g = f(); assert next(g) == 0 and next(g) == 1", "def f():\n    i = 0\n    while True:\n        yield i\n        i += 1"),
    ("assert sum(f(5000)) == sum(range(5000))", "def f(n):\n    yield from range(n)"),
    ("assert next(f()) == 6", "def f():\n    yield 6\n    while True:\n        pass"),
    ("assert list(f()) == []", "def f():\n    return iter(())"),
    ("assert list(f(2)) == [(0, 'a'), (1, 'b')]", "def f(n):\n    return enumerate('ab')"),
    ("assert f(2)(3) == 5", "def f(n):\n    return lambda x: x + n"),
    ("assert [g(1) for g in f()] == [2, 3]", "def f():\n    return [lambda x: x + 1, lambda x: x + 2]"),
    ("assert f(lambda x: x + 1, 2) == 3", "def f(g, x):\n    return g(x)"),
    ("assert f(len, 'ab') == 2", "def f(g, x):\n    return g(x)"),
    ("assert f([lambda x: x, lambda x: -x]) == [1, -1]", "def f(gs):\n    return [g(1) for g in gs]"),
    ("seen = []; f(seen.append); assert seen == [1, 2]", "def f(g):\n    g(1); g(2)"),
    ("g = lambda x: f(x - 1, g) if x else 0\nassert f(3, g) == 4", "def f(x, g):\n    return 1 + g(x)"),
    ("def bad(x):\n    raise ValueError('no')\nassert f(bad) == 'no'",
     "def f(g):\n    try:\n        g(1)\n    except ValueError as e:\n        return str(e)"),
    ("assert compose(f(1), f(2))(3) == 6", "def f(n):\n    return lambda x: x + n\ndef compose(a, b):\n    return lambda x: a(b(x))"),
    ("import asyncio\nassert asyncio.run(f(1, 2)) == 3", "async def f(a, b):\n    return a + b"),
    ("c = Counted(); c.inc(); c.inc(); assert c.n == 2",
     "class Counted:\n    def __init__(self): self.n = 0\n    def inc(self): self.n += 1"),
    ("s = Stack(); s.push(2); s.push(1); assert s.pop() == 1 and len(s) == 1 and str(s) == '[2]' and s[0] == 2",
     "class Stack:\n    def __init__(self): self.a = []\n    def push(self, x): self.a.append(x)\n"
     "    def pop(self): return self.a.pop()\n    def __len__(self): return len(self.a)\n"
     "    def __getitem__(self, i): return self.a[i]\n    def __str__(self): return str(self.a)"),
    ("p = Point(1); p.x = 5; assert shift(p).x == 6",
     "class Point:\n    def __init__(self, x): self.x = x\ndef shift(p):\n    return Point(p.x + 1)"),
    ("import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    f()\nassert b.getvalue() == 'hi\\n'",
     "def f():\n    print('hi')"),
    ("import random\nrandom.seed(1); x = f(); random.seed(1); assert f() == x",
     "import random\ndef f():\n    return random.random()"),
    ("import random\nrandom.seed(7); x = random.random(); random.seed(7); assert f() == x",
     "import random\ndef f():\n    return random.random()"),
    ("a = [1]; assert f(a) is a", "def f(a):\n    return a"),
    ("from collections import deque\nd = deque([1, 2]); f(d); assert d == deque([2])", "def f(d):\n    d.popleft()"),
    ("from collections import Counter\nc = Counter('a'); f(c); assert c['b'] == 1", "def f(c):\n    c['b'] += 1"),
    ("import numpy as np\na = np.zeros(2); f(a); assert a.tolist() == [1.0, 0.0]", "def f(a):\n    a[0] = 1"),
    ("import numpy as np\nassert np.array_equal(f(np.array([1, 2])), np.array([2, 4]))", "def f(a):\n    return a * 2"),
    ("import numpy as np\nassert f(2).shape == (2, 2)", "import numpy as np\ndef f(n):\n    return np.eye(n)"),
    ("assert f('ab') and f('ab').group() == 'a' and f('b') is None", "import re\ndef f(s):\n    return re.match('a', s)"),
    ("assert str(f(2)) == '1' + '0' * 5000", "def f(n):\n    return 10 ** 5000"),
    ("assert f() == " + "9" * 5000, "def f():\n    return 10 ** 5000 - 1"),
]  # fmt: skip


@pytest.mark.parametrize(("test", "code"), REMOTE)
def test_what_stays_with_its_maker_is_used_from_the_other_side(verifier: PythonVerifier, test: str, code: str) -> None:
    """Kind: iterators, functions both ways, coroutines, objects, output, seeds, changes in place, long integers."""
    verdict = verify(verifier, {"asserts": [test]}, code)
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


@pytest.mark.parametrize(
    ("entry_point", "prelude", "code"),
    [
        ("f", None, "def f(a: List[int]) -> Optional[int]:\n    return sum(a)"),
        ("f", "typing", "def f(a: Sequence[Union[int, float]]):\n    return sum(a)"),
        ("Solution.f", None, "class Solution:\n    def f(self, a: List[int]):\n        return reduce(add, a)"),
        ("f", "leetcode", "def f(a):\n    return math.floor(sum(Counter(a).elements()))"),
        ("f", "leetcode", "def f(a: TreeNode):\n    return int(max(sum(accumulate(a[-1:])), 3, -inf))"),
    ],
)
def test_a_prelude(verifier: PythonVerifier, entry_point: str, prelude: str | None, code: str) -> None:
    """Kind: names of LeetCode's and LiveCodeBench's starters that the candidate does not import."""
    reference = {"entry_point": entry_point, "cases": [{"args": [[1, 2]], "expected": 3}], "prelude": prelude}
    assert verify(verifier, reference, code).status is Status.PASS
    without = verify(verifier, {**reference, "prelude": "none"}, code)
    assert without.status is Status.FAIL
    assert "NameError" in without.reason


def test_operations_on_a_class(verifier: PythonVerifier) -> None:
    code = "class MinStack:\n    def __init__(self): self.a = []\n    def push(self, x): self.a.append(x)\n"
    code += "    def getMin(self): return min(self.a)"
    for names, arguments, expected in [
        (["push", "push", "getMin"], [[2], [1], []], [None, None, 1]),
        (["MinStack", "push", "getMin"], [[], [2], []], [None, None, 2]),
    ]:
        reference = {"entry_point": "MinStack", "cases": [{"args": [names, arguments], "expected": expected}]}
        assert verify(verifier, reference, code).status is Status.PASS
        assert verify(verifier, reference, code.replace("min(", "max(")).status is (
            Status.FAIL if 1 in expected else Status.PASS
        )


def test_methods_are_entry_points_too(verifier: PythonVerifier) -> None:
    reference = {"entry_point": "Solution.twice", "cases": [{"args": [2], "expected": 4}]}
    assert (
        verify(verifier, reference, "class Solution:\n    def twice(self, x):\n        return 2 * x").status
        is Status.PASS
    )


def test_numpy_is_there(verifier: PythonVerifier) -> None:
    reference = {"entry_point": "f", "cases": [{"args": [[1, 2]], "expected": [2, 4]}]}
    code = "import numpy as np\nimport numpy.linalg, numpy.random\ndef f(x):\n    return np.array(x) * 2"
    assert verify(verifier, reference, code).status is Status.PASS
    tests = "import numpy as np\ndef check(candidate):\n    assert np.allclose(candidate(2), 4)\n"
    assert verify(verifier, {"tests": tests, "entry_point": "f"}, "def f(x):\n    return 2.0 * x").status is Status.PASS


def lines(name: str) -> list[dict[str, Any]]:
    path = TASK_DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not here")
    text = gzip.decompress(path.read_bytes()) if name.endswith(".gz") else path.read_bytes()
    return [json.loads(line) for line in text.splitlines()]


def humaneval() -> list[Problem]:
    return [
        problem_of(row["task_id"], row["canonical_solution"], entry_point=row["entry_point"], tests=row["test"],
                   prefix=row["prompt"])
        for row in lines("HumanEval.jsonl.gz")
    ]  # fmt: skip


def mbpp() -> list[Problem]:
    """MBPP's problems, with enough time for number 123, whose gold solution computes for seconds."""
    return [
        problem_of(str(row["task_id"]), f"```python\n{row['code']}\n```", asserts=tuple(row["test_list"]),
                   setup=row["test_setup_code"], time_limit_s=30.0)
        for row in lines("mbpp.jsonl")
    ]  # fmt: skip


def problem_of(name: str, solution: str, **reference: Any) -> Problem:
    given = PythonReference.model_validate(reference)
    return Problem(id=name, prompt="x", verifier="python", reference=given, solution=solution)


def test_all_gold_solutions_of_humaneval_pass(verifier: PythonVerifier) -> None:
    verdicts = {problem.id: verifier.verify(problem, problem.solution or "") for problem in humaneval()}
    assert len(verdicts) == 164
    assert [(name, verdict.reason) for name, verdict in verdicts.items() if verdict.status is not Status.PASS] == []


def test_nearly_all_gold_solutions_of_mbpp_pass(verifier: PythonVerifier) -> None:
    """Four may fail in two processes: three need the candidate's own classes, one its memory."""
    if verifier.sandbox.tier != SAFE_TIERS[0]:
        pytest.skip("once is enough")
    verdicts = {problem.id: verifier.verify(problem, problem.solution or "") for problem in mbpp()}
    failed = {name: verdict.reason for name, verdict in verdicts.items() if verdict.status is not Status.PASS}
    assert len(verdicts) == 974
    assert len(failed) <= 4, failed


@pytest.mark.parametrize("mutant", ["return None", "always equal", "early exit in a call"])
def test_no_mutant_of_a_published_solution_passes(verifier: PythonVerifier, mutant: str) -> None:
    """Tries every fourth problem; ``troop audit --all`` tries them all."""
    if verifier.sandbox.tier != SAFE_TIERS[0]:
        pytest.skip("once is enough")
    tried = {}
    for problem in [*humaneval(), *mbpp()][::4]:
        for known in known_completions(problem):
            if known.check == mutant:
                tried[problem.id] = verifier.verify(problem, known.text).status
    assert len(tried) == 285
    assert {status for status in tried.values() if status in (Status.PASS, Status.FAULT)} == set()
