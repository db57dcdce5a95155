"""What a report warns of first: verifiers that differ, and samples that are copies."""

from dataclasses import replace

import pytest

from jobs.cells import Copies
from jobs.doubts import doubts
from tests.made_cells import LARGE, cell


def test_versions_that_differ_on_a_task_are_named() -> None:
    first, second = replace(cell([9], [3]), version="aa"), replace(cell([9], [3], model=LARGE), version="bb")
    (said,) = doubts([first, second])
    assert said.startswith("gsm8k: ") and "lab/small-0.5B by aa, lab/large-7B by bb" in said and "troop verify" in said
    assert doubts([first, replace(second, task="other")]) == () and doubts([first, replace(second, version="aa")]) == ()


@pytest.mark.parametrize(
    ("copies", "doubtful"),
    [(Copies(50, 10_000, 500, 100_000), False), (Copies(50, 10_000, 900, 100_000), True),
     (Copies(0, 10_000, 300, 100_000), True), (Copies(0, 10_000, 20, 100_000), False), (Copies(9, 90, 0, 0), False)],
    ids=["as often", "more often", "far ones alone", "too few to tell", "no distant pairs"],
)  # fmt: skip
def test_texts_that_recur_far_apart_more_than_nearby_are_copies(copies: Copies, doubtful: bool) -> None:
    assert bool(doubts([replace(cell([9], [3]), copies=copies)])) == doubtful


def test_the_chance_of_the_same_text_does_not_depend_on_how_many_hashes_are_kept() -> None:
    assert Copies(5, 1000, 50, 10_000, kept=0.5).near == Copies(10, 1000, 100, 10_000).near == 0.01
