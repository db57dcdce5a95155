"""Keys of a run: pure functions from units to keys and back, so that a listing alone says what is done.

Names of models and tasks are percent-quoted. So a key has a fixed number of parts, whatever the names contain, and
tools that read ``name=value`` folders (DuckDB, Spark, pyarrow) get the names back as they were. Files of one kind have
the same folders whether their shard is compacted or not: readers take them by one pattern.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote as percent_quote
from urllib.parse import unquote as percent_unquote

from sampling.errors import BadInput
from sampling.samples import UNITS_PER_SHARD, Shard, Unit

SAMPLES, VERDICTS, FINAL, PROBLEMS, REPORT = "samples/", "verdicts/", "final/", "problems/", "report/"
SCORES = "scores/"
LEASES = "leases/"
PROBE = "probe/"  # objects by which the start of a run tests the store
QUARANTINE = "quarantine/"  # damaged objects that `troop check --quarantine` moved; nothing reads them
LONGEST_NAME = 200  # a quoted name with "model=" before it is one file name, and file systems take 255 bytes

_ATTEMPT = re.compile(r"[0-9a-z]+")
_KEY = re.compile(
    r"(?P<final>final/)?(?P<kind>samples|verdicts|scores)/(?:[vm]=(?P<version>[^/]{1,200})/)?"
    r"model=(?P<model>[^/]{1,200})/task=(?P<task>[^/]{1,200})/"
    r"(?:s=(?P<folder>\d{5,})/(?:u(?P<number>\d{7,})|all)|s(?P<shard>\d{5,}))(?:-(?P<attempt>[0-9a-z]+))?\.parquet"
)
_KINDS: dict[str, Literal["samples", "verdicts", "scores"]] = {k: k for k in ("samples", "verdicts", "scores")}
_VERSION_NAMES = {"verdicts": "v", "scores": "m"}  # versions of verifiers and of reward models


@dataclass(frozen=True, slots=True)
class ResultKey:
    """The parts of the key of a samples, verdicts or scores file. ``number`` is None for a compacted shard's file."""

    kind: Literal["samples", "verdicts", "scores"]
    model: str
    task: str
    shard: int
    number: int | None = None
    version: str | None = None
    attempt: str | None = None

    @property
    def in_shard(self) -> Shard:
        return Shard(self.model, self.task, self.shard)

    @property
    def units(self) -> range:
        """Numbers of the units that this file holds; a compacted shard is always full."""
        first = self.shard * UNITS_PER_SHARD if self.number is None else self.number
        return range(first, first + (UNITS_PER_SHARD if self.number is None else 1))

    def covers(self, other: "ResultKey") -> bool:
        """Returns whether this file holds all units of the other one, as a shard's file does for each of its units."""
        return self.in_shard == other.in_shard and self.number in (None, other.number)

    def __str__(self) -> str:
        version = "" if self.version is None else f"{_VERSION_NAMES[self.kind]}={quote(self.version)}/"
        file = "all" if self.number is None else f"u{self.number:07d}"
        attempt = "" if self.attempt is None else f"-{self.attempt}"
        folder = f"{self.kind}/{version}{_cell_folder(self.model, self.task)}s={self.shard:05d}/"
        return (FINAL if self.number is None else "") + f"{folder}{file}{attempt}.parquet"

    @property
    def before_version_3(self) -> str:
        """Key of a compacted shard's file in runs before schema version 3, which are still read."""
        return str(self).replace(f"/s={self.shard:05d}/all", f"/s{self.shard:05d}")


def samples_key(unit: Unit, attempt: str) -> str:
    """Returns the key of one attempt's samples of a unit, which no other attempt ever writes."""
    assert _ATTEMPT.fullmatch(attempt), f"attempt {attempt!r} does not fit into a key"
    return str(ResultKey("samples", unit.model, unit.task, unit.shard, unit.number, attempt=attempt))


def verdicts_key(version: str, unit: Unit) -> str:
    """Returns the key of a unit's verdicts, which is equal for all attempts, so that only one can win."""
    return str(ResultKey("verdicts", unit.model, unit.task, unit.shard, unit.number, version=version))


