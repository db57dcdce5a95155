"""Orphan clean-up: deletes the samples of attempts that lost, but none that an attempt could still commit.

A frozen attempt may wake up days later and commit the samples that it has put before. What keeps verdicts and samples
together is not the grace period but the commit itself. Samples are deleted only while another attempt's verdicts hold
their unit's key, in every version of the verifiers that the model and task have; then the store refuses the late
commit. So the samples of a unit that nobody has committed stay, whatever their age. The grace period is for stores
whose create is not atomic: there a put that is under way may still land on a key that is held.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.store.base import ObjectInfo, Store
from jobs.store.catalogue import ResultFile, result_files
from jobs.store.folder import DirectoryStore
from jobs.store.layout import FINAL, LEASES, PROBE, SAMPLES, VERDICTS
from jobs.store.sealed_parquet import read_footer
from sampling.errors import BadInput, NoSuchObject
from sampling.validate import Plain
from sampling.words import many

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Orphans:
    """Samples that no verdicts name."""

    lost: tuple[ObjectInfo, ...]
    """Samples that can never be committed any more."""

    uncommitted: tuple[ObjectInfo, ...]
    """Samples that an attempt could still commit."""


class CleanReport(Plain):
    """Result of ``troop clean``; ``--json`` prints it."""

    run: str
    """Path or URI of the run."""

    dry_run: bool
    """True where nothing was deleted, only listed."""

    deleted: tuple[str, ...]
    """Keys of the objects that were deleted, or with ``--dry-run`` would be."""

    freed_bytes: int
    """Bytes of those objects."""

    too_young: int
    """Number of orphans that were kept because they are younger than the grace period."""

    uncommitted: int
    """Number of orphans that were kept because nobody has committed their unit."""

    leases: int = 0
    """Number of leases older than the grace period that were deleted, or with ``--dry-run`` would be."""

    def as_text(self) -> str:
        done = "would delete" if self.dry_run else "deleted"
        kept = f"kept: {self.too_young} younger than the grace period, {self.uncommitted} of units not committed yet"
        total = f"{self.run}: {done} {many(len(self.deleted), 'orphan')} ({self.freed_bytes / 1e6:.1f} MB); {kept}"
        total += f"; {done} {many(self.leases, 'lease')}" if self.leases else ""
        return "\n".join([*(f"{done} {key}" for key in self.deleted), total])


def clean_run(store: Store, grace_s: float, *, dry_run: bool) -> CleanReport:
    """Deletes what lost more than ``grace_s`` seconds ago, by the store's clock; raises StoreError."""
    orphans, before = find_orphans(store), time.time() - grace_s
    probes = store.list(PROBE)  # left by starts of a run that were killed
    old = [info for info in (*orphans.lost, *probes) if info.modified < before]
    leases = [info for info in store.list(LEASES) if info.modified < before]  # at worst a unit is sampled twice
    for info in () if dry_run else (*old, *leases):
        store.delete(info.key)
    if isinstance(store, DirectoryStore) and not dry_run:
        store.clear_temporary(before)
    return CleanReport(
        run=store.uri,
        dry_run=dry_run,
        deleted=tuple(info.key for info in old),
        freed_bytes=sum(info.size for info in old),
        too_young=sum(info.modified >= before for info in orphans.lost),
        uncommitted=len(orphans.uncommitted),
        leases=len(leases),
    )


def find_orphans(store: Store) -> Orphans:
    """Lists the run, and reads the verdicts of units with samples to spare alone.

    Samples are listed before verdicts, so that a commit in between is seen.
    """
    listing = _Listing()
    for start in (SAMPLES, VERDICTS, FINAL):
        for file in result_files(store, start):
            listing.add(file)
    lost: list[ObjectInfo] = []
    uncommitted: list[ObjectInfo] = []
    for slot, samples in listing.samples.items():
        if len(samples) > 1 or slot not in listing.verdicts:
            left = _unnamed(samples, _read_named(store, listing, slot), listing)
            (lost if listing.is_held(slot) else uncommitted).extend(left)
    return Orphans(_sorted(lost), _sorted(uncommitted))


@dataclass(frozen=True, slots=True, order=True)
class _Slot:
    """A unit, or a compacted shard (``number`` is -1): its samples and the verdicts on them."""

    model: str
    task: str
    shard: int
    number: int

    @property
    def of_shard(self) -> "_Slot":
        return _Slot(self.model, self.task, self.shard, -1)


@dataclass(frozen=True, slots=True)
class _Listing:
    """The result files of a run, by slot; verdicts as (version, key)."""

    samples: defaultdict[_Slot, list[ObjectInfo]] = field(default_factory=lambda: defaultdict(list))
    verdicts: defaultdict[_Slot, list[tuple[str | None, str]]] = field(default_factory=lambda: defaultdict(list))
    versions: defaultdict[tuple[str, str], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    keys: set[str] = field(default_factory=set)

    def add(self, file: ResultFile) -> None:
        key = file.key
        slot = _Slot(key.model, key.task, key.shard, -1 if key.number is None else key.number)
        if key.kind == "samples":
            self.samples[slot].append(file.info)
            self.keys.add(file.info.key)
        else:
            self.verdicts[slot].append((key.version, file.info.key))
            self.versions[key.model, key.task].add(key.version)

    def holders(self, slot: _Slot) -> Iterator[tuple[str | None, str]]:
        """Yields (version, key) of the verdicts that a late commit of this slot would meet, its shard's included."""
        for at in dict.fromkeys((slot, slot.of_shard)):
            yield from self.verdicts.get(at, ())

    def is_held(self, slot: _Slot) -> bool:
        """Returns whether verdicts hold the slot in every version of the verifiers."""
        versions = self.versions.get((slot.model, slot.task), set())
        return bool(versions) and {version for version, _ in self.holders(slot)} == versions


def _read_named(store: Store, listing: _Listing, slot: _Slot) -> set[str]:
    """Returns the keys of the samples that the verdicts of a slot were made from."""
    named = set[str]()
    for _, key in listing.holders(slot):
        try:
            named |= read_footer(store.get(key), key).samples_files.keys()
        except NoSuchObject:  # compacted or quarantined since it was listed: then nothing here is sure
            named |= {info.key for info in listing.samples[slot]}
    return named


def _unnamed(samples: list[ObjectInfo], named: set[str], listing: _Listing) -> list[ObjectInfo]:
    """Returns the samples that nothing names; none where named ones are gone, since the rest may explain why."""
    return [info for info in samples if info.key not in named] if named <= listing.keys else []


def _sorted(infos: list[ObjectInfo]) -> tuple[ObjectInfo, ...]:
    return tuple(sorted(infos, key=lambda info: info.key))


def parse_duration(text: str) -> float:
    """Returns the seconds of ``90s``, ``30m``, ``24h`` or ``7d``; raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise BadInput(f"--grace {text!r}: not a duration; allowed: a number with s, m, h or d, as 24h")
    return float(match[1]) * _SECONDS[match[2]]
