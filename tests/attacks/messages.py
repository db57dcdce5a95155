"""Answers that a candidate writes by hand to its test, in place of the code that ought to write them.

Each program sends its own greeting, and then one reply to every call. The forms are the ones of ``verify.sandbox.wire``
and ``verify.sandbox.tester``: values that may cross, values that ought not to exist, handles on objects that stay, and
replies of no form at all.
"""

from dataclasses import dataclass

ACCEPTED = "[[0, ['f']]]"
_HEAD = """
import json, os, struct
def read(size):
    body = b""
    while len(body) < size:
        part = os.read(3, size - len(body))
        if not part:
            os._exit(0)
        body += part
    return body
def hear():
    return json.loads(read(struct.unpack("<I", read(4))[0]))
def say(data):
    body = data if type(data) is bytes else json.dumps(data).encode()
    body = struct.pack("<I", len(body)) + body
    while body:
        body = body[os.write(3, body):]
"""


@dataclass(frozen=True)
class Message:
    """Answers of a candidate: its first message and the one to every call, as Python expressions that it evaluates."""

    name: str
    reply: str = "[[0, 1003], []]"
    greeting: str = ACCEPTED

    @property
    def code(self) -> str:
        return f"{_HEAD}say({self.greeting})\nwhile True:\n    hear()\n    say({self.reply})\n"


def _value(name: str, value: str) -> Message:
    """Describes a candidate whose every call returns the same value, in the form of the wire."""
    return Message(f"value-{name}", f"[[0, {value}], []]")


def _greets(name: str, greeting: str) -> Message:
    return Message(f"greeting-{name}", greeting=greeting)


def _replies(name: str, reply: str) -> Message:
    return Message(f"reply-{name}", reply)


CASES = (
    # Handles whose equality, truth or items the candidate would decide.
    _value("function", '{"K": ["f", 0]}'),
    _value("coroutine", '{"K": ["c", 0]}'),
    _value("iterator", '{"K": ["n", 0]}'),
    _value("object", '{"K": ["o", 0]}'),
    _value("function-of-the-test", '{"K": ["g", 0]}'),
    _value("function-before-the-first", '{"K": ["g", -1]}'),
    _value("number-beyond-all", '{"K": ["n", 10 ** 400]}'),
    _value("set-of-handles", '{"s": [{"K": ["f", 0]}]}'),
    _value("default-by-handle", '{"v": ["defaultdict", {"K": ["f", 0]}, {"d": []}]}'),
    _value("count-of-handle", '{"v": ["Counter", {"d": [["a", {"K": ["n", 0]}]]}]}'),
    # Values of types that compare in ways of their own.
    _value("not-a-number", "float('nan')"),
    _value("decimal-not-a-number", '{"v": ["Decimal", "NaN"]}'),
    _value("decimal-that-signals", '{"v": ["Decimal", "sNaN"]}'),
    _value("match", '{"v": ["Match", "1003", [[0, 4]], {"d": []}]}'),
    _value("built-in-function", '{"T": "all"}'),
    _value("array-of-objects", '{"v": ["ndarray", [1.0], "f8,O", [1]]}'),
    _value("array-of-records", '{"v": ["ndarray", 1, "b1,V8", []]}'),
    _value("array-of-nothing", '{"v": ["ndarray", [], "<", [0]]}'),
    _value("array-that-grows", '{"v": ["ndarray", ["x" * 30000] + [""] * 30000, "U", [30001]]}'),
    _value("date-from-bytes", '{"v": ["date", {"b": "07e80101"}]}'),
    _value("huge-range", '{"r": [0, 1 << 60, 1]}'),
    _value("long-decimal", '{"v": ["Decimal", "1" * 15_000_000]}'),
    # Forms that do not exist.
    _value("no-tag", "{}"),
    _value("two-tags", '{"t": [], "d": []}'),
    _value("unknown-name", '{"v": [[], 1]}'),
    _value("argument-that-is-none", '{"A": 0}'),
    _value("argument-by-truth", '{"A": True}'),
    _value("tuple-in-no-list", '{"t": {"K": ["n", 0]}}'),
    # Greetings.
    _greets("nothing", "[]"),
    _greets("number", "5"),
    _greets("deep", 'b"[" * 60_000'),
    _greets("deep-refusal", '"[[2, ".encode() + b"[" * 900 + b"]" * 900 + b"]]"'),
    _greets("long-refusal", "[[2, 10 ** 4000]]"),
    _greets("too-long", 'b" " * 70_000'),
    _greets("another-name", "[[0, ['g']]]"),
    _greets("value-in-place-of-function", "[[0, [['f', 'v', 1003]]]]"),
    _greets("object-in-place-of-function", "[[0, [['f', 'v', {'K': ['o', 0]}]]]]"),
    _greets("handle-in-place-of-function", "[[0, [['f', 'v', {'K': ['f', 0]}]]]]"),
    _greets("exception-in-place-of-function", "[[0, [['f', 'x', 'StopIteration']]]]"),
    _greets("exception-of-no-base", "[[0, [['f', 'x', {'d': []}]]]]"),
    # Replies.
    _replies("end-of-a-loop", "[[1, 'StopIteration', 'x', 'StopIteration'], []]"),
    _replies("end-of-the-test", "[[1, 'SystemExit', '0', 'SystemExit'], []]"),
    _replies("interrupt", "[[1, 'KeyboardInterrupt', '', 'KeyboardInterrupt'], []]"),
    _replies("end-of-a-generator", "[[1, 'GeneratorExit', '', 'GeneratorExit'], []]"),
    _replies("group-of-errors", "[[1, 'ExceptionGroup', 'x', 'ExceptionGroup'], []]"),
    _replies("name-of-an-attribute", "[[1, '__class__', 'x', '__import__'], []]"),
    _replies("argument-of-another-type", "[[0, 1003], [[0, [1]]]]"),
    _replies("argument-that-is-not-there", "[[0, 1003], [['x', [1]]]]"),
    _replies("printed-unasked", "[[0, 5], [], 'x' * (1 << 22)]"),
    _replies("call-of-nothing", "['\\0call', 0, [], {'d': []}]"),
    _replies("call-before-the-first", "['\\0call', -1, [], {'d': []}]"),
    _replies("two-answers", "[[0, 5], []]); say([[0, 5], []]"),
)
