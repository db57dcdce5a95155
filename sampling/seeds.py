"""Seeds as pure functions of names: copies of one model must never draw the same samples."""

import hashlib
from dataclasses import dataclass

SEED_BITS = 31  # the widest that every engine takes


@dataclass(frozen=True, slots=True)
class Seeds:
    """The run's seed, and the seed of one engine's random stream."""

    run: int
    engine: int


def derive_seed(*names: object) -> int:
    """A seed in ``[0, 2**31)`` that depends on every name and on their order."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % (1 << SEED_BITS)


def engine_seed(run_seed: int, model: str, first_unit: str, start: str) -> int:
    """The seed of one engine's random stream.

    ``start`` is fresh for every start of an engine: one that is restarted, or that continues a run with more samples,
    would otherwise replay the stream whose samples are already stored.
    """
    return derive_seed("engine", run_seed, model, first_unit, start)


def sample_seed(run_seed: int, model: str, problem_id: str, sample_idx: int) -> int:
    """The seed of one sample where ``seed: per_sample`` is asked for: slower, but each sample can be drawn again."""
    return derive_seed("sample", run_seed, model, problem_id, sample_idx)
