"""Programs in other languages, as the verifier ``stdio`` uses them: found, compiled, run, and tried out beforehand."""

from sampling.errors import VerifierFault
from verify.languages.compiler import Compiled, Compiler
from verify.languages.samples import SAMPLES
from verify.languages.toolchains import Toolchain, ToolchainUnavailable, find_toolchain
from verify.sandbox.limits import Quota
from verify.sandbox.programs import Program
from verify.sandbox.sandbox import Sandbox

_TRIAL = Quota.from_cpu(10.0, 512)


class Languages:
    """Compiled programs of one verifier process, and the sandbox in which they run."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox, self._compiler = sandbox, Compiler()

    def compile(self, language: str, source: str) -> Compiled:
        """Returns the program, or how compiling it ended; raises VerifierFault where the language is not to be had."""
        try:
            return self._compiler.compile(find_toolchain(language), source)
        except ToolchainUnavailable as error:
            raise VerifierFault(str(error)) from error

    def version(self, language: str) -> str:
        """Returns the toolchain's name and version: ``g++ 12.2.0``."""
        return find_toolchain(language).version

    def try_out(self, language: str) -> Toolchain:
        """Compiles and runs a small program; raises ToolchainUnavailable with what went wrong."""
        toolchain = find_toolchain(language)
        try:
            compiled = self.compile(language, SAMPLES[language].total)
        except VerifierFault as error:
            raise ToolchainUnavailable(f"language {language}: {error}") from error
        if isinstance(compiled, Program):
            compiled = self._sandbox.run_program(compiled, "40 2\n", _TRIAL)
        if compiled.status is not None or compiled.output.split() != ["42"]:
            said = compiled.reason or f"printed {compiled.output[:60]!r} for 40 + 2"
            raise ToolchainUnavailable(f"language {language}: {toolchain.version} does not work here: {said}")
        return toolchain
