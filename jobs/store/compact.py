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
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from jobs.store.base import Store
from jobs.store.catalogue import ResultFile, follow_merge, read_merged_footers, result_files
from jobs.store.encode import encode_verdicts, merge_samples
from jobs.store.keyed_rows import Keys, SamplesReader, are_in, in_key_order, read_keys, row_keys
from jobs.store.layout import (
    FINAL,
    SAMPLES,
    VERDICTS,
    final_samples_key,
    final_verdicts_key,
    parse_key,
    shard_prefixes,
)
from jobs.store.schema import VERDICTS_SCHEMA, conform
from jobs.store.sealed_parquet import Footer, read_footer, read_table
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


def compact_run(store: Store, may: MayCompact = always) -> CompactReport:
    """Compacts full shards of every version and finishes begun ones; a shard that fails does not stop the others.

    Shards that ``may`` leaves to another driver are passed over.
    """
    done, failed = 0, []
    for version, shard in shards_to_compact(store):
        try:
            if not may(shard):
                continue
            compact_shard(store, version, shard)
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


def compact_shard(store: Store, version: str, shard: Shard) -> None:
    """Compacts a shard, or finishes what another compaction began; does nothing where it is not full.

    Several calls at once do no harm. Raises StoreError, and deletes nothing, where a file is damaged or does not fit.
    """
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        if not any(file.version == version for file in _final_verdicts(store, shard)):
            units = list(result_files(store, shard_prefixes(version, shard)[0]))
            if len(units) < UNITS_PER_SHARD:
                return
            try:
                _write_final(store, version, shard, units, pool)
            except StoreError:
                if not any(file.version == version for file in _final_verdicts(store, shard)):
                    raise  # otherwise another compaction was faster, and deleted what this one was reading
        _delete_units(store, version, shard, pool)


@dataclass(frozen=True, slots=True)
class _Part:
    """The verdicts of one unit; ``footer`` names the file that has its samples now."""

    name: str
    rows: pa.Table
    keys: Keys
    footer: Footer


def _write_final(
    store: Store, version: str, shard: Shard, units: Sequence[ResultFile], pool: ThreadPoolExecutor
) -> None:
    merged = read_merged_footers(store, _final_verdicts(store, shard))
    parts = sorted(
        pool.map(lambda file: _read_part(store, file, merged), units), key=lambda part: part.keys[:1].tolist()
    )
    keys = np.concatenate([part.keys for part in parts])
    if len(np.unique(keys)) != len(keys):
        raise StoreError(f"{parts[0].name}: has rows that another unit of its shard has too")
    attempt = uuid.uuid4().hex
    footer = _put_samples(store, shard, attempt, parts, merged, pool)
    verdicts = pa.concat_tables(list(in_key_order(part.rows for part in parts)))
    data = encode_verdicts(verdicts, footer)
    key = final_verdicts_key(version, shard.model, shard.task, shard.number)
    store.put_new(key, data, footer.metadata)


def _read_part(store: Store, file: ResultFile, merged: Mapping[str, Footer]) -> _Part:
    data, name = store.get(file.info.key), file.info.key
    rows = conform(read_table(data, "verdicts", name), VERDICTS_SCHEMA, name)
    return _Part(name, rows, row_keys(rows), follow_merge(read_footer(data, name), merged))


def _put_samples(
    store: Store,
    shard: Shard,
    attempt: str,
    parts: Sequence[_Part],
    merged: Mapping[str, Footer],
    pool: ThreadPoolExecutor,
) -> Footer:
    """Writes the samples of all parts as one file, unless there is one already or no text; returns the new footer."""
    costs = {name: sum(getattr(part.footer, name) for part in parts) for name in ("engine_s", "judge_usd")}
    named = {(part.footer.samples, part.footer.samples_sha256) for part in parts}
    if len(named) == 1:  # another version was compacted before, or the outcomes have no text
        (key, digest), *_ = named
        taken_in = tuple(sorted(name for name, footer in merged.items() if footer.samples == key))
        return Footer(attempt, key, digest, merged=taken_in, **costs)
    reader, with_text = SamplesReader(store), [part for part in parts if part.footer.samples]
    tables = map_ahead(pool, lambda part: reader.read(part.footer, part.keys), with_text)
    data, key = merge_samples(in_key_order(tables)), final_samples_key(shard.model, shard.task, shard.number, attempt)
    store.put_new(key, data, {"attempt": attempt})
    own = (parse_key(part.footer.samples) for part in with_text)
    taken_in = tuple(unit.attempt for unit in own if unit and unit.number is not None and unit.attempt)
    return Footer(attempt, key, hashlib.sha256(data).hexdigest(), merged=taken_in, **costs)


def _delete_units(store: Store, version: str, shard: Shard, pool: ThreadPoolExecutor) -> None:
    """Deletes the unit files that the final files replace, after reading the final ones back from the store."""
    (name,) = (file.info.key for file in _final_verdicts(store, shard) if file.version == version)
    data = store.get(name)
    held, footer = row_keys(read_table(data, "verdicts", name)), read_footer(data, name)
    verdicts, samples = (list(result_files(store, start)) for start in shard_prefixes(version, shard))
    merged = [file.info.key for file in samples if file.key.attempt in footer.merged]
    if merged or verdicts:
        _check_samples(store, footer, held, name)
    list(pool.map(lambda file: _delete_verdicts(store, file.info.key, held, name), verdicts))
    list(pool.map(store.delete, merged))


def _check_samples(store: Store, footer: Footer, held: Keys, name: str) -> None:
    """Raises StoreError unless the samples have the SHA-256 and the keys (``held``) of the verdicts in ``name``."""
    if not footer.samples:
        return
    where = footer.samples
    data = store.get(where)
    if (digest := hashlib.sha256(data).hexdigest()) != footer.samples_sha256:
        raise StoreError(f"{where}: has SHA-256 {digest}, but {name} was made from {footer.samples_sha256}")
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
    if not are_in(row_keys(read_table(data, "verdicts", key)), held):
        raise StoreError(f"{key}: has rows that {final} lacks; left as it is")
    store.delete(key)


def _final_verdicts(store: Store, shard: Shard) -> list[ResultFile]:
    """Lists the final verdicts of a shard, one file per version that was compacted."""
    return [file for file in result_files(store, FINAL + VERDICTS) if file.key.in_shard == shard]


def map_ahead(pool: ThreadPoolExecutor, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """Maps in the pool, like its ``map``, but computes only a few results ahead of the consumer."""
    waiting: deque[Future[U]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > _PARALLEL_REQUESTS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
