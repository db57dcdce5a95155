"""Compaction: the files of a full shard's units become one of verdicts and one of samples, below ``final/``.

A run of a billion rows would otherwise be half a million small files, each a request to whoever reads it. The protocol
is that of a unit's commit (jobs/store/commit.py): samples at a key of this attempt's own, then the verdicts,
create-only, at the key that all attempts share. Readers take a shard's final file in place of its units from the
instant it exists, so nothing is lost or double wherever a compaction is killed. Only then the units' files are deleted:
each verdicts file once its rows are seen in the final one, and the samples that went into the final samples, which the
final verdicts name by attempt. Who compacts again finishes that.

A shard is full when all its numbers are committed. Numbers are given out once and in a row (jobs/planning.py), so a run
that grows never adds to a full one.
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
from jobs.store.catalogue import VerdictFile, merged_samples, result_files, with_merged
from jobs.store.encode import encode_verdicts, merge_samples
from jobs.store.layout import (
    FINAL,
    SAMPLES,
    VERDICTS,
    final_samples_key,
    final_verdicts_key,
    parse_key,
    shard_prefixes,
)
from jobs.store.rows import Keys, SamplesReader, are_in, in_key_order, key_columns, row_keys
from jobs.store.schema import VERDICTS as VERDICT_COLUMNS
from jobs.store.schema import Footer, conform, read_footer
from jobs.store.whole import read_table
from sampling.errors import StoreError
from sampling.samples import UNITS_PER_SHARD, Shard
from sampling.validate import Plain
from sampling.words import many

T = TypeVar("T")
U = TypeVar("U")
_PARALLEL_REQUESTS = 16


class Compacted(Plain):
    """What ``troop compact`` prints: how many shards it worked on, and what is wrong with those that it could not."""

    run: str
    shards: int
    failed: tuple[str, ...]

    def as_text(self) -> str:
        said = f"{many(self.shards, 'full shard')} compacted" if self.shards else "nothing to compact"
        return "\n".join([f"{self.run}: {said}", *(f"  not compacted: {line}" for line in self.failed)])


def compact_run(store: Store) -> Compacted:
    """Compacts what is full and finishes what was begun, of every version; one bad shard does not stop the others."""
    done, failed = 0, []
    for version, shard in unfinished(store):
        try:
            compact_shard(store, version, shard)
        except StoreError as error:
            failed.append(str(error))
        else:
            done += 1
    return Compacted(run=store.uri, shards=done, failed=tuple(failed))


def unfinished(store: Store) -> list[tuple[str, Shard]]:
    """The full shards that still have unit files, by version; from listings alone."""
    units = Counter(
        (file.version, file.key.in_shard) for file in _files(store, VERDICTS) if file.key.number is not None
    )
    final = {(file.version, file.key.in_shard) for file in _files(store, FINAL + VERDICTS)}
    full = {place for place, count in units.items() if place in final or count == UNITS_PER_SHARD}
    with_samples = {key.in_shard for _, key in result_files(store, SAMPLES)}
    return sorted(full | {place for place in final if place[1] in with_samples})


def compact_shard(store: Store, version: str, shard: Shard) -> None:
    """Makes one file of a shard, or finishes what another compaction began; does nothing where it is not full.

    May run several times at once. Raises StoreError where a file is damaged or does not fit; then nothing is deleted.
    """
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        if not any(file.version == version for file in _final(store, shard)):
            units = list(_files(store, shard_prefixes(version, shard)[0]))
            if len(units) < UNITS_PER_SHARD:
                return
            try:
                _write_final(store, version, shard, units, pool)
            except StoreError:
                if not any(file.version == version for file in _final(store, shard)):
                    raise  # otherwise another compaction was faster, and deleted what this one was reading
        _delete_units(store, version, shard, pool)


@dataclass(frozen=True, slots=True)
class _Part:
    """The verdicts of one unit; ``footer`` names its samples as they lie now."""

    name: str
    rows: pa.Table
    keys: Keys
    footer: Footer


def _write_final(
    store: Store, version: str, shard: Shard, units: Sequence[VerdictFile], pool: ThreadPoolExecutor
) -> None:
    merged = merged_samples(store, _final(store, shard))
    parts = sorted(
        pool.map(lambda file: _read_part(store, file, merged), units), key=lambda part: part.keys[:1].tolist()
    )
    keys = np.concatenate([part.keys for part in parts])
    if len(np.unique(keys)) != len(keys):
        raise StoreError(f"{parts[0].name}: has rows that another unit of its shard has too")
    attempt = uuid.uuid4().hex
    footer = _samples_of_shard(store, shard, attempt, parts, merged, pool)
    verdicts = pa.concat_tables(list(in_key_order(part.rows for part in parts)))
    data = encode_verdicts(verdicts, footer)
    key = final_verdicts_key(version, shard.model, shard.task, shard.number)
    store.put_new(key, data, footer.metadata)


def _read_part(store: Store, file: VerdictFile, merged: Mapping[str, Footer]) -> _Part:
    data, name = store.get(file.info.key), file.info.key
    rows = conform(read_table(data, "verdicts", name), VERDICT_COLUMNS, name)
    return _Part(name, rows, row_keys(rows), with_merged(read_footer(data, name), merged))


def _samples_of_shard(
    store: Store,
    shard: Shard,
    attempt: str,
    parts: Sequence[_Part],
    merged: Mapping[str, Footer],
    pool: ThreadPoolExecutor,
) -> Footer:
    """Puts the samples of all parts into one file, unless they are in one already or there are none."""
    costs = {name: sum(getattr(part.footer, name) for part in parts) for name in ("engine_s", "judge_usd")}
    named = {(part.footer.samples, part.footer.samples_sha256) for part in parts}
    if len(named) == 1:  # of another version that was compacted before, or outcomes without text
        (key, digest), *_ = named
        taken_in = tuple(sorted(name for name, footer in merged.items() if footer.samples == key))
        return Footer(attempt, key, digest, merged=taken_in, **costs)
    reader, with_text = SamplesReader(store), [part for part in parts if part.footer.samples]
    tables = ahead(pool, lambda part: reader.rows(part.footer, part.keys), with_text)
    data, key = merge_samples(in_key_order(tables)), final_samples_key(shard.model, shard.task, shard.number, attempt)
    store.put_new(key, data, {"attempt": attempt})
    own = (parse_key(part.footer.samples) for part in with_text)
    taken_in = tuple(unit.attempt for unit in own if unit and unit.number is not None and unit.attempt)
    return Footer(attempt, key, hashlib.sha256(data).hexdigest(), merged=taken_in, **costs)


def _delete_units(store: Store, version: str, shard: Shard, pool: ThreadPoolExecutor) -> None:
    """Deletes the unit files that the final ones stand in for, after reading those back from the store."""
    name = final_verdicts_key(version, shard.model, shard.task, shard.number)
    data = store.get(name)
    held, footer = row_keys(read_table(data, "verdicts", name)), read_footer(data, name)
    verdicts, samples = (list(result_files(store, start)) for start in shard_prefixes(version, shard))
    merged = [info.key for info, key in samples if key.attempt in footer.merged]
    if merged or verdicts:
        _check_text(store, footer, held, name)
    list(pool.map(lambda found: _delete_verdicts(store, found[0].key, held, name), verdicts))
    list(pool.map(store.delete, merged))


def _check_text(store: Store, footer: Footer, held: Keys, name: str) -> None:
    if not footer.samples:
        return
    where = footer.samples
    data = store.get(where)
    if (digest := hashlib.sha256(data).hexdigest()) != footer.samples_sha256:
        raise StoreError(f"{where}: has SHA-256 {digest}, but {name} was made from {footer.samples_sha256}")
    if not are_in(key_columns(data, "samples", where), held):
        raise StoreError(f"{where}: has samples that {name} has no verdicts of")


def _delete_verdicts(store: Store, key: str, held: Keys, final: str) -> None:
    """Also a verdicts file that an attempt committed after its unit had been compacted: then it counts for nothing."""
    try:
        data = store.get(key)
    except StoreError:
        if store.head(key) is None:
            return  # another compaction was faster
        raise
    if not are_in(row_keys(read_table(data, "verdicts", key)), held):
        raise StoreError(f"{key}: has rows that {final} lacks; left as it is")
    store.delete(key)


def _files(store: Store, start: str) -> Iterator[VerdictFile]:
    return (VerdictFile(*found) for found in result_files(store, start))


def _final(store: Store, shard: Shard) -> list[VerdictFile]:
    """The final verdicts of a shard, one file per version that was compacted."""
    return [file for file in _files(store, FINAL + VERDICTS) if file.key.in_shard == shard]


def ahead(pool: ThreadPoolExecutor, function: Callable[[T], U], items: Iterable[T]) -> Iterator[U]:
    """``map`` that is only a few results ahead of whoever takes them."""
    waiting: deque[Future[U]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) > _PARALLEL_REQUESTS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
