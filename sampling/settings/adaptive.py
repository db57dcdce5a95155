"""The policy of adaptive sampling: how many samples a problem gets before each decision, and when it gets no more."""

from pydantic import Field, model_validator

from sampling.validate import Plain


class Adaptive(Plain):
    """Rounds of samples: a problem that has passed often enough at a round's end gets no more.

    Each problem is decided by its own verdicts alone. Coverage stays unbiased at every k; see
    [Adaptive sampling](#adaptive-sampling).
    """

    first: int = Field(default=100, ge=1)
    """Samples that every problem gets at first, at most `k`. Majority, best-of and votes use these alone."""
    grow: float = Field(default=2.0, gt=1)
    """Factor from one round's end to the next, more than 1: with 2, rounds end at 100, 200, 400, … and at `k`."""
    retire_at: int = Field(default=5, ge=1)
    """Passes at which a problem retires when a round of it ends, at most `first`.

    With 5, precision is nearly that of uniform sampling. With 1, which stops at the first success, it saves most.
    """

    @model_validator(mode="after")
    def _can_retire_in_the_first_round(self) -> "Adaptive":
        if self.retire_at > self.first:
            raise ValueError(
                f"retire_at is {self.retire_at:,}, more than first ({self.first:,}); allowed: 1 to {self.first:,}"
            )
        return self

    @property
    def words(self) -> str:
        """The policy as it is written in a sweep."""
        return f"{{first: {self.first}, grow: {self.grow:g}, retire_at: {self.retire_at}}}"
