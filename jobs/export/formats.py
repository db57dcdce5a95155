"""Formats of data sets for training: the columns of TRL and verl, row by row from the samples of one problem.

No format but ``rl`` holds a right answer that no model has written: rewards need one there.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pyarrow as pa

from jobs.export.selection import Rates, Row, Taken
from jobs.store.encode import parse_prompt
from sampling.errors import BadInput
from sampling.problems import load_json

Format = Literal["sft", "dpo", "kto", "rl", "pass-rate"]
FORMATS: tuple[Format, ...] = get_args(Format)
OF_COUNTS: tuple[Format, ...] = ("rl", "pass-rate")  # one row for each prompt, without samples
OF_BOTH: tuple[Format, ...] = ("dpo", "kto")  # right and wrong samples
ABILITIES = {"math": "math", "python": "code", "stdio": "code", "patch": "code", "lean": "proof"}  # by verifier
Turns = list[dict[str, str]]
Values = dict[str, Any]

_TURNS = pa.list_(pa.field("element", pa.struct([("role", pa.string()), ("content", pa.string())])))
_TRACE = {"model": pa.string(), "task": pa.string(), "problem_id": pa.string()}
_REWARD = pa.struct([("style", pa.string()), ("ground_truth", pa.string())])
_EXTRA = pa.struct([
    ("split", pa.string()), ("index", pa.int64()), ("task", pa.string()), ("problem_id", pa.string()),
    ("verifier", pa.string()), ("model", pa.string()), ("n", pa.int64()), ("passes", pa.int64()),
    ("pass_rate", pa.float64()),
])  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """One problem as a data set needs it."""

    problem_id: str
    prompt: str | Turns
    """Text that is continued, or the turns of a chat."""
    verifier: str
    reference: str
    """JSON that the verifier judges by."""

    @property
    def text(self) -> str:
        """The prompt as one text."""
        return self.prompt if isinstance(self.prompt, str) else json.dumps(self.prompt, ensure_ascii=False)


def asked(row: Mapping[str, Any], chat: bool) -> Asked:
    """Returns the problem of a row of the view ``problems``; ``chat`` makes a user's turn of a text."""
    prompt = parse_prompt(row["prompt"])
    turns = prompt if isinstance(prompt, str) else [turn.model_dump() for turn in prompt]
    if chat and isinstance(turns, str):
        turns = [{"role": "user", "content": turns}]
    return Asked(row["problem_id"], turns, row["verifier"], row["reference"])


def schema_of(form: Format, chat: bool) -> pa.Schema:
    """Returns the columns of a format, for prompts that are chats or texts."""
    text = _TURNS if chat else pa.string()
    columns: Mapping[Format, Mapping[str, pa.DataType]] = {
        "sft": ({"messages": _TURNS} if chat else {"prompt": text, "completion": text})
        | _TRACE
        | {"sample_idx": pa.int32()},
        "dpo": {"prompt": text, "chosen": text, "rejected": text}
        | _TRACE
        | {"chosen_idx": pa.int32(), "rejected_idx": pa.int32()},
        "kto": {"prompt": text, "completion": text, "label": pa.bool_()} | _TRACE | {"sample_idx": pa.int32()},
        "rl": {
            "data_source": pa.string(),
            "prompt": _TURNS,
            "ability": pa.string(),
            "reward_model": _REWARD,
            "extra_info": _EXTRA,
        },
        "pass-rate": _TRACE | {"prompt": pa.string(), "n": pa.int64(), "passes": pa.int64(), "pass_rate": pa.float64()},
    }
    return pa.schema(list(columns[form].items()))


@dataclass(frozen=True)
class Cell:
    """Names that all rows of a model on a task share."""

    model: str
    task: str

    def trace(self, problem: Asked) -> Values:
        return {"model": self.model, "task": self.task, "problem_id": problem.problem_id}


def sample_rows(form: Format, cell: Cell, problem: Asked, taken: Taken) -> Iterator[Values]:
    """Yields the rows of some samples of a problem, for formats that have samples."""
    trace, prompt = cell.trace(problem), problem.prompt
    if form == "dpo":
        for right, wrong in zip(taken.right, taken.wrong, strict=False):
            pair = {"prompt": prompt, "chosen": _reply(prompt, right), "rejected": _reply(prompt, wrong)}
            yield pair | trace | {"chosen_idx": right.sample, "rejected_idx": wrong.sample}
        return
    labels = {True: taken.right, False: taken.wrong if form == "kto" else []}
    for label, row in ((label, row) for label, rows in labels.items() for row in rows):
        done: Values = {"prompt": prompt, "completion": _reply(prompt, row)}
        if form == "kto":
            done["label"] = label
        elif isinstance(prompt, list):
            done = {"messages": [*prompt, *_reply(prompt, row)]}
        yield done | trace | {"sample_idx": row.sample}


def _reply(prompt: str | Turns, row: Row) -> str | Turns:
    return row.text if isinstance(prompt, str) else [{"role": "assistant", "content": row.text}]


def count_row(form: Format, cell: Cell, problem: Asked, rates: Rates, at: int, split: str, number: int) -> Values:
    """Returns the row of a problem for formats without samples; ``number`` is that of the row in its split."""
    counts = {"n": int(rates.n[at]), "passes": int(rates.c[at]), "pass_rate": rates.rate(at)}
    if form == "pass-rate":
        return cell.trace(problem) | {"prompt": problem.text} | counts
    extra = {"split": split, "index": number, "verifier": problem.verifier} | cell.trace(problem) | counts
    reward = {"style": "rule", "ground_truth": ground_truth(problem)}
    ability = ABILITIES.get(problem.verifier, "general")
    return {"data_source": cell.task, "prompt": problem.prompt, "ability": ability, "reward_model": reward,
            "extra_info": extra}  # fmt: skip


def ground_truth(problem: Asked) -> str:
    """Returns what a reward compares with: the right answer, or the whole reference as JSON where there is none."""
    reference = load_json(problem.reference, f"problem {problem.problem_id}", strict=False)
    answer = reference.get("answer") if isinstance(reference, dict) else None
    return answer if isinstance(answer, str) and answer else problem.reference


def check_prompts(form: Format, task: str, problems: Mapping[int, Asked]) -> bool:
    """Returns whether a task's prompts are chats; raises BadInput where the format cannot take them."""
    chats = [isinstance(problem.prompt, list) for problem in problems.values()]
    if form == "pass-rate":
        return all(chats)
    if missing := next((p for p in problems.values() if not p.prompt), None):
        raise BadInput(
            f"--format {form}: problem {missing.problem_id} of {task} has no prompt stored (outcomes were imported); "
            "allowed: --format pass-rate, or an import of --samples with --task KIND=PATH"
        )
    if form == "rl" and not all(chats):
        raise BadInput(
            f"--format rl: needs messages, and the prompts of {task} are texts of a base model; "
            "--chat makes a user's turn of each"
        )
    if len(set(chats)) > 1:
        raise BadInput(
            f"--format {form}: {task} has texts and chats as prompts; --chat makes a user's turn of each text"
        )
    if form == "rl" and (none := next((p for p in problems.values() if p.reference == "{}"), None)):
        raise BadInput(
            f"--format rl: problem {none.problem_id} of {task} has no reference for a reward to compare with"
        )
    return all(chats)
