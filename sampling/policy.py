"""Answer policies: what counts as the answer of a completion, and what counts as equal to the right one."""

from typing import Literal

from pydantic import Field, field_validator

from sampling.patterns import check_pattern
from sampling.validate import Plain


class TextPolicy(Plain):
    """Rules that find an answer and compare it as text."""

    pattern: str | None = None
    """Regular expression that finds the answer, in place of all other rules: its one group is the answer.

    The last match counts, with ``which: first`` the first. The syntax is RE2's, which has no look-around and no
    backreferences, so that matching takes linear time. Example: `Result: (\\S+)`.
    """

    @field_validator("pattern")
    @classmethod
    def _linear(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_pattern(pattern)


class MathPolicy(TextPolicy):
    """Rules that find an answer in mathematics and compare its value."""

    which: Literal["last", "first", "all", "boxed"] | None = None
    """Which answer of a completion counts, if it has several: the ``last``, the ``first``, or all boxed ones as a list.

    ``boxed`` takes the last ``\\boxed{…}`` and nothing else. Default: the first answer where a base model goes on
    with questions of its own, else the last one. Boxes joined by "and", "or" or a comma are one list.
    """

    tolerance: float = Field(default=0.0, ge=0)
    """Largest absolute difference between two numbers that count as equal. Example: `0.01`. Default: none.

    Without it, and without ``relative_tolerance``, exact values are compared exactly; a decimal with at least six
    places may be a rounded value.
    """

    relative_tolerance: float = Field(default=0.0, ge=0, lt=1)
    """Largest difference between two numbers that count as equal, as a fraction of the right one. Example: `0.05`."""

    percent: Literal["same", "strict"] = "same"
    """Meaning of a percent sign: with ``same``, `10%` equals `0.1` and also `10`, as data sets leave the sign out.

    With ``strict``, `10%` equals `0.1` alone.
    """

    units: Literal["ignore", "strict"] = "ignore"
    """With ``ignore``, units after a number do not count, unless both answers name one and they differ (cm, km).

    With ``strict``, both have to name the same unit, or none.
    """

    order: Literal["any", "strict"] = "any"
    """Order of the values in a bare list or a set: ``any``, or ``strict``, the order of ``answer``.

    Values in round brackets are always in order.
    """

    case: Literal["ignore", "strict"] = "ignore"
    """Upper and lower case of words: ``ignore`` takes `YES` for `Yes`. Names of one or two letters stay strict."""


class ExactPolicy(TextPolicy):
    """Rules that find a text and compare it."""

    which: Literal["last", "first"] = "last"
    """Match of ``pattern`` that counts, if there are several."""

    case: Literal["ignore", "strict"] = "strict"
    """Upper and lower case: ``strict``, or ``ignore``."""
