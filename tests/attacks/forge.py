"""Forged answers: leaving early, lying objects, patched machinery, messages on every descriptor."""

# ruff: noqa: E501 (programs stand as they are)

from tests.attacks.case import SEND, Case, forger, program, tested


def _liar(base: str, made: str, extra: str = "") -> Case:
    """Describes a forger that returns an instance of ``base`` that is equal to everything."""
    lies = "".join(
        f"    def __{name}__(self, *o):\n        return True\n" for name in ("eq", "ge", "le", "gt", "lt", "contains")
    )
    code = f"class E({base}):\n{lies}    def __ne__(self, o):\n        return False\n    __hash__ = lambda self: 0\n{extra}"
    return forger(f"equal-{base}", f"{code}def f(x):\n    return E({made})\n")


def _crossing_liar(name: str, imported: str, base: str, made: str) -> Case:
    """An instance of a subclass of a type that crosses, equal to everything: only exact types cross."""
    lies = "".join(f"    def __{name}__(self, *o):\n        return True\n" for name in ("eq", "ge", "le", "bool"))
    code = f"{imported}\nclass E({base}):\n{lies}    __hash__ = lambda self: 0\n    __ne__ = lambda *a: False\n"
    return forger(f"crossing-{name}", f"{code}def f(x):\n    return {made}\n")


def _own_class(name: str, code: str, tests: str) -> Case:
    """A class of the candidate that the test makes objects of."""
    return tested(f"own-class-{name}", code, tests, entry_point="Point")


_POINT = "class Point:\n    def __init__(self, *a): self.n = 0\n"


def _leaves(name: str, how: str) -> Case:
    return forger(f"leaves-{name}", f"import atexit, os, signal, sys, threading\ndef f(x):\n    {how}\n")


def _early(name: str, how: str) -> Case:
    return forger(
        f"early-{name}", f"import atexit, os, signal, sys, threading, time\n{how}\ndef f(x):\n    time.sleep(0.3)\n"
    )


# To the test's process, as if the candidate were loaded; then whatever answers the call.
_SERVE = SEND + "def f(x): pass\nsend(b'[[0,[\"f\"]]]')\n"


def _reply(name: str, reply: str, tests: str = "assert candidate([0]) == 5") -> Case:
    return tested(f"reply-{name}", f"{_SERVE}send({reply.encode()!r})\nos.close(3)\n", tests)


def _hello(name: str, hello: str) -> Case:
    return tested(f"hello-{name}", f"{SEND}def f(x): pass\nsend({hello})\nos.close(3)\n", "assert candidate(0) == 5")


