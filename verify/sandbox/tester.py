"""The confined child that runs the test: set-up, then the test's steps beside proxies of the candidate.

The candidate is in another process. Arguments, results, changes made in place and built-in exceptions cross as plain
values. The candidate's messages are not trusted: anything but a well-formed reply ends the test with a fail. This is
remembered, so that no ``except`` of a test hides it.

A *fault* is the task's own: it is reported only before the candidate was called, when nothing depended on it.
"""

import _signal  # type: ignore[import-not-found]  # without the enumerations that ``signal`` wraps around everything
import _socket
import marshal
import os
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from verify.sandbox import values, wire
from verify.sandbox.child import (
    CHANNEL,
    MAX_MESSAGE,
    MAX_REASON,
    MUTABLE,
    NOT_PLAIN,
    PRINTED,
    RAISED,
    RESULT,
    RETURNED,
    SAME,
    SEED,
    describe_error,
    new_module,
    run,
)
from verify.sandbox.contest import provide
from verify.sandbox.handles import Handles
from verify.sandbox.kept import CALL

HOST = 5  # the supervisor sends the next candidate's channel and a pipe for the answer to this descriptor
DESCRIPTOR_BYTES = 4
ANCILLARY = _socket.CMSG_SPACE(2 * DESCRIPTOR_BYTES)
MAX_HELLO = 1 << 16
# The test's progress, written as single letters before its answer; the supervisor reads them after a time-out.
SETUP_DONE, CANDIDATE_READY, CANDIDATE_CALLED = b"s", b"r", b"c"


class CandidateGone(BaseException):
    """The candidate's process has ended; the supervisor knows why."""


class CandidateFailed(BaseException):
    """The candidate could not be loaded, lacks what is tested, or sent something else than a plain value."""


class CandidateRaised(Exception):
    """An exception of the candidate's own class, of which only the name and a built-in base cross."""


