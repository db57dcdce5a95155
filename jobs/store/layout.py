"""Where things lie in a run: keys from units and back, pure functions, so that a listing alone says what is done.

Names of models and tasks are percent-quoted, so a key has a fixed number of parts whatever they contain, and tools that
read ``name=value`` folders (DuckDB, Spark, pyarrow) get the names back as they were.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote as percent_quote
from urllib.parse import unquote as percent_unquote

from sampling.errors import BadInput
from sampling.samples import UNITS_PER_SHARD, Shard, Unit

PLAN = "plan.json"
SAMPLES, VERDICTS, FINAL, PROBLEMS, REPORT = "samples/", "verdicts/", "final/", "problems/", "report/"
SCORES = "scores/"
PROBE = "probe/"  # what the start of a run asks the store
QUARANTINE = "quarantine/"  # what `troop check --quarantine` set aside; nothing reads it
LONGEST_NAME = 200  # with the "model=" before it, a quoted name is one file name, of which a disk takes 255 bytes

_ATTEMPT = re.compile(r"[0-9a-z]+")
_KEY = re.compile(
    r"(?P<final>final/)?(?P<kind>samples|verdicts|scores)/(?:[vm]=(?P<version>[^/]{1,200})/)?"
    r"model=(?P<model>[^/]{1,200})/task=(?P<task>[^/]{1,200})/"
    r"(?:s=(?P<folder>\d{5,})/u(?P<number>\d{7,})|s(?P<shard>\d{5,}))(?:-(?P<attempt>[0-9a-z]+))?\.parquet"
)
_KINDS: dict[str, Literal["samples", "verdicts", "scores"]] = {k: k for k in ("samples", "verdicts", "scores")}
_VERSIONS = {"verdicts": "v", "scores": "m"}  # verifiers, models


@dataclass(frozen=True, slots=True)
class ResultKey:
    """What the key of a samples, verdicts or scores file says. ``number`` is None for a compacted shard's file."""

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
        """The numbers of the units this file holds: a compacted shard is always a full one."""
        first = self.shard * UNITS_PER_SHARD if self.number is None else self.number
        return range(first, first + (UNITS_PER_SHARD if self.number is None else 1))

    def covers(self, other: "ResultKey") -> bool:
        """Whether this file holds all the units of the other one: a shard's samples are those of each of its units."""
        return self.in_shard == other.in_shard and self.number in (None, other.number)

    def __str__(self) -> str:
        version = "" if self.version is None else f"{_VERSIONS[self.kind]}={quote(self.version)}/"
        file = f"s{self.shard:05d}" if self.number is None else f"s={self.shard:05d}/u{self.number:07d}"
        attempt = "" if self.attempt is None else f"-{self.attempt}"
        where = f"{self.kind}/{version}{_cell(self.model, self.task)}{file}{attempt}.parquet"
        return (FINAL if self.number is None else "") + where


def samples_key(unit: Unit, attempt: str) -> str:
    """Where one attempt at a unit puts its samples: a key that no other attempt ever writes."""
    assert _ATTEMPT.fullmatch(attempt), f"attempt {attempt!r} does not fit into a key"
    return str(ResultKey("samples", unit.model, unit.task, unit.shard, unit.number, attempt=attempt))


def verdicts_key(version: str, unit: Unit) -> str:
    """Where a unit's verdicts lie: the same for every attempt, so that only one can win."""
    return str(ResultKey("verdicts", unit.model, unit.task, unit.shard, unit.number, version=version))


def scores_key(version: str, unit: Unit) -> str:
    """Where a unit's scores by one reward model lie: the same for every attempt."""
    return str(ResultKey("scores", unit.model, unit.task, unit.shard, unit.number, version=version))


def scorer_key(version: str) -> str:
    """Where it is said what made the scores of a version."""
    return f"{SCORES}m={quote(version)}/model.json"


def final_samples_key(model: str, task: str, shard: int, attempt: str) -> str:
    """Where one attempt at compacting a shard puts its samples."""
    return str(ResultKey("samples", model, task, shard, attempt=attempt))


def final_verdicts_key(version: str, model: str, task: str, shard: int) -> str:
    """Where a compacted shard's verdicts lie; the same for every attempt."""
    return str(ResultKey("verdicts", model, task, shard, version=version))


def shard_prefixes(version: str, shard: Shard) -> tuple[str, str]:
    """The prefixes of a shard's unit files: of their verdicts, and of their samples."""
    folder = f"{_cell(shard.model, shard.task)}s={shard.number:05d}/"
    return f"{VERDICTS}v={quote(version)}/{folder}", SAMPLES + folder


def verdicts_prefixes(version: str, model: str, task: str) -> tuple[str, str]:
    """The two prefixes that together hold all verdicts of a model on a task: in unit files and compacted."""
    cell = f"{VERDICTS}v={quote(version)}/{_cell(model, task)}"
    return cell, FINAL + cell


def samples_prefixes(model: str, task: str) -> tuple[str, str]:
    """The two prefixes that together hold all samples of a model on a task."""
    return SAMPLES + _cell(model, task), FINAL + SAMPLES + _cell(model, task)


def problems_prefix(task: str) -> str:
    return f"{PROBLEMS}task={quote(task)}/"


def problems_key(task: str, first_idx: int, digest: str) -> str:
    """Where a block of problems lies; named by its content, so that writing it again changes nothing."""
    return f"{problems_prefix(task)}p{first_idx:07d}-{digest}.parquet"


def parse_problems_key(key: str) -> str | None:
    """The task a problems file belongs to, or None if the key is none of ours."""
    match = re.fullmatch(r"problems/task=([^/]+)/p\d{7,}-[0-9a-f]+\.parquet", key)
    return unquote(match[1]) if match else None


def quarantine_key(key: str, sha256: str) -> str:
    """Where a damaged object goes: named by its content, so that setting it aside twice changes nothing."""
    return f"{QUARANTINE}{key.removesuffix('.parquet')}-{sha256[:16]}.parquet"


def parse_key(key: str) -> ResultKey | None:
    """What a samples, verdicts or scores key says, or None if it is not one that this module would write."""
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
    return parsed if _is_ours(parsed) and str(parsed) == key else None


def _is_ours(key: ResultKey) -> bool:
    right_parts = (key.attempt is None, key.version is None) == (key.kind != "samples", key.kind == "samples")
    if key.number is None:  # scores are never compacted
        return right_parts and key.kind != "scores"
    return right_parts and key.number // UNITS_PER_SHARD == key.shard


def quote(name: str) -> str:
    """A model, task or version name as one part of a key; raises BadInput where it cannot be one."""
    try:
        quoted = percent_quote(name, safe="")
    except UnicodeEncodeError as error:
        raise BadInput(f"name {name!r}: not valid Unicode text") from error
    if not quoted or len(quoted) > LONGEST_NAME:
        raise BadInput(f"name {name[:40]!r}…: {len(quoted)} characters when quoted; allowed: 1 to {LONGEST_NAME}")
    return quoted


def unquote(part: str) -> str:
    return percent_unquote(part, errors="replace")


def _cell(model: str, task: str) -> str:
    return f"model={quote(model)}/task={quote(task)}/"
