"""The record of a prediction; apart from its making, so that a run starts without loading statistics."""

from sampling.validate import Plain


class Prediction(Plain):
    """One quantity that the plan predicted, and what it came to."""

    what: str
    """Name of the quantity: `tokens`, `hours`, `dollars`, `stored`, `busy verifiers` or `verifiers that keep up`.

    `busy verifiers` are the cores of the verifiers' pool in use while engines sample; `verifiers that keep up` are the
    cores that would verify as fast as the engines sample. `dollars` is missing where a model has no price.
    """
    unit: str = ""
    """Unit of the numbers: `h`, `$`, `MB` (a million bytes) or `cores`; empty for tokens."""
    predicted: float
    """Predicted total for the samples that were still to draw."""
    low: float | None = None
    """Lower end of the 95 % interval over problems; None where one problem alone was measured."""
    high: float | None = None
    """Upper end of the 95 % interval over problems; None where one problem alone was measured."""
    actual: float | None = None
    """Measured total of the same samples; None before they are drawn, and where it cannot be measured."""
