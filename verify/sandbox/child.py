"""The confined child that runs a candidate, in one of four modes.

Nothing here decides anything. ``stdio`` and ``cases`` only produce output that is judged outside. ``serve`` answers the
calls of a test that runs in another process (``verify.sandbox.tester``). ``shared`` puts candidate and tests in one
process because a task's author asked for it; a candidate can forge its answer, and its verdicts say so.

Descriptors: 0-2 are the standard streams, RESULT goes to the supervisor (for ``serve``: to the test), CHANNEL joins
the test to its candidate.
"""

import atexit
import contextlib
import io
import os
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from verify.sandbox import values, wire
from verify.sandbox.contest import allow_limits, open_standard_files, operated, provide
from verify.sandbox.kept import Kept, base_of, seed

RESULT, CHANNEL = 3, 4
MAX_MESSAGE = 1 << 24
MAX_REASON = 300
RETURNED, RAISED, NOT_PLAIN = 0, 1, 2  # the first item of every answer

MUTABLE = (list, dict, set, bytearray)
_FIXED = (int, str, float, tuple, bool, type(None))
SAME = "A"  # marks an answer that is one of the call's own arguments
SEED, PRINTED = "seed", "printed"  # what a test's call may ask for besides the answer
_BUFFER = 1 << 16


