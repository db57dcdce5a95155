"""Reads a run's verdicts in Spark, without Troop. Every sample is read once, even during a compaction.

    pip install pyspark
    python examples/spark_read.py runs/demo

Unit files are under ``verdicts/`` until their shard is compacted. From then on the shard's file under
``final/verdicts/`` holds its rows, and unit files of that shard that still exist must be ignored.
"""

import sys

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

SHARD = ["v", "model", "task", "s"]  # verifiers, model, task, number of the shard


def read_verdicts(spark: SparkSession, run: str) -> DataFrame:
    """Reads all verdicts of a run, with the columns v, model, task and s. Choose one ``v`` before you count."""
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # a version such as 0123 is text
    units = _read(spark, f"{run}/verdicts")
    final = _read(spark, f"{run}/final/verdicts")
    if final is None or units is None:
        return units if final is None else final
    number = f.regexp_extract(f.col("_metadata.file_name"), r"^s(\d+)\.parquet$", 1)
    final = final.withColumn("s", number)
    open_units = units.join(f.broadcast(final.select(SHARD).distinct()), on=SHARD, how="left_anti")
    return final.unionByName(open_units, allowMissingColumns=True)


def _read(spark: SparkSession, folder: str) -> DataFrame | None:
    """Reads a folder's Parquet files with the columns of all of them; None where there is no such folder."""
    try:
        return spark.read.option("mergeSchema", "true").parquet(folder)
    except AnalysisException as error:
        if error.getCondition() in {"PATH_NOT_FOUND", "UNABLE_TO_INFER_SCHEMA"}:
            return None
        raise


def main() -> None:
    spark = SparkSession.builder.appName("troop").getOrCreate()
    verdicts = read_verdicts(spark, sys.argv[1].rstrip("/"))
    counts = [f.count("*").alias("samples"), f.avg(f.col("passed").cast("int")).alias("pass_at_1")]
    verdicts.groupBy("v", "model", "task").agg(*counts).orderBy("v", "model", "task").show(truncate=False)
    spark.stop()


if __name__ == "__main__":
    main()
