"""The commit: a unit is done when its verdicts file exists, and only one attempt can create it.

An attempt first puts the samples at a key of its own, then creates the verdicts at the key all attempts share. Whoever
dies in between has changed nothing that counts; whoever comes second is told so and leaves its samples behind as an
orphan. Orphans are never deleted here: where a request may arrive late or twice, a loser cannot be sure that it lost.
"""

import hashlib
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cluster.sink import Receipt
from jobs.layout import (
    FINAL,
    SAMPLES,
    VERDICTS,
    ResultKey,
    parse_key,
    samples_key,
    under,
    verdicts_key,
    verdicts_prefixes,
    within,
)
from jobs.schema import Footer, encode_samples, encode_verdicts, read_footer, verdict_table
from jobs.store import ObjectInfo, Store
from sampling.samples import Provenance, Sample, Shard, Unit
from verify.verdict import Status, Verdict


@dataclass(frozen=True, slots=True)
class RunSink:
    """Commits units of one run under one version of the verifier; see cluster.sink.Sink."""

    store: Store
    prefix: str
    version: str

    def commit(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], provenance: Provenance
    ) -> Receipt:
        """Writes one whole unit: samples first, then the verdicts, which is the commit."""
        assert len(samples) == unit.rows, f"{unit}: {len(samples)} samples, but a unit is committed whole"
        attempt = uuid.uuid4().hex
        data, key = encode_samples(samples, provenance), samples_key(unit, attempt)
        self.store.put_new(under(self.prefix, key), data, {"attempt": attempt})
        footer = Footer(attempt, key, hashlib.sha256(data).hexdigest(), sum(sample.engine_s for sample in samples))
        return self._judged(unit, samples, verdicts, footer, len(data))

    def judge(self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], judged: Footer) -> Receipt:
        """Writes new verdicts on samples that are committed already: ``judged`` is the footer of their verdicts."""
        engine_s = sum(sample.engine_s for sample in samples)  # not the footer's: it may be a whole shard's
        footer = Footer(uuid.uuid4().hex, judged.samples, judged.samples_sha256, engine_s)
        return self._judged(unit, samples, verdicts, footer, 0)

    def compact(self, shard: Shard) -> None:
        """Makes one file of a full shard's verdicts and one of its samples; see jobs.compact."""
        from jobs.catalogue import Run
        from jobs.compact import compact_shard  # which reads what is committed here, and so imports this module

        compact_shard(Run(self.store, self.prefix), self.version, shard)

    def put_verdicts(self, unit: Unit, table: pa.Table, footer: Footer) -> tuple[bool, int]:
        """Creates a unit's verdicts file: whether this call did, and its size. Imports without text end here too."""
        data = encode_verdicts(table, footer)
        key = under(self.prefix, verdicts_key(self.version, unit))
        return self.store.put_new(key, data, verdicts_metadata(footer)), len(data)

    def _judged(
        self, unit: Unit, samples: Sequence[Sample], verdicts: Sequence[Verdict], footer: Footer, stored: int
    ) -> Receipt:
        won, size = self.put_verdicts(unit, verdict_table(samples, verdicts), footer)
        return Receipt(
            unit=unit,
            won=won,
            rows=len(samples),
            tokens=sum(sample.tokens for sample in samples),
            stored_bytes=stored + size,
            passed=_passed(samples, verdicts),
            status_counts=tuple(sorted(Counter(verdict.status.value for verdict in verdicts).items())),
        )


def verdicts_metadata(footer: Footer) -> dict[str, str]:
    """What a store that keeps metadata says of a verdicts file without reading it."""
    return {"attempt": footer.attempt, "samples": footer.samples, "samples-sha256": footer.samples_sha256}


def _passed(samples: Sequence[Sample], verdicts: Sequence[Verdict]) -> tuple[tuple[int, int, int], ...]:
    """(problem_idx, decided, passed) of every problem of a unit."""
    decided, passed = Counter[int](), Counter[int]()
    for sample, verdict in zip(samples, verdicts, strict=True):
        decided[sample.problem_idx] += verdict.status is not Status.FAULT
        passed[sample.problem_idx] += verdict.status is Status.PASS
    return tuple((idx, decided[idx], passed[idx]) for idx in sorted(decided))


def committed_units(store: Store, prefix: str, version: str, model: str, task: str) -> set[int]:
    """The numbers of the units that need no more work, from listing pages alone."""
    found: set[int] = set()
    for start in verdicts_prefixes(version, model, task):
        for _, key in result_files(store, prefix, start):
            found.update(key.units)
    return found


def result_files(store: Store, prefix: str, start: str) -> Iterator[tuple[ObjectInfo, ResultKey]]:
    """The results below ``start`` with what their keys say; anything else that lies there is passed over."""
    for info in store.list(under(prefix, start)):
        key = parse_key(within(prefix, info.key))
        if key is not None:
            yield info, key


def orphans(store: Store, prefix: str, uncommitted: bool = False) -> list[ObjectInfo]:
    """Samples that no verdicts name: of attempts that lost, and on request of units that nobody has committed.

    The latter may belong to an attempt that is about to commit; look at ``modified`` before you delete one. Costs a
    listing, and reads the verdicts of those units alone that have more than one samples file.
    """
    verdicts: defaultdict[tuple[str, str, int | None, int], list[str]] = defaultdict(list)
    samples: defaultdict[tuple[str, str, int | None, int], list[ObjectInfo]] = defaultdict(list)
    for start in (SAMPLES, VERDICTS, FINAL):
        for info, key in result_files(store, prefix, start):
            unit = (key.model, key.task, key.number, key.shard)
            if key.kind == "samples":
                samples[unit].append(info)
            else:
                verdicts[unit].append(info.key)
    found: list[ObjectInfo] = []
    for unit, infos in samples.items():
        if unit not in verdicts:
            found += infos if uncommitted else []
        elif len(infos) > 1:
            named = {under(prefix, read_footer(store.get(key), key).samples) for key in verdicts[unit]}
            found += [info for info in infos if info.key not in named]
    return sorted(found, key=lambda info: info.key)
