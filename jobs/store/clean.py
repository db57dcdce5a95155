"""Orphan clean-up: deletes the samples of attempts that lost, but none that an attempt could still commit.

A frozen attempt may wake up days later and commit the samples it had put before. What keeps verdicts and samples
together is not the grace period but the commit itself: samples are deleted only while the key of their unit's verdicts
is held by another attempt's, in every version of the verifiers that the model and task have; the store then refuses the
late one. So the samples of a unit that nobody has committed stay, whatever their age, until somebody has. The grace
period is for stores whose create is not atomic, where a put that is under way may still land on a key that is held.
"""

import re
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from jobs.store.base import ObjectInfo, Store
from jobs.store.catalogue import result_files
from jobs.store.folder import DirectoryStore
from jobs.store.layout import FINAL, PROBE, SAMPLES, VERDICTS, ResultKey
from jobs.store.schema import read_footer
from sampling.errors import BadInput, NoSuchObject
from sampling.validate import Plain
from sampling.words import many

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Orphans:
    """Samples that no verdicts name: ``lost`` can never be committed any more, ``uncommitted`` still might."""

    lost: tuple[ObjectInfo, ...]
    uncommitted: tuple[ObjectInfo, ...]


class CleanReport(Plain):
    """What ``troop clean`` prints. ``too_young`` and ``uncommitted`` count orphans that were kept."""

    run: str
    dry_run: bool
    deleted: tuple[str, ...]
    freed_bytes: int
    too_young: int
    uncommitted: int

    def as_text(self) -> str:
        done = "would delete" if self.dry_run else "deleted"
        kept = f"kept: {self.too_young} younger than the grace period, {self.uncommitted} of units not committed yet"
        total = f"{self.run}: {done} {many(len(self.deleted), 'orphan')} ({self.freed_bytes / 1e6:.1f} MB); {kept}"
        return "\n".join([*(f"{done} {key}" for key in self.deleted), total])


def clean_run(store: Store, grace_s: float, *, dry_run: bool) -> CleanReport:
    """Deletes what lost more than ``grace_s`` seconds ago, by the store's clock; raises StoreError."""
    orphans, before = find_orphans(store), time.time() - grace_s
    probes = store.list(PROBE)  # of starts that were killed
    old = [info for info in (*orphans.lost, *probes) if info.modified < before]
    for info in () if dry_run else old:
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
    )


def find_orphans(store: Store) -> Orphans:
    """Costs a listing, and reads the verdicts of those units alone that have samples to spare.

    Samples are listed before verdicts: whoever committed in between is seen.
    """
    shelves = _Shelves()
    for start in (SAMPLES, VERDICTS, FINAL):
        for info, key in result_files(store, start):
            shelves.add(info, key)
    lost: list[ObjectInfo] = []
    uncommitted: list[ObjectInfo] = []
    for place, samples in shelves.samples.items():
        if len(samples) > 1 or place not in shelves.verdicts:
            left = _not_named(samples, _named(store, shelves, place), shelves)
            (lost if shelves.is_held(place) else uncommitted).extend(left)
    return Orphans(_sorted(lost), _sorted(uncommitted))


@dataclass(frozen=True, slots=True, order=True)
class _Place:
    """A unit, or a compacted shard (``number`` is -1): what one samples file and the verdicts on it share."""

    model: str
    task: str
    shard: int
    number: int

    @property
    def compacted(self) -> "_Place":
        return _Place(self.model, self.task, self.shard, -1)


@dataclass(frozen=True, slots=True)
class _Shelves:
    """A listing, by place."""

    samples: defaultdict[_Place, list[ObjectInfo]] = field(default_factory=lambda: defaultdict(list))
    verdicts: defaultdict[_Place, list[tuple[str | None, str]]] = field(default_factory=lambda: defaultdict(list))
    versions: defaultdict[tuple[str, str], set[str | None]] = field(default_factory=lambda: defaultdict(set))
    keys: set[str] = field(default_factory=set)

    def add(self, info: ObjectInfo, key: ResultKey) -> None:
        place = _Place(key.model, key.task, key.shard, -1 if key.number is None else key.number)
        if key.kind == "samples":
            self.samples[place].append(info)
            self.keys.add(info.key)
        else:
            self.verdicts[place].append((key.version, info.key))
            self.versions[key.model, key.task].add(key.version)

    def holders(self, place: _Place) -> Iterator[tuple[str | None, str]]:
        """(version, key) of the verdicts that a late commit of this place would meet, its shard's included."""
        for at in dict.fromkeys((place, place.compacted)):
            yield from self.verdicts.get(at, ())

    def is_held(self, place: _Place) -> bool:
        versions = self.versions.get((place.model, place.task), set())
        return bool(versions) and {version for version, _ in self.holders(place)} == versions


def _named(store: Store, shelves: _Shelves, place: _Place) -> set[str]:
    """The samples that the verdicts of a place were made from."""
    named = set()
    for _, key in shelves.holders(place):
        try:
            named.add(read_footer(store.get(key), key).samples)
        except NoSuchObject:  # compacted or quarantined since it was listed: then nothing here is sure
            named |= {info.key for info in shelves.samples[place]}
    return named


def _not_named(samples: list[ObjectInfo], named: set[str], shelves: _Shelves) -> list[ObjectInfo]:
    """Nothing, where the samples that are named are gone: what is left may be needed to find out what happened."""
    return [info for info in samples if info.key not in named] if named <= shelves.keys else []


def _sorted(infos: list[ObjectInfo]) -> tuple[ObjectInfo, ...]:
    return tuple(sorted(infos, key=lambda info: info.key))


def parse_duration(text: str) -> float:
    """Seconds from ``90s``, ``30m``, ``24h`` or ``7d``; raises BadInput."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None:
        raise BadInput(f"--grace {text!r}: not a duration; allowed: a number with s, m, h or d, as 24h")
    return float(match[1]) * _SECONDS[match[2]]
