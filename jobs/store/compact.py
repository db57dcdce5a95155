"""Compaction: the unit files of a full shard become one file of verdicts and one of samples, below ``final/``.

A run of a billion rows would otherwise be half a million small files, each a request for every reader. The protocol is
the one of a unit's commit (jobs/store/commit.py): samples at a key of this attempt's own, then the verdicts,
create-only, at the key that all attempts share. Readers take a shard's final file in place of its units from the
instant it exists, so nothing is lost or doubled wherever a compaction is killed. Only then are the units' files
deleted: each verdicts file once its rows are seen in the final one, and the samples that went into the final samples,
whose attempts the final verdicts name. A later compaction finishes what a killed one left.

A shard is full when all its numbers are committed. Numbers are given out once and in a row (jobs/planning.py), so a run
that grows never adds to a full shard.
"""

import hashlib
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa

from jobs.store.base import Store
from jobs.store.catalogue import ResultFile, follow_merge, read_merged_footers, result_files
from jobs.store.encode import merge_samples, merge_verdicts
from jobs.store.keyed_rows import SamplesReader, are_in, read_batches, read_keys
from jobs.store.layout import (
    FINAL,
    SAMPLES,
    VERDICTS,
    final_samples_key,
    final_verdicts_key,
    parse_key,
    shard_prefixes,
)
from jobs.store.merge import MERGE_LIMITS, Keys, MergeLimits, Source, in_key_order
from jobs.store.schema import VERDICTS_SCHEMA, conform
from jobs.store.sealed_parquet import Footer, check_seal, read_footer
from sampling.errors import StoreError
from sampling.samples import UNITS_PER_SHARD, Shard
from sampling.validate import Plain
from sampling.words import many

T = TypeVar("T")
U = TypeVar("U")
_PARALLEL_REQUESTS = 16


class CompactReport(Plain):
    """Result of ``troop compact``."""

    run: str
    """Path or URI of the run."""

    shards: int
    """Number of full shards that were compacted, or whose compaction was finished."""

    failed: tuple[str, ...]
    """One line for each shard that could not be compacted: the file, and what is wrong with it."""

    def as_text(self) -> str:
        first = f"{many(self.shards, 'full shard')} compacted" if self.shards else "nothing to compact"
        return "\n".join([f"{self.run}: {first}", *(f"  not compacted: {line}" for line in self.failed)])


MayCompact = Callable[[Shard], bool]


def always(_: Shard) -> bool:
    """Lets every shard be compacted."""
    return True


def compact_run(store: Store, may: MayCompact = always, limits: MergeLimits = MERGE_LIMITS) -> CompactReport:
    """Compacts full shards of every version and finishes begun ones; a shard that fails does not stop the others.

    Shards that ``may`` leaves to another driver are passed over.
    """
    done, failed = 0, []
    for version, shard in shards_to_compact(store):
        try:
            if not may(shard):
                continue
            compact_shard(store, version, shard, limits)
        except StoreError as error:
            failed.append(str(error))
        else:
            done += 1
    return CompactReport(run=store.uri, shards=done, failed=tuple(failed))


def shards_to_compact(store: Store) -> list[tuple[str, Shard]]:
    """Lists the full shards that still have unit files, as (version, shard); reads no file."""
    units = Counter(
        (file.version, file.key.in_shard) for file in result_files(store, VERDICTS) if file.key.number is not None
    )
    final = {(file.version, file.key.in_shard) for file in result_files(store, FINAL + VERDICTS)}
    full = {place for place, count in units.items() if place in final or count == UNITS_PER_SHARD}
    with_samples = {file.key.in_shard for file in result_files(store, SAMPLES)}
    return sorted(full | {place for place in final if place[1] in with_samples})


