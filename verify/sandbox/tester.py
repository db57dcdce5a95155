"""What runs in the confined child that holds the test: set-up, then the test's steps beside proxies of the candidate.

The candidate is in another process; arguments, results, changes made in place and built-in exceptions cross as plain
values. What the candidate sends is a stranger's: whatever is not a well-formed reply ends the test with a fail, and so
that no ``except`` of a test hides it, the failure is remembered.

A *fault* is the task's own: it is only ever said before the candidate was called, when nothing depended on it.
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
    described,
    new_module,
    run,
)

HOST = 5  # where the supervisor sends the next candidate's channel and a pipe for the answer
DESCRIPTOR_BYTES = 4
ANCILLARY = _socket.CMSG_SPACE(2 * DESCRIPTOR_BYTES)
MAX_HELLO = 1 << 16
# How far the test came, told as single letters before its answer; the supervisor reads them after a time-out.
SETUP_DONE, CANDIDATE_READY, CANDIDATE_CALLED = b"s", b"r", b"c"


class CandidateGone(BaseException):
    """The candidate's process ended: what it did there is for the supervisor to say."""


class CandidateFailed(BaseException):
    """The candidate could not be loaded, lacks what is tested, or sent what is no plain value."""


class CandidateRaised(Exception):
    """An exception of a class that cannot cross."""


class Candidate:
    """The other process, as the test sees it: functions that take and return plain values."""

    def __init__(self, wanted: tuple[str, ...]) -> None:
        self.wanted, self.missing, self.calls = wanted, frozenset(wanted), 0
        self.failure: BaseException | None = None

    def proxies(self) -> dict[str, Callable[..., Any]]:
        """A proxy for every wanted function that the candidate says it has."""
        message = self._receive(MAX_HELLO)
        answer = _checked_answer(message[0] if type(message) is list and message else None)
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
        """One call's answer, its value decoded; arguments that the call changed are changed here too."""
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
        answer = _checked_answer(message[0])
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


def _checked_answer(answer: Any) -> list[Any]:
    """A well-formed answer, or CandidateFailed."""
    if type(answer) is list and len(answer) == 2 and answer[0] == RETURNED:
        return answer
    if type(answer) is list and len(answer) == 3 and answer[0] == RAISED and {str} == set(map(type, answer[1:])):
        return answer
    if type(answer) is list and len(answer) == 2 and answer[0] == NOT_PLAIN:
        raise CandidateFailed(str(answer[1])[:MAX_REASON])
    raise CandidateFailed("sent what is no reply")


def _replace(arguments: list[Any], named: dict[str, Any], change: Any) -> None:
    """Makes one argument of the test what the call made of it, in place."""
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
    """One candidate after another, as the supervisor sends their descriptors, each tested from a fresh start.

    Payload is set-up, wanted names, steps (compiled outside), and whether to call check.
    """
    setup, wanted, steps, calls_check = payload
    code = marshal.loads(setup), [marshal.loads(step) for step in steps]
    host = _socket.socket(fileno=HOST)
    dice = _random_state()
    while (message := host.recvmsg(1, ANCILLARY))[0]:
        for place, descriptor in zip((RESULT, CHANNEL), received(message[1]), strict=True):
            os.dup2(descriptor, place)
            os.close(descriptor)
        _random_state(dice)
        _test_one(Candidate(wanted), *code, calls_check)
        for place in (CHANNEL, RESULT):  # closed, but taken: what is received next must not lie there
            os.dup2(0, place)
    os._exit(0)


def received(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, ...]:
    """The descriptors that came with a message; as ``socket.recv_fds``, whose module costs every fork its pages."""
    data = ancillary[0][2] if ancillary else b""
    return struct.unpack(f"{len(data) // DESCRIPTOR_BYTES}i", data)


def _random_state(state: Any = None) -> Any:
    """The state of ``random``, set to ``state`` first: all candidates meet the same numbers."""
    random: Any = sys.modules.get("random")
    if random is None:
        return None
    if state is not None:
        random.setstate(state)
    return random.getstate()


def _test_one(candidate: Candidate, setup: types.CodeType, steps: list[types.CodeType], calls_check: bool) -> None:
    try:
        verdict = _tested(candidate, setup, steps, calls_check)
    except CandidateGone:
        verdict = ["gone", ""]
    except CandidateFailed as error:
        verdict = ["fail", str(error)]
    os.write(RESULT, b"\n")
    wire.send(RESULT, verdict)


def _tested(candidate: Candidate, setup: types.CodeType, steps: list[types.CodeType], calls_check: bool) -> list[str]:
    """The verdict of the test's own code, whose exceptions are the candidate's only once it was called."""
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
        return _went_wrong(candidate, error, f"assert {at} of {len(steps)}: " if len(steps) > 1 else "")
    if candidate.failure:
        raise candidate.failure
    return ["pass", ""] if candidate.calls else ["fault", "the tests never called the candidate"]


def _went_wrong(candidate: Candidate, error: Exception, where: str) -> list[str]:
    kind, text = described(error)[1:]
    if isinstance(error, NameError) and error.name in candidate.missing:
        return ["fail", f"does not define {error.name}"]
    what = f"{kind}: {text}" if text else kind
    if not candidate.calls:
        return ["fault", f"the task's own code raised {what} before it called the candidate"]
    return ["fail", where + what]
