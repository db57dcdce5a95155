"""Seeds as pure functions of names: copies of one model must never draw the same samples."""

import hashlib
from dataclasses import dataclass

SEED_BITS = 31  # the most that every engine accepts


@dataclass(frozen=True, slots=True)
class Seeds:
    """Seed of the run, and seed of one engine's random stream."""

    run: int
    engine: int


def derive_seed(*names: object) -> int:
    """Returns a seed in ``[0, 2**31)`` that depends on every name and on their order."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (1 << SEED_BITS)


def engine_seed(run_seed: int, model: str, first_unit: str, start: str) -> int:
    """Returns the seed of one engine's random stream.

    ``start`` is new for every start of an engine. Otherwise an engine that is restarted, or that continues a run with
    more samples, would repeat the stream whose samples are already stored.
    """
    return derive_seed("engine", run_seed, model, first_unit, start)


def sample_seed(run_seed: int, model: str, problem_id: str, sample_idx: int) -> int:
    """Returns the seed of one sample under ``seed: per_sample``: slower, but each sample can be drawn again."""
    return derive_seed("sample", run_seed, model, problem_id, sample_idx)