def compact_shard(store: Store, version: str, shard: Shard, limits: MergeLimits = MERGE_LIMITS) -> None:
    """Compacts a shard, or finishes what another compaction began; does nothing where it is not full.

    Several calls at once do no harm. Memory is bounded by ``limits``, whatever the shard holds. Raises StoreError, and
    deletes nothing, where a file is damaged or does not fit.
    """
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        if not any(file.version == version for file in _final_verdicts(store, shard)):
            units = list(result_files(store, shard_prefixes(version, shard)[0]))
            if len(units) < UNITS_PER_SHARD:
                return
            try:
                _Shard(store, version, shard, pool, limits).write_final(units)
            except StoreError:
                if not any(file.version == version for file in _final_verdicts(store, shard)):
                    raise  # otherwise another compaction was faster, and deleted what this one was reading
        _delete_units(store, version, shard, pool)


@dataclass(frozen=True, slots=True)
class _Part:
    """The verdicts of one unit, or of units that have their samples in the same files, which ``footer`` names."""

    name: str
    keys: Keys
    footer: Footer


def _finish(parts: Sequence[_Part]) -> tuple[tuple[str, int], ...]:
    """Returns the samples of all parts by finish reason; nothing where a part with text does not say, being older."""
    if any(part.footer.samples and not part.footer.finish for part in parts):
        return ()
    return tuple(sorted(sum((Counter(dict(part.footer.finish)) for part in parts), Counter[str]()).items()))


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard that is about to be compacted."""

    store: Store
    version: str
    shard: Shard
    pool: ThreadPoolExecutor
    limits: MergeLimits

    def write_final(self, units: Sequence[ResultFile]) -> None:
        merged = read_merged_footers(self.store, _final_verdicts(self.store, self.shard))
        read = self.pool.map(lambda file: _read_part(self.store, file, merged), units)
        parts = sorted(read, key=lambda part: part.keys[:1].tolist())
        keys = np.concatenate([part.keys for part in parts])
        if len(np.unique(keys)) != len(keys):
            raise StoreError(f"{parts[0].name}: has rows that another unit of its shard has too")
        footer = self._put_samples(uuid.uuid4().hex, parts, merged)
        sources = (Source(int(part.keys[0]), self._verdicts(part.name)) for part in parts if len(part.keys))
        data = merge_verdicts(in_key_order(sources, self.limits), footer)
        key = final_verdicts_key(self.version, self.shard.model, self.shard.task, self.shard.number)
        self.store.put_new(key, data, footer.metadata)

    def _verdicts(self, name: str) -> Iterator[pa.Table]:
        for table in read_batches(self.store.get(name), "verdicts", name):
            yield conform(table, VERDICTS_SCHEMA, name)

    def _put_samples(self, attempt: str, parts: Sequence[_Part], merged: Mapping[str, Footer]) -> Footer:
        """Writes the samples of all parts, unless they are written already or have no text; returns the new footer."""
        costs = {name: sum(getattr(part.footer, name) for part in parts) for name in ("engine_s", "judge_usd")}
        finish = _finish(parts)
        if len({part.footer.samples for part in parts}) == 1:  # another version was compacted, or there is no text
            one = parts[0].footer
            taken_in = tuple(sorted(name for name, footer in merged.items() if footer.samples == one.samples))
            return replace(one, attempt=attempt, merged=taken_in, finish=finish, **costs)
        with_text = [part for part in parts if part.footer.samples]
        files = list[tuple[str, str]]()
        for data in merge_samples(in_key_order(self._samples(with_text), self.limits), self.limits.part):
            files.append((self._samples_key(attempt, len(files)), hashlib.sha256(data).hexdigest()))
            self.store.put_new(files[-1][0], data, {"attempt": attempt})
        (key, digest), *more = files
        own = (parse_key(part.footer.samples) for part in with_text)
        taken_in = tuple(unit.attempt for unit in own if unit and unit.number is not None and unit.attempt)
        return Footer(attempt, key, digest, merged=taken_in, parts=tuple(more), finish=finish, **costs)

    def _samples_key(self, attempt: str, number: int) -> str:
        part = f"{attempt}p{number}" if number else attempt
        return final_samples_key(self.shard.model, self.shard.task, self.shard.number, part)

    def _samples(self, parts: Sequence[_Part]) -> Iterator[Source]:
        """Yields the samples of each file, or set of files, in the order of their first keys."""
        reader, sizes = SamplesReader(self.store), self._sizes()
        read = map_ahead(
            self.pool,
            lambda part: (part, reader.fetch(part.footer)),
            _by_samples(parts),
            lambda part: sizes.get(part.footer.samples, 0),
            self.limits.ahead,
        )
        for part, data in read:
            yield Source(int(part.keys[0]), reader.batches(part.footer, part.keys, data))

    def _sizes(self) -> dict[str, int]:
        """Returns the bytes of each unit's samples in the store."""
        return {
            file.info.key: file.info.size
            for file in result_files(self.store, shard_prefixes(self.version, self.shard)[1])
        }