class Candidate:
    """The candidate's process as the test sees it: functions that take and return plain values."""

    def __init__(self, wanted: tuple[str, ...], seeds: list[Any]) -> None:
        self.wanted, self.missing, self.calls = wanted, frozenset(wanted), 0
        self.failure: BaseException | None = None
        self.gave_values = False  # what goes wrong with them is the candidate's doing, even before a call
        self.raised: dict[str, type[Exception]] = {}
        self.seeds = seeds
        own_classes = any(name[:1].isupper() and "." not in name for name in wanted)
        self.handles = Handles(self._ask, self._fail, objects=own_classes)

    def names(self) -> dict[str, Any]:
        """Returns the wanted names that the candidate has: a proxy for a function, a value, or an exception's class."""
        message = self._receive(MAX_HELLO)
        answer = _check_answer(message[0] if type(message) is list and message else None)
        if answer[0] != RETURNED:
            raise CandidateFailed(f"loading raised {wire.words(answer[1:3])}")
        if type(answer[1]) is not list:
            raise CandidateFailed("sent what is no reply")
        defined = dict(self._introduced(item) for item in answer[1])
        if not defined:
            raise CandidateFailed(f"does not define {' or '.join(self.wanted)}")
        self.missing = self.missing - set(defined)
        return defined

    def _introduced(self, item: Any) -> tuple[str, Any]:
        if type(item) is str and item in self.wanted:
            return item, self._proxy(item)
        if type(item) is not list or len(item) != 3 or type(item[0]) is not str or item[0] not in self.wanted:
            raise CandidateFailed(f"does not define {' or '.join(self.wanted)}")
        name, letter, data = item
        if not self.gave_values:
            os.write(RESULT, CANDIDATE_CALLED)
        self.gave_values = True
        return name, wire.decode(data) if letter == "v" else self._exception_class(name, data)

    def _proxy(self, name: str) -> Callable[..., Any]:
        def candidate(*arguments: Any, **named: Any) -> Any:
            return self._ask(name, list(arguments), named)

        return candidate

    def _ask(self, name: str, arguments: list[Any], named: dict[str, Any]) -> Any:
        """Returns what a call of the candidate returns; raises what it raised, and a failure for good."""
        try:
            answer = self._call(name, arguments, named)
        except wire.NotPlain as error:
            self.failure = CandidateFailed(str(error))
        except (CandidateGone, CandidateFailed) as error:
            self.failure = error
        if self.failure:
            raise self.failure
        if answer[0] == RETURNED:
            return answer[1]
        raise self._exception(*answer[1:])

    def _fail(self, reason: str) -> NoReturn:
        self.failure = CandidateFailed(reason)
        raise self.failure

    def _call(self, name: str, arguments: list[Any], named: dict[str, Any]) -> list[Any]:
        """Makes one call; returns its answer, the value decoded, and changes arguments as the call has."""
        if not self.calls:
            os.write(RESULT, CANDIDATE_CALLED)
        self.calls += 1
        wishes = self._wishes() if self.seeds or sys.stdout is not sys.__stdout__ else None
        request: list[Any] = [name, [wire.encode(arguments), wire.encode(named)]]
        if wishes:
            request.append(wishes)
        self._send(request)
        message = self._receive(MAX_MESSAGE)
        while type(message) is list and len(message) == 4 and message[0] == CALL:
            self._send(self._called_back(*message[1:]))
            message = self._receive(MAX_MESSAGE)
        if type(message) is not list or len(message) not in (2, 3) or type(message[1]) is not list:
            raise CandidateFailed("sent what is no reply")
        answer = _check_answer(message[0])
        for change in message[1]:
            _replace(arguments, named, change)
        if len(message) == 3 and type(message[2]) is str:
            sys.stdout.write(message[2])
        return [RETURNED, _value(answer[1], arguments)] if answer[0] == RETURNED else answer

    def _wishes(self) -> dict[str, Any]:
        """Returns the needs of this call besides its arguments: the test's seed of ``random``, the printed text."""
        wishes: dict[str, Any] = {PRINTED: 1} if sys.stdout is not sys.__stdout__ else {}
        if self.seeds:
            wishes[SEED] = wire.encode(self.seeds.pop())
        return wishes

    def _called_back(self, number: Any, arguments: Any, named: Any) -> list[Any]:
        """Answers the candidate's call of a function that the test has given to it."""
        given, given_named = wire.decode(arguments), wire.decode(named)
        known = type(number) is int and 0 <= number < len(self.handles.offered)
        if not known or type(given) is not list or type(given_named) is not dict:
            raise CandidateFailed("called what the test has not given")
        try:
            return [RETURNED, wire.encode(self.handles.offered[number](*given, **given_named))]
        except Exception as error:  # noqa: BLE001
            return describe_error(error)

    def _send(self, data: Any) -> None:
        message = wire.pack(data)
        try:
            wire.write(CHANNEL, message)
        except OSError as error:
            raise CandidateGone from error

    def _receive(self, limit: int) -> Any:
        try:
            message = wire.receive(CHANNEL, limit)
        except OSError as error:
            raise CandidateGone from error
        if message is None:
            raise CandidateGone
        return message

    def _exception(self, name: str, text: str, base: str = "") -> Exception:
        kind = wire.builtin_exception(name) or self._exception_class(name, base)
        try:
            return kind(text)
        except TypeError:  # UnicodeDecodeError and its like want more than a text
            return CandidateRaised(f"{name}: {text}")

    def _exception_class(self, name: str, base: Any) -> type[Exception]:
        """A class in place of the candidate's own, the same one for each name."""
        if name not in self.raised:
            kind = wire.builtin_exception(base) or Exception
            bases = (CandidateRaised,) if kind is Exception else (CandidateRaised, kind)
            title = name if name.isidentifier() else "CandidateRaised"
            self.raised[name] = type(title, bases, {})
        return self.raised[name]


def _value(data: Any, arguments: list[Any]) -> Any:
    """An answer's value: made anew, or the argument itself that the candidate gave back."""
    if type(data) is dict and SAME in data:
        place = data[SAME]
        if type(place) is not int or not 0 <= place < len(arguments) or type(arguments[place]) not in MUTABLE:
            raise CandidateFailed("sent what is no reply")
        return arguments[place]
    return wire.decode(data)


def _check_answer(answer: Any) -> list[Any]:
    """Returns a well-formed answer; raises CandidateFailed for any other."""
    if type(answer) is list and len(answer) == 2 and answer[0] == RETURNED:
        return answer
    if type(answer) is list and len(answer) in (3, 4) and answer[0] == RAISED and {str} == set(map(type, answer[1:])):
        return answer
    if type(answer) is list and len(answer) == 2 and answer[0] == NOT_PLAIN:
        raise CandidateFailed(str(answer[1])[:MAX_REASON])
    raise CandidateFailed("sent what is no reply")


def _replace(arguments: list[Any], named: dict[str, Any], change: Any) -> None:
    """Changes one argument of the test in place, as the call has changed its copy; raises CandidateFailed."""
    try:
        key, encoded = change
        target = named[key] if type(key) is str else arguments[key]
    except (TypeError, ValueError, LookupError) as error:
        raise CandidateFailed("sent what is no reply") from error
    value = wire.decode(encoded)
    kind = type(value)
    if kind is not type(target) and not (kind in MUTABLE and isinstance(target, kind)):
        raise CandidateFailed("changed an argument's type")
    if isinstance(target, dict | set):
        target.clear()
        target.update(value)
    elif kind.__name__ == "deque":
        target.clear()
        target.extend(value)
    elif kind in MUTABLE or kind.__name__ == "array":
        target[:] = value
    elif kind.__name__ == "ndarray" and target.shape == value.shape:
        target[...] = value
    else:
        raise CandidateFailed("changed an argument's type")


