"""The one tree of errors. The command line turns each into one line and its exit code; nothing else catches broadly."""


class TroopError(Exception):
    """An error with a message for a person: what is wrong, where, and what is allowed."""

    exit_code = 1


class BadInput(TroopError):
    """What the user gave cannot be used; nothing has been written."""

    exit_code = 2


class StoreError(TroopError):
    """The object store refused or lost something that it promised to keep."""

    exit_code = 2


class NoSuchObject(StoreError):
    """An object that is not in the store."""


class StoreUnusable(StoreError):
    """Nothing more can be written: the disk is full, or access is refused. What is committed stays; a run ends here."""


class DamagedFile(StoreError):
    """A stored file is not what was written; ``what`` says which and how."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; `troop check RUN --quarantine` sets it aside, `troop run` makes it again")
        self.what = what

    def __reduce__(self) -> tuple[type["DamagedFile"], tuple[str]]:
        return DamagedFile, (self.what,)


class EngineError(TroopError):
    """An engine could not start or broke while it generated: its units are set aside."""

    exit_code = 3


class EngineRefused(BadInput):
    """An engine that can never run where it was put (too large, the wrong device): it is told, and not tried again."""


class VerifierFault(TroopError):
    """Our side failed while it judged a sample: never a wrong answer, always retried. ``usd`` is what it cost."""

    def __init__(self, message: str, usd: float = 0.0) -> None:
        super().__init__(message)
        self.usd = usd
