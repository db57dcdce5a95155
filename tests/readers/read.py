"""Reads every column of one kind of a run's files with one reader; prints the rows as JSON, one line each.

    python read.py READER RUN KIND

Each reader is asked as docs/results.md says, without help from Troop. It runs in a process of its own, since old
versions lie beside each other (`make test-readers`). Floats are printed with the six digits that they hold.
"""

import decimal
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

FOLDERS = {
    "verdicts": ["v", "model", "task", "s"], "samples": ["model", "task", "s"], "problems": ["task"], "export": [],
}  # fmt: skip


def duckdb(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    import duckdb

    path = "/".join([f"{run}/**/{kind}", *(f"{name}=*" for name in FOLDERS[kind]), "*.parquet"])
    found = duckdb.sql(f"FROM read_parquet('{path}', hive_partitioning = true, hive_types_autocast = false)")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    if duckdb.__version__ < "1.1":  # names are as the folders spell them
        return [row | {name: unquote(row[name]) for name in FOLDERS[kind]} for row in rows]
    return rows


def pyarrow(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    names = ds.partitioning(pa.schema([(name, pa.string()) for name in FOLDERS[kind]]), flavor="hive")
    return pq.read_table(f"{run}/{kind}", partitioning=names).to_pylist()  # type: ignore[no-any-return]


def pandas(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    import pandas
    import pyarrow as pa
    import pyarrow.dataset as ds

    names = ds.partitioning(pa.schema([(name, pa.string()) for name in FOLDERS[kind]]), flavor="hive")
    frame = pandas.read_parquet(f"{run}/{kind}", partitioning=names, dtype_backend="pyarrow")
    return frame.astype(object).where(frame.notna(), None).to_dict("records")  # type: ignore[no-any-return]


def polars(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    import polars

    names = dict.fromkeys(FOLDERS[kind], polars.String)
    if not names:
        return polars.read_parquet(f"{run}/{kind}/*.parquet").to_dicts()  # type: ignore[no-any-return]
    rows = polars.scan_parquet(f"{run}/{kind}/**/*.parquet", hive_partitioning=True, hive_schema=names)
    return rows.collect().to_dicts()  # type: ignore[no-any-return]


def datafusion(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    import pyarrow as pa
    from datafusion import SessionContext

    names = [(name, pa.string()) for name in FOLDERS[kind]]
    context = SessionContext()
    context.register_parquet("rows", f"{run}/{kind}", table_partition_cols=names)
    return context.sql("SELECT * FROM rows").to_pylist()  # type: ignore[no-any-return]


def pyspark(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    session = builder.config("spark.sql.sources.partitionColumnTypeInference.enabled", "false").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    rows = session.read.parquet(f"{run}/{kind}")
    for name in FOLDERS[kind]:  # Spark takes each byte of a folder's name for a letter
        rows = rows.withColumn(name, f.decode(f.encode(name, "ISO-8859-1"), "UTF-8"))
    return [row.asDict() for row in rows.collect()]


def wasm(run: str, kind: str) -> Iterable[Mapping[str, Any]]:
    """Reads file by file, as a browser would; names come from the folders."""
    script = str(Path(__file__).with_name("read_wasm.mjs"))
    files = sorted(str(path) for path in Path(run, kind).rglob("*.parquet"))
    words = ["node", script, os.environ["PYTHONPATH"], *files]
    for line in subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout.splitlines():
        found = json.loads(line)
        row = {name: with_floats(value) for name, value in found["row"].items()}
        parts = dict(part.split("=") for part in found["file"].split("/") if "=" in part)
        yield row | {name: unquote(parts[name]) for name in FOLDERS[kind]}


def with_floats(value: Any) -> Any:
    if isinstance(value, list):
        return [with_floats(one) for one in value]
    return float(value["float"]) if isinstance(value, dict) else value


READERS: dict[str, Callable[[str, str], Iterable[Mapping[str, Any]]]] = {
    "duckdb": duckdb, "pyarrow": pyarrow, "pandas": pandas, "polars": polars, "datafusion": datafusion,
    "pyspark": pyspark, "wasm": wasm,
}  # fmt: skip


def plain(value: Any) -> Any:
    if isinstance(value, list | tuple) or getattr(value, "ndim", 0):
        return [plain(one) for one in value]
    value = value.item() if hasattr(value, "item") else value
    return f"{float(value):.6g}" if isinstance(value, float | decimal.Decimal) else value


def main(reader: str, run: str, kind: str) -> None:
    for row in READERS[reader](run, kind):
        print(json.dumps({name: plain(value) for name, value in row.items()}, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
