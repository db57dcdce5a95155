"""All errors of Troop, as one tree. The command line prints each in one line and exits with the code of its class."""


class TroopError(Exception):
    """An error with a message for a person: what is wrong, where, and what is allowed."""

    exit_code = 1


class BadInput(TroopError):
    """Input of the user that cannot be used; nothing has been written."""

    exit_code = 2


class StoreError(TroopError):
    """An error of the object store: it refused a request, or lost something that it had promised to keep."""

    exit_code = 2


class NoSuchObject(StoreError):
    """An object that is not in the store."""


class StoreUnusable(StoreError):
    """The store takes no more writes: the disk is full, or access is refused. Commits stay; the run ends."""


class DamagedFile(StoreError):
    """A stored file that differs from what was written; ``what`` names the file and the difference."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; `troop check RUN --quarantine` sets it aside, `troop run` makes it again")
        self.what = what

    def __reduce__(self) -> tuple[type["DamagedFile"], tuple[str]]:
        return DamagedFile, (self.what,)


class EngineError(TroopError):
    """An engine that could not start, or broke while it generated. Its units are set aside."""

    exit_code = 3


class EngineRefused(BadInput):
    """An engine that can never run where it was placed (too large, wrong device); it is not tried again."""


class VerifierFault(TroopError):
    """A failure on our side while a sample was judged: retried, never counted as a wrong answer.

    ``usd`` is what the try cost, in US dollars.
    """

    def __init__(self, message: str, usd: float = 0.0) -> None:
        super().__init__(message)
        self.usd = usd
