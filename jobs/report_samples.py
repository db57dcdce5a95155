"""The samples that a report shows: few enough for one page, from every problem, and safe to put into it.

A completion is hostile text. It enters the page only as data, in a script element that never runs, with every
character escaped that could end it; the page's own script shows it through ``textContent``.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_SAMPLES = 4_000
MOST_CHARACTERS = 4_000_000
LONGEST_TEXT = 6_000


@dataclass(frozen=True, slots=True)
class BrowserSample:
    """One sample with its verdict, for a person to read."""

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


def for_page(samples: Iterable[BrowserSample]) -> list[BrowserSample]:
    """As many samples as a page carries, taken in turns from every problem of every model, a passing one first."""
    groups: dict[tuple[str, str, str], list[BrowserSample]] = defaultdict(list)
    for each in samples:
        groups[each.task, each.problem, each.model].append(each)
    queues = [iter(_passing_first(group)) for group in groups.values()]
    taken = _within_room(_in_turns(queues))
    place = {key: i for i, key in enumerate(groups)}
    return sorted(taken, key=lambda s: (place[s.task, s.problem, s.model], s.sample))


def embed(samples: Sequence[BrowserSample], prompts: Mapping[tuple[str, str], str]) -> str:
    """The page's data as JSON; names that repeat are written once. ``prompts`` is by (task, problem)."""
    models, tasks = (list(dict.fromkeys(values)) for values in ([s.model for s in samples], [s.task for s in samples]))
    problems = list(dict.fromkeys((s.task, s.problem) for s in samples))
    place = {key: i for i, key in enumerate(problems)}
    rows = [
        [models.index(s.model), place[s.task, s.problem], s.sample, s.status, _clip(s.text), _clip(s.reason), s.answer,
         s.tokens, s.finish_reason]
        for s in samples
    ]  # fmt: skip
    return script_json({
        "models": models,
        "problems": [{"task": tasks.index(t), "id": p, "prompt": _clip(prompts.get((t, p), ""))} for t, p in problems],
        "tasks": tasks,
        "samples": rows,
    })  # fmt: skip


def script_json(data: object) -> str:
    """JSON that cannot end the script element around it, nor start a comment or another element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _passing_first(group: Sequence[BrowserSample]) -> list[BrowserSample]:
    first = next((i for i, each in enumerate(group) if each.status == "pass"), 0)
    return [group[first], *group[:first], *group[first + 1 :]]


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
        room -= min(len(each.text), LONGEST_TEXT) + 100
        if len(taken) == MOST_SAMPLES or room < 0:
            break
        taken.append(each)
    return taken


def _clip(text: str) -> str:
    return (
        text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} … [{len(text) - LONGEST_TEXT:,} more characters]"
    )