def run_tests(payload: tuple[bytes, tuple[str, ...], list[bytes], bool]) -> NoReturn:
    """Tests one candidate after another, as the supervisor sends their descriptors, each from a fresh start.

    Payload is set-up, wanted names, steps (compiled outside), and whether to call check.
    """
    setup, wanted, steps, calls_check = payload
    code = marshal.loads(setup), [marshal.loads(step) for step in steps]
    provide("".join(part.decode("latin-1") for part in (setup, *steps)))
    host = _socket.socket(fileno=HOST)
    _signal.signal(_signal.SIGPIPE, _signal.SIG_IGN)  # a candidate that hangs up ends no test process
    dice, seeds = _random_state(), _hear_seeds()
    values.as_arrays = True
    while (message := host.recvmsg(1, ANCILLARY))[0]:
        for place, descriptor in zip((RESULT, CHANNEL), read_descriptors(message[1]), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        _random_state(dice)
        seeds.clear()
        _test_one(Candidate(wanted, seeds), *code, calls_check)
        for place in (CHANNEL, RESULT):  # closed, but taken: what is received next must not lie there
            os.dup2(0, place)
    os._exit(0)


def read_descriptors(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    """Returns the descriptors that came with a message, as ``socket.recv_fds`` does; that module costs forks pages."""
    data = ancillary[0][2] if ancillary else b""
    return struct.unpack(f"{len(data) // DESCRIPTOR_BYTES}i", data)


def _random_state(state: Any = None) -> Any:
    """Sets the state of ``random`` if one is given, so that all candidates meet the same numbers; returns the state."""
    random: Any = sys.modules.get("random")
    if random is None:
        return None
    if state is not None:
        random.setstate(state)
    return random.getstate()


def _hear_seeds() -> list[Any]:
    """Returns a list that gets each seed that the test gives to ``random``, for the candidate's next call."""
    heard: list[Any] = []
    random: Any = sys.modules.get("random")
    if random is None:
        return heard
    real = random.seed

    def seed(value: Any = None, version: int = 2) -> None:
        real(value, version)
        if version == 2 and (value is None or type(value) in (int, float, str, bytes)):
            heard[:] = [value]

    random.seed = seed
    return heard


def _test_one(candidate: Candidate, setup: types.CodeType, steps: list[types.CodeType], calls_check: bool) -> None:
    try:
        verdict = _run_test(candidate, setup, steps, calls_check)
    except CandidateGone:
        verdict = ["gone", ""]
    except CandidateFailed as error:
        verdict = ["fail", str(error)]
    os.write(RESULT, b"\n")
    wire.send(RESULT, verdict)


def _run_test(candidate: Candidate, setup: types.CodeType, steps: list[types.CodeType], calls_check: bool) -> list[str]:
    """Runs the test; returns its verdict. An exception counts against the candidate only once it was called."""
    namespace, at = new_module("tests"), 0
    try:
        run(setup, namespace, "setup.py")
        os.write(RESULT, SETUP_DONE)
        names = candidate.names()
        os.write(RESULT, CANDIDATE_READY)
        namespace.update(names)
        for at, step in enumerate(steps, start=1):  # noqa: B007
            run(step, namespace, "tests.py")
        if calls_check and callable(check := namespace.get("check")):
            check(names[candidate.wanted[0]])
    except wire.NotPlain as error:
        return ["fail", str(error)]
    except Exception as error:  # noqa: BLE001
        return _explain(candidate, error, f"assert {at} of {len(steps)}: " if len(steps) > 1 else "")
    if candidate.failure:
        raise candidate.failure
    for kind in candidate.handles.unused.values():
        return ["fail", f"a value of type {kind} cannot leave the candidate's process, and the test never calls it"]
    return (
        ["pass", ""]
        if candidate.calls or (candidate.gave_values and not calls_check)
        else ["fault", "the tests never called the candidate"]
    )


def _explain(candidate: Candidate, error: Exception, where: str) -> list[str]:
    kind, text = describe_error(error)[1:]
    if isinstance(error, NameError) and error.name in candidate.missing:
        return ["fail", f"does not define {error.name}"]
    what = f"{kind}: {text}" if text else kind
    if not candidate.calls and not candidate.gave_values:
        return ["fault", f"the task's own code raised {what} before it called the candidate"]
    return ["fail", where + what]
