"""``docs/sandbox.md`` says what the code does: tiers, tests behind promises, default limits, messages."""

import re
from pathlib import Path

import pytest

from sampling.limits import Limits
from sampling.patches import PatchReference
from sampling.references import LeanReference, PythonReference, StdioReference
from tests.attacks import checkers, languages, messages, output_checkers
from tests.attacks.test_attacks import CLASSES, RUNS
from tests.support.places import ROOT
from verify.languages import compiler
from verify.lean import verifier as lean
from verify.patch import suite as patch
from verify.sandbox import child, commands, escapes, limits, namespaces, sandbox, supervisor, tiers, tool, wire, zygote

PAGE = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")
HERE = Path(__file__).parent
MEGABYTE = limits.MEGABYTE


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def test_every_tier_is_named() -> None:
    for tier in tiers.TIERS:
        assert f"| `{tier}` |" in PAGE, tier


def test_every_escape_that_is_tried_is_named() -> None:
    named = PAGE.split("a program\ninside tries to")[1].split("(`verify/sandbox/escapes.py`)")[0]
    words = {"read /etc/passwd": "read `/etc/passwd`", "list /proc": "list `/proc`"}
    for name in escapes.TRIES:
        assert words.get(name, name.removesuffix(" of scratch")) in named, name


def test_every_test_that_stands_behind_a_promise_exists() -> None:
    tests = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
    assert len(tests) > 15
    for module, name in tests:
        file = next(folder / module for folder in (HERE, HERE.parent) if (folder / module).is_file())
        assert f"def {name}(" in file.read_text(encoding="utf-8"), f"{module}::{name}"


def test_every_class_of_attacks_is_named() -> None:
    for module in CLASSES:
        assert f"`tests/attacks/{module.__name__.rpartition('.')[2]}.py`" in PAGE, module
    assert sum(len(module.CASES) for module in CLASSES) > 500
    assert len(RUNS) > 500
    others = (languages, messages, output_checkers, checkers)
    for module in others:
        assert f"`tests/attacks/{module.__name__.rpartition('.')[2]}.py`" in PAGE, module
    assert sum(len(module.CASES) for module in (*CLASSES, *others)) > 700


@pytest.mark.parametrize(
    ("verifiers", "reference"),
    [("`stdio`, `python`", Limits), ("`lean`", LeanReference), ("`patch`", PatchReference)],
)
def test_default_limits_are_those_of_the_code(verifiers: str, reference: type[Limits]) -> None:
    seconds, megabytes = reference.default_limit_s, reference.model_fields["memory_mb"].default
    assert row(verifiers, f"{seconds:g}", str(megabytes)) in PAGE
    for kind in (StdioReference, PythonReference):
        assert kind.default_limit_s == Limits.default_limit_s
        assert kind.model_fields["memory_mb"].default == Limits.model_fields["memory_mb"].default


def test_fixed_limits_are_those_of_the_code() -> None:
    mine, files, room = supervisor.SCRATCH_MB, namespaces.MAX_SCRATCH_FILES, commands.SCRATCH_MB
    output = f"{limits.DEFAULT_OUTPUT // MEGABYTE} MiB and twice the right answer"
    errors = f"standard error {sandbox.MAX_ERRORS // MEGABYTE} MiB"
    value = f"{child.MAX_MESSAGE // MEGABYTE} MiB, depth {wire.MAX_DEPTH}, {wire.MAX_KEYS} keys"
    rows = [
        row(
            "memory",
            f"data at the limit; address space {zygote.HEADROOM // MEGABYTE} MiB above "
            "what the fork server has and the limit; shared maps and files in scratch count at the end",
            f"all processes together, looked at every {commands.LOOK_MS} ms; "
            f"a single one {commands.HEADROOM // MEGABYTE} MiB above the limit",
            f"private memory, looked at every {tool.TICK_S * 1000:.0f} ms",
        ),
        row(
            "output",
            f"{output}; {errors}",
            f"{patch.OUTPUT_BYTES // MEGABYTE} MiB",
            f"{lean.OUTPUT // MEGABYTE} MiB",
        ),
        row(
            "scratch folder (`isolated`)",
            f"{mine} MiB, {files} files",
            f"{room} MiB, {namespaces.MAX_COMMAND_FILES} files; as much again for changed files",
            f"{mine} MiB, {files} files",
        ),
        row("largest file", f"{mine} MiB", f"{room} MiB", f"{tool.MAX_WRITTEN // MEGABYTE} MiB"),
        row(
            "processes and threads",
            f"{supervisor.MAX_PROCESSES_ISOLATED} in `isolated`; "
            f"else {supervisor.MAX_THREADS_CONFINED}, looked at every {supervisor.LOOK_MS} ms",
            str(commands.MAX_PROCESSES),
            "threads only",
        ),
        row("descriptors", *map(str, (zygote.MAX_DESCRIPTORS, commands.MAX_DESCRIPTORS, tool.MAX_DESCRIPTORS))),
        row("returned value", f"{value}, {wire.MAX_DIGITS} hexadecimal digits", "–", "–"),
    ]
    for expected in rows:
        assert expected in PAGE
    assert f"every {supervisor.LOOK_MS} ms." in PAGE
    compiled = compiler.COMPILE
    assert f"{compiled.cpu_s:.0f} s of CPU time for each process, {compiled.wall_s:.0f} s of wall time," in PAGE
    assert f"{compiled.memory_mb} MB and {compiled.output_bytes // MEGABYTE} MiB of program" in PAGE


@pytest.mark.parametrize(
    "message",
    ["entering namespaces of its own", "the kernel has no Landlock", "no system call table for",
     "cannot be read without root", "does not hold here: a program inside could", "tried; it holds"],
)  # fmt: skip
def test_messages_of_the_doctor_are_those_of_the_code(message: str) -> None:
    sources = [*(ROOT / "verify" / "sandbox").glob("*.py"), *(ROOT / "jobs" / "doctor").glob("*.py")]
    assert f"{message}" in PAGE
    assert any(message in source.read_text(encoding="utf-8") for source in sources)
