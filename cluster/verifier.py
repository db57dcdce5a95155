"""The work of a verifier process, and the assembly of a unit: plain code, which Ray makes actors and tasks of."""

import time
from collections import defaultdict
from collections.abc import Sequence

from cluster.batches import Problems, SampleBatch, VerdictBatch, VerdictHeader
from cluster.sink import Receipt, Sink
from sampling.errors import TroopError
from sampling.samples import Provenance, Sample, Shard, Unit
from verify.judge_settings import JudgeSettings
from verify.needs import languages_of, packages_of
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers

# Samples without a completion have nothing to verify, and an engine's failure is not a wrong answer.
WITHOUT_TEXT = {
    "prompt_too_long": Verdict(Status.INVALID, reason="the prompt is longer than the model's context"),
    "prompt_refused": Verdict(
        Status.INVALID, reason="the model's chat template does not take these messages, or the prompt has no tokens"
    ),
    "error": Verdict(Status.FAULT, reason="the engine failed on this sample"),
}
UNFINISHED = Verdict(Status.INVALID, reason="thought not finished")
NO_VERDICT = Verdict(Status.FAULT, reason="not verified")


def without_answer(sample: Sample) -> Verdict | None:
    """Returns the verdict on a sample that has nothing to verify, or None where it has an answer."""
    known = WITHOUT_TEXT.get(sample.finish_reason)
    return UNFINISHED if known is None and sample.is_unfinished else known


class VerifierWorker:
    """The verifiers of one process, and with them a sandbox."""

    def __init__(self, problems: Problems, tier: str | None, judge: JudgeSettings | None = None) -> None:
        self._problems, self._verifiers = problems, Verifiers(tier=tier, judge=judge)

    def prepare(self) -> None:
        """Opens what the problems' verifiers need; raises BadInput where this machine cannot give it."""
        problems = [problem for table in self._problems.values() for problem in table.values()]
        self._verifiers.prepare(
            {problem.verifier for problem in problems}, packages_of(problems), languages_of(problems)
        )

    def verify(self, batch: SampleBatch) -> tuple[VerdictHeader, VerdictBatch]:
        """Returns a verdict for every sample of the batch, in its order."""
        started = time.monotonic()
        known = [without_answer(sample) for sample in batch.samples]
        verdicts = [verdict or NO_VERDICT for verdict in known]
        table = self._problems[batch.task]
        asked = [(table[idx], places) for idx, places in _by_problem(batch.samples, known).items()]
        for problem, places in asked:
            self._verifiers.announce(problem, [batch.samples[place].text for place in places])
        for problem, places in asked:
            texts = [batch.samples[place].text for place in places]
            for place, verdict in zip(places, self._verifiers.verify_many(problem, texts), strict=True):
                verdicts[place] = verdict
        shared = sum(verdict.shared for verdict in verdicts)
        return VerdictHeader(len(verdicts), shared, time.monotonic() - started), VerdictBatch(tuple(verdicts))

    def close(self) -> None:
        """Ends the sandbox."""
        self._verifiers.close()


def ready_to_commit(sink: Sink) -> None:
    """Does nothing: the process that got the sink has loaded what a commit needs."""


def commit_unit(sink: Sink, unit: Unit, provenance: Provenance, *batches: SampleBatch | VerdictBatch) -> Receipt:
    """Commits a unit from its sample batches and, in the same order, their verdict batches."""
    samples = [sample for batch in batches if isinstance(batch, SampleBatch) for sample in batch.samples]
    verdicts = [verdict for batch in batches if isinstance(batch, VerdictBatch) for verdict in batch.verdicts]
    order = sorted(range(len(samples)), key=lambda i: (samples[i].problem_idx, samples[i].sample_idx))
    samples, verdicts = [samples[i] for i in order], [verdicts[i] for i in order]
    _check_complete(unit, samples)
    return sink.commit(unit, samples, verdicts, provenance)


def compact_shard(sink: Sink, shard: Shard) -> None:
    """Compacts a shard whose units are all committed."""
    sink.compact(shard)


def _by_problem(samples: Sequence[Sample], known: Sequence[Verdict | None]) -> dict[int, list[int]]:
    """Returns the numbers of the samples to verify, by problem_idx."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for number, (sample, verdict) in enumerate(zip(samples, known, strict=True)):
        if verdict is None:
            numbers[sample.problem_idx].append(number)
    return numbers


def _check_complete(unit: Unit, samples: Sequence[Sample]) -> None:
    """Raises TroopError unless the samples are exactly the planned ones: a commit is for ever."""
    expected = (
        (problem, sample)
        for problem in range(unit.first_problem, unit.last_problem)
        for sample in range(unit.first_sample, unit.last_sample)
    )
    if [(s.problem_idx, s.sample_idx) for s in samples] != list(expected):
        raise TroopError(f"unit {unit.model}/{unit.task}/{unit.number}: its samples are not the planned ones; dropped")
