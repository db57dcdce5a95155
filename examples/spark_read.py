"""Reads a run's verdicts in Spark, without Troop. Every sample is read once, even during a compaction.

    pip install pyspark
    python examples/spark_read.py runs/demo

Unit files are under ``verdicts/`` until their shard is compacted. From then on the shard's file under
``final/verdicts/`` holds its rows; unit files of that shard may still be there for a while, with the same rows.
"""

import sys

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

FOLDERS = ["v", "model", "task", "s"]  # verifiers, model, task, number of the shard


def read_verdicts(spark: SparkSession, run: str) -> DataFrame:
    """Reads all verdicts of a run, with the columns v, model, task and s. Choose one ``v`` before you count."""
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # a version such as 0123 is text
    units, final = (_read(spark, f"{run}/{place}") for place in ("verdicts", "final/verdicts"))
    if units is None:
        return final
    return units if final is None else final.unionByName(units).dropDuplicates([*FOLDERS, "problem_idx", "sample_idx"])


def _read(spark: SparkSession, folder: str) -> DataFrame | None:
    """Reads a folder's Parquet files, with names as the sweep has them; None where there is no such folder."""
    try:
        rows = spark.read.parquet(folder)
        for name in FOLDERS:  # Spark takes each byte of a folder's name for a letter
            rows = rows.withColumn(name, f.decode(f.encode(name, "ISO-8859-1"), "UTF-8"))
        return rows
    except AnalysisException as error:
        if str(error).startswith(("[PATH_NOT_FOUND]", "[UNABLE_TO_INFER_SCHEMA]")):
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
