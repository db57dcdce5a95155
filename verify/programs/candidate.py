"""Finds the part of a completion that decides its verdict, as the problem's reference wants it found."""

from sampling.references import PythonReference, StdioReference
from verify.programs.extract import MAX_TEXT, extract_code
from verify.programs.foreign import find_program
from verify.programs.statements import is_encodable

HUMANEVAL_STOPS = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # as its paper cuts completions
MBPP_STOPS = ("[DONE]",)


def candidate_code(reference: PythonReference | StdioReference, completion: str) -> str | None:
    """Returns the program that decides a completion's verdict, or None where it offers none."""
    if isinstance(reference, StdioReference):
        python = reference.language == "python"
        return extract_code(completion, prints=True) if python else find_program(completion, reference.language)
    if reference.extraction == "published":
        return published_code(completion, reference.prefix)
    return extract_code(completion, prefix=reference.prefix, entry_point=reference.entry_point)


def published_code(text: str, prefix: str) -> str | None:
    """Returns the program as HumanEval and MBPP make it, with nothing dropped or repaired.

    With a ``prefix`` it is the prefix and the text up to the first of HumanEval's stop strings; without one, the text
    up to MBPP's ``[DONE]``.
    """
    if len(text) > MAX_TEXT or len(prefix) > MAX_TEXT:
        return None
    ends = [at for stop in (HUMANEVAL_STOPS if prefix else MBPP_STOPS) if (at := text.find(stop)) >= 0]
    program = prefix + text[: min(ends, default=len(text))]
    return program if program.strip() and is_encodable(program) else None
