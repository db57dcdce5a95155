"""Questions: rows of a published file, parsed, with their reference and gold solution, but without a prompt."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import ConfigDict

from sampling.references import Reference
from sampling.validate import Plain


@dataclass(frozen=True, slots=True)
class Question:
    """One parsed row: ``fields`` fill the template, ``answer`` is what a few-shot example shows after it.

    A row with an empty ``answer`` cannot be a few-shot example. A row that is ``held_out`` is never asked: it belongs
    to another split, or needs a picture.
    """

    id: str
    fields: Mapping[str, str]
    answer: str
    verifier: str
    reference: Reference
    solution: str | None = None
    held_out: bool = False


class Row(Plain):
    """A row of a published file: the fields of the class are read, other columns are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
