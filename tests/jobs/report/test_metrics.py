"""Metrics under the names of papers: their values, and where they are missing."""

import json

import numpy as np
import pytest

from jobs.numbers.cells import AnswerCounts
from jobs.report.build import build_report
from jobs.report.metrics import REFERENCES, TAUS
from tests.support.made_cells import cell


def test_a_report_has_every_metric_with_its_reference() -> None:
    answers = (AnswerCounts(np.array([3, 6]), np.array([True, False])),) * 2
    (found,) = json.loads(build_report([cell([9, 9], [3, 0], answers=answers)], {}).model_dump_json())["cells"]
    assert set(found["metrics"]) == set(REFERENCES)
    assert all("arXiv" in metric["reference"] for metric in found["metrics"].values())
    points = {name: metric["points"] for name, metric in found["metrics"].items()}
    assert [(p["k"], p["value"]) for p in points["pass@k"]] == [(p["k"], p["value"]) for p in found["coverage"]]
    assert [(p["k"], p["value"]) for p in points["maj@k"]] == [(p["k"], p["value"]) for p in found["majority"]]
    assert [(p["k"], p["value"]) for p in points["avg@n"]] == [(9, pytest.approx(1 / 6))]
    all_of = {p["k"]: p["value"] for p in points["pass^k"]}
    assert set(all_of) >= {1, 2, 4, 8, 9} and all_of[2] == pytest.approx(3 / 36 / 2) and all_of[4] == 0
    assert {p["tau"] for p in points["g-pass@k"]} == set(TAUS)
    half = next(p for p in points["g-pass@k"] if (p["k"], p["tau"]) == (4, 0.5))
    assert half["value"] == pytest.approx((3 * 15 + 6) / 126 / 2) and half["low"] <= half["value"] <= half["high"]


def test_stopped_sampling_has_no_metric_that_it_biases() -> None:
    passed = [1] * 9 + [0]
    stopped = cell([1, 2, 3, 4, 5, 6, 7, 8, 9, 50], passed)
    (found,) = build_report([stopped], {}).cells
    assert found.stopped is not None and set(found.metrics) == {"pass@k"}


def test_without_decided_samples_or_answers_there_is_less() -> None:
    assert build_report([cell([0], [0], faults=[2])], {}).cells[0].metrics == {}
    (one,) = build_report([cell([4], [1])], {}).cells
    assert set(one.metrics) == {"pass@k", "avg@n", "pass^k", "g-pass@k"}
    assert all((at.low, at.high) == (None, None) for metric in one.metrics.values() for at in metric.points)
