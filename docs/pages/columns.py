"""Tables of the columns of stored rows."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from docs.pages.models import escape
from jobs.export.rows import EXPORT_COLUMNS
from jobs.store.schema import PROBLEM_COLUMNS, ROLLOUTS, SAMPLE_COLUMNS, SCORE_COLUMNS, VERDICT_COLUMNS, Column

COLUMNS: Mapping[str, Sequence[Column]] = {
    "verdicts": VERDICT_COLUMNS,
    "samples": SAMPLE_COLUMNS,
    "scores": SCORE_COLUMNS,
    "problems": PROBLEM_COLUMNS,
    "rollouts": tuple(column for column, _ in ROLLOUTS),
    "export": EXPORT_COLUMNS,
}


def column_table(kind: str) -> str:
    """Returns a Markdown table of the columns of a kind of file."""
    rows = [f"| `{c.name}` | {_type(c)} | {'yes' if c.nullable else 'no'} | {escape(c.about)} |" for c in COLUMNS[kind]]
    return "\n".join(["| column | type | may be null | meaning |", "| --- | --- | --- | --- |", *rows])


def _type(column: Column) -> str:
    return f"list of {column.type.value_type}" if pa.types.is_list(column.type) else str(column.type)