def _read_part(store: Store, file: ResultFile, merged: Mapping[str, Footer]) -> _Part:
    data, name = store.get(file.info.key), file.info.key
    footer = follow_merge(read_footer(data, name), merged)
    return _Part(name, read_keys(data, "verdicts", name), footer)


def _by_samples(parts: Sequence[_Part]) -> list[_Part]:
    """Returns one part for all units whose samples are in the same files, so that those are read once."""
    groups = defaultdict[str, list[_Part]](list)
    for part in parts:
        groups[part.footer.samples].append(part)
    joined = (replace(same[0], keys=np.sort(np.concatenate([part.keys for part in same]))) for same in groups.values())
    return sorted((part for part in joined if len(part.keys)), key=lambda part: int(part.keys[0]))


def _delete_units(store: Store, version: str, shard: Shard, pool: ThreadPoolExecutor) -> None:
    """Deletes the unit files that the final files replace, after reading the final ones back from the store."""
    (name,) = (file.info.key for file in _final_verdicts(store, shard) if file.version == version)
    data = store.get(name)
    footer, held = read_footer(data, name), read_keys(data, "verdicts", name)
    verdicts, samples = (list(result_files(store, start)) for start in shard_prefixes(version, shard))
    merged = [file.info.key for file in samples if file.key.attempt in footer.merged]
    if merged or verdicts:
        _check_samples(store, footer, held, name)
    list(pool.map(lambda file: _delete_verdicts(store, file.info.key, held, name), verdicts))
    list(pool.map(store.delete, merged))


def _check_samples(store: Store, footer: Footer, held: Keys, name: str) -> None:
    """Raises StoreError unless the samples have the SHA-256 and the keys (``held``) of the verdicts in ``name``."""
    for where, expected in footer.samples_files.items():
        data = store.get(where)
        if (digest := hashlib.sha256(data).hexdigest()) != expected:
            raise StoreError(f"{where}: has SHA-256 {digest}, but {name} was made from {expected}")
        if not are_in(read_keys(data, "samples", where), held):
            raise StoreError(f"{where}: has samples that {name} has no verdicts of")


def _delete_verdicts(store: Store, key: str, held: Keys, final: str) -> None:
    """Deletes a unit's verdicts if the final ones hold their rows, also if committed after the compaction."""
    try:
        data = store.get(key)
    except StoreError:
        if store.head(key) is None:
            return  # another compaction was faster
        raise
    check_seal(data, "verdicts", key)
    if not are_in(read_keys(data, "verdicts", key), held):
        raise StoreError(f"{key}: has rows that {final} lacks; left as it is")
    store.delete(key)


def _final_verdicts(store: Store, shard: Shard) -> list[ResultFile]:
    """Lists the final verdicts of a shard, one file per version that was compacted."""
    return [file for file in result_files(store, FINAL + VERDICTS) if file.key.in_shard == shard]


def map_ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[T], U],
    items: Iterable[T],
    size: Callable[[T], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[U]:
    """Maps in the pool, like its ``map``, but computes only a few results ahead of the consumer.

    Of items with a ``size``, no more are under way than make ``most`` together, or one.
    """
    waiting = deque[tuple[int, Future[U]]]()
    for item in items:
        weight = size(item)
        while waiting and (len(waiting) > _PARALLEL_REQUESTS or weight + sum(held for held, _ in waiting) > most > 0):
            yield waiting.popleft()[1].result()
        waiting.append((weight, pool.submit(function, item)))
    while waiting:
        yield waiting.popleft()[1].result()
