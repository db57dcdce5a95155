"""The result of ``troop compare``: compare.json, and its words in a terminal."""

from typing import Literal

from jobs.numbers.intervals import Population
from sampling.validate import Plain
from sampling.words import many, printable, short

Unit = Literal["samples", "problems"]
SHOWN = 10  # flips of each direction that a terminal and a page list


class Side(Plain):
    """One of the two that are compared."""

    run: str
    """Path or URI of the run."""

    model: str
    """Name of the model."""

    version: str
    """Version of the verifiers."""

    samples: int
    """Decided samples on the common problems."""

    pass_at_1: float
    """Mean share of right samples of a common problem."""

    duplicate_rate: float | None
    """Share of samples whose text equals an earlier one of the same problem. None where no texts can be compared."""


class Difference(Plain):
    """Coverage of both at one k."""

    k: int
    """Samples per problem."""

    a: float
    """Coverage of A."""

    b: float
    """Coverage of B."""

    value: float
    """Coverage of B minus that of A."""

    low: float
    """Lower end of the paired 95 % interval of the difference."""

    high: float
    """Upper end."""


class Mcnemar(Plain):
    """McNemar's exact test at k = 1: are there more flips one way than the other?"""

    unit: Unit
    """Pairs: ``samples`` (the same index of the same problem) or ``problems`` (which of the two did better)."""

    why: str
    """Reason for that unit, and what a small p says."""

    pairs: int
    """Pairs of samples with both verdicts."""

    a_only: int
    """Units that are right, or better, in A alone."""

    b_only: int
    """Units that are right, or better, in B alone."""

    p: float | None
    """Two-sided exact p-value. None where nothing can be paired."""


class Flip(Plain):
    """A problem with flips: samples of one index that are right in one and wrong in the other."""

    problem: str
    """Id of the problem."""

    a_passed: int
    """Samples of A that passed."""

    a_samples: int
    """Decided samples of A."""

    b_passed: int
    """Samples of B that passed."""

    b_samples: int
    """Decided samples of B."""

    lost: int
    """Indices that are right in A and wrong in B."""

    gained: int
    """Indices that are wrong in A and right in B."""

    sample: int | None = None
    """Index of the flip that is shown, the first one in the direction of the list."""

    a_text: str | None = None
    """Completion of A at that index, cut to 2,000 characters. None where it is not shown or has no text."""

    b_text: str | None = None
    """Completion of B at that index."""


class Comparison(Plain):
    """A and B on one task."""

    task: str
    """Name of the task."""

    a: Side
    """The first, against which the second is measured."""

    b: Side
    """The second."""

    problems: int
    """Problems that both have decided samples of; everything is about these."""

    only_a: int
    """Problems that A alone has decided samples of."""

    only_b: int
    """Problems that B alone has decided samples of."""

    differences: tuple[Difference, ...]
    """Differences at each k up to the fewest samples of a common problem."""

    mcnemar: Mcnemar
    """Exact test at k = 1."""

    equal_texts: int
    """Pairs of samples with the same index whose texts are equal, among those that can be compared."""

    comparable_texts: int
    """Pairs of samples whose texts can be compared (their hashes are kept)."""

    solved_by_a_alone: int
    """Problems with a pass in A and none in B."""

    solved_by_b_alone: int
    """Problems with a pass in B and none in A."""

    lost: tuple[Flip, ...]
    """Problems with most flips from right to wrong, the most first."""

    gained: tuple[Flip, ...]
    """Problems with most flips from wrong to right, the most first."""

    equivalent: bool | None = None
    """True where the whole interval at ``at`` lies within the margin. None without a margin."""

    failed: bool = False
    """True where ``--fail-below`` was crossed."""

    def at(self, k: int) -> Difference:
        """Returns the difference at ``k``, which must be among those that were asked for."""
        return next(one for one in self.differences if one.k == k)


