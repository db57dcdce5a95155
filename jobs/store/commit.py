"""The commit: a unit is done when its verdicts file exists, and only one attempt can create that file.

An attempt first puts the samples at a key of its own, then creates the verdicts at the key that all attempts share. An
attempt that dies in between has changed nothing that counts. The one that comes second is told so, and leaves its
samples behind as an orphan. Orphans are never deleted here: where a request may arrive late or twice, a loser cannot be
sure that it lost; jobs/store/clean.py says when deleting is safe.

An attempt that was frozen between the two puts may find its samples gone when it wakes, by a bucket's own rules or by
hand. It looks after it has won, not before, since it could be frozen again in between, and puts them again.
"""

import contextlib
import hashlib
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from cluster.sink import Receipt
from jobs.store.base import Store
from jobs.store.compact import compact_shard
from jobs.store.encode import encode_samples, encode_verdicts, verdict_table
from jobs.store.layout import final_verdicts_key, samples_key, verdicts_key
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import DamagedFile, NoSuchObject
from sampling.samples import Provenance, Sample, Shard, Unit
from verify.verdict import Status, Verdict


@dataclass(frozen=True, slots=True)
class RunSink:
    """Commits units of one run under one version of the verifiers; implements cluster.sink.Sink.

    With a ``writer``, the name of one driver, a commit that is tried again on the same samples is the same attempt: the
    try that died leaves no second samples file. Without one each call is an attempt of its own.
    """

    store: Store
    version: str
    writer: str = ""

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        """Commits one whole unit: writes the samples, then the verdicts."""
        assert len(samples) == unit.rows, f"{unit}: {len(samples)} samples, but a unit is committed whole"
        data = encode_samples(samples, provenance)
        attempt = hashlib.sha256(self.writer.encode() + data).hexdigest()[:32] if self.writer else uuid.uuid4().hex
        key = samples_key(unit, attempt)
        self.store.put_new(key, data, {"attempt": attempt})
        engine_s, judge_usd = sum(sample.engine_s for sample in samples), sum(verdict.usd for verdict in verdicts)
        digest, finish = hashlib.sha256(data).hexdigest(), finish_counts(samples)
        footer = Footer(attempt, key, digest, engine_s, judge_usd=judge_usd, finish=finish)
        receipt = self._commit(unit, samples, verdicts, footer, len(data))
        if receipt.won and self.store.head(key) is None:
            self.store.put_new(key, data, {"attempt": attempt})
        return receipt

    def commit_verdicts(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], earlier: Footer
    ) -> Receipt:
        """Commits new verdicts on stored samples; ``earlier`` is the footer of their verdicts of another version."""
        # Not those of the footer, which may be a whole shard's.
        engine_s, finish = sum(sample.engine_s for sample in samples), finish_counts(samples)
        judge_usd, attempt = sum(verdict.usd for verdict in verdicts), uuid.uuid4().hex
        footer = replace(earlier, attempt=attempt, engine_s=engine_s, judge_usd=judge_usd, merged=(), finish=finish)
        return self._commit(unit, samples, verdicts, footer, 0)

    def is_committed(self, unit: Unit) -> bool:
        """Returns whether the unit's verdicts are there, in a file of its own or in its shard's."""
        keys = (verdicts_key(self.version, unit), final_verdicts_key(self.version, unit.model, unit.task, unit.shard))
        return any(self.store.head(key) is not None for key in keys)

    def read_passes(self, unit: Unit) -> tuple[tuple[int, int, int], ...]:
        """Reads (problem_idx, decided verdicts, passes) of a committed unit, whoever committed it."""
        try:
            data = self.store.get(key := verdicts_key(self.version, unit))
        except NoSuchObject:  # compacted
            key = final_verdicts_key(self.version, unit.model, unit.task, unit.shard)
            data = self.store.get(key)
        rows = read_table(data, "verdicts", key)
        inside = pc.and_(_within(rows["problem_idx"], unit.first_problem, unit.last_problem),
                         _within(rows["sample_idx"], unit.first_sample, unit.last_sample))  # fmt: skip
        rows = rows.filter(inside)
        names = zip(rows["problem_idx"].to_pylist(), rows["status"].to_pylist(), strict=True)
        return _passes((idx, Status(status)) for idx, status in names)

    def compact(self, shard: Shard) -> None:
        """Merges a full shard's verdicts into one file, and its samples into another; see jobs.store.compact."""
        compact_shard(self.store, self.version, shard)

    def put_verdicts(self, unit: Unit, table: pa.Table, footer: Footer) -> tuple[bool, int]:
        """Creates a unit's verdicts file; returns whether this call created it, and its size in bytes.

        An import of outcomes without text calls this directly.
        """
        data = encode_verdicts(table, footer)
        key = verdicts_key(self.version, unit)
        return self.store.put_new(key, data, footer.metadata), len(data)

    def _holds(self, unit: Unit, attempt: str) -> bool:
        """Returns whether an earlier try of the same attempt has committed the unit; a folder keeps no metadata."""
        key = verdicts_key(self.version, unit)
        with contextlib.suppress(NoSuchObject, DamagedFile):  # compacted since, or to be checked by `troop check`
            return read_footer(self.store.get(key), key).attempt == attempt
        return False

    def _commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], footer: Footer, samples_bytes: int
    ) -> Receipt:
        won, size = self.put_verdicts(unit, verdict_table(samples, verdicts), footer)
        return Receipt(
            unit=unit,
            won=won or (bool(self.writer) and self._holds(unit, footer.attempt)),
            rows=len(samples),
            tokens=sum(sample.tokens for sample in samples),
            stored_bytes=samples_bytes + size,
            passed=_count_passes(samples, verdicts),
            status_counts=tuple(sorted(Counter(verdict.status.value for verdict in verdicts).items())),
            usd=sum(sample.usd for sample in samples),
            judge_usd=footer.judge_usd,
            finish=footer.finish,
        )


def finish_counts(samples: Sequence[Sample]) -> tuple[tuple[str, int], ...]:
    """Returns how many samples have each finish reason, by name."""
    return tuple(sorted(Counter(sample.finish_reason for sample in samples).items()))


def _within(column: pa.ChunkedArray, first: int, last: int) -> pa.ChunkedArray:
    return pc.and_(pc.greater_equal(column, first), pc.less(column, last))


def _count_passes(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[tuple[int, int, int], ...]:
    pairs = zip(samples, verdicts, strict=True)
    return _passes((sample.problem_idx, verdict.status) for sample, verdict in pairs)


def _passes(rows: Iterable[tuple[int, Status]]) -> tuple[tuple[int, int, int], ...]:
    """Returns (problem_idx, decided verdicts, passes) of every problem of a unit."""
    decided, passed = Counter[int](), Counter[int]()
    for idx, status in rows:
        decided[idx] += status is not Status.FAULT
        passed[idx] += status is Status.PASS
    return tuple((idx, decided[idx], passed[idx]) for idx in sorted(decided))
