"""A run's verdicts in Spark, without Troop: each sample once, also while the run is being compacted.

    pip install pyspark
    python examples/spark_read.py runs/demo

Unit files lie below ``verdicts/`` until their shard is compacted; from then on its file below ``final/verdicts/`` holds
its rows, and what is left of its unit files does not count.
"""

import sys

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

SHARD = ["v", "model", "task", "s"]  # verifiers, model, task, number of the shard


def read_verdicts(spark: SparkSession, run: str) -> DataFrame:
    """All verdicts of the run at ``run``, with the columns v, model, task and s; choose one ``v`` before counting."""
    spark.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # a version is no number
    units = _read(spark, f"{run}/verdicts")
    final = _read(spark, f"{run}/final/verdicts")
    if final is None or units is None:
        return units if final is None else final
    number = f.regexp_extract(f.col("_metadata.file_name"), r"^s(\d+)\.parquet$", 1)
    final = final.withColumn("s", number)
    open_units = units.join(f.broadcast(final.select(SHARD).distinct()), on=SHARD, how="left_anti")
    return final.unionByName(open_units, allowMissingColumns=True)


def _read(spark: SparkSession, folder: str) -> DataFrame | None:
    """A folder's Parquet files with the columns that any of them has; None where there is no such folder."""
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
