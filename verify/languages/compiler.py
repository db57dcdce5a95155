"""Compiles candidates in a jail, with limits of their own, and keeps what they became.

A compiler reads a stranger's text for seconds: it sees no file but its own and writes none but the program. The source
goes in with the script, the program comes out behind a mark that nobody can guess; both are data.
"""

import base64
import binascii
import hashlib
import io
import re
import secrets
import tarfile
import zipfile
from collections import OrderedDict

from verify.languages.java_names import java_names
from verify.languages.toolchains import Toolchain
from verify.sandbox.commands import Finished, Jail
from verify.sandbox.limits import MEGABYTE, Quota
from verify.sandbox.outcomes import Execution
from verify.sandbox.programs import Program
from verify.verdict import Status

COMPILE = Quota(wall_s=60.0, memory_mb=2048, output_bytes=96 * MEGABYTE, cpu_s=20.0)
KEPT_BYTES, KEPT = 256 * MEGABYTE, 4096  # of programs, of one verifier process
MESSAGES = 20_000  # bytes of a compiler's messages that are read
_LINES, _CHARACTERS = 3, 400
_MOST_FILES = 5_000  # in what a compiler made

Compiled = Program | Execution


class Compiler:
    """Compiles each source once; a failed compilation is remembered like a program."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, Compiled] = OrderedDict()
        self._bytes = 0

    def compile(self, toolchain: Toolchain, source: str) -> Compiled:
        """Returns the program or, if there is none, how compiling ended; raises VerifierFault where no jail works."""
        key = hashlib.blake2b(f"{toolchain.language}\n{source}".encode(), digest_size=16).digest()
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        compiled = build(toolchain, source)
        if isinstance(compiled, Program) or compiled.status is not Status.TIMEOUT or COMPILE.over_cpu(compiled.cpu_s):
            self._keep(key, compiled)
        return compiled

    def _keep(self, key: bytes, compiled: Compiled) -> None:
        self._kept[key] = compiled
        self._bytes += _size(compiled)
        while self._bytes > KEPT_BYTES or len(self._kept) > KEPT:
            self._bytes -= _size(self._kept.popitem(last=False)[1])


def _size(compiled: Compiled) -> int:
    return len(compiled.binary) if isinstance(compiled, Program) else 0


def build(toolchain: Toolchain, source: str) -> Compiled:
    """Compiles one source; a language without a compiler takes it as it is."""
    file, main = java_names(source) if toolchain.language == "java" else ("", "")
    words = tuple(word.replace("{main}", main) for word in toolchain.words)
    if not toolchain.build:
        return Program(toolchain.runtime, source.encode(), words, toolchain.variables)
    mark = secrets.token_hex(16)
    finished = Jail(toolchain.readable, environment=toolchain.build_variables).run(
        _script(toolchain, source, toolchain.source.replace("{file}", file), mark), COMPILE
    )
    messages, code, made = _read(finished.output, mark)
    problem = _problem(finished, messages, code)
    if problem is None:
        try:
            binary = base64.b64decode(made, validate=True)
            binary = _as_jar(binary) if toolchain.language == "java" else binary
        except (binascii.Error, tarfile.TarError, ValueError, EOFError):
            binary = b""
        if binary:
            return Program(toolchain.runtime, binary, words, toolchain.variables)
        problem = Status.CRASH, "compiling gave no program"
    return Execution(*problem, finished.wall_s, finished.cpu_s, finished.max_rss_mb)


def _script(toolchain: Toolchain, source: str, file: str, mark: str) -> str:
    return (
        f"cd /tmp || exit\ncat > {file} <<'{mark}'\n{source}\n{mark}\n"
        f"( {toolchain.build.replace('{source}', file)} ) > messages 2>&1 < /dev/null\ncode=$?\n"
        f"head -c {MESSAGES} messages\necho\necho {mark} $code\n"
        f"if [ $code = 0 ]; then base64 -w 0 {toolchain.made}; fi\n"
    )


def _read(output: str, mark: str) -> tuple[str, int | None, str]:
    """Returns the compiler's messages, its exit status (None if it did not come so far), and what it made."""
    messages, found, rest = output.rpartition(f"\n{mark} ")
    code, _, made = rest.partition("\n")
    return (messages, int(code), made) if found and code.isdecimal() else (output[:MESSAGES], None, "")


def _problem(finished: Finished, messages: str, code: int | None) -> tuple[Status, str] | None:
    """Returns status and reason if there is no program."""
    if finished.status is not None:
        return finished.status, f"compiling: {finished.reason}"
    if over := COMPILE.over_cpu(finished.cpu_s):
        return over[0], f"compiling: {over[1]}"
    if code == 0:
        return None
    lines = [" ".join(line.split()) for line in messages.split("\n") if line.strip()]
    said = " / ".join(_errors_first(lines)[:_LINES])[:_CHARACTERS]
    return Status.CRASH, f"does not compile: {said}" if said else f"does not compile (exit status {code})"


def _errors_first(lines: list[str]) -> list[str]:
    """Returns the lines from the first error on: before it compilers say where they are, and warn."""
    first = next((at for at, line in enumerate(lines) if re.search(r"\berror\b", line)), 0)
    return lines[first:]


def _as_jar(archive: bytes) -> bytes:
    """Returns the class files of a tar archive as a jar, which Java loads from one file."""
    made = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as jar,
        zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target,
    ):
        for number, member in enumerate(jar):
            if number > _MOST_FILES:
                raise ValueError("too many classes")
            file = jar.extractfile(member) if member.isreg() else None
            if file is not None:
                target.writestr(member.name.removeprefix("./"), file.read())
    return made.getvalue()
