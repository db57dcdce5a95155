"""The card of a data set: ``README.md`` with the YAML that the hub reads, and what a reader has to know.

Names of models, tasks and problems come from files of others: each is written so that it stays text.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from jobs.export.data_set import DataSet, TrainingReport
from jobs.store.layers import Layer
from jobs.store.stored_run import StoredRun
from sampling.words import many, markdown_text, printable

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
          (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"))  # fmt: skip
_LONGEST = 200
ABOUT = {
    "sft": "right completions, for supervised fine-tuning (TRL's `SFTTrainer`)",
    "dpo": "pairs of a right and a wrong completion of one prompt (TRL's `DPOTrainer`)",
    "kto": "completions with a label, true for right ones (TRL's `KTOTrainer`)",
    "rl": "prompts with what a rule-based reward compares with (verl). **It holds the right answers.**",
    "pass-rate": "the share of right samples of each prompt",
}
_OPEN = {"per_problem": "no limit", "dedupe": "no, equal completions stay", "min_rate": "0", "max_rate": "1"}
ANSWERS = "No column holds a reference answer: every completion was written by the model."


def card(done: TrainingReport, wanted: DataSet, stored: StoredRun) -> str:
    """Returns the card of a data set."""
    layers, models = stored.layers, dict(_models(stored.layers))
    tasks = _tasks(layers)
    named = sorted(wanted.models or models), sorted(wanted.tasks or tasks)
    lines = [
        f"# {_title(done)}",
        f"{ABOUT[done.form][0].upper()}{ABOUT[done.form][1:]}. Drawn and verified by Troop.",
        *([] if done.form == "rl" else [ANSWERS]),
        "## Source",
        "\n".join(f"- model {text(name)}, revision {text(models.get(name, 'unknown'))}" for name in named[0]),
        "\n".join(f"- task {text(name)}: {text(tasks.get(name, 'unknown'))}" for name in named[1]),
        "The licence of these completions follows from the licences of the models and of the tasks' prompts; the field "
        "`license` above is what the maker of this export gave.",
        "## Rows",
        "\n".join(f"- {name}: {many(count, 'row')}" for name, count in done.rows.items()),
        f"They come from {many(done.problems, 'problem')}. Equal prompts lie in one split.",
        "## Filters",
        "\n".join(f"- {name}: {_said(name, value)}" for name, value in done.selection.model_dump().items()),
        "\n".join(f"- left out, {name}: {count:,}" for name, count in done.left_out.items()),
        "## Decontamination",
        "None was done: prompts and completions were not compared with any benchmark. Where a task above is the test "
        "part of a benchmark, a model that is trained on these rows must not be evaluated on it.",
    ]
    return f"---\n{_front(done, wanted)}---\n\n" + "\n\n".join(line for line in lines if line) + "\n"


def _said(name: str, value: object) -> str:
    """Returns what one key of the selection says, also where it was left open."""
    if value is None:
        return _OPEN[name]
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else text(value)


def text(value: object) -> str:
    """Returns any value as text of Markdown in one line, cut to 200 characters."""
    short = printable(value)
    return markdown_text(short if len(short) <= _LONGEST else short[: _LONGEST - 1] + "…")


def _title(done: TrainingReport) -> str:
    return f"{text(done.run.rstrip('/').rpartition('/')[2])}, {done.form}"


def _front(done: TrainingReport, wanted: DataSet) -> str:
    rows = sum(done.rows.values())
    files = [{"split": name, "path": f"data/{name}-*.parquet"} for name, count in done.rows.items() if count]
    front: dict[str, Any] = {
        "license": wanted.license,
        "task_categories": ["text-generation"],
        "tags": ["troop", done.form],
        "size_categories": [next((name for most, name in _SIZES if rows < most), "n>1T")],
        "configs": [{"config_name": "default", "data_files": files}],
    }
    return yaml.safe_dump(front, sort_keys=False, allow_unicode=True)


def _models(layers: Sequence[Layer]) -> list[tuple[str, str]]:
    return [(model.name, model.revision) for layer in layers for model in layer.models]


def _tasks(layers: Sequence[Layer]) -> dict[str, str]:
    """Returns the source of each task, as the sweep names it: the name of its file, not the folder it lay in."""
    found: dict[str, str] = {}
    for task in (task for layer in layers for task in layer.sweep.get("tasks", []) if isinstance(task, dict)):
        path = str(task.get("path") or "").rstrip("/")
        place = path if path.startswith("hf://") else path.rpartition("/")[2]
        name = str(task.get("name") or task.get("kind"))
        found[name] = f"{task.get('kind')}, {place}" if place else str(task.get("kind"))
    for part in (part for layer in layers for part in layer.problems):
        found.setdefault(part.task, "unknown")
    return found
