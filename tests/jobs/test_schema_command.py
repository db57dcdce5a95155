"""``troop schema``: the committed schema is up to date, accepts what Troop accepts, and refuses unknown keys."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from jobs.cli.schema import sweep_schema
from jobs.sweep import Sweep
from tests.conftest import Troop
from tests.support.places import ROOT

EXAMPLES = ROOT / "examples"
SCHEMA = EXAMPLES / "sweep.schema.json"
SWEEPS = sorted(EXAMPLES.rglob("*.yaml"))
SMALL: dict[str, Any] = {
    "name": "small",
    "models": [{"name": "m", "path": "gold", "engine": "replay"}],
    "tasks": [{"kind": "jsonl", "path": "problems.jsonl"}],
}


def errors(sweep: object) -> list[str]:
    validator = jsonschema.Draft202012Validator(json.loads(sweep_schema()))
    return [error.message for error in validator.iter_errors(sweep)]


def with_model(**keys: object) -> dict[str, Any]:
    return {**SMALL, "models": [{**SMALL["models"][0], **keys}]}


def test_the_committed_schema_is_the_present_one() -> None:
    hint = "run `troop schema --out examples/sweep.schema.json`"
    assert SCHEMA.read_text(encoding="utf-8") == sweep_schema() + "\n", hint


def test_it_is_a_schema_without_an_id() -> None:
    schema = json.loads(sweep_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["title"] == "Troop sweep" and "$schema" in schema and "$id" not in schema


def test_it_is_printed_or_written(troop: Troop, tmp_path: Path) -> None:
    printed = troop("schema")
    assert (printed.code, printed.out, printed.err) == (0, sweep_schema() + "\n", "")
    assert troop("schema", "--out", tmp_path / "s.json").code == 0
    assert (tmp_path / "s.json").read_text(encoding="utf-8") == printed.out
    refused = troop("schema", "--out", tmp_path / "nowhere" / "s.json")
    assert (refused.code, "s.json: cannot be written" in refused.err, refused.err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("path", SWEEPS, ids=[path.stem for path in SWEEPS])
def test_every_example_is_valid_and_names_the_schema(path: Path) -> None:
    text = path.read_text()
    first = text.splitlines()[0]
    assert errors(yaml.safe_load(text)) == []
    start = "# yaml-language-server: $schema="
    assert first.startswith(start) and (path.parent / first.removeprefix(start)).resolve() == SCHEMA


@pytest.mark.parametrize(
    "sweep",
    [
        SMALL,
        with_model(engines=2, engines_per_gpu="auto"),
        with_model(engines="auto", gpus=0.25, vllm={"any": ["thing"]}),
        {**SMALL, "k": None, "stop": {"until": "2026-08-01T06:00:00+02:00"}, "store_options": {}},
    ],
)
def test_what_troop_takes_the_schema_takes(sweep: dict[str, Any]) -> None:
    Sweep.model_validate(sweep)
    assert errors(sweep) == []


@pytest.mark.parametrize(
    ("sweep", "named"),
    [
        ({**SMALL, "modles": []}, "'modles' was unexpected"),
        (with_model(engines="many"), "'many' is not valid"),
        (with_model(engine="vlm"), "'vlm' is not one of"),
        ({**SMALL, "k": 0}, "0 is not valid"),
        ({**SMALL, "models": []}, "should be non-empty"),
        ({key: SMALL[key] for key in ("name", "models")}, "'tasks' is a required property"),
    ],
)
def test_what_troop_refuses_the_schema_refuses(sweep: dict[str, Any], named: str) -> None:
    assert any(named in message for message in errors(sweep)), errors(sweep)


@pytest.mark.parametrize("name", ["Sweep", "VerifySettings", "Stop", "StoreOptions"])
def test_every_key_has_a_description(name: str) -> None:
    schema = json.loads(sweep_schema())
    keys = schema["properties"] if name == "Sweep" else schema["$defs"][name]["properties"]
    assert [key for key, said in keys.items() if not said.get("description")] == []
