"""A run that is open: its rows as Arrow tables, DuckDB relations or frames, its progress and its numbers."""

import contextlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from sampling.errors import BadInput

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from jobs.report.schema import Report
    from jobs.run import Outcome
    from jobs.status import RunStatus
    from jobs.store.stored_run import StoredRun

Population = Literal["problems", "benchmark"]


class Rows:
    """Rows of a run by a query, which are read when one of the methods asks for them.

    Any library that reads Arrow's C streams takes the rows as they are: ``polars.from_arrow(run.verdicts)``.
    """

    def __init__(self, run: "Run", query: str) -> None:
        self._run, self.query = run, query

    def __repr__(self) -> str:
        return f"<rows of {self._run.uri}: {self.query}>"

    def arrow(self) -> "pa.Table":
        """Returns all rows as an Arrow table; raises BadInput for SQL that DuckDB refuses."""
        from jobs.store.database import read_table

        return read_table(self._run.stored, self.query)

    def relation(self) -> "duckdb.DuckDBPyRelation":
        """Returns the rows as a DuckDB relation, which reads only what is asked of it; good until the run is closed.

        Of a run that is being written, a relation may lose a file that is compacted: ``arrow`` then reads again.
        """
        return self._run._connection.sql(self.query)

    def pandas(self) -> "pd.DataFrame":
        """Returns all rows as a pandas frame; raises BadInput where pandas is not installed."""
        _needs("pandas")
        return self.arrow().to_pandas()

    def polars(self) -> "pl.DataFrame":
        """Returns all rows as a Polars frame; raises BadInput where Polars is not installed."""
        frame: pl.DataFrame = _needs("polars").from_arrow(self.arrow())
        return frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.arrow().__arrow_c_stream__(requested_schema)


class Run:
    """A run: what is committed of it now. Every method reads the store again, so a run that goes on may grow."""

    def __init__(self, stored: "StoredRun", outcome: "Outcome | None" = None) -> None:
        self.stored = stored
        self.outcome = outcome
        """Result of the call that ran it: samples committed, units set aside. None where it was only loaded."""
        self._held = contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"<run {self.uri}>"

    @property
    def uri(self) -> str:
        """Place of the run: a folder or an ``s3://`` prefix."""
        return self.stored.store.uri

    @property
    def samples(self) -> Rows:
        """Samples: texts, tokens, how they ended, with what settings they were drawn."""
        return self.sql("FROM samples")

    @property
    def verdicts(self) -> Rows:
        """Verdicts: status, passed, score and answer of each sample."""
        return self.sql("FROM verdicts")

    @property
    def problems(self) -> Rows:
        """Problems as they were asked, with their references."""
        return self.sql("FROM problems")

    @property
    def scores(self) -> Rows:
        """Scores of reward models, where the run has any."""
        return self.sql("FROM scores")

    @property
    def rollouts(self) -> Rows:
        """Samples joined with their problems and verdicts, under the names that other tools use."""
        return self.sql("FROM rollouts")

    def sql(self, query: str) -> Rows:
        """Returns the rows of a query over the run's views, as ``troop sql`` reads them."""
        return Rows(self, query)

    def status(self, population: Population = "problems") -> "RunStatus":
        """Returns the progress of the run, as ``troop status --json`` prints it."""
        from jobs.status import status_of

        return status_of(self.stored, population)

    def report(self, population: Population = "problems") -> "Report":
        """Returns the numbers of the run, as report.json has them: coverage, fits, costs, crossovers."""
        from jobs.reporting import read_report

        return read_report(self.stored, population)

    def write_report(self, out: str | Path | None = None, population: Population = "problems") -> str:
        """Writes the report into ``out``, or into the run, and returns what ``troop report`` prints."""
        from jobs.reporting import report_run

        return report_run(self.stored, None if out is None else Path(out), population)

    def close(self) -> None:
        """Ends the relations of this run; a later one opens the run again."""
        self.__dict__.pop("_connection", None)
        self._held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @cached_property
    def _connection(self) -> "duckdb.DuckDBPyConnection":
        from jobs.store.database import query_database

        return self._held.enter_context(query_database(self.stored, "rollouts"))


def _needs(package: str) -> Any:
    """Imports a package that Troop does not bring along; raises BadInput where it is missing."""
    import sys
    from importlib import import_module

    try:
        return import_module(package)
    except ModuleNotFoundError as error:
        raise BadInput(f"{package} is not installed; `{sys.executable} -m pip install {package}`") from error