def lease_key(version: str, place: Unit | Shard, turn: int) -> str:
    """Returns the key of the lease of a unit's or a compacted shard's verdicts.

    A driver that takes over a lease creates the one of the next turn.
    """
    number = place.number if isinstance(place, Unit) else None
    shard = place.shard if isinstance(place, Unit) else place.number
    verdicts = str(ResultKey("verdicts", place.model, place.task, shard, number, version=version))
    return f"{LEASES}{verdicts.removeprefix(FINAL).removeprefix(VERDICTS).removesuffix('.parquet')}-{turn}"


def scores_key(version: str, unit: Unit) -> str:
    """Returns the key of a unit's scores by one reward model, which is equal for all attempts."""
    return str(ResultKey("scores", unit.model, unit.task, unit.shard, unit.number, version=version))


def scorer_key(version: str) -> str:
    """Returns the key of the object that describes the reward model of a version of scores."""
    return f"{SCORES}m={quote(version)}/model.json"


def final_samples_key(model: str, task: str, shard: int, attempt: str) -> str:
    """Returns the key of the samples that one attempt at compacting a shard writes."""
    return str(ResultKey("samples", model, task, shard, attempt=attempt))


def final_verdicts_key(version: str, model: str, task: str, shard: int) -> str:
    """Returns the key of a compacted shard's verdicts, which is equal for all attempts."""
    return str(ResultKey("verdicts", model, task, shard, version=version))


def shard_prefixes(version: str, shard: Shard) -> tuple[str, str]:
    """Returns the prefixes of a shard's unit files: the one of their verdicts, and the one of their samples."""
    folder = f"{_cell_folder(shard.model, shard.task)}s={shard.number:05d}/"
    return f"{VERDICTS}v={quote(version)}/{folder}", SAMPLES + folder


def samples_prefixes(model: str, task: str) -> tuple[str, str]:
    """Returns the two prefixes that hold all samples of a model on a task: unit files and compacted shards."""
    return SAMPLES + _cell_folder(model, task), FINAL + SAMPLES + _cell_folder(model, task)


def problems_key(task: str, first_idx: int, digest: str) -> str:
    """Returns the key of a block of problems; it names the content, so that writing it again changes nothing."""
    return f"{PROBLEMS}task={quote(task)}/p{first_idx:07d}-{digest}.parquet"


def parse_problems_key(key: str) -> str | None:
    """Returns the task of a problems file, or None if the key is no problems file of ours."""
    match = re.fullmatch(r"problems/task=([^/]+)/p\d{7,}-[0-9a-f]+\.parquet", key)
    return unquote(match[1]) if match else None


def quarantine_key(key: str, sha256: str) -> str:
    """Returns the key that a damaged object moves to; it names the content, so that moving it twice changes nothing."""
    return f"{QUARANTINE}{key.removesuffix('.parquet')}-{sha256[:16]}.damaged"  # no pattern of a reader finds it


def parse_key(key: str) -> ResultKey | None:
    """Returns the parts of a samples, verdicts or scores key, or None for a key that this module would not write."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    number = None if match["number"] is None else int(match["number"])
    parsed = ResultKey(
        kind=_KINDS[match["kind"]],
        model=unquote(match["model"]),
        task=unquote(match["task"]),
        shard=int(match["shard"] or match["folder"]),
        number=number,
        version=None if match["version"] is None else unquote(match["version"]),
        attempt=match["attempt"],
    )
    return parsed if _is_ours(parsed) and key in (str(parsed), parsed.before_version_3) else None


def _is_ours(key: ResultKey) -> bool:
    right_parts = (key.attempt is None, key.version is None) == (key.kind != "samples", key.kind == "samples")
    if key.number is None:  # scores are never compacted
        return right_parts and key.kind != "scores"
    return right_parts and key.number // UNITS_PER_SHARD == key.shard


def quote(name: str) -> str:
    """Returns a model, task or version name as one part of a key; raises BadInput where it cannot be one."""
    try:
        quoted = percent_quote(name, safe="")
    except UnicodeEncodeError as error:
        raise BadInput(f"name {name!r}: not valid Unicode text") from error
    if not quoted or len(quoted) > LONGEST_NAME:
        raise BadInput(f"name {name[:40]!r}…: {len(quoted)} characters when quoted; allowed: 1 to {LONGEST_NAME}")
    return quoted


def unquote(part: str) -> str:
    return percent_unquote(part, errors="replace")


def _cell_folder(model: str, task: str) -> str:
    return f"model={quote(model)}/task={quote(task)}/"
