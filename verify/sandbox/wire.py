"""The wire between a candidate and its judges: plain built-in values cross, and nothing else.

A message is a length and JSON, with one tagged object for each value that JSON lacks. It is never pickle or marshal,
since the decoder is attacked too. Decoding builds exact built-in types only: an object whose ``__eq__`` always agrees
is no value. Bytes, depth, digits and equal hashes of keys are bounded (20,000 integers with equal hashes would cost
seconds to insert).

Encoding runs beside the candidate, which may have patched anything; it can only spoil its own answers.
"""

import builtins
import json
import os
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from verify.sandbox import values

MAX_DEPTH = 100
MAX_DIGITS = 1 << 18  # hexadecimal
MAX_DECIMAL = 4300  # digits of an integer in JSON, where longer ones come in the other form
MAX_KEYS = 200_000  # in one message
MAX_EQUAL_HASHES = 64  # keys of one container that share their hash with another
MAX_ITEMS_OF_ITERATOR = 100_000
MAX_WORDS = 300  # characters of a stranger's description of an error
_JSON_INT = 1 << 62
# A test may pass a type or a built-in function as an argument, or get one back.
_NAMED: dict[str, Any] = {
    named.__name__: named
    for named in (
        *(int, str, float, bool, list, tuple, dict, set, frozenset, bytes, complex, range, enumerate, zip, map, filter),
        *(reversed, abs, all, any, bin, chr, divmod, hex, len, max, min, ord, pow, repr, round, sorted, sum),
    )
}
_NAMES = {named: name for name, named in _NAMED.items()}
_FUNCTION = type(len)
_CONTAINERS: tuple[tuple[Any, str], ...] = ((set, "s"), (frozenset, "z"), (tuple, "t"))


class NotPlain(Exception):
    """A value cannot cross, or bytes are no message of ours."""


# Between a candidate and a test, an object may stay where it is: ``keep`` gives it a number, ``hold`` makes a handle.
keep: Callable[[Any], list[Any] | None] | None = None
hold: Callable[[str, int], Any] | None = None


def _unknown(value: object) -> NoReturn:
    raise NotPlain(f"no JSON for {type(value).__name__}")


# The json module builds one of these for every call of ``dumps``.
_parts: Any = json.encoder
_encode_json = _parts.c_make_encoder(
    None, _unknown, _parts.c_encode_basestring_ascii, None, ":", ",", False, False, True
)


def encode(value: Any, depth: int = 0) -> Any:
    """Encodes a value as JSON data; a subclass of a built-in type loses all that it adds. Raises NotPlain."""
    kind = type(value)
    if value is None or kind is bool or kind is str or kind is float:
        return value
    if kind is int:
        return value if -_JSON_INT < value < _JSON_INT else {"i": _hexadecimal(value)}
    if depth > MAX_DEPTH:
        raise NotPlain("nested too deeply")
    if kind is list:
        return [encode(item, depth + 1) for item in value]
    if kind is tuple:
        return {"t": [encode(item, depth + 1) for item in value]}
    if kind is dict:
        return {"d": [encode([key, item], depth + 1) for key, item in value.items()]}
    return _encode_other(value, kind, depth)


def _encode_other(value: Any, kind: type, depth: int) -> Any:
    try:
        parts = values.take_apart(value, kind, _NAMES)
    except ValueError as error:
        raise NotPlain(str(error)) from error
    if parts is not None:
        return {"v": [encode(part, depth + 1) for part in parts]}
    if issubclass(kind, dict):
        return {"d": [encode([key, item], depth + 1) for key, item in dict.items(value)]}
    for container, tag in _CONTAINERS:
        if issubclass(kind, container):
            return {tag: [encode(item, depth + 1) for item in container.__iter__(value)]}
    for base in (int, float, str, list):  # includes numpy.float64
        if issubclass(kind, base):
            return encode(_bare(value, base), depth + 1)
    if kind in (bytes, bytearray):
        return {"b" if kind is bytes else "m": value.hex()}
    if kind is complex:
        return {"c": [value.real, value.imag]}
    if kind is range:
        return {"r": [encode(part) for part in (value.start, value.stop, value.step)]}
    return _encode_object(value, kind, depth)


def _encode_object(value: Any, kind: type, depth: int) -> Any:
    if kind in (type, _FUNCTION) and value in _NAMES:
        return {"T": _NAMES[value]}
    if values.is_array(kind) and (parts := values.array_parts(value)) is not None:
        return {"v": [encode(part, depth + 1) for part in parts]}
    if kind.__module__ == "numpy" and hasattr(kind, "tolist"):
        return encode(value.tolist(), depth + 1)
    if keep is not None and (kept := keep(value)) is not None:
        return {"K": kept}
    if hasattr(kind, "__next__"):
        return {"I": _encode_iterator(value, depth)}
    raise NotPlain(f"a value of type {kind.__name__} cannot leave the candidate's process")


def _bare(value: Any, base: type) -> Any:
    """Returns the built-in value inside an instance of a subclass, whatever the subclass overrides."""
    if base is str:
        return "".join(str.__iter__(value))
    if base is list:
        return list(list.__iter__(value))
    return int.__add__(value, 0) if base is int else float.__add__(value, 0.0)


def _hexadecimal(value: int) -> str:
    if value.bit_length() > 4 * (MAX_DIGITS - 4):
        raise NotPlain("an integer of too many digits")
    return hex(value)


def _encode_iterator(value: Any, depth: int) -> list[Any]:
    items = []
    for item in value:
        items.append(encode(item, depth + 1))
        if len(items) > MAX_ITEMS_OF_ITERATOR:
            raise NotPlain("the iterator is too long")
    return items


