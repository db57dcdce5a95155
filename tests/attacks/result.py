"""Answers made to break the code that decodes and compares them."""

# ruff: noqa: E501 (programs stand as they are)

from typing import Any

from tests.attacks.case import SEND, Case, forger, tested


def _raw(name: str, body: str) -> Case:
    """Describes a program that sends a message in place of its answer and exits with status 0."""
    return forger(name, f"{SEND}def f(x):\n    send({body})\n    os._exit(0)\n", test_too=False)


def _bytes(name: str, data: str) -> Case:
    """Describes a program that sends bytes that are no message."""
    return forger(name, f"import os, struct\ndef f(x):\n    os.write(3, {data})\n    os._exit(0)\n", test_too=False)


def _value(name: str, made: str, **more: Any) -> Case:
    return forger(name, f"def f(x):\n    return {made}\n", **more)


def _not(name: str, expected: object, given: str) -> Case:
    """Describes a program whose value is near the expected one, but another."""
    return Case(f"not-{name}", f"def f():\n    return {given}\n", calls=(([], expected),), tests=f"def check(candidate):\n    assert candidate() == {expected!r}\n")  # fmt: skip


CASES = (
    forger("cycle", "def f(x):\n    a = []\n    a.append(a)\n    return a\n"),
    forger("cycle-of-dicts", "def f(x):\n    a = {}\n    a['a'] = (a,)\n    return a\n"),
    forger("deep", "def f(x):\n    a = 1003\n    for _ in range(20000):\n        a = [a]\n    return a\n"),
    forger(
        "deep-cause",
        "def f(x):\n    e = ValueError()\n    for _ in range(9999):\n        n = ValueError()\n        n.__cause__ = e\n        e = n\n    raise e\n",
    ),
    forger("exception-text", "def f(x):\n    raise ValueError('y' * (8 << 20))\n"),
    forger("exception-lone-half", "def f(x):\n    raise ValueError('\\ud800')\n"),
    forger(
        "exception-whose-text-fails",
        "class E(Exception):\n    def __str__(self):\n        raise SystemExit(0)\ndef f(x):\n    raise E\n",
    ),
    forger("exception-name", "def f(x):\n    raise type('E' * 100000, (Exception,), {})\n"),
    forger(
        "exception-group",
        "def f(x):\n    raise ExceptionGroup('g', [ValueError(1), ExceptionGroup('h', [KeyError(2)])])\n",
    ),
    _value("not-a-number", "float('nan')"),
    _value("infinity", "float('inf')"),
    _value("huge-float", "1e308 * 10"),
    _value("lone-half", "'\\ud800\\udfff\\0'"),
    _value("none", "None"),
    _value("module", "__import__('os')"),
    _value("function", "f"),
    _value("class", "type('A', (), {})"),
    _value("lock", "__import__('threading').Lock()"),
    _value("decimal", "__import__('decimal').Decimal(x + 1001)"),
    _value("memory-view", "memoryview(b'x')"),
    _value("proxy", "__import__('types').MappingProxyType({})"),
    _value("coroutine", "(lambda: (yield))()"),
    _value("ellipsis", "..."),
    _value("slice", "slice(1)"),
    _value("huge-integer", "1 << (1 << 24)"),
    _value("huge-negative", "-(1 << (1 << 24))"),
    _value("endless-iterator", "iter(int, 1)"),
    _value("endless-count", "__import__('itertools').count()"),
    _value("failing-iterator", "(1 // 0 for _ in [1])"),
    _value("many-keys", "set(range(250000))"),
    _value("equal-hashes", "{i * ((1 << 61) - 1) for i in range(3000)}", wall_s=1.0),
    _value("equal-hashes-many-sets", "[{i * ((1 << 61) - 1) for i in range(60)} for _ in range(600)]"),
    _value("equal-tuple-hashes", "{(i * ((1 << 61) - 1), 0) for i in range(2000)}", wall_s=1.0),
    _value("large", "['x' * 1000] * 6000"),
    _value("large-text", "'x' * (6 << 20)"),
    _value("large-shared", "(lambda a: [a] * 2000)([0] * 2000)", wall_s=0.5),
    _raw("nested-json", "b'[' * 60000"),
    _raw("nested-pairs", "b'[[0,' + b'[' * 20000 + b']' * 20000 + b']]'"),
    _raw("nested-tags", "b'[[0,' + b'{\"t\":[' * 5000 + b']}' * 5000 + b']]'"),
    *(
        _raw(f"nested-error-{depth}", f"b'[[1,' + b'[' * {depth} + b']' * {depth} + b']]'")
        for depth in (900, 930, 940, 950, 955, 960, 965, 970, 975, 980, 990, 3000)
    ),
    _raw("tags-confused", 'b\'[[0,{"t":{"t":1}}],[0,{"d":[[{"d":[]},1]]}]]\''),
    _raw("tags-doubled", 'b\'[[0,{"t":[1],"d":[]}],[0,1008]]\''),
    _raw("tag-unknown", 'b\'[[0,{"eval":"1003"}],[0,{"__class__":"int"}]]\''),
    _raw("tag-of-wrong-kind", 'b\'[[0,{"i":1003}],[0,{"b":5}]]\''),
    _raw("integer-not-hexadecimal", 'b\'[[0,{"i":"0x3eb junk"}],[0,1008]]\''),
    _raw("digits", "b'[[0,' + b'9' * 1000000 + b']]'"),
    _raw("hexadecimal-digits", "b'[[0,{\"i\":\"' + b'f' * 900000 + b'\"}]]'"),
    _raw("float-digits", "b'[[0,0.' + b'9' * 1000000 + b'e-999999999]]'"),
    _raw("exponent", "b'[[0,1e999999999],[0,-1e999999999]]'"),
    _raw("constants", "b'[[0,NaN],[0,Infinity]]'"),
    _raw("range", "b'[[0,{\"r\":[0,99999999999999999999,0]}]]'"),
    _raw("long-range", "b'[[0,{\"r\":[0,9999999999999999,1]}],[0,1008]]'"),
    _raw("complex", 'b\'[[0,{"c":[NaN,NaN]}],[0,{"c":[]}]]\''),
    _raw("iterators-of-iterators", "b'[[0,' + b'{\"I\":[' * 90 + b']}' * 90 + b']]'"),
    _raw("not-hashable", 'b\'[[0,{"s":[{"s":[]}]}]]\''),
    _raw("not-utf-8", "b'[[0,\"\\xff\\xfe\"]]'"),
    _raw("byte-order", "'[[0,1003],[0,1008]]'.encode('utf-16')"),
    _raw("no-list", "b'{}'"),
    _raw("empty-answers", "b'[]'"),
    _raw("answers-of-nothing", "b'[[],[]]'"),
    _raw("answer-short", "b'[[0],[0]]'"),
    _raw("too-few", "b'[[0,1003]]'"),
    _raw("too-many", "b'[[0,1003],[0,1008],[0,1008]]'"),
    _raw("kind-unknown", "b'[[7,1003],[7,1008]]'"),
    _raw("kind-null", "b'[[null,1003],[null,1008]]'"),
    _raw("empty", "b''"),
    _raw("white-space", "b' ' * 900000"),
    _raw("long-error", "b'[[1,\"' + b'x' * 900000 + b'\"]]'"),
    _bytes("length-lies", "struct.pack('<I', 0xffffffff) + b'[]'"),
    _bytes("length-short", "struct.pack('<I', 1) + b'[[0,1003],[0,1008]]'"),
    _bytes("length-only", "struct.pack('<I', 4)"),
    _bytes("half-a-length", "b'\\0'"),
    _bytes("two-messages", "2 * (struct.pack('<I', 19) + b'[[0,1003],[0,1008]]')"),
    _bytes("no-length", "b'[[0,1003],[0,1008]]'"),
    _bytes("progress-of-a-test", "b'src\\n' + struct.pack('<I', 11) + b'[\"pass\",\"\"]'"),
    _not("list", (1, 2), "[1, 2]"),
    _not("text", 5, "'5'"),
    _not("number", "5", "5"),
    _not("bytes", "x", "b'x'"),
    _not("set", [1, 2], "{1, 2}"),
    _not("order", [1, 2], "[2, 1]"),
    _not("keys", {1: 2}, "{'1': 2}"),
    _not("pairs", {1: 2}, "[(1, 2)]"),
    _not("more", [1], "[1, 1]"),
    _not("empty", None, "[]"),
    _not("none", [], "None"),
    _not("zero", None, "0"),
    _not("near", 10**20, "10**20 + 1"),
    tested("floods-the-test", "def f(x):\n    return [[]] * 3000000\n", "assert candidate(1) == []", wall_s=0.5),
    tested("texts-the-test", "def f(x):\n    return 'x' * (4 << 20)\n", "assert candidate(1) in ('', 'y')"),
    tested("digits-the-test", "def f(x):\n    return 1 << 900000\n", "assert str(candidate(1)) == '1'"),
    tested(
        "never-answers", "import time\ndef f(x):\n    time.sleep(30)\n", "candidate(1)", must="timeout", wall_s=0.25
    ),
    tested("never-loads", "import time\ntime.sleep(30)\n", "candidate(1)", must="timeout", wall_s=0.25),
    tested(
        "loads-by-drops",
        SEND + "os.write(3, struct.pack('<I', 60000))\nwhile True:\n    os.write(3, b' ')\n",
        "candidate(1)",
        wall_s=0.25,
    ),
    tested(
        "never-reads",
        SEND + "import time\nsend(b'[[0,[\"f\"]]]')\ntime.sleep(30)\n",
        "candidate('x' * 9999999)",
        must="timeout",
        wall_s=0.25,
    ),
    tested(
        "closes-and-stays",
        "import os, time\nos.close(3)\ntime.sleep(30)\n",
        "candidate(1)",
        must="timeout",
        wall_s=0.25,
    ),
)
