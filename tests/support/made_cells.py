"""Cells made by hand or from a seed, for tests of estimators and the report."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from jobs.numbers.cells import AnswerCounts, CellCounts, ModelFacts
from jobs.numbers.tally import Tally

SMALL, LARGE = "lab/small-0.5B", "lab/large-7B"
FACTS = {
    SMALL: ModelFacts(SMALL, parameters=500_000_000, layers=24, hidden=896, gpus=1, usd_per_engine_hour=2.0),
    LARGE: ModelFacts(LARGE, parameters=7_000_000_000, layers=28, hidden=3584, gpus=1, usd_per_engine_hour=4.0,
                      baseline=True),
}  # fmt: skip


def tally(n: ArrayLike, c: ArrayLike) -> Tally:
    """Returns counts whose sampling no outcome ended."""
    return Tally(np.atleast_1d(np.asarray(n, dtype=np.int64)), np.atleast_1d(np.asarray(c, dtype=np.int64)))


def cell(
    n: Sequence[int],
    c: Sequence[int],
    model: str = SMALL,
    task: str = "gsm8k",
    faults: Sequence[int] | None = None,
    timeouts: Sequence[int] | None = None,
    tokens: int = 0,
    prompt_tokens: int = 0,
    engine_s: float = 0.0,
    answers: tuple[AnswerCounts, ...] = (),
    ids: Sequence[str] | None = None,
) -> CellCounts:
    zero = [0] * len(n)
    return CellCounts(
        model=model, task=task, problem_ids=tuple(ids or (f"p{i}" for i in range(len(n)))),
        n=np.array(n, dtype=np.int64), c=np.array(c, dtype=np.int64),
        faults=np.array(faults or zero, dtype=np.int64), timeouts=np.array(timeouts or zero, dtype=np.int64),
        status_counts={"pass": sum(c), "fail": sum(n) - sum(c), "fault": sum(faults or zero)},
        tokens=tokens, prompt_tokens=prompt_tokens, engine_s=engine_s, duplicate_rate=0.03, answers=answers,
        tiers={"namespaces": sum(n)},
    )  # fmt: skip


def drawn(model: str, a: float, b: float, problems: int = 64, n: int = 1000, seed: int = 3) -> CellCounts:
    """Returns a cell whose problems' pass rates are drawn from beta(a, b), with costs and answers."""
    rng = np.random.default_rng(seed)
    passes = rng.binomial(n, rng.beta(a, b, problems))
    answers = tuple(
        AnswerCounts(np.array([c, (n - c) // 2, (n - c) // 4], dtype=np.int64), np.array([True, False, False]))
        for c in passes
    )
    return cell([n] * problems, passes.tolist(), model=model, tokens=problems * n * 180, prompt_tokens=problems * 60,
                engine_s=problems * n * 0.05, answers=answers)  # fmt: skip


def two_models(n: int = 1000, problems: int = 64) -> list[CellCounts]:
    return [drawn(SMALL, 0.55, 3.6, problems, n), drawn(LARGE, 1.4, 1.5, problems, n, seed=4)]
