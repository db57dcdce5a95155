"""Reasons to doubt the numbers of a run. A report shows them first.

Three reasons are visible in counts alone. First, models that different versions of the verifiers judged may differ
because of the verifiers. Second, samples that a limit of tokens cut are judged by what they had said until then, so
coverage may be low because of the limit. Third, copied samples are fewer draws than they seem: engines default to one
seed, so two engines can return the same texts. Near samples come from one engine; the temperature explains how often
they repeat. Independent samples that are far apart repeat as often as near ones; copies repeat more often.
"""

from collections.abc import Iterable, Sequence

from jobs.numbers.cells import CellCounts, Copies
from sampling.words import many

NEAR = 64  # samples of a problem with neighbouring indices: one engine draws them together
FEWEST_PAIRS = 200  # equal far pairs that a warning needs: the share of fewer is too uncertain
MOST_CUT = 0.05  # share of samples that may be cut without a warning
TOO_MANY = 1.5  # times as often as near samples repeat


def doubts(cells: Sequence[CellCounts]) -> tuple[str, ...]:
    """Returns one sentence per doubt: where it is, and what to do about it."""
    return (*_mixed_versions(cells), *cut_warnings(cells), *(line for cell in cells for line in _copied(cell)))


def cut_warnings(cells: Sequence[CellCounts]) -> Iterable[str]:
    """Yields a sentence for each task of whose samples more than MOST_CUT were cut; it names the worst model."""
    cut = [(cell.cut, cell) for cell in cells if cell.cut is not None and cell.cut > MOST_CUT]
    for task in dict.fromkeys(cell.task for _, cell in cut):
        found = [(share, cell.model) for share, cell in cut if cell.task == task]
        share, model = max(found)
        others = f", and more than {MOST_CUT:.0%} with {many(len(found) - 1, 'other model')}," if len(found) > 1 else ""
        yield (
            f"{model} on {task}: {share:.0%} of samples{others} were cut at max_tokens (finish_reason length) and may "
            "have no answer yet; give a larger max_tokens, within the model's context, in a new run."
        )


def copied(copies: Copies) -> bool:
    """Tells whether far samples repeat each other clearly more often than near ones."""
    return copies.far_equal >= FEWEST_PAIRS and copies.far > TOO_MANY * copies.near


def _mixed_versions(cells: Sequence[CellCounts]) -> Iterable[str]:
    for task in dict.fromkeys(cell.task for cell in cells):
        versions = {cell.model: cell.version for cell in cells if cell.task == task}
        if len(set(versions.values())) > 1:
            said = ", ".join(f"{model} by {version or 'an unknown version'}" for model, version in versions.items())
            yield (
                f"{task}: models were judged by different versions of the verifiers ({said}), so do not compare "
                "them; `troop verify RUN` judges all samples by one version."
            )


def _copied(cell: CellCounts) -> Iterable[str]:
    if cell.copies is not None and copied(cell.copies):
        near, far = cell.copies.near, cell.copies.far
        yield (
            f"{cell.model} on {cell.task}: the same text recurs in {far:.2g} of pairs of far samples and in "
            f"{near:.2g} of near pairs; samples may be copies and coverage too low: look for engines that share a seed."
        )
