"""Predictions of adaptive sampling's samples, from a first round, against what it then drew."""

import numpy as np
import pytest

from bench.adaptive_intervals import K, sample_by_rounds
from jobs.numbers.rounds_ahead import look_ahead
from sampling.settings import Adaptive
from tests.support.made_cells import cell

POLICY = Adaptive()


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 20.0), (0.3, 300.0), (2.0, 3.0)])
def test_a_first_round_predicts_what_all_rounds_draw(alpha: float, beta: float) -> None:
    rng = np.random.default_rng(4)
    p = rng.beta(alpha, beta, 300)
    drawn = sample_by_rounds(p, POLICY.retire_at, rng).n.sum()
    first = cell([100] * 200, rng.binomial(100, p[:200]).tolist())  # a third of the problems has no sample yet
    ahead = look_ahead(first, POLICY, K, 300)
    assert ahead is not None and ahead.uniform == 300 * K
    assert ahead.samples == pytest.approx(drawn, rel=0.2) and ahead.low < ahead.samples < ahead.high
    assert ahead.share == pytest.approx(ahead.samples / (300 * K))


def test_what_has_retired_gets_no_more_and_nothing_is_predicted_from_nothing() -> None:
    ahead = look_ahead(cell([100, 200], [60, 7]), POLICY, K, 2)
    assert ahead is not None and (ahead.low, ahead.high) == (300, 300)
    assert look_ahead(cell([0], [0]), POLICY, K, 1) is None
