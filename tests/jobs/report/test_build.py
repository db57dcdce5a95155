"""report.json: the fields that scripts read, and a stated limit wherever a number is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jobs.numbers.cells import AnswerCounts, ModelFacts, ScoredSamples
from jobs.numbers.predict import Prediction
from jobs.report.build import build_report
from jobs.report.schema import Report
from jobs.report.text import headline, summary_markdown
from sampling.errors import BadInput
from tests.support.cost import cpu_below
from tests.support.made_cells import FACTS, LARGE, SMALL, cell, two_models

CELL_KEYS = {"model", "task", "problems", "samples", "coverage", "fit", "majority", "best_of", "weighted",
             "duplicate_rate", "status_counts", "tokens", "flops", "gpu_hours", "usd"}  # fmt: skip
CROSS_KEYS = {"model", "baseline", "task", "k", "low", "high", "censored", "usd_ratio"}


@pytest.fixture(scope="module")
def report() -> Report:
    return build_report(two_models(), FACTS, run="demo", provenance={"engine": "replay"},
                        predicted=[Prediction(what="dollars", unit="$", predicted=3.0, actual=2.5)])  # fmt: skip


def test_it_has_the_fields_that_machines_rely_on(report: Report) -> None:
    data = json.loads(report.model_dump_json())
    assert set(data["cells"][0]) >= CELL_KEYS and set(data["crossovers"][0]) >= CROSS_KEYS
    assert set(data["cells"][0]["coverage"][0]) == {"k", "value", "low", "high"}
    assert set(data["cells"][0]["fit"]) >= {"kind", "a", "b", "loss", "a_low", "error_mean", "error_sd"}
    assert set(data["cells"][0]["majority"][0]) == {"k", "value"}
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_numbers_are_those_of_the_counts(report: Report) -> None:
    small, (given, _) = report.cells[0], two_models()
    assert (small.problems, small.samples, small.tokens) == (64, 64_000, 64_000 * 180 + 64 * 60)
    assert small.coverage[0].value == pytest.approx((given.c / given.n).mean())
    assert small.coverage[-1].k == 1000 and small.coverage[-1].value == pytest.approx((given.c > 0).mean())
    assert small.usd == pytest.approx(64_000 * 0.05 / 3600 * 2) and small.gpu_hours == pytest.approx(0.889, abs=1e-3)
    assert all(at.low is not None and at.low <= at.value <= (at.high or 0) for at in small.coverage)
    assert report.cells[1].baseline
    assert [line.split(": ")[1] for line in report.limits] == [
        "every problem has a pass; the exact binomial interval still allows coverage down to 0.94."
    ]


def test_the_crossover_costs_k_samples_against_one(report: Report) -> None:
    (cross,) = report.crossovers
    assert (cross.model, cross.baseline, cross.censored) == (SMALL, LARGE, False)
    assert cross.usd_ratio == pytest.approx(cross.k * 2.0 / 4.0 if cross.k else None)
    assert cross.flops_ratio is not None and 0 < cross.flops_ratio < cross.usd_ratio


def test_the_headline_says_what_was_found(report: Report) -> None:
    cross = report.crossovers[0]
    start = f"small-0.5B at k={cross.k} [{cross.low}, {cross.high}] matches one try of large-7B: ."
    assert headline(report).startswith(start)


def test_an_empty_run_is_said_to_be_empty() -> None:
    report = build_report([], {})
    assert report.cells == () and "nothing to report" in report.limits[0]
    assert headline(report).startswith("Nothing to report yet")
    assert summary_markdown(report)


def test_no_decided_sample() -> None:
    report = build_report([cell([0, 0], [0, 0], faults=[3, 3])], {})
    assert report.cells[0].coverage == () and "there is no coverage" in report.limits[0]


def test_one_problem_has_no_interval() -> None:
    report = build_report([cell([20], [4]), cell([5], [3], model=LARGE)], FACTS)
    at, cross = report.cells[0].coverage[0], report.crossovers[0]
    assert (at.value, at.low, at.high) == (pytest.approx(0.2), None, None)
    assert cross.k is not None and (cross.low, cross.high, cross.target_low) == (None, None, None)
    assert any("one problem: there is nothing to resample" in line for line in report.limits)


def test_zero_successes() -> None:
    report = build_report([cell([50] * 64, [0] * 64), cell([5] * 64, [1] * 64, model=LARGE)], FACTS)
    small, cross = report.cells[0], report.crossovers[0]
    assert small.fit is None and small.coverage[-1].value == 0
    assert any("no sample passed; the exact binomial interval still allows coverage up to 0.056" in line
               for line in report.limits)  # fmt: skip
    assert cross.censored and cross.k is None and cross.usd_ratio is None
    assert headline(report) == "small-0.5B covers 0 with n=50: less than one try of large-7B, .20 [.20, .20]."


def test_a_baseline_that_solved_nothing_is_no_line_to_cross() -> None:
    report = build_report([cell([5] * 9, [1] * 9), cell([5] * 9, [0] * 9, model=LARGE)], FACTS)
    assert report.crossovers == () and any("the baseline solved nothing" in line for line in report.limits)


def test_without_a_baseline_there_is_no_crossover() -> None:
    report = build_report([cell([50] * 9, list(range(9)))], {})
    assert report.crossovers == () and any("No model is marked as a baseline" in line for line in report.limits)
    assert headline(report).startswith("small-0.5B covers .08")


def test_baselines_are_compared_on_their_own_task_only() -> None:
    cells = [cell([9], [1], task="a"), cell([9], [5], model=LARGE, task="b")]
    assert build_report(cells, FACTS).crossovers == ()
    strangers = [cell([9], [1], ids=["x"]), cell([9], [5], model=LARGE, ids=["y"])]
    assert any("no problem has decided samples of both" in line for line in build_report(strangers, FACTS).limits)


def test_faults_and_timeouts_bound_coverage() -> None:
    report = build_report([cell([10, 9], [1, 0], faults=[0, 1], timeouts=[0, 0])], {})
    (small,) = report.cells
    assert small.bounds is not None and (small.bounds.k, small.bounds.low) == (9, pytest.approx(0.45))
    assert small.bounds.high == pytest.approx((0.9 + 0.9) / 2)
    text = " ".join(report.limits)
    assert "problems have 9 to 10 decided samples; coverage ends at k=9" in text and "1 verdicts are missing" in text


def test_problems_without_samples_are_left_out_and_said_to_be() -> None:
    report = build_report([cell([10, 0], [5, 0])], {})
    assert (
        report.cells[0].coverage[0].value == pytest.approx(0.5)
        and "1 problem has no decided sample and is left out" in report.limits[0]
    )


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"c": np.array([3, 11])}, "problem 'p1' has c=11 passes of n=10"),
        ({"n": np.array([10])}, r"n has shape \(1,\) for 2 problems"),
        ({"faults": np.array([0, -1])}, "faults holds a negative count"),
    ],
)
def test_counts_that_contradict_themselves_are_refused(changed: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        build_report([replace(cell([10, 10], [3, 4]), **changed)], {})


def test_prices_are_checked() -> None:
    with pytest.raises(BadInput, match="must not be negative"):
        build_report([cell([10], [1])], {SMALL: ModelFacts(SMALL, usd_per_million_tokens=-2)})


def test_the_demo_takes_seconds() -> None:
    cells = two_models()
    with cpu_below(3.0):
        build_report(cells, FACTS)


def test_both_fits_and_where_they_lead(report: Report) -> None:
    small = report.cells[0]
    assert small.beta_binomial is not None and small.beta_binomial.alpha == pytest.approx(0.55, rel=0.4)
    kinds = [(each.kind, each.k, each.prefix) for each in small.extrapolation]
    assert kinds == [("exponentiated power law", 10_000, 100), ("beta-binomial", 10_000, 100)]
    assert all(each.error is not None and each.error < 0.1 for each in small.extrapolation)


def test_the_crossover_has_its_price_and_the_difference_of_single_tries(report: Report) -> None:
    (cross,) = report.crossovers
    assert cross.usd is not None and cross.baseline_usd and cross.usd_ratio is not None
    assert cross.usd / cross.baseline_usd == pytest.approx(cross.usd_ratio)
    assert cross.usd_low is not None and cross.usd_high is not None and cross.usd_low <= cross.usd <= cross.usd_high
    assert cross.one_try is not None and cross.one_try_high is not None and cross.one_try < cross.one_try_high < 0


def test_a_flawed_verifier_would_bound_what_is_found(report: Report) -> None:
    flaws = report.cells[0].verifier_flaw
    assert [each.false_positive_rate for each in flaws] == [0.001, 0.01, 0.05]
    values = [each.value for each in flaws]
    assert (
        values == sorted(values, reverse=True) and values[0] < flaws[0].coverage == report.cells[0].coverage[-1].value
    )


def test_scores_select() -> None:
    scores = ScoredSamples(np.array([-1.0, 2.0]), np.array([0, 1]), np.array([6, 4]), np.array([0, 4]))
    votes = AnswerCounts(np.array([6, 4]), np.array([False, True]))
    made = replace(cell([10, 10], [4, 4], answers=(votes, votes)), scored=(scores, scores))
    (found,) = build_report([made], {}).cells
    assert [point.value for point in found.best_of] == [pytest.approx(v) for v in (0.4, 2 / 3, 1 - 6 / 252, 1.0)]
    assert found.weighted_by == "exp(score)" and found.weighted[-1].value == 1.0 and found.majority[-1].value == 0.0
    without = replace(made, answers=(), scored=(), unscorable="too many distinct scores; there is no best-of-k")
    report = build_report([without], {})
    assert report.cells[0].best_of == () and any("no best-of-k" in line for line in report.limits)


def test_sampling_that_stopped_at_the_first_success_is_said_to_be_biased() -> None:
    report = build_report([cell([3, 7, 1, 50], [1, 1, 1, 0])], {})
    assert report.cells[0].stopped is not None and report.cells[0].stopped.one_try == pytest.approx(0.25)
    assert any("stopped at the first success" in line and "biased upwards" in line for line in report.limits)
