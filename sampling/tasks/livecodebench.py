"""LiveCodeBench: a row of ``livecodebench/code_generation_lite`` as a question.

Private tests are published as base64 of zlib of a pickle of a JSON text. A pickle can run any code when it is loaded,
so none is: its instructions are read, and only those that make one text are allowed.
"""

import base64
import binascii
import pickletools
import zlib
from typing import Any, Literal

from pydantic import Field

from sampling.errors import BadInput
from sampling.problems import load_json
from sampling.references import PythonReference, Reference, StdioReference
from sampling.tasks.questions import Question, Row
from sampling.validate import parse

MOST_ENCODED, MOST_DECODED = 128 << 20, 512 << 20  # bytes of one row's private tests
TIME_LIMIT_S, MEMORY_MB = 6.0, 1024  # for one test, as in the benchmark's own program
MOST_INSTRUCTIONS = 16  # of a pickle
MOST_SECONDS = 60.0  # for all calls of one function together
_TEXT = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_AROUND = frozenset({"PROTO", "FRAME", "MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT", "STOP"})
_SPOKEN = "Read the input from standard input and write the answer to standard output."
_STARTED = "Begin with this code:\n\n```python\n{code}\n```"


class LiveCodeRow(Row):
    """The columns that are read; ``metadata`` names the function of problems that are judged by calls."""

    question_id: str
    question_content: str
    starter_code: str | None = ""
    public_test_cases: str
    private_test_cases: str | None = ""
    metadata: str = "{}"


class _Case(Row):
    input: str
    output: str
    testtype: Literal["stdin", "functional"]


class _Cases(Row):
    tests: tuple[_Case, ...] = Field(min_length=1)


class _Metadata(Row):
    func_name: str | None = Field(default=None, pattern=r"^[A-Za-z_]\w*$")


def read_livecodebench(data: Any, where: str, index: int) -> Question:
    row = parse(LiveCodeRow, data, where)
    public = _tests(row.public_test_cases, f"{where}: public_test_cases")
    text = _private(row.private_test_cases or "", f"{where}: private_test_cases")
    tests = parse(_Cases, {"tests": public + _tests(text, f"{where}: private_test_cases")}, where).tests
    metadata = parse(_Metadata, load_json(row.metadata or "{}", f"{where}: metadata"), f"{where}: metadata")
    started = (row.starter_code or "").strip()
    fields = {
        "question": row.question_content.strip(),
        "format": _STARTED.format(code=started) if started else _SPOKEN,
    }
    verifier, reference = _reference(tests, metadata.func_name, started, where)
    return Question(f"livecodebench/{row.question_id}", fields, "", verifier, reference)


def _tests(text: str, where: str) -> list[Any]:
    found = load_json(text, where) if text.strip() else []
    if not isinstance(found, list):
        raise BadInput(f"{where}: a JSON list of tests is needed, got {type(found).__name__}")
    return found


def _reference(tests: tuple[_Case, ...], name: str | None, started: str, where: str) -> tuple[str, Reference]:
    kinds = {test.testtype for test in tests}
    if len(kinds) > 1 or (kinds == {"functional"} and name is None):
        raise BadInput(f"{where}: testtype: all tests must be stdin, or functional with func_name in metadata")
    if kinds == {"stdin"}:
        cases = [{"stdin": test.input, "stdout": test.output} for test in tests]
        limits = {"time_limit_s": TIME_LIMIT_S, "memory_mb": MEMORY_MB}
        return "stdio", parse(StdioReference, {"cases": cases, **limits}, where)
    calls = [_call(test, f"{where}: test {number}") for number, test in enumerate(tests, start=1)]
    limits = {"time_limit_s": min(TIME_LIMIT_S * len(calls), MOST_SECONDS), "memory_mb": MEMORY_MB}
    entry = f"Solution.{name}" if "class Solution" in started else name
    return "python", parse(
        PythonReference, {"entry_point": entry, "cases": calls, "prelude": "leetcode", **limits}, where
    )


def _call(test: _Case, where: str) -> dict[str, Any]:
    """Returns a call with the arguments that stand as JSON in a line each."""
    args = [load_json(line, f"{where}: input") for line in test.input.split("\n") if line.strip()]
    return {"args": args, "expected": load_json(test.output, f"{where}: output")}


def _private(encoded: str, where: str) -> str:
    """Returns the JSON text of private tests, which some releases publish as it is; raises BadInput."""
    if not encoded.strip() or encoded.lstrip().startswith("["):
        return encoded
    if len(encoded) > MOST_ENCODED:
        raise BadInput(f"{where}: {len(encoded):,} characters; allowed: {MOST_ENCODED:,}")
    try:
        unpacker = zlib.decompressobj()
        pickled = unpacker.decompress(base64.b64decode(encoded, validate=True), MOST_DECODED)
        if not unpacker.eof:
            raise ValueError(f"cut off, or more than {MOST_DECODED >> 20} MiB unpacked")
        return text_of_pickle(pickled)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise BadInput(f"{where}: no tests as LiveCodeBench packs them ({error})") from error


def text_of_pickle(data: bytes) -> str:
    """Returns the one text that a pickle holds, without running it; raises ValueError for a pickle of anything else."""
    found: list[str] = []
    for number, (instruction, argument, _) in enumerate(pickletools.genops(data)):
        if number >= MOST_INSTRUCTIONS:
            raise ValueError(f"the pickle has more than {MOST_INSTRUCTIONS} instructions; one text takes six")
        if instruction.name in _TEXT and not found:
            found.append(str(argument))
        elif instruction.name not in _AROUND:
            raise ValueError(f"the pickle holds {instruction.name}; allowed: one text alone")
    if not found:
        raise ValueError("the pickle holds no text")
    found[0].encode()  # raises UnicodeEncodeError, a ValueError, for half of a surrogate pair
    return found[0]
