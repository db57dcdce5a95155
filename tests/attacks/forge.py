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
