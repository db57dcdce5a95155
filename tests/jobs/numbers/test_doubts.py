"""Warnings at the start of a report: different verifiers, and copied samples."""

from dataclasses import replace
from pathlib import Path

import pytest

from jobs.numbers.cells import Copies
from jobs.numbers.doubts import NEAR, doubts
from jobs.store.commit import RunSink
from jobs.store.counts import read_cells
from jobs.store.folder import DirectoryStore
from sampling.samples import Provenance, Sample, Unit
from tests.support.made_cells import LARGE, cell
from verify.verdict import Status, Verdict

PROVENANCE = Provenance("m", "main", "vllm", "0.30", "ab12", "cd34", "node-1", "H100")


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


@pytest.mark.parametrize("seeds", [(1, 2, 3, 4), (1, 1, 1, 1)], ids=["a seed each", "one seed"])
def test_a_run_whose_engines_shared_a_seed_is_found_out(seeds: tuple[int, ...], tmp_path: Path) -> None:
    """Each unit draws 64 texts; units with the same seed draw the same texts."""
    store = DirectoryStore(tmp_path)
    for number, seed in enumerate(seeds):
        unit = Unit("m", "t", number, 0, 1, number * NEAR, (number + 1) * NEAR)
        samples = [Sample(0, number * NEAR + i, f"{seed} {i // 2}", "stop", 9, 9, seed, 1.0, 0.1) for i in range(NEAR)]
        RunSink(store, "v1").commit(unit, samples, [Verdict(Status.FAIL)] * NEAR, PROVENANCE)
    (read,) = read_cells(store)
    assert read.copies == Copies(4 * NEAR, 4 * NEAR * 63, 12 * NEAR * 2 if len(set(seeds)) == 1 else 0, 12 * NEAR**2)
    assert bool(doubts([read])) == (len(set(seeds)) == 1)
