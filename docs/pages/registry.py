"""The blocks that pages may hold: one for each model a user writes or reads, each command, each kind of stored row."""

from collections.abc import Mapping

from docs.pages.columns import column_table
from pydantic import BaseModel

from docs.pages.blocks import Maker
from docs.pages.commands import command_section
from docs.pages.models import field_table
from jobs.cli.main import cli
from jobs.report import schema as report
from jobs.store.base import StoreOptions
from jobs.sweep import Stop, Sweep, VerifySettings
from sampling.settings import ModelSpec, Prices, SamplingSettings, ServiceSettings, TaskSampling
from sampling.tasks.task import TaskSpec
from sampling.validate import Plain
from verify.judge_settings import JudgeSettings

SWEEP_MODELS: tuple[type[BaseModel], ...] = (
    Sweep, ModelSpec, SamplingSettings, Prices, ServiceSettings, TaskSpec, TaskSampling, VerifySettings, JudgeSettings,
    Stop, StoreOptions,
)  # fmt: skip
REPORT_MODELS: tuple[type[BaseModel], ...] = tuple(
    kind for kind in vars(report).values()
    if isinstance(kind, type) and issubclass(kind, Plain) and kind is not Plain
)  # fmt: skip


def _models() -> Mapping[str, Maker]:
    written = {model.__name__: lambda model=model: field_table(model) for model in SWEEP_MODELS}
    read = {
        f"report.json {model.__name__}": lambda model=model: field_table(model, output=True) for model in REPORT_MODELS
    }
    return written | read


BLOCKS: Mapping[str, Maker] = {
    **_models(),
    **{f"troop {name}": lambda command=command: command_section(command) for name, command in cli.commands.items()},
    "commands": lambda: "\n\n".join(command_section(command) for _, command in sorted(cli.commands.items())),
    **{
        f"columns of {kind}": lambda kind=kind: column_table(kind)
        for kind in ("verdicts", "samples", "scores", "problems")
    },
}
