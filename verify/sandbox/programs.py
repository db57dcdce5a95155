"""Programs that are not Python: what they are made of, and what executes them."""

from dataclasses import dataclass, field

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
MEMORY = "{memory}"  # stands in a runtime's words for the megabytes of the problem's limit


@dataclass(frozen=True, slots=True)
class Runtime:
    """The surroundings of programs of one kind; each has a fork server of its own.

    ``executable`` is the program that executes them; None for native programs, which need no file at all. ``readable``
    are its files. Beyond a problem's limit the runtime may reserve ``reserve_mb`` of address space and ``own_mb`` of
    data, and hold ``resident_mb`` of memory.
    """

    name: str
    executable: str | None = None
    readable: tuple[str, ...] = ()
    reserve_mb: int = 0
    own_mb: int = 0
    resident_mb: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that can be executed: its bytes, the words of its command line, and its variables."""

    runtime: Runtime
    binary: bytes = field(repr=False)
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()

    def payload(self, memory_mb: int) -> tuple[str | None, list[str], dict[str, str]]:
        """Returns what a child has to execute; ``verify.sandbox.execute`` reads it."""

        def filled(text: str) -> str:
            return text.replace(MEMORY, str(memory_mb))

        variables = {name: filled(value) for name, value in self.environment}
        return self.runtime.executable, list(map(filled, self.words)), variables