CASES = (
    _leaves("exit", "os._exit(0)"),
    _leaves("system-exit", "raise SystemExit(0)"),
    _leaves("sys-exit-none", "sys.exit()"),
    _leaves("keyboard", "raise KeyboardInterrupt"),
    _leaves("generator-exit", "raise GeneratorExit"),
    _leaves("stop-iteration", "raise StopIteration"),
    _leaves("assertion", "raise AssertionError('passed')"),
    _leaves("bare-exception", "raise BaseException"),
    _leaves("term", "os.kill(os.getpid(), signal.SIGTERM)"),
    _leaves("kill", "os.kill(os.getpid(), signal.SIGKILL)"),
    _leaves("alarm", "signal.alarm(1); signal.setitimer(signal.ITIMER_REAL, 0.01); signal.pause()"),
    _leaves("thread-kill", "signal.pthread_kill(threading.get_ident(), signal.SIGQUIT)"),
    _leaves("closed-channel", "os.closerange(0, 200)"),
    _leaves("dev-null", "os.dup2(os.open('/dev/null', os.O_RDWR), 3)"),
    _early("exit", "os._exit(0)"),
    _early("sys-exit", "sys.exit(0)"),
    _early("thread", "threading.Thread(target=lambda: (time.sleep(0.02), os._exit(0)), daemon=True).start()"),
    _early(
        "timer", "signal.signal(signal.SIGALRM, lambda *a: os._exit(0)); signal.setitimer(signal.ITIMER_REAL, 0.02)"
    ),
    _early("at-exit", "atexit.register(os._exit, 0); sys.exit(1)"),
    _early("excepthook", "sys.excepthook = lambda *a: os._exit(0); 1 / 0"),
    _early("trace", "sys.settrace(lambda *a: os._exit(0)); (lambda: 0)()"),
    _early("profile", "sys.setprofile(lambda f, e, a: f.f_code.co_name == '_answer' and os._exit(0))"),
    _early("audit", "sys.addaudithook(lambda e, a: e == 'object.__getattr__' and os._exit(0)); f = 1"),
    _early("main-thread-ends", "import _thread; _thread.interrupt_main()"),
    _liar("int", "5"),
    _liar("str", "'no'"),
    _liar("float", "0.5"),
    _liar("list", "[7]", "    __len__ = lambda s: 2\n    __iter__ = lambda s: iter([1, 2])\n"),
    _liar("dict", "a=1", "    keys = items = lambda s: [(1, 1003)]\n"),
    _liar("tuple", "(1,)"),
    _liar("set", "{1}"),
    _liar("bytes", "b'x'"),
    _liar("object", ""),
    _liar("Exception", "'x'"),
    _liar("type", "'E', (), {}"),
    forger(
        "class-property",
        """
        class E:
            __class__ = property(lambda self: int)
            __eq__ = lambda self, other: True
            __index__ = __int__ = lambda self: 1003
        def f(x):
            return E()
        """,
    ),
    forger(
        "metaclass",
        """
        class M(type):
            __eq__ = lambda *a: True
            __hash__ = lambda s: hash(int)
            __instancecheck__ = __subclasscheck__ = lambda *a: True
        class E(metaclass=M):
            __eq__ = lambda *a: True
        def f(x):
            return E
        """,
    ),
    forger(
        "arithmetic",
        """
        class E(float):
            __sub__ = __rsub__ = __abs__ = __round__ = lambda *a: 0.0
            __lt__ = __le__ = __gt__ = __ge__ = __eq__ = lambda *a: True
        def f(x):
            return E(1)
        """,
    ),
    forger(
        "reflected",
        """
        class E(int):
            def __req__(self, other): return True
            __eq__ = lambda self, other: NotImplemented if type(other) is E else True
            __hash__ = None
        def f(x):
            return [E(1)][0]
        """,
    ),
    forger(
        "iterator-of-lies",
        """
        class E:
            __iter__ = lambda self: self
            def __next__(self): raise StopIteration
            __eq__ = lambda *a: True
        def f(x):
            return E()
        """,
    ),
    forger(
        "numpy-in-name",
        """
        class E:
            def tolist(self): return self
            __eq__ = lambda *a: True
        E.__module__ = 'numpy'
        def f(x):
            return E()
        """,
    ),
    forger(
        "assertion-class",
        "import builtins, os\nclass Q(BaseException):\n    def __new__(c, *a):\n        os._exit(0)\nbuiltins.AssertionError = Q\ndef f(x):\n    return 0\n",
    ),
    forger(
        "builtins",
        """
        import builtins
        for name in ('exec', 'eval', 'compile', 'type', 'isinstance', 'len', 'getattr', 'hasattr', 'all', 'hex'):
            setattr(builtins, name, lambda *a, **k: True)
        def f(x):
            return -1
        """,
    ),
    forger(
        "frames",
        """
        import sys
        def f(x):
            frame = sys._getframe()
            while frame:
                for name, value in list(frame.f_locals.items()):
                    if isinstance(value, list):
                        value[:] = [[0, 1003], [0, 1008]]
                    if name in ('expected', 'cases', 'reference', 'tests'):
                        return 1000 + x
                frame = frame.f_back
            return -1
        """,
    ),
    forger(
        "gc-code",
        """
        import gc, types
        def f(x):
            return -1
        for found in gc.get_objects():
            if isinstance(found, types.FunctionType) and found.__name__ in ('same_value', '_same', 'unpack', 'check', '_compared'):
                found.__code__ = (lambda *a, **k: True).__code__
        """,
    ),
    forger(
        "json",
        """
        import json, sys
        json.loads = json.dumps = lambda *a, **k: '[[0,1003],[0,1008]]'
        json.JSONEncoder.encode = lambda *a: '{"passed": true}'
        for module in list(sys.modules.values()):
            for name in ('send', 'write', 'pack', 'encode', 'report'):
                if hasattr(module, name) and module is not sys.modules[__name__]:
                    try:
                        setattr(module, name, lambda *a, **k: None)
                    except Exception:
                        pass
        def f(x):
            return -1
        """,
    ),
    forger(
        "patched-encoder",
        """
        import sys
        frame = sys._getframe()
        while frame:
            wire = frame.f_globals.get('wire')
            if wire:
                wire.encode = lambda *a: {'passed': True}
                frame.f_globals['run_cases'] = frame.f_globals['_answer'] = lambda *a: [0, True]
            frame = frame.f_back
        def f(x):
            return -1
        """,
    ),
    forger(
        "import-hook",
        """
        import sys
        class Finder:
            def find_spec(self, name, path=None, target=None):
                import os
                os._exit(0)
        sys.meta_path.insert(0, Finder())
        sys.modules.clear()
        def f(x):
            import verify.compare
        """,
    ),
    forger(
        "words",
        """
        import os
        for fd in (1, 2):
            os.write(fd, b'PASSED OK {"passed": true, "status": "pass"} All tests passed 1 passed in 0.01s ')
        os._exit(0)
        """,
    ),
    forger(
        "messages",
        SEND
        + """
for fd in range(3, 256):
    for body in (b'["pass",""]', b'"pass"', b'[[0,true]]', b'true', b'{"status":"pass"}', b'["fail",""]'):
        try:
            send(body, fd)
            os.write(fd, b'src\\n')
        except OSError:
            pass
def f(x):
    os._exit(0)
""",
    ),
    forger("message-before-the-answer", SEND + "send(b'[[0,true]]')\ndef f(x):\n    return -1\n"),
    forger(
        "reduce",
        """
        class B:
            def __reduce__(self):
                import os
                return os.system, ('touch @CANARY@/pickled',)
            __eq__ = lambda *a: True
        def f(x):
            return B()
        """,
    ),
    forger(
        "test-constants",
        """
        import gc, sys
        def f(x):
            for found in gc.get_objects():
                code = getattr(found, '__code__', None)
                if getattr(code, 'co_name', '') == 'check':
                    return 1000 + x
            return 1000 + x if 'tests' in sys.modules else -1
        """,
    ),
    forger(
        "del", "import os\nclass D:\n    def __del__(self):\n        os._exit(0)\ndef f(x):\n    D()\n    return -1\n"
    ),
    forger(
        "unraisable",
        "import os, sys\nsys.unraisablehook = lambda *a: os._exit(0)\nclass D:\n    def __del__(self):\n        1 / 0\ndef f(x):\n    D()\n",
    ),
    program("early-success-of-a-program", "import os\nos._exit(0)\n"),
    program("expected-word-in-stderr", "import sys\nprint('ok', file=sys.stderr)\n"),
    program("words-of-a-program", "print('PASSED')\nprint('{\"passed\": true}')\n"),
    tested(
        "caught-failure", "def f(x):\n    return lambda: 1\n", "try:\n    candidate(0)\nexcept BaseException:\n    pass"
    ),
    tested(
        "caught-forgery",
        _SERVE + "send(b'{}')\nos.close(3)\n",
        "try:\n    candidate(0)\nexcept BaseException:\n    pass",
    ),
    tested(
        "ended-loop", "def f(x):\n    raise StopIteration\n", "assert all(map(lambda x: candidate(x) == 5, range(3)))"
    ),
    tested(
        "async-ended-loop",
        "def f(x):\n    raise StopAsyncIteration\n",
        "assert all(candidate(x) == 5 for x in range(3))",
    ),
    tested("exits-the-test", "def f(x):\n    raise SystemExit(0)\n", "candidate(0)\nassert False"),
    tested(
        "shadows-the-test",
        "def f(x):\n    return -1\ndef check(c):\n    pass\nassertEqual = check\n",
        "assert candidate(3) == 1003",
    ),
    _reply("truth", "[[0,true],[]]"),
    _reply("not-a-value", '[[0,{"T":"object"}],[]]'),
    _reply("code", '[[0,{"E":"lambda: 5"}],[]]'),
    _reply("exception", '[[1,"SystemExit","0"],[]]'),
    _reply("exception-with-arguments", '[[1,"UnicodeDecodeError","x"],[]]'),
    _reply("exception-group", '[[1,"ExceptionGroup","x"],[]]'),
    _reply("no-exception", '[[1,"print","x"],[]]'),
    _reply("changed-type", '[[0,5],[[0,{"d":[]}]]]'),
    _reply("changed-far-away", "[[0,5],[[99,[]]]]"),
    _reply("changed-by-name", '[[0,5],[["self",[]]]]'),
    _reply("changed-badly", "[[0,5],[[[],[]]]]"),
    _reply("unchanged", "[[0,5],[[]]]"),
    _crossing_liar("fraction", "from fractions import Fraction", "Fraction", "E(1, 3)"),
    _crossing_liar("decimal", "from decimal import Decimal", "Decimal", "E('0.1')"),
    _crossing_liar("date", "from datetime import date", "date", "E(2020, 1, 1)"),
    _crossing_liar("datetime", "from datetime import datetime", "datetime", "E(2020, 1, 1)"),
    _crossing_liar("timedelta", "from datetime import timedelta", "timedelta", "E(1)"),
    _crossing_liar("deque", "from collections import deque", "deque", "E([1])"),
    _crossing_liar("counter", "from collections import Counter", "Counter", "E('a')"),
    _crossing_liar("ordered-dict", "from collections import OrderedDict", "OrderedDict", "E(a=1)"),
    _crossing_liar("defaultdict", "from collections import defaultdict", "defaultdict", "E(int, a=1)"),
    _crossing_liar("array", "from array import array", "array", "E('i', [1])"),
    _crossing_liar("ndarray", "import numpy", "numpy.ndarray", "numpy.zeros(1).view(E)"),
    _crossing_liar("ndarray-of-liars", "import numpy", "int", "numpy.array([E(1)], dtype=object)"),
    _crossing_liar("values", "", "int", "{1: E(1)}.values()"),
    _crossing_liar("keys", "", "int", "{E(1): 1}.keys()"),
    _crossing_liar("deque-of-liars", "from collections import deque", "int", "deque([E(1)])"),
    _crossing_liar("iterator-of-liars", "", "int", "iter([E(1)])"),
    _crossing_liar("zone", "from datetime import *", "tzinfo", "datetime(2020, 1, 1, tzinfo=E())"),
    forger(
        "crossing-name",
        "class Fraction:\n    __eq__ = lambda *a: True\nFraction.__module__ = 'fractions'\n"
        "def f(x):\n    return Fraction()\n",
    ),
    forger(
        "crossing-module",
        "import fractions\nclass Fraction:\n    numerator = 7\n    denominator = 1\n"
        "    __eq__ = lambda *a: True\nFraction.__module__ = 'fractions'\nfractions.Fraction = Fraction\n"
        "def f(x):\n    return Fraction()\n",
    ),
    forger("function-that-nobody-calls", "def f(x):\n    return lambda *a: 1003\n"),
    forger("partial", "import functools\ndef f(x):\n    return functools.partial(int, 1003)\n"),
    forger("own-coroutine", "async def f(x):\n    return 1003\n"),
    forger("own-match", "import re\ndef f(x):\n    return re.match('1003', '1003')\n"),
    forger("value-for-a-function", "f = 1003\n"),
    forger("exception-for-a-function", "class f(Exception):\n    __eq__ = lambda *a: True\n"),
    tested("coroutine-never-awaited", "async def f(x):\n    return 5\n", "candidate(0)"),
    tested(
        "function-never-called",
        "def f(x):\n    return lambda: 5\n",
        "assert candidate(0) is not None\nassert candidate(0)",
    ),
    tested(
        "calls-what-was-not-given",
        _SERVE + 'send(b\'["\\\\u0000call",0,[[]],{"d":[]}]\')\nos.close(3)\n',
        "assert candidate(0) == 5",
    ),
    tested(
        "lies-in-a-call-back",
        "class E(int):\n    __eq__ = lambda *a: True\n    __mod__ = __rmod__ = lambda *a: 0\ndef f(g):\n    return g(E(3))\n",
        "assert candidate(lambda x: x % 2 == 0) is True",
    ),
    tested(
        "own-exception-of-a-name",
        "class AssertionError(Exception):\n    pass\ndef f(x):\n    raise AssertionError\n",
        "candidate(0)",
    ),
    tested(
        "changed-default",
        "from collections import defaultdict\ndef f(d):\n    d.default_factory = lambda: 5\n",
        "from collections import defaultdict\nd = defaultdict(int)\ncandidate(d)\nassert d[1] == 5",
    ),
    _own_class("equal", _POINT + "    __eq__ = lambda *a: True\n", "assert candidate(1) == candidate(2)"),
    _own_class("equal-to-plain", _POINT + "    __eq__ = lambda *a: True\n", "assert candidate(1) == 5"),
    _own_class("unequal", _POINT + "    __ne__ = lambda *a: False\n", "assert not candidate(1) != 5"),
    _own_class("same", _POINT + "    def same(self): return self\n", "p = candidate(1)\nassert p.same() is p"),
    _own_class("hidden", _POINT, "try:\n    candidate(1) == 5\nexcept BaseException:\n    pass"),
    _own_class("contained", _POINT + "    __eq__ = lambda *a: True\n", "assert candidate(1) in [5, 6]"),
    _own_class(
        "array-interface",
        _POINT + "    __array_interface__ = {'shape': (1,), 'typestr': '<i8', 'data': (4096, True), 'version': 3}\n",
        "import numpy\nassert numpy.allclose(candidate(1), 5)",
    ),
    _own_class(
        "lying-attribute",
        _POINT + "    def __getattr__(self, n): return type('E', (int,), {'__eq__': lambda *a: True})(7)\n",
        "assert candidate(1).x == 5",
    ),
    *(
        _reply(f"crossing-{name}", f"[[0,{form}],[]]")
        for name, form in {
            "zero-denominator": '{"v":["Fraction",5,0]}',
            "float-fraction": '{"v":["Fraction",5.0,1]}',
            "long-fraction": '{"v":["Fraction",{"i":"0x' + "f" * 90000 + '"},{"i":"0x' + "e" * 90001 + '"}]}',
            "signalling": '{"v":["Decimal","sNaN"]}',
            "exponent": '{"v":["Decimal","5e999999999"]}',
            "no-text": '{"v":["Decimal",5]}',
            "no-type": '{"v":["object"]}',
            "no-name": '{"v":[]}',
            "unhashable": '{"v":[[],5]}',
            "endless-deque": '{"v":["deque",{"r":[0,{"i":"0xffffffffffffffffff"},1]},null]}',
            "endless-values": '{"v":["values",{"r":[0,{"i":"0xffffffffffffffffff"},1]}]}',
            "endless-array": '{"v":["array","q",{"r":[0,{"i":"0xffffffffffffffffff"},1]}]}',
            "pairs-that-are-none": '{"v":["Counter",[1,2]]}',
            "factory": '{"v":["defaultdict",5,{"d":[]}]}',
            "objects": '{"v":["ndarray",[1],"|O",[1]]}',
            "wide": '{"v":["ndarray",["a"],"<U2000000000",[1]]}',
            "shape": '{"v":["ndarray",[1,2],"<i8",[99]]}',
            "zone": '{"v":["datetime",2020,1,1,0,0,0,0,1e400,0]}',
            "day": '{"v":["date",2020,99,1]}',
            "match": '{"v":["Match","a",[[0]],{"d":[]}]}',
            "object": '{"K":["o",0]}',
            "given": '{"K":["g",0]}',
            "number": '{"K":["n",true]}',
            "argument": '{"A":7}',
            "no-argument": '{"A":"0"}',
        }.items()
    ),
    *(
        _hello(f"introduced-{name}", repr(form.encode()))
        for name, form in {
            "value": '[[0,[["f","v",{"v":["Decimal","sNaN"]}]]]]',
            "right-value": '[[0,[["f","v",5]]]]',
            "exception": '[[0,[["f","x","SystemExit"]]]]',
            "no-letter": '[[0,[["f","z",5]]]]',
            "other": '[[0,[["print","v",5],"f"]]]',
            "handle": '[[0,[["f","v",{"K":["f",0]}]]]]',
        }.items()
    ),
    _reply("empty", "[]"),
    _reply("pass", '["pass",""]'),
    _hello("long", "b'[[0,\"' + b'x' * 60000 + b'\"]]'"),
    _hello("long-error", "b'[[1,\"' + b'x' * 30000 + b'\",\"' + 'ß'.encode() * 9000 + b'\"]]'"),
    _hello("too-long", "b' ' * 100000"),
    _hello("number", "b'5'"),
    _hello("nothing", "b'[]'"),
    _hello("other-names", 'b\'[[0,["check","candidate",[]]]]\''),
    *(
        _hello(f"deep-{depth}", f"b'[[0,{{\"a\":' + b'[' * {depth} + b']' * {depth} + b'}}]]'")
        for depth in (900, 970, 980, 985, 990, 3000)
    ),
)
