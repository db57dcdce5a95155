"""Proof that a run is whole: every verdict has its samples, and both are the bytes that were written."""

import hashlib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from jobs.catalogue import Run, VerdictFile, read_versions, with_merged
from jobs.layout import parse_key, under
from jobs.schema import Footer, read_footer, read_table
from sampling.errors import StoreError

_PARALLEL_REQUESTS = 8


@dataclass(frozen=True, slots=True)
class Damage:
    """One object that is not as it was committed, and what is wrong with it."""

    key: str
    what: str


def check_run(run: Run) -> list[Damage]:
    """All damage of a run, every version of its verdicts included; reads each object once."""
    files = [file for cell in read_versions(run) for file in cell.files]
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        verdicts = list(pool.map(lambda file: _check_verdicts(run, file), files))
        footers = [found for found in verdicts if isinstance(found, Footer)]
        merged = {attempt: footer for footer in footers for attempt in footer.merged}
        named: defaultdict[str, set[str]] = defaultdict(set)
        for footer in (with_merged(footer, merged) for footer in footers if footer.samples):
            named[footer.samples].add(footer.samples_sha256)
        samples = pool.map(lambda item: _check_samples(run, *item), sorted(named.items()))
        return [damage for damage in verdicts if isinstance(damage, Damage)] + [damage for damage in samples if damage]


def _check_verdicts(run: Run, file: VerdictFile) -> Damage | Footer:
    """What is wrong with a verdicts file, or what it says of itself."""
    key = file.info.key
    try:
        data = run.store.get(key)
        read_table(data, "verdicts", key)
        footer = read_footer(data, key)
    except StoreError as error:
        return Damage(key, str(error))
    samples = parse_key(footer.samples)
    if footer.samples and (samples is None or not samples.covers(file.key)):
        return Damage(key, f"names the samples of another unit: {footer.samples}")
    return footer


def _check_samples(run: Run, key: str, digests: set[str]) -> Damage | None:
    try:
        digest = hashlib.sha256(run.store.get(under(run.prefix, key))).hexdigest()
    except StoreError as error:
        return Damage(key, str(error))
    if digests != {digest}:
        return Damage(key, f"has SHA-256 {digest}, but its verdicts were made from {', '.join(sorted(digests))}")
    return None
