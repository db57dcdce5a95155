"""The samples that the page shows: few enough for one page, from every problem, and safely encoded.

A completion is hostile text. It enters the page only as data, compressed and in base64, in a script element that never
runs; the page's own script unpacks it and shows it through ``textContent``.
"""

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_SAMPLES = 100_000
MOST_CHARACTERS = 12_000_000  # of all samples together; packed, they take at most a third of it
LONGEST_TEXT = 6_000


@dataclass(frozen=True, slots=True)
class BrowserSample:
    """One sample with its verdict, as the page shows it."""

    model: str
    task: str
    problem: str
    sample: int
    status: str
    text: str
    reason: str = ""
    answer: str | None = None
    tokens: int | None = None
    finish_reason: str = ""


def most_of_each(counts: Sequence[int]) -> int:
    """Returns how many samples of each (problem, model) may be read, so that all together fit into one page.

    ``counts`` are the samples that each has; those with few leave more room to the others.
    """
    room, waiting = MOST_SAMPLES, len(counts)
    for count in sorted(counts):
        if count * waiting >= room:
            return max(1, room // waiting)
        room, waiting = room - count, waiting - 1
    return max(counts, default=1)


def for_page(samples: Iterable[BrowserSample]) -> list[BrowserSample]:
    """Chooses as many samples as fit into the page: in turns from every (problem, model), one of each status first."""
    everything = list(samples)
    if len(everything) <= MOST_SAMPLES and sum(map(_size, everything)) <= MOST_CHARACTERS:
        return everything
    groups: dict[tuple[str, str, str], list[BrowserSample]] = defaultdict(list)
    for each in everything:
        groups[each.task, each.problem, each.model].append(each)
    queues = [iter(_each_status_first(group)) for group in groups.values()]
    taken = _within_room(_in_turns(queues))
    order = {key: i for i, key in enumerate(groups)}
    return sorted(taken, key=lambda s: (order[s.task, s.problem, s.model], s.sample))


def embed(samples: Sequence[BrowserSample], prompts: Mapping[tuple[str, str], str]) -> str:
    """Packs the samples as the page's data; names that repeat are stored once. ``prompts`` is by (task, problem)."""
    models, tasks = (list(dict.fromkeys(values)) for values in ([s.model for s in samples], [s.task for s in samples]))
    problems = list(dict.fromkeys((s.task, s.problem) for s in samples))
    problem_index = {key: i for i, key in enumerate(problems)}
    model_index = {model: i for i, model in enumerate(models)}
    rows = [
        [model_index[s.model], problem_index[s.task, s.problem], s.sample, s.status, _clip(s.text), _clip(s.reason),
         s.answer, s.tokens, s.finish_reason]
        for s in samples
    ]  # fmt: skip
    return packed({
        "models": models,
        "problems": [{"task": tasks.index(t), "id": p, "prompt": _clip(prompts.get((t, p), ""))} for t, p in problems],
        "tasks": tasks,
        "samples": rows,
    })  # fmt: skip


def packed(data: object) -> str:
    """Encodes data as JSON, compressed, in base64: letters, digits, + / and = alone."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode()


def script_json(data: object) -> str:
    """Encodes data as JSON that can neither end its script element nor start a comment or another element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _each_status_first(group: Sequence[BrowserSample]) -> list[BrowserSample]:
    """Returns a pass, then the first sample of every other status, which may be rare, then the rest."""
    first: dict[str, int] = {}
    for i, each in enumerate(group):
        first.setdefault(each.status, i)
    chosen = sorted(first.values(), key=lambda i: group[i].status != "pass")
    taken = set(chosen)
    return [group[i] for i in chosen] + [each for i, each in enumerate(group) if i not in taken]


def _in_turns(queues: Sequence[Any]) -> Iterable[BrowserSample]:
    waiting = list(queues)
    while waiting:
        still = []
        for queue in waiting:
            each = next(queue, None)
            if each is not None:
                yield each
                still.append(queue)
        waiting = still


def _within_room(samples: Iterable[BrowserSample]) -> list[BrowserSample]:
    taken: list[BrowserSample] = []
    room = MOST_CHARACTERS
    for each in samples:
        room -= _size(each)
        if len(taken) == MOST_SAMPLES or room < 0:
            break
        taken.append(each)
    return taken


def _size(sample: BrowserSample) -> int:
    """Returns the characters of the text as shown, plus about as many as the rest of a row has."""
    return min(len(sample.text), LONGEST_TEXT) + 40


def _clip(text: str) -> str:
    return (
        text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} … [{len(text) - LONGEST_TEXT:,} more characters]"
    )
