"""Size of a unit in samples, by their tokens: a crash loses minutes of an engine, whatever a sample's length.

An engine's pace is unknown until it has drawn something. Until then every sample counts as long as ``max_tokens`` lets
it be, and the engine as the slowest of its kind. A calibration, or the run so far, replaces both guesses.
"""

from collections.abc import Iterable
from dataclasses import dataclass

MOST_ROWS = 2048
UNIT_S = 120.0  # seconds of one engine for a unit, where its pace is known
GPU_TOKENS = 1 << 19  # in a unit of unknown pace at most: 4.4 minutes at 2,000 tokens/s, 17 s at 30,000
CPU_TOKENS = 1 << 17  # 4.4 minutes at 500 tokens/s, 16 s at 8,000
MOST_UNITS = 1 << 17  # of one model on one task while its pace is unknown: a driver and a store have their limits too
LIST_BYTES = 128 << 20  # of numbers by token in a unit: it is committed whole, from memory
DOUBT = 64  # samples of max_tokens that are added to the measured ones, so that a few short samples prove little


@dataclass(frozen=True, slots=True)
class Pace:
    """Samples that one model has drawn for one task, their completion tokens, and the engine seconds they took."""

    samples: int
    tokens: int
    engine_s: float


def rows_of_unit(*, max_tokens: int, samples: int, on_cpu: bool, pace: Pace | None = None, token_bytes: int = 0) -> int:
    """Returns the most samples in a unit: of ``samples`` in total, each of at most ``max_tokens`` tokens.

    ``pace`` is None where nothing is known of engine and lengths; ``on_cpu`` says what kind of engine it will be.
    ``token_bytes`` are stored for each token beside its text.
    """
    if pace is None or not pace.tokens:
        length, guessed = float(max_tokens), (CPU_TOKENS if on_cpu else GPU_TOKENS) // max_tokens
        rows = max(guessed, -(-samples // MOST_UNITS))
    else:
        length = (pace.tokens + DOUBT * max_tokens) / (pace.samples + DOUBT)
        rows = int(UNIT_S * pace.tokens / max(pace.engine_s, 1e-6) / length)
    return _within(min(rows, int(LIST_BYTES / (length * token_bytes))) if token_bytes else rows)


def add_paces(parts: Iterable[Pace]) -> Pace:
    """Returns the pace of several files together."""
    known = list(parts)
    return Pace(sum(p.samples for p in known), sum(p.tokens for p in known), sum(p.engine_s for p in known))


def _within(rows: int) -> int:
    return max(1, min(MOST_ROWS, rows))
