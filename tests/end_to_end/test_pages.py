"""Pages are as the code is: each key, option, column and field is there, and each example is taken."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from docs.pages.__main__ import made_pages
from docs.pages.blocks import block_names, fill
from docs.pages.columns import COLUMNS
from docs.pages.registry import SWEEP_MODELS, models_in
from jobs.cli.main import cli
from jobs.report import points
from jobs.report import schema as report
from jobs.store.base import StoreOptions
from jobs.sweep import Sweep
from sampling.s3_folder import S3Options
from sampling.settings import ModelSpec
from sampling.settings.grid import expand
from sampling.validate import parse
from tests.support.places import ROOT
from verify.judge_settings import JudgeSettings

DOCS = ROOT / "docs"
SWEEP_PAGE = (DOCS / "sweep.md").read_text()
ELSEWHERE = {"judge", "accept"}  # shown in their own section, and in docs/problems.md
SMALL: dict[str, Any] = {
    "name": "s", "models": [{"name": "small", "path": "m"}], "tasks": [{"name": "gsm8k", "kind": "gsm8k", "path": "t"}],
}  # fmt: skip


def section(page: str, heading: str) -> str:
    """Text of a page from a heading of the second level to the next one."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"no section {heading!r}"
    return found[1]


def examples(text: str) -> Iterator[dict[str, Any]]:
    """YAML blocks of a text."""
    for block in re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield yaml.safe_load(block)


def test_tables_are_those_that_the_code_makes() -> None:
    stale = [page.name for page, text in made_pages().items() if page.read_text() != text]
    assert stale == [], "run `make docs`"


def inherited_keys(model: type) -> set[str]:
    """Returns the keys of a model that the section of another describes."""
    other = {JudgeSettings: ModelSpec, StoreOptions: S3Options}.get(model)
    return set(other.model_fields) - set(model.__annotations__) if other else set()


@pytest.mark.parametrize("model", SWEEP_MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_sweep_is_on_its_page(model: type) -> None:
    shown = section(SWEEP_PAGE, model.__name__)
    inherited = inherited_keys(model)
    for name in keys(model) - inherited:
        assert f"| `{name}` |" in shown, name


def keys(model: Any) -> set[str]:
    """Names of a model's keys as a user writes them."""
    return {field.alias or name for name, field in model.model_fields.items()}


def keys_of(value: Any) -> Iterator[str]:
    """Every key of a nested YAML value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_of(inner)


@pytest.mark.parametrize("model", SWEEP_MODELS, ids=lambda model: model.__name__)
def test_every_key_of_a_sweep_has_an_example(model: type) -> None:
    shown = {key for given in examples(section(SWEEP_PAGE, model.__name__)) for key in keys_of(given)}
    inherited = inherited_keys(model)
    wanted = keys(model) - inherited - ELSEWHERE
    assert wanted <= shown | ({"engine"} if model is JudgeSettings else set()), wanted - shown


@pytest.mark.parametrize("given", list(examples(SWEEP_PAGE)), ids=lambda given: "-".join(given))
def test_examples_of_the_sweep_page_are_taken(given: dict[str, Any], tmp_path: Path) -> None:
    """A block of the sweep's own keys is taken as it is; keys of a model or a task are taken there."""
    top = {key: value for key, value in given.items() if key in Sweep.model_fields}
    nested = {key: value for key, value in given.items() if key not in Sweep.model_fields}
    if nested.keys() & {"service"}:
        nested |= {
            "engine": "openai",
            "base_url": "https://host/v1",
            "prices": {"per_million_prompt_tokens": 1, "per_million_tokens": 1},
        }
    sweep = {**SMALL, **top}
    if "models" not in top:
        sweep["models"] = [{**SMALL["models"][0], **nested}]
    if "models" in top and "tasks" not in top:
        sweep["tasks"] = SMALL["tasks"]
    if "stop" in top and "models" not in top:
        sweep["models"] = [{**SMALL["models"][0], "prices": {"per_engine_hour": 1}}]
    (tmp_path / "runs" / "step_100").mkdir(parents=True)
    parse(Sweep, expand(sweep, tmp_path, "docs/sweep.md"), "docs/sweep.md")


def test_every_command_and_option_is_on_its_page() -> None:
    page = (DOCS / "cli.md").read_text()
    for name, command in cli.commands.items():
        shown = section(page, f"troop {name}")
        for option in command.params:
            words = option.opts if isinstance(option, click.Option) else []
            assert all(f"`{word}`" in shown for word in words), (name, words)


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_column_is_on_its_page(kind: str) -> None:
    shown = section((DOCS / "results.md").read_text(), f"Columns of {kind}")
    assert [column.name for column in COLUMNS[kind]] == re.findall(r"^\| `(\w+)` \|", shown, re.MULTILINE)


@pytest.mark.parametrize("model", (*models_in(report), *models_in(points)), ids=lambda model: model.__name__)
def test_every_field_of_a_report_is_on_its_page(model: type) -> None:
    page = (DOCS / "results.md").read_text()
    shown = page.split(f"### {model.__name__}\n", 1)[1].split("\n### ", 1)[0]
    for name in model.model_fields:  # type: ignore[attr-defined]
        assert f"| `{name}` |" in shown, name


def test_a_block_that_nothing_makes_is_named() -> None:
    text = "<!-- begin made from the code: Nonsense -->\n<!-- end made from the code -->"
    assert block_names(text) == ["Nonsense"]
    with pytest.raises(KeyError, match=r"x\.md: no block 'Nonsense'; there are: Sweep"):
        fill(text, {"Sweep": str}, "x.md")
