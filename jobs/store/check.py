"""Finds damage in a run and, where asked, moves damaged objects to ``quarantine/``; nothing is ever thrown away.

Every object is read and compared with what was written: verdicts and problems by their own seal, samples by the SHA-256
that their verdicts carry. A unit whose verdicts or samples are damaged, or whose samples are gone, loses its verdicts
file. Then it counts as missing, and the next ``troop run`` makes it again (``troop verify``, if another version of its
verdicts is whole). Verdicts of another version that name the same damaged samples go with it, and so do scores of them:
``troop score`` makes those again.

Quarantine is meant for a run at rest. It removes an object only if its bytes are still those that were found damaged.
One risk is left: a check may be frozen between that comparison and the removal, while others quarantine the same unit
and sample it again. It then removes the new verdicts. The unit is made once more, but no row is lost or doubled.
"""

import hashlib
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from jobs.store.base import Store
from jobs.store.catalogue import ResultFile, follow_merge, read_versions
from jobs.store.layout import PROBLEMS, QUARANTINE, parse_key, parse_problems_key, quarantine_key
from jobs.store.scores import read_score_versions
from jobs.store.sealed_parquet import Footer, read_footer, read_table
from sampling.errors import DamagedFile, NoSuchObject
from sampling.validate import Plain
from sampling.words import many

_PARALLEL_REQUESTS = 8


