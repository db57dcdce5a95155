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


class EngineError(TroopError):
    """An engine could not start or broke while it generated: its units are set aside."""

    exit_code = 3


class VerifierFault(TroopError):
    """Our side failed while it judged a sample: never a wrong answer, always retried."""
