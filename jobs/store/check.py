"""Proof that a run is whole, and the way out where it is not: what is damaged goes to ``quarantine/``, never away.

Every object is read and compared with what was written: verdicts and problems by their own seal, samples by the SHA-256
that their verdicts carry. A unit whose verdicts or samples are damaged, or whose samples are gone, loses its verdicts
file: then it counts as missing, and the next ``troop run`` makes it again (``troop verify``, if another version of its
verdicts is whole). Verdicts of another version that name the same damaged samples go with it, and so do scores of them:
`troop score` makes those again.

Quarantine is meant for a run at rest. It removes an object only if its bytes are still those that were found damaged;
a check that is frozen between that look and the removal, while others quarantine the same unit and sample it again,
could take the new verdicts away: that costs the unit once more, but neither loses nor doubles a row.
"""

import hashlib
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from jobs.store.base import Store
from jobs.store.catalogue import VerdictFile, read_versions, with_merged
from jobs.store.layout import PROBLEMS, QUARANTINE, parse_key, parse_problems_key, quarantine_key
from jobs.store.schema import Footer, read_footer
from jobs.store.scores import read_score_versions
from jobs.store.whole import read_table
from sampling.errors import DamagedFile, NoSuchObject
from sampling.validate import Plain
from sampling.words import many

_PARALLEL_REQUESTS = 8


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was when it was looked at."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not as it was committed, what is wrong with it, and what has to go for it to be made again."""

    key: str
    what: str
    to_remove: tuple[Stored, ...]


@dataclass(frozen=True, slots=True)
class _Verdicts:
    """A verdicts file that was read: its footer, or what is wrong."""

    stored: Stored
    footer: Footer | None = None
    damage: Damage | None = None


class CheckReport(Plain):
    """What ``troop check`` prints."""

    run: str
    damage: dict[str, str]
    quarantined: tuple[str, ...] = ()

    def as_text(self) -> str:
        if not self.damage:
            return f"{self.run}: whole; every verdict has its samples, and all are the bytes that were written"
        lines = [f"{what}" for what in self.damage.values()]
        if not self.quarantined:
            return "\n".join([*lines, f"{self.run}: {many(len(lines), 'file')} damaged; --quarantine sets them aside"])
        moved = f"{many(len(self.quarantined), 'file')} moved to {QUARANTINE}"
        again = "`troop run` makes again what is missing, `troop score` its scores"
        return "\n".join([*lines, f"{self.run}: {moved}; {again}"])


def check(store: Store, *, quarantine: bool) -> CheckReport:
    """Reads everything; with ``quarantine`` sets aside what is damaged. Raises StoreError where the store fails."""
    found = check_run(store)
    moved = set_aside(store, found) if quarantine else ()
    return CheckReport(run=store.uri, damage={item.key: item.what for item in found}, quarantined=moved)


def check_run(store: Store) -> list[Damage]:
    """All damage of a run, every version of its verdicts included; reads each object once."""
    scored = [
        file for cell in read_score_versions(store) for file in cell.files
    ]  # first: their verdicts are there then
    files = [file for cell in read_versions(store) for file in cell.files]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        verdicts = [item for item in pool.map(lambda file: _check_verdicts(store, file), files) if item]
        merged = {attempt: item.footer for item in verdicts if item.footer for attempt in item.footer.merged}
        naming: defaultdict[str, list[_Verdicts]] = defaultdict(list)
        for item in verdicts:
            if item.footer and item.footer.samples:
                footer = with_merged(item.footer, merged)
                naming[footer.samples].append(replace(item, footer=footer))
        samples = list(pool.map(lambda named: _check_samples(store, *named), sorted(naming.items())))
        whole = {name for (name, _), damage in zip(sorted(naming.items()), samples, strict=True) if not damage}
        scores = pool.map(lambda file: _check_scores(store, file.info.key, merged, whole), scored)
        listed = (info.key for info in store.list(PROBLEMS))
        problems = pool.map(lambda key: _check_problems(store, key), listed)
        found = [item.damage for item in verdicts] + samples + list(scores) + list(problems)
        return [damage for damage in found if damage]