@dataclass(frozen=True, slots=True)
class ObjectDigest:
    """The SHA-256 of an object as it was read."""

    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not as it was committed."""

    key: str

    what: str
    """One line for a person: the key, and what is wrong with the object."""

    to_remove: tuple[ObjectDigest, ...]
    """Objects that must go before the damaged one can be made again."""


@dataclass(frozen=True, slots=True)
class _CheckedVerdicts:
    """A verdicts file that was read: its footer, or its damage."""

    digest: ObjectDigest
    footer: Footer | None = None
    damage: Damage | None = None


class CheckReport(Plain):
    """Result of ``troop check``; ``--json`` prints it."""

    run: str
    """Path or URI of the run."""

    damage: dict[str, str]
    """Damaged or missing objects by key, each with one line that says what is wrong. Empty for a whole run."""

    quarantined: tuple[str, ...] = ()
    """Keys below ``quarantine/`` of the objects that ``--quarantine`` moved there."""

    def as_text(self) -> str:
        if not self.damage:
            return f"{self.run}: whole; every verdict has its samples, and all are the bytes that were written"
        lines = [f"{what}" for what in self.damage.values()]
        if not self.quarantined:
            todo = f"run `troop check {self.run} --quarantine` to move what is damaged to {QUARANTINE}"
            return "\n".join([*lines, f"{self.run}: {many(len(lines), 'file')} damaged; {todo}"])
        moved = f"{many(len(self.quarantined), 'file')} moved to {QUARANTINE}"
        again = "`troop run` makes the missing units again, `troop score` their scores"
        return "\n".join([*lines, f"{self.run}: {moved}; {again}"])


def check_run(store: Store, *, quarantine: bool) -> CheckReport:
    """Reads everything; with ``quarantine`` moves what is damaged. Raises StoreError where the store fails."""
    found = find_damage(store)
    moved = quarantine_damage(store, found) if quarantine else ()
    return CheckReport(run=store.uri, damage={item.key: item.what for item in found}, quarantined=moved)


def find_damage(store: Store) -> list[Damage]:
    """Returns all damage of a run, every version of its verdicts included; reads each object once."""
    # Scores are listed before verdicts: what has scores by then is committed.
    scored = [file for cell in read_score_versions(store) for file in cell.files]
    files = [file for cell in read_versions(store) for file in cell.files]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        verdicts = [item for item in pool.map(lambda file: _check_verdicts(store, file), files) if item]
        merged = {attempt: item.footer for item in verdicts if item.footer for attempt in item.footer.merged}
        by_samples = _group_by_samples(verdicts, merged)
        samples = list(pool.map(lambda named: _check_samples(store, *named), by_samples))
        whole = {key for (key, _), damage in zip(by_samples, samples, strict=True) if not damage}
        scores = pool.map(lambda file: _check_scores(store, file.info.key, merged, whole), scored)
        listed = (info.key for info in store.list(PROBLEMS))
        problems = pool.map(lambda key: _check_problems(store, key), listed)
        found = [item.damage for item in verdicts] + samples + list(scores) + list(problems)
        return [damage for damage in found if damage]


def _group_by_samples(
    verdicts: Sequence[_CheckedVerdicts], merged: Mapping[str, Footer]
) -> list[tuple[str, list[_CheckedVerdicts]]]:
    """Returns each samples key that verdicts name, and those verdicts."""
    groups: defaultdict[str, list[_CheckedVerdicts]] = defaultdict(list)
    for item in verdicts:
        if item.footer:
            footer = follow_merge(item.footer, merged)
            for key in footer.samples_files:
                groups[key].append(replace(item, footer=footer))
    return sorted(groups.items())


def quarantine_damage(store: Store, damage: Sequence[Damage]) -> tuple[str, ...]:
    """Moves what has to go to ``quarantine/``, verdicts before their samples; returns the new keys."""
    doomed = dict.fromkeys(digest for item in damage for digest in item.to_remove)
    verdicts_first = sorted(doomed, key=lambda digest: (_kind(digest.key) != "verdicts", digest.key))
    return tuple(key for digest in verdicts_first if (key := _move(store, digest)))


def _move(store: Store, digest: ObjectDigest) -> str | None:
    """Copies an object, then removes it; if killed in between, the next check does both again.

    Returns the new key, or None where the object has changed since it was read.
    """
    current, data = _fetch(store, digest.key)
    if current != digest:
        return None
    key = quarantine_key(digest.key, digest.sha256)
    store.put_new(key, data)
    store.delete(digest.key)
    return key


def _fetch(store: Store, key: str) -> tuple[ObjectDigest | None, bytes]:
    """Reads an object and its digest, which is None for an object that has gone."""
    try:
        data = store.get(key)
    except NoSuchObject:
        return None, b""
    return ObjectDigest(key, _sha256(data)), data


def _check_verdicts(store: Store, file: ResultFile) -> _CheckedVerdicts | None:
    """Returns None for a file that has gone since it was listed."""
    key = file.info.key
    digest, data = _fetch(store, key)
    if digest is None:
        return None
    try:
        read_table(data, "verdicts", key)
        footer = read_footer(data, key)
    except DamagedFile as error:
        return _CheckedVerdicts(digest, damage=Damage(key, error.what, (digest,)))
    for name in footer.samples_files:
        samples = parse_key(name)
        if samples is None or not samples.covers(file.key):
            what = f"{key}: names the samples of another unit: {name}"
            return _CheckedVerdicts(digest, damage=Damage(key, what, (digest,)))
    return _CheckedVerdicts(digest, footer)


def _check_samples(store: Store, key: str, naming: Sequence[_CheckedVerdicts]) -> Damage | None:
    """Compares a samples file with the verdicts that name it.

    Where some of them name other bytes, only they are damaged; where all do, the samples are.
    """
    found, _ = _fetch(store, key)
    if found is None:
        users = ", ".join(item.digest.key for item in naming)
        return Damage(key, f"{key}: no such object, but {users} was made from it", tuple(v.digest for v in naming))
    wrong = [item for item in naming if item.footer and item.footer.samples_files[key] != found.sha256]
    if not wrong:
        return None
    expected = ", ".join(sorted({item.footer.samples_files[key] for item in wrong if item.footer}))
    what = f"{key}: has SHA-256 {found.sha256}, but its verdicts were made from {expected}"
    alone = (found,) if len(wrong) == len(naming) else ()
    return Damage(key, what, (*(item.digest for item in wrong), *alone))


def _check_scores(store: Store, key: str, merged: Mapping[str, Footer], whole: Container[str]) -> Damage | None:
    """Finds scores of samples that are not ``whole``: they count for nothing, and would prevent new scores."""
    digest, data = _fetch(store, key)
    if digest is None:
        return None
    try:
        read_table(data, "scores", key)
        footer = follow_merge(read_footer(data, key, "scores"), merged)
    except DamagedFile as error:
        return Damage(key, error.what, (digest,))
    gone = [name for name in footer.samples_files if name not in whole]
    if not gone:
        return None
    return Damage(key, f"{key}: has the scores of samples that are damaged or gone: {', '.join(gone)}", (digest,))


def _check_problems(store: Store, key: str) -> Damage | None:
    if parse_problems_key(key) is None:
        return None
    data = store.get(key)
    try:
        read_table(data, "problems", key)
    except DamagedFile as error:
        return Damage(key, error.what, (ObjectDigest(key, _sha256(data)),))
    return None


def _kind(key: str) -> str:
    parsed = parse_key(key)
    return parsed.kind if parsed else ""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
