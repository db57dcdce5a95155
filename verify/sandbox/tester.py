"""The confined child that runs the test: set-up, then the test's steps beside proxies of the candidate.

The candidate is in another process. Arguments, results, changes made in place and built-in exceptions cross as plain
values. The candidate's messages are not trusted: anything but a well-formed reply ends the test with a fail. This is
remembered, so that no ``except`` of a test hides it.

A *fault* is the task's own: it is reported only before the candidate was called, when nothing depended on it.
"""

import _socket
import marshal
import os
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from verify.sandbox import wire
from verify.sandbox.child import (
    CHANNEL,
    MAX_MESSAGE,
    MAX_REASON,
    MUTABLE,
    NOT_PLAIN,
    RAISED,
    RESULT,
    RETURNED,
    describe_error,
    new_module,
    run,
)

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
    """Stands for the candidate's exception of a class that cannot cross."""


class Candidate:
    """The candidate's process as the test sees it: functions that take and return plain values."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self.wanted, self.missing, self.calls = wanted, frozenset(wanted), 0
        self.failure: BaseException | None = None

    def proxies(self) -> dict[str, Callable[..., Any]]:
        """Returns a proxy for every wanted function that the candidate says it has; raises CandidateFailed."""
        message = self._receive(MAX_HELLO)
        answer = _check_answer(message[0] if type(message) is list and message else None)
        if answer[0] != RETURNED:
            raise CandidateFailed(f"loading raised {wire.words(answer[1:])}")
        if type(answer[1]) is not list:
            raise CandidateFailed("sent what is no reply")
        defined = [name for name in self.wanted if name in answer[1]]
        if not defined:
            raise CandidateFailed(f"does not define {' or '.join(self.wanted)}")
        self.missing = self.missing - set(defined)
        return {name: self._proxy(name) for name in defined}

    def _proxy(self, name: str) -> Callable[..., Any]:
        def candidate(*arguments: Any, **named: Any) -> Any:
            try:
                answer = self._call(name, list(arguments), named)
            except wire.NotPlain as error:
                self.failure = CandidateFailed(str(error))
            except (CandidateGone, CandidateFailed) as error:
                self.failure = error
            if self.failure:
                raise self.failure
            if answer[0] == RETURNED:
                return answer[1]
            raise _exception(answer[1], answer[2])

        return candidate

    def _call(self, name: str, arguments: list[Any], named: dict[str, Any]) -> list[Any]:
        """Makes one call; returns its answer, the value decoded, and changes arguments as the call has."""
        if not self.calls:
            os.write(RESULT, CANDIDATE_CALLED)
        self.calls += 1
        request = wire.pack([name, [wire.encode(arguments), wire.encode(named)]])
        try:
            wire.write(CHANNEL, request)
        except OSError as error:
            raise CandidateGone from error
        message = self._receive(MAX_MESSAGE)
        if type(message) is not list or len(message) != 2 or type(message[1]) is not list:
            raise CandidateFailed("sent what is no reply")
        answer = _check_answer(message[0])
        for change in message[1]:
            _replace(arguments, named, change)
        return [RETURNED, wire.decode(answer[1])] if answer[0] == RETURNED else answer

    def _receive(self, limit: int) -> Any:
        try:
            message = wire.receive(CHANNEL, limit)
        except OSError as error:
            raise CandidateGone from error
        if message is None:
            raise CandidateGone
        return message


def _check_answer(answer: Any) -> list[Any]:
    """Returns a well-formed answer; raises CandidateFailed for any other."""
    if type(answer) is list and len(answer) == 2 and answer[0] == RETURNED:
        return answer
    if type(answer) is list and len(answer) == 3 and answer[0] == RAISED and {str} == set(map(type, answer[1:])):
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
    if type(target) is not type(value) or type(value) not in MUTABLE:
        raise CandidateFailed("changed an argument's type")
    if isinstance(target, list | bytearray):
        target[:] = value
    else:
        target.clear()
        target.update(value)


def _exception(name: str, text: str) -> Exception:
    kind = wire.builtin_exception(name)
    try:
        return kind(text) if kind else CandidateRaised(f"{name}: {text}")
    except TypeError:  # UnicodeDecodeError and its like want more than a text
        return CandidateRaised(f"{name}: {text}")


def run_tests(payload: tuple[bytes, tuple[str, ...], list[bytes], bool]) -> NoReturn:
    """Tests one candidate after another, as the supervisor sends their descriptors, each from a fresh start.

    Payload is set-up, wanted names, steps (compiled outside), and whether to call check.
    """
    setup, wanted, steps, calls_check = payload
    code = marshal.loads(setup), [marshal.loads(step) for step in steps]
    host = _socket.socket(fileno=HOST)
    dice = _random_state()
    while (message := host.recvmsg(1, ANCILLARY))[0]:
        for place, descriptor in zip((RESULT, CHANNEL), read_descriptors(message[1]), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        _random_state(dice)
        _test_one(Candidate(wanted), *code, calls_check)
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
        proxies = candidate.proxies()
        os.write(RESULT, CANDIDATE_READY)
        namespace.update(proxies)
        for at, step in enumerate(steps, start=1):  # noqa: B007
            run(step, namespace, "tests.py")
        if calls_check and callable(check := namespace.get("check")):
            check(proxies[candidate.wanted[0]])
    except wire.NotPlain as error:
        return ["fail", str(error)]
    except Exception as error:  # noqa: BLE001
        return _explain(candidate, error, f"assert {at} of {len(steps)}: " if len(steps) > 1 else "")
    if candidate.failure:
        raise candidate.failure
    return ["pass", ""] if candidate.calls else ["fault", "the tests never called the candidate"]


def _explain(candidate: Candidate, error: Exception, where: str) -> list[str]:
    kind, text = describe_error(error)[1:]
    if isinstance(error, NameError) and error.name in candidate.missing:
        return ["fail", f"does not define {error.name}"]
    what = f"{kind}: {text}" if text else kind
    if not candidate.calls:
        return ["fault", f"the task's own code raised {what} before it called the candidate"]
    return ["fail", where + what]