def decode(data: Any) -> Any:
    """The value of decoded JSON; raises NotPlain for anything that ``encode`` would not have written."""
    return _Decoder().value(data, 0) if type(data) in (list, dict) else data


class _Decoder:
    """Decodes one message, with bounds over all of it."""

    def __init__(self) -> None:
        self.keys_left = MAX_KEYS

    def value(self, data: Any, depth: int) -> Any:
        kind = type(data)
        if kind is list:
            if depth > MAX_DEPTH:
                raise NotPlain("nested too deeply")
            return [self.value(item, depth + 1) for item in data]
        if kind is not dict:
            return data
        if len(data) != 1:
            raise NotPlain("unknown form")
        ((tag, body),) = data.items()
        return self.tagged(tag, body, depth + 1)

    def tagged(self, tag: str, body: Any, depth: int) -> Any:
        if tag in ("b", "m", "i", "T"):
            return self.text(tag, body)
        if type(body) is not list:
            raise NotPlain("unknown form")
        items = self.value(body, depth)
        if tag == "t":
            return tuple(items)
        if tag == "v":
            return self.rebuilt(items)
        if tag == "K":
            return self.handle(items)
        if tag == "I":
            return iter(items)
        if tag in ("d", "s", "z"):
            return self.keyed(tag, items)
        return self.numeric(tag, items)

    def text(self, tag: str, body: Any) -> Any:
        if type(body) is not str:
            raise NotPlain("unknown form")
        if tag == "T":
            if body not in _NAMED:
                raise NotPlain("unknown type")
            return _NAMED[body]
        try:
            if tag == "i":
                return _big_integer(body)
            return bytes.fromhex(body) if tag == "b" else bytearray.fromhex(body)
        except ValueError as error:
            raise NotPlain("unknown form") from error

    def rebuilt(self, items: list[Any]) -> Any:
        try:
            return values.put_together(items)
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise NotPlain("unknown form") from error

    def handle(self, items: list[Any]) -> Any:
        if hold is None or [type(item) for item in items] != [str, int]:
            raise NotPlain("an object of the candidate's own process")
        return hold(*items)

    def keyed(self, tag: str, items: list[Any]) -> Any:
        self.keys_left -= len(items)
        if self.keys_left < 0:
            raise NotPlain("too many keys")
        if tag == "d" and not all(type(item) is list and len(item) == 2 for item in items):
            raise NotPlain("unknown form")
        keys = [item[0] for item in items] if tag == "d" else items
        try:
            if len(keys) > MAX_EQUAL_HASHES and len(keys) - len({hash(key) for key in keys}) > MAX_EQUAL_HASHES:
                raise NotPlain("too many keys with equal hashes")
            return dict(items) if tag == "d" else frozenset(keys) if tag == "z" else set(keys)
        except TypeError as error:
            raise NotPlain("a key that cannot be hashed") from error

    def numeric(self, tag: str, items: list[Any]) -> Any:
        try:
            if tag == "c" and [type(item) for item in items] == [float, float]:
                return complex(*items)
            if tag == "r" and [type(item) for item in items] == [int, int, int]:
                return range(*items)
        except ValueError as error:
            raise NotPlain("unknown form") from error
        raise NotPlain("unknown form")


def _big_integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise NotPlain("too many digits")
    return int(text, 16)


def pack(data: Any) -> bytes:
    """Packs JSON data as one message: its length, then its bytes."""
    body = "".join(_encode_json(data, 0)).encode("ascii")
    return struct.pack("<I", len(body)) + body


def unpack(message: bytes | bytearray) -> Any:
    """Unpacks the JSON data of exactly one message; raises NotPlain."""
    if len(message) < 4 or struct.unpack_from("<I", message)[0] != len(message) - 4:
        raise NotPlain("not one whole message")
    return parse(bytes(message[4:]))


def parse(body: bytes) -> Any:
    """JSON data that a stranger wrote; raises NotPlain."""
    if len(body) > MAX_DECIMAL and not sys.get_int_max_str_digits():
        sys.set_int_max_str_digits(MAX_DECIMAL)
        try:
            return parse(body)
        finally:
            sys.set_int_max_str_digits(0)
    try:
        return json.loads(body.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise NotPlain("not JSON") from error


def words(parts: Iterable[Any]) -> str:
    """Joins the texts by which a stranger describes an error, cut to MAX_WORDS; ignores parts that are no text."""
    return ": ".join(part[:MAX_WORDS] for part in parts if type(part) is str)[:MAX_WORDS]


def send(descriptor: int, data: Any) -> None:
    write(descriptor, pack(data))


def write(descriptor: int, message: bytes) -> None:
    """Writes all of a packed message."""
    rest = memoryview(message)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def receive(descriptor: int, limit: int) -> Any:
    """Receives the next message's JSON data, None if the other side has gone; raises NotPlain."""
    head = _read_exactly(descriptor, 4)
    if head is None:
        return None
    (size,) = struct.unpack("<I", head)
    if size > limit:
        raise NotPlain("message too large")
    body = _read_exactly(descriptor, size)
    return None if body is None else parse(body)


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    parts = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def builtin_exception(name: object) -> type[Exception] | None:
    """Returns a built-in exception class by name, None for one that may not be raised again on the other side.

    StopIteration is one of these: raised inside ``all(map(...))`` it would end the loop and let a test pass.
    """
    kind = getattr(builtins, name, None) if isinstance(name, str) else None
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return None
    return None if issubclass(kind, StopIteration | StopAsyncIteration) else kind
