"""Options and result of an export for training."""

from dataclasses import dataclass, replace

from jobs.export.formats import Format
from jobs.export.parts import TrainingFile
from jobs.export.selection import Selection
from sampling.validate import Plain
from sampling.words import many


@dataclass(frozen=True)
class DataSet:
    """Options of one export: the format, the samples, the splits, and names for the card."""

    form: Format
    selection: Selection
    splits: tuple[tuple[str, float], ...] = (("train", 1.0),)
    models: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    chat: bool = False
    license: str = "unknown"


class TrainingReport(Plain):
    """Result of ``troop export --format``; ``--json`` prints it, and ``_export.json`` has the same fields."""

    run: str
    """Path or URI of the run."""

    out: str
    """Place of the data set."""

    form: str
    """Format of the rows: sft, dpo, kto, rl or pass-rate."""

    rows: dict[str, int]
    """Number of rows of each split."""

    problems: int
    """Number of problems that have rows, those of each model counted apart."""

    left_out: dict[str, int]
    """Right (and, for dpo and kto, wrong) samples of the problems taken that were left out, by reason.

    ``truncated``, ``empty`` (no answer text), ``duplicates``, ``beyond`` (the limit per problem).
    """

    selection: Selection
    """Options that chose the samples."""

    files: tuple[TrainingFile, ...]
    """Files of the data set."""

    def as_text(self) -> str:
        rows = ", ".join(f"{many(count, 'row')} in {name}" for name, count in self.rows.items())
        left = ", ".join(f"{count:,} {name}" for name, count in self.left_out.items() if count)
        said = f"{self.run}: {self.form}, {rows}, from {many(self.problems, 'problem')}, written to {self.out}"
        return said + (f" (left out: {left})" if left else "")


def with_defaults(wanted: DataSet) -> DataSet:
    """Returns the data set with the limit that its format has by default: one pair of each prompt for dpo."""
    selection = wanted.selection
    if wanted.form == "dpo" and selection.per_problem is None:
        selection = selection.model_copy(update={"per_problem": 1})
    return replace(wanted, selection=selection)
