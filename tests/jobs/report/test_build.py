"""report.json: the fields that scripts read, and a stated limit wherever a number is missing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from jobs.numbers.cells import AnswerCounts, ModelFacts, ScoredSamples
from jobs.numbers.intervals import POPULATIONS
from jobs.numbers.prediction import Prediction
from jobs.report.build import build_report
from jobs.report.cell_fields import Basis
from jobs.report.markdown import summary_markdown
from jobs.report.schema import Report
from jobs.report.text import headline
from sampling.errors import BadInput
from tests.support.cost import cpu_below
from tests.support.made_cells import FACTS, LARGE, SMALL, cell, drawn, two_models

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
    assert set(data["cells"][0]["majority"][0]) == {"k", "value", "low", "high"}
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_numbers_are_those_of_the_counts(report: Report) -> None:
    small, (given, _) = report.cells[0], two_models()
    assert (small.problems, small.samples, small.tokens) == (64, 64_000, 64_000 * 180 + 64 * 60)
    assert small.coverage[0].value == pytest.approx((given.c / given.n).mean())
    assert small.coverage[-1].k == 1000 and small.coverage[-1].value == pytest.approx((given.c > 0).mean())
    assert small.usd == pytest.approx(64_000 * 0.05 / 3600 * 2) and small.gpu_hours == pytest.approx(0.889, abs=1e-3)
    assert all(at.low is not None and at.low <= at.value <= (at.high or 0) for at in small.coverage)
    assert report.cells[1].baseline
    assert report.limits == () and report.unfinished == ""
    last = report.cells[1].coverage[-1]
    assert (last.value, last.high) == (1, 1) and last.low is not None and 0.94 < last.low < 1


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
    assert report.cells[0].coverage == () and any("there is no coverage" in line for line in report.limits)


def test_one_problem_has_no_interval() -> None:
    report = build_report([cell([20], [4]), cell([5], [3], model=LARGE)], FACTS)
    at, cross = report.cells[0].coverage[0], report.crossovers[0]
    assert (at.value, at.low, at.high) == (pytest.approx(0.2), None, None)
    assert cross.k is not None and (cross.low, cross.high, cross.target_low) == (None, None, None)
    assert any("one problem: it says nothing about others" in line for line in report.limits)


def test_zero_successes() -> None:
    report = build_report([cell([50] * 64, [0] * 64), cell([5] * 64, [1] * 64, model=LARGE)], FACTS)
    small, cross = report.cells[0], report.crossovers[0]
    assert small.fit is None and small.coverage[-1].value == 0
    assert small.coverage[-1].high == pytest.approx(0.056, abs=1e-3)
    assert any("no sample passed; the interval says what is still possible" in line for line in report.limits)
    assert cross.censored and cross.k is None and cross.usd_ratio is None
    assert headline(report) == "small-0.5B covers 0 with n=50: less than one try of large-7B, .20 [.19, .21]."


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


def test_a_baseline_that_is_absent_from_a_task_is_named_in_one_line() -> None:
    other = "lab/other"
    facts = FACTS | {other: ModelFacts(other, baseline=True)}
    cells = [cell([9], [1], task=task) for task in "ab"]
    cells += [cell([9], [5], model=LARGE, task=task) for task in "ab"] + [cell([9], [5], model=other, task="b")]
    said = [line for line in build_report(cells, facts).limits if other in line and "compared" in line]
    assert said == ["a: the baseline lab/other is not asked this task; no model is compared with it here."]


def test_faults_and_timeouts_bound_coverage() -> None:
    report = build_report([cell([10, 9], [1, 0], faults=[0, 1], timeouts=[0, 0])], {})
    (small,) = report.cells
    assert small.bounds is not None and (small.bounds.k, small.bounds.low) == (9, pytest.approx(0.45))
    assert small.bounds.high == pytest.approx((0.9 + 0.9) / 2)
    text = " ".join(report.limits)
    assert "problems have 9 to 10 decided samples; coverage ends at k=9" in text and "1 verdicts are missing" in text


def test_problems_without_samples_are_left_out_and_bounded() -> None:
    report = build_report([cell([10, 0], [5, 0])], {})
    (small,) = report.cells
    assert small.coverage[0].value == pytest.approx(0.5) and (small.compared, small.problems) == (1, 2)
    assert any("1 problem has no decided sample; estimates are over the other 1, bounds over all 2" in line
               for line in report.limits)  # fmt: skip
    assert (small.bounded[0].worst, small.bounded[0].best) == (pytest.approx(0.25), pytest.approx(0.75))


def test_an_unfinished_run_says_so_and_compares_on_common_problems() -> None:
    """Units are missing: the easy quarter of the problems is there, and all problems of the baseline."""
    part = replace(cell([100] * 16, [60] * 16), planned_problems=64, planned_samples=6400)
    whole = replace(cell([100] * 64, [30] * 16 + [2] * 48, model=LARGE), planned_problems=64, planned_samples=6400)
    report = build_report([part, whole], FACTS)
    small, large = report.cells
    (cross,) = report.crossovers
    assert report.unfinished == "8,000 of 12,800 samples" and (small.unfinished, large.unfinished) == (True, False)
    assert headline(report).startswith("8,000 of 12,800 samples; so far: ")
    assert "8,000 of 12,800 samples" in summary_markdown(report).splitlines()[0]
    assert (small.compared, large.compared, cross.problems) == (16, 16, 16)
    assert cross.target == pytest.approx(0.3) and large.coverage[0].value == pytest.approx(0.3)
    last = small.bounded[-1]
    assert (last.k, last.short, last.worst, last.best) == (100, 48, pytest.approx(0.25), pytest.approx(1.0))
    assert large.samples == 6400 and len(large.per_problem) == 64


def test_one_short_problem_is_bounded_and_does_not_cut_the_rest() -> None:
    report = build_report([cell([3, *[1000] * 63], [0, *range(63)])], {})
    (small,) = report.cells
    assert (small.coverage[-1].k, small.bounded[-1].k) == (3, 1000)
    assert small.bounded[-1].best - small.bounded[-1].worst == pytest.approx(1 / 64)
    assert small.fit is not None and small.extrapolated is not None and small.extrapolated.k == 10_000
    assert any("fits leave out 1 problem with fewer than 1,000 samples" in line for line in report.limits)


def test_a_task_without_its_baseline_says_so() -> None:
    cells = [cell([9] * 9, [1] * 9, task="a"), cell([9] * 9, [5] * 9, model=LARGE, task="a"),
             cell([9] * 9, [1] * 9, task="b")]  # fmt: skip
    report = build_report(cells, FACTS)
    assert len(report.crossovers) == 1
    assert "b: no baseline has samples of this task; there is no crossover." in report.limits


def test_these_very_problems_have_narrower_intervals() -> None:
    wide, narrow = (build_report(two_models(), FACTS, basis=Basis(population)) for population in POPULATIONS)
    ends = [(at.high or 0) - (at.low or 0) for at in (wide.cells[0].coverage[0], narrow.cells[0].coverage[0])]
    assert ends[1] < ends[0] and narrow.population == "benchmark"
    assert "over samples of these very problems" in summary_markdown(narrow)
    assert "95 % intervals, over problems" in summary_markdown(wide)


def test_several_models_are_counted_and_the_cheapest_is_named() -> None:
    names = [f"lab/m{i}" for i in range(4)]
    rates_ = [0.01, 0.2, 0.1, 0.0]
    cells = [
        drawn(name, rate * 5 + 1e-9, 5, n=100, seed=i) for i, (name, rate) in enumerate(zip(names, rates_, strict=True))
    ]
    facts = {**FACTS, **{name: ModelFacts(name, usd_per_million_tokens=1.0) for name in names}}
    facts[LARGE] = replace(FACTS[LARGE], usd_per_engine_hour=None, usd_per_million_tokens=50.0)
    report = build_report([*cells, drawn(LARGE, 1.0, 6.0, n=100, seed=9)], facts)
    reached = [cross for cross in report.crossovers if cross.k is not None]
    best = min(reached, key=lambda cross: cross.usd_ratio or np.inf)
    assert headline(report).startswith(f"{len(reached)} of 4 models reach one try of large-7B on gsm8k; the cheapest: ")
    assert best.model.removeprefix("lab/") in headline(report)


def test_stopping_at_the_first_pass_takes_fewer_tries(report: Report) -> None:
    (cross,) = report.crossovers
    assert cross.k is not None and cross.tries is not None and 1 < cross.tries < cross.k
    assert cross.tries_usd_ratio is not None and cross.usd_ratio is not None and cross.tries_usd_ratio < cross.usd_ratio
    assert cross.usd_ratio_low is not None and cross.usd_ratio_low < cross.usd_ratio


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
    assert kinds == [(kind, 10_000, 100) for kind in
                     ("exponentiated power law", "exponentiated power law on coverage", "beta-binomial")]  # fmt: skip
    assert small.extrapolated is not None and small.extrapolated.low <= small.extrapolated.value
    assert small.extrapolated.value == pytest.approx(np.mean([each.value for each in small.extrapolation]))
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
    assert report.cells[0].coverage[0].value == pytest.approx(0.25) and report.cells[0].coverage[-1].k == 50
    assert any("stopped at the first success" in line and "coverage allows for it" in line for line in report.limits)
