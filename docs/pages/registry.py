"""The blocks that pages may hold: one for each model a user writes or reads, each command, each kind of stored row."""

from collections.abc import Mapping
from functools import partial

from pydantic import BaseModel

from docs.pages.blocks import Maker
from docs.pages.columns import COLUMNS, column_table
from docs.pages.commands import command_section
from docs.pages.models import field_table
from jobs.cli.main import cli
from jobs.compare import result as compared
from jobs.export.data_set import TrainingReport
from jobs.export.files import ExportedFile
from jobs.export.parts import TrainingFile
from jobs.export.selection import Selection
from jobs.numbers.prediction import Prediction
from jobs.numbers.rounds import Round
from jobs.report import points
from jobs.report import schema as report
from jobs.status import SetAsideUnit
from jobs.store.base import StoreOptions
from jobs.store.layers import Block, Layer, PlannedModel, PlannedProblems
from jobs.store.leases import Driver
from jobs.store.sessions import Session, StoredPrediction
from jobs.sweep import MlflowSettings, Stop, Sweep, Track, VerifySettings, WandbSettings
from sampling.judged_by import JudgedBy
from sampling.limits import Limits
from sampling.policy import MathPolicy
from sampling.problems import Message, Problem
from sampling.references import REFERENCES, CallCase, StdioCase
from sampling.s3_folder import S3Options
from sampling.settings import Adaptive, ModelSpec, SamplingSettings, StructuredOutputs, TaskSampling
from sampling.settings.model import Adapter
from sampling.settings.service import Prices, ServiceSettings
from sampling.tasks.task import TaskSpec
from sampling.thoughts import ThoughtMarks
from verify.judge_settings import JudgeSettings

Models = tuple[type[BaseModel], ...]
SWEEP_MODELS: Models = (
    *(
        Sweep,
        ModelSpec,
        Adapter,
        SamplingSettings,
        StructuredOutputs,
        ThoughtMarks,
        Prices,
        ServiceSettings,
        TaskSpec,
        Limits,
    ),
    *(MathPolicy, TaskSampling, VerifySettings, JudgeSettings, Adaptive, Stop, S3Options, StoreOptions),
    *(Track, WandbSettings, MlflowSettings),
)
PROBLEM_MODELS: Models = (Problem, Message, StdioCase, CallCase, *dict.fromkeys(REFERENCES.values()))


def models_in(module: object) -> Models:
    """Returns the pydantic models that a module itself defines, in their order."""
    found = [kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return tuple(kind for kind in found if kind.__module__ == getattr(module, "__name__", ""))


def report_fields() -> str:
    """Returns a section for each model of report.json, the whole report first."""
    parts = (model for model in (*models_in(report), *models_in(points)) if model is not report.Report)
    return sections(report.Report, *parts, Prediction, JudgedBy)


def compare_fields() -> str:
    """Returns a section for each model of compare.json, the whole first."""
    return sections(compared.Compared, *(model for model in models_in(compared) if model is not compared.Compared))


def stored_objects() -> str:
    """Returns a section for each JSON object that lies in a run."""
    return sections(Layer, PlannedModel, PlannedProblems, Block, Round, Session, Driver, StoredPrediction, SetAsideUnit)


def sections(*models: type[BaseModel]) -> str:
    """Returns a section of the third level for each model that Troop writes."""
    return "\n\n".join(f"### {model.__name__}\n\n{field_table(model, output=True)}" for model in models)


def commands() -> str:
    """Returns a section for each command, by name."""
    return "\n\n".join(command_section(command) for _, command in sorted(cli.commands.items()))


BLOCKS: Mapping[str, Maker] = {
    **{model.__name__: partial(field_table, model) for model in (*SWEEP_MODELS, *PROBLEM_MODELS)},
    "StoreOptions": partial(field_table, StoreOptions, without=S3Options),
    "JudgeSettings": partial(field_table, JudgeSettings, without=ModelSpec),
    **{f"columns of {kind}": partial(column_table, kind) for kind in COLUMNS},
    **{
        m.__name__: partial(field_table, m, output=True)
        for m in (ExportedFile, TrainingReport, Selection, TrainingFile)
    },
    "commands": commands,
    "report.json": report_fields,
    "compare.json": compare_fields,
    "stored objects": stored_objects,
}