class Compared(Plain):
    """Result of ``troop compare``; ``--json`` prints it."""

    population: Population
    """Subject of the intervals: problems like these, or this very benchmark."""

    k: int
    """The k that margin and ``fail_below`` are about."""

    margin: float | None
    """Margin of equivalence. None without one."""

    fail_below: float | None
    """Difference below which the exit code is 3. None without one."""

    fail_on: Literal["value", "low", "high"]
    """Figure that is compared with ``fail_below``: the difference, or an end of its interval."""

    comparisons: tuple[Comparison, ...]
    """One comparison for each task and pair of models."""

    notes: tuple[str, ...] = ()
    """Notes on what was left out."""

    @property
    def failed(self) -> bool:
        return any(one.failed for one in self.comparisons)

    def as_text(self) -> str:
        """Returns the words for a terminal; names and texts are made printable."""
        parts = [printable_lines(words_of(one, self)) for one in self.comparisons]
        return "\n\n".join([*parts, *(printable(note) for note in self.notes)])


def printable_lines(lines: list[str]) -> str:
    return "\n".join(map(printable, lines))


def words_of(one: Comparison, compared: Compared) -> list[str]:
    """Returns the lines about one task."""
    names = f"B {name_of(one.b, one.a)} minus A {name_of(one.a, one.b)}"
    heads = [f"{one.task}: {names}, {many(one.problems, 'common problem')}"]
    heads.append("       k       A       B    B - A   95 % interval")
    rows = [
        f"{d.k:>8,} {d.a:7.3f} {d.b:7.3f}  {d.value:+7.3f}   {d.low:+.3f} to {d.high:+.3f}" for d in one.differences
    ]
    return [*heads, *rows, *(f"  {line}" for line in facts_of(one, compared))]


def name_of(side: Side, other: Side) -> str:
    """Returns a name that tells a side from the other: the model, and the run and version where these differ."""
    more = [
        word
        for word, differs in ((side.run, side.run != other.run), (side.version, side.version != other.version))
        if differs
    ]
    name = short(side.model)
    return f"{name} ({', '.join(more)})" if more else name


def facts_of(one: Comparison, compared: Compared) -> list[str]:
    """Returns sentences about the test, the margin, the flips and the texts."""
    lines = [mcnemar_words(one.mcnemar)]
    if one.equivalent is not None:
        said = "equivalent" if one.equivalent else "not shown to be equivalent"
        lines.append(f"{said} within ±{compared.margin:g} at k = {compared.k:,}")
    if compared.fail_below is not None:
        said = "FAILED: below" if one.failed else "passed: not below"
        what = {"value": "the difference", "low": "the interval's lower end", "high": "the interval's upper end"}
        lines.append(f"{said} {compared.fail_below:+g} at k = {compared.k:,} ({what[compared.fail_on]})")
    lines.append(f"solved by A alone: {one.solved_by_a_alone:,}; by B alone: {one.solved_by_b_alone:,}")
    for name, flips in (("right in A, wrong in B", one.lost), ("wrong in A, right in B", one.gained)):
        if flips:
            listed = ", ".join(
                f"{short(f.problem)} {f.a_passed}/{f.a_samples} → {f.b_passed}/{f.b_samples}" for f in flips[:SHOWN]
            )
            lines.append(f"most flips {name}: {listed}")
    if one.comparable_texts:
        lines.append(
            f"equal texts in A and B: {one.equal_texts:,} of {one.comparable_texts:,} pairs that can be compared"
        )
    if one.only_a or one.only_b:
        lines.append(f"left out: {many(one.only_a, 'problem')} of A alone, {one.only_b:,} of B alone")
    return lines


def mcnemar_words(test: Mcnemar) -> str:
    """Returns the test in a sentence."""
    if test.p is None:
        return f"McNemar's test: none, {test.why}"
    what = "right" if test.unit == "samples" else "better"
    counts = f"{many(test.a_only, test.unit[:-1])} {what} in A alone, {test.b_only:,} in B alone"
    return f"McNemar's exact test over {test.unit}: {counts}, p = {test.p:.3g}; {test.why}"
