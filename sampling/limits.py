"""Limits of a candidate: CPU time and memory."""

from math import isfinite
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, WithJsonSchema

from sampling.validate import Plain


def _time_limit(value: Any) -> float | str:
    if value == "auto":
        return "auto"
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0:
        return float(value)
    raise ValueError("should be a number of seconds greater than 0, or auto")


# One validator in place of a union, whose errors would name the union's member and not the key.
TimeLimit = Annotated[
    float | Literal["auto"],
    PlainValidator(_time_limit),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "auto"}]}),
]


class Limits(Plain):
    """Time and memory that a candidate may use; a candidate that needs more counts as wrong."""

    default_limit_s: ClassVar[float] = 5.0

    time_limit_s: TimeLimit | None = None
    """Seconds of CPU time for one run of a candidate, all its processes and threads together; or `auto`. Example: `10`.

    One run is one case of ``stdio``, and all cases or tests of ``python`` together, with what the test itself uses.
    Wall time may be 4 times as much, for candidates that sleep. ``auto`` is 10 times what the gold solution uses, at
    least 0.5; a run measures it before its first sample and keeps it in its plan. Default, also for ``auto`` without a
    gold solution: 5; 3 for the kinds humaneval and mbpp; docs/problems.md has all.
    """

    memory_mb: int = Field(default=512, ge=16)
    """Megabytes (2^20 bytes) of memory for one run of a candidate, at least 16. Example: `1024`."""

    @property
    def limit_s(self) -> float:
        """Seconds that count for a verdict: the limit given, or the kind's default."""
        return self.time_limit_s if isinstance(self.time_limit_s, float) else self.default_limit_s
