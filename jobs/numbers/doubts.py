"""What makes the numbers of a run doubtful. A report says it first, before any figure.

Two doubts are known from counts alone. Models judged by different versions of the verifiers may differ because of the
verifiers. And samples that are copies of each other are fewer draws than they seem: engines default to one seed, so
two of them can return the same texts. Samples near each other came from one call of one engine; what repeats there is
what the temperature explains. Independent samples that lie far apart repeat just as often, copies more often.
"""

from collections.abc import Iterable, Sequence

from jobs.numbers.cells import CellCounts, Copies

NEAR = 64  # samples of a problem with neighbouring indices, which one engine draws at once
FEWEST_PAIRS = 200  # equal far pairs, below which their share is too uncertain to warn of
TOO_MANY = 1.5  # as often as near ones


def doubts(cells: Sequence[CellCounts]) -> tuple[str, ...]:
    """One sentence a doubt, naming where and what to do."""
    return (*_mixed_versions(cells), *(line for cell in cells for line in _copied(cell)))


def copied(copies: Copies) -> bool:
    """Whether texts recur between distant samples more often than between neighbours."""
    return copies.far_equal >= FEWEST_PAIRS and copies.far > TOO_MANY * copies.near


def _mixed_versions(cells: Sequence[CellCounts]) -> Iterable[str]:
    for task in dict.fromkeys(cell.task for cell in cells):
        versions = {cell.model: cell.version for cell in cells if cell.task == task}
        if len(set(versions.values())) > 1:
            said = ", ".join(f"{model} by {version or 'an unknown one'}" for model, version in versions.items())
            yield (
                f"{task}: models were judged by different versions of the verifiers ({said}), so they are not to be "
                "compared; `troop verify RUN` judges all samples by one version."
            )


def _copied(cell: CellCounts) -> Iterable[str]:
    if cell.copies is not None and copied(cell.copies):
        near, far = cell.copies.near, cell.copies.far
        yield (
            f"{cell.model} on {cell.task}: of pairs of distant samples {far:.2g} have the same text, of neighbours "
            f"{near:.2g}; samples may be copies, and coverage too low: look for engines that share a seed."
        )