def set_aside(store: Store, damage: Sequence[Damage]) -> tuple[str, ...]:
    """Moves what has to go to ``quarantine/``, verdicts before their samples; returns where it went."""
    doomed = dict.fromkeys(stored for item in damage for stored in item.to_remove)
    verdicts_first = sorted(doomed, key=lambda stored: (_kind(stored.key) != "verdicts", stored.key))
    return tuple(place for stored in verdicts_first if (place := _move(store, stored)))


def _move(store: Store, stored: Stored) -> str | None:
    """Copies, then removes; where it is killed in between the next check does the same again."""
    found, data = _fetched(store, stored.key)
    if found != stored:
        return None
    place = quarantine_key(stored.key, stored.sha256)
    store.put_new(place, data)
    store.delete(stored.key)
    return place


def _fetched(store: Store, key: str) -> tuple[Stored | None, bytes]:
    """An object with its digest; None for one that has gone."""
    try:
        data = store.get(key)
    except NoSuchObject:
        return None, b""
    return Stored(key, _sha256(data)), data


def _check_verdicts(store: Store, file: VerdictFile) -> _Verdicts | None:
    """None for a file that has gone since it was listed."""
    key = file.info.key
    stored, data = _fetched(store, key)
    if stored is None:
        return None
    try:
        read_table(data, "verdicts", key)
        footer = read_footer(data, key)
    except DamagedFile as error:
        return _Verdicts(stored, damage=Damage(key, error.what, (stored,)))
    samples = parse_key(footer.samples)
    if footer.samples and (samples is None or not samples.covers(file.key)):
        what = f"{key}: names the samples of another unit: {footer.samples}"
        return _Verdicts(stored, damage=Damage(key, what, (stored,)))
    return _Verdicts(stored, footer)


def _check_samples(store: Store, key: str, naming: Sequence[_Verdicts]) -> Damage | None:
    """Samples are whole if they are what the verdicts were made from; verdicts that name others are not theirs."""
    found, _ = _fetched(store, key)
    if found is None:
        users = ", ".join(item.stored.key for item in naming)
        return Damage(key, f"{key}: no such object, but {users} was made from it", tuple(v.stored for v in naming))
    wrong = [item for item in naming if item.footer and item.footer.samples_sha256 != found.sha256]
    if not wrong:
        return None
    expected = ", ".join(sorted({item.footer.samples_sha256 for item in wrong if item.footer}))
    what = f"{key}: has SHA-256 {found.sha256}, but its verdicts were made from {expected}"
    alone = (found,) if len(wrong) == len(naming) else ()
    return Damage(key, what, (*(item.stored for item in wrong), *alone))


def _check_scores(store: Store, key: str, merged: Mapping[str, Footer], whole: Container[str]) -> Damage | None:
    """Scores count for nothing once the samples that they are of have gone, and would keep new ones from being made."""
    stored, data = _fetched(store, key)
    if stored is None:
        return None
    try:
        read_table(data, "scores", key)
        footer = with_merged(read_footer(data, key, "scores"), merged)
    except DamagedFile as error:
        return Damage(key, error.what, (stored,))
    if footer.samples in whole:
        return None
    return Damage(key, f"{key}: has the scores of samples that are damaged or gone: {footer.samples}", (stored,))


def _check_problems(store: Store, key: str) -> Damage | None:
    if parse_problems_key(key) is None:
        return None
    data = store.get(key)
    try:
        read_table(data, "problems", key)
    except DamagedFile as error:
        return Damage(key, error.what, (Stored(key, _sha256(data)),))
    return None


def _kind(key: str) -> str:
    parsed = parse_key(key)
    return parsed.kind if parsed else ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
