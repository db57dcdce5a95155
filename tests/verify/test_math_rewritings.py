"""MATH's own answers are still right when rewritten in eleven ways; answers of other problems are not."""

from collections import Counter

import pytest

from bench.math_rewritings import REWRITINGS, judged, strangers
from sampling.tasks.load import load_task
from tests.support.places import TASK_DATA

MATH = TASK_DATA / "math500_test.json"


@pytest.mark.skipif(not MATH.exists(), reason="MATH-500 is not here")
def test_every_gold_answer_is_recognised_however_it_is_written() -> None:
    problems = load_task("math", MATH, shots=0)
    found = list(judged(problems))
    assert [row for row in found if row.status != "pass"] == []
    made = Counter(row.way for row in found)
    assert made["sentence"] == 500 and len(made) == len(REWRITINGS) == 11 and min(made.values()) > 20
    others = list(strangers(problems))
    assert len(others) > 400 and [row for row in others if row.status == "pass"] == []