def new_module(name: str) -> dict[str, Any]:
    """Makes a fresh module, known to ``sys.modules`` as dataclasses and pickle want it; returns its namespace."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    return module.__dict__


def run(source: str | types.CodeType, namespace: dict[str, Any], name: str) -> None:
    code = compile(source, name, "exec", dont_inherit=True) if isinstance(source, str) else source
    exec(code, namespace)  # noqa: S102


def _load(source: str, setup: str) -> dict[str, Any]:
    """Runs set-up and candidate; returns their namespace. Errors of the set-up pass: it may need the test's names.

    The module's name is not ``__main__``: code that a candidate guards by that name is its own trial, not its answer.
    """
    namespace = new_module("candidate")
    sys.modules["__main__"] = sys.modules["candidate"]
    if setup:
        with contextlib.suppress(Exception):
            run(setup, namespace, "setup.py")
    provide(source)
    run(source, namespace, "candidate.py")
    return namespace


def _find(namespace: dict[str, Any], entry_point: str) -> Any:
    """Finds a function by name, or ``Class.method`` of an instance made without arguments."""
    name, _, method = entry_point.partition(".")
    found = namespace[name]
    return getattr(found(), method) if method else found


def describe_error(error: BaseException) -> list[Any]:
    try:
        text = str(error)[:MAX_REASON]
    except BaseException:  # noqa: BLE001
        text = ""
    return [RAISED, type(error).__name__[:MAX_REASON], text]


# ---------------------------------------------------------------- a whole program


class Streams:
    """Standard streams as text on two descriptors: a file to read and a pipe to write."""

    def __init__(self, stdin: int, stdout: int) -> None:
        self.stdin = _text(io.BufferedReader(io.FileIO(stdin, "r", closefd=False), _BUFFER))
        self.stdout = _text(io.BufferedWriter(io.FileIO(stdout, "w", closefd=False), _BUFFER))

    def become_standard(self) -> None:
        vars(sys).update(stdin=self.stdin, __stdin__=self.stdin, stdout=self.stdout, __stdout__=self.stdout)


_standard: Streams


def make_streams() -> None:
    """Makes the streams on descriptors 0 and 1, once, in the zygote: a child changes only what lies below them."""
    global _standard
    kept = [os.dup(descriptor) for descriptor in (0, 1)]
    reader, writer = os.pipe()
    file = os.memfd_create("stdin")
    for descriptor, standard in ((file, 0), (writer, 1)):
        os.dup2(descriptor, standard, inheritable=False)
    _standard = Streams(0, 1)
    for standard, descriptor in enumerate(kept):
        os.dup2(descriptor, standard, inheritable=False)
    for descriptor in (reader, writer, file, *kept):
        os.close(descriptor)


def run_stdio(payload: tuple[str]) -> NoReturn:
    """Runs a program as ``python main.py`` would: the same exit code, output at exit, and waiting for threads."""
    code = run_program(payload[0], _standard)
    code = _exit_code(_finish_program) or code
    os._exit(code & 255)


def run_program(source: str, streams: Streams) -> int:
    """Runs a program and returns its exit code; what it printed may still be buffered."""
    streams.become_standard()
    if "/dev/" in source or "/proc/" in source:
        open_standard_files()
    if "setrlimit" in source:
        allow_limits()
    provide(source)
    namespace = new_module("__main__")
    return _exit_code(lambda: run(source, namespace, "main.py"))


def _text(stream: io.BufferedReader | io.BufferedWriter) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding="utf-8", errors="surrogateescape")


def _exit_code(act: Callable[[], object]) -> int:
    try:
        act()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        _complain(f"{error.code}\n")
        return 1
    except BaseException as error:  # noqa: BLE001
        _complain(": ".join(part for part in map(str, describe_error(error)[1:]) if part) + "\n")
        return 1
    return 0


def _complain(text: str) -> None:
    """Writes last words to standard error, whatever the program has made of ``sys.stderr``."""
    with contextlib.suppress(BaseException):
        sys.stderr.flush()
    with contextlib.suppress(OSError):
        os.write(2, text.encode("utf-8", "replace"))


def _finish_program() -> None:
    """Does what the interpreter does at its end: joins threads, runs atexit functions, flushes."""
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.__stdout__):
        if stream is not None:
            stream.flush()


# ---------------------------------------------------------------- calls with known results


def run_cases(payload: tuple[str, str, str, list[list[Any]]]) -> NoReturn:
    """Answers every call with an encoded value. Expected values are not in this process."""
    _send_or_say_why(answer_calls(*payload))
    os._exit(0)


def answer_calls(source: str, setup: str, entry_point: str, calls: list[list[Any]]) -> list[Any]:
    """Makes the calls; returns an answer for each, up to the first that gave no value."""
    given: list[Any] = []
    try:
        function = _find(_load(source, setup), entry_point)
        if isinstance(function, type):
            function = operated(function)
        for arguments in calls:
            given.append(_answer(function, arguments, {}))
            if given[-1][0] != RETURNED:
                break
    except BaseException as error:  # noqa: BLE001
        given.append(describe_error(error))
    return given


def _answer(function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> list[Any]:
    try:
        return [RETURNED, wire.encode(function(*arguments, **named))]
    except wire.NotPlain as error:
        return [NOT_PLAIN, str(error)[:MAX_REASON]]
    except BaseException as error:  # noqa: BLE001
        return describe_error(error)


def _send_or_say_why(given: list[Any]) -> None:
    try:
        wire.send(RESULT, given)
    except (MemoryError, RecursionError, ValueError) as error:
        wire.send(RESULT, [describe_error(error)])


# ---------------------------------------------------------------- a candidate that answers a test's calls


def run_serve(payload: tuple[str, str, tuple[str, ...]]) -> NoReturn:
    """Says which of the wanted names the candidate defines, then answers calls until the test goes away."""
    source, setup, wanted = payload
    values.as_arrays = True
    wire.keep, wire.hold = _keep, _hold
    try:
        hello = [[RETURNED, introduced(_load(source, setup), wanted, _functions)]]
    except BaseException as error:  # noqa: BLE001
        wire.send(RESULT, [describe_error(error)])
        os._exit(0)
    wire.send(RESULT, hello)
    while (request := wire.receive(RESULT, MAX_MESSAGE)) is not None:
        wire.send(RESULT, _replied(request))
    os._exit(0)


# The functions that a test may call by name. Kept objects are rare, so nothing is made for them before the first one.
_functions: dict[str, Any] = {}
_kept: list[Kept] = []


def _kept_objects() -> Kept:
    if not _kept:
        classes = [function for function in _functions.values() if isinstance(function, type)]
        _kept.append(Kept(RESULT, MAX_MESSAGE, _replied, classes))
        _functions.update(_kept[0].requests)
    return _kept[0]


def _keep(value: Any) -> list[Any] | None:
    return _kept_objects().keep(value)


def _hold(letter: str, number: int) -> Any:
    return _kept_objects().hold(letter, number)


def _replied(request: list[Any]) -> list[Any]:
    return serve_call(_functions, request)


def introduced(namespace: dict[str, Any], wanted: tuple[str, ...], functions: dict[str, Any]) -> list[Any]:
    """Returns what the test is told of the wanted names; adds to ``functions`` the ones that it may call."""
    told = []
    for name in wanted:
        if name.partition(".")[0] in namespace:
            found = _find(namespace, name)
            if isinstance(found, type) or not callable(found):
                told += _told(name, found, functions)
            else:
                functions[name] = found
                told.append(name)
    return told


def _told(name: str, found: Any, functions: dict[str, Any]) -> list[Any]:
    """Returns the message about a class, an exception (with its built-in base), or a value that can cross."""
    if isinstance(found, type) and issubclass(found, BaseException):
        return [[name, "x", base_of(found)]]
    if isinstance(found, type):
        functions[name] = found
        return [name]
    try:
        return [[name, "v", wire.encode(found)]]
    except wire.NotPlain:
        return []


def serve_call(functions: dict[str, Any], request: list[Any]) -> list[Any]:
    """One reply: the answer, what the call changed in the arguments that it was given, and what it printed."""
    name, encoded, *more = request
    if more:
        return _served_with(functions, [name, encoded], more[0])
    arguments, named = wire.decode(encoded)
    answer = _reply(functions[name], arguments, named)
    changed = []
    try:
        before, named_before = encoded[0], dict(encoded[1]["d"])
        for key, value, old in [
            *zip(range(len(before)), arguments, before, strict=False),
            *((key, named[key], old) for key, old in named_before.items()),
        ]:
            if _is_changeable(type(value)) and (new := wire.encode(value)) != old:
                changed.append([key, new])
    except wire.NotPlain as error:
        return [[NOT_PLAIN, str(error)[:MAX_REASON]], []]
    return [answer, changed]


def _is_changeable(kind: type) -> bool:
    return kind in MUTABLE or (kind not in _FIXED and kind.__name__ in values.CHANGEABLE)


def _reply(function: Callable[..., Any], arguments: list[Any], named: dict[str, Any]) -> list[Any]:
    """The answer to a test's call: a value, one of the call's own arguments, or an exception with its base."""
    try:
        value = function(*arguments, **named)
        for at, argument in enumerate(arguments):
            if value is argument and type(value) in MUTABLE:
                return [RETURNED, {SAME: at}]
        return [RETURNED, wire.encode(value)]
    except wire.NotPlain as error:
        return [NOT_PLAIN, str(error)[:MAX_REASON]]
    except BaseException as error:  # noqa: BLE001
        return [*describe_error(error), base_of(type(error))]


def _served_with(functions: dict[str, Any], request: list[Any], wishes: dict[str, Any]) -> list[Any]:
    """A reply to a test that has seeded ``random`` or reads what is printed."""
    if SEED in wishes:
        seed(wire.decode(wishes[SEED]))
    if PRINTED not in wishes:
        return serve_call(functions, request)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        reply = serve_call(functions, request)
    return [*reply, printed.getvalue()]


# ---------------------------------------------------------------- both in one process, where a task asks for it


def run_shared(payload: tuple[str, str, str, list[str], str]) -> NoReturn:
    """Runs candidate and tests together. The candidate can forge the answer, so verdicts of this mode are marked."""
    source, setup, entry_point, steps, nonce = payload
    verdict = ["pass", nonce]
    try:
        namespace = _load(source, setup)
        for step in steps:
            provide(step)
            run(step, namespace, "tests.py")
        if entry_point and callable(namespace.get("check")):
            namespace["check"](_find(namespace, entry_point))
    except BaseException as error:  # noqa: BLE001
        verdict = ["fail", f"raised {': '.join(describe_error(error)[1:])}"]
    wire.send(RESULT, verdict)
    os._exit(0)
