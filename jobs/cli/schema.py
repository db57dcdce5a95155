"""``troop schema``: the JSON Schema of a sweep, from which editors complete and check sweep files.

examples/sweep.schema.json holds its output; the first line of every example names that file.
"""

import json
from pathlib import Path
from typing import Any

import click

from jobs.cli.options import FILE, say
from sampling.errors import BadInput

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def sweep_schema() -> str:
    """Returns the JSON Schema of a sweep as text; descriptions are the docstrings under the fields."""
    from pydantic.json_schema import GenerateJsonSchema

    from jobs.sweep import Sweep

    class WithoutTitles(GenerateJsonSchema):
        """Leaves out pydantic's titles of fields ("Max Num Seqs"), which editors would show before the description."""

        def field_title_should_be_set(self, schema: object) -> bool:
            return False

    made = _with_lists(Sweep.model_json_schema(schema_generator=WithoutTitles))
    description = "A sweep of Troop. Unknown keys are refused; docs/sweep.md describes every key."
    head = {"$schema": DIALECT, "title": "Troop sweep", "description": description}
    return json.dumps(
        {**head, **{key: made[key] for key in made if key not in head}}, indent=2, ensure_ascii=False
    ).replace("``", "`")


def _with_lists(schema: dict[str, Any]) -> dict[str, Any]:
    """Adds what a file may hold and a sweep no longer does: lists on sampling keys, checkpoints in place of a path."""
    from sampling.settings.grid import GRID_KEYS

    settings, model = schema["$defs"]["SamplingSettings"]["properties"], schema["$defs"]["ModelSpec"]
    for key in sorted(GRID_KEYS & settings.keys()):
        about = {name: settings[key].pop(name) for name in ("default", "description") if name in settings[key]}
        settings[key] = {"anyOf": [settings[key], {"type": "array", "items": settings[key], "minItems": 1}], **about}
    model["required"].remove("path")
    return schema


@click.command()
@click.option(
    "--out", metavar="FILE", type=FILE,
    help="File to write. Default: standard output. Example: --out sweep.schema.json",
)  # fmt: skip
def schema(out: Path | None) -> None:
    """Print the JSON Schema of a sweep file.

    Editors with YAML support complete and check a sweep whose first line is "# yaml-language-server:
    $schema=sweep.schema.json". Reads nothing; writes only FILE. Exit codes: 0 done, 2 FILE cannot be written.

    \b
    Example: troop schema --out sweep.schema.json
    """
    if out is None:
        click.echo(sweep_schema())
        return
    try:
        out.write_text(sweep_schema() + "\n", encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out}: cannot be written ({error.strerror}); give --out another file") from error
    say(f"wrote {out}")


COMMANDS = (schema,)
