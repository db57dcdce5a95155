"""Tests the Spark example on a real Spark: the same rows as our own readers, at every stage of a compaction."""

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.store.compact import compact_run
from jobs.store.folder import DirectoryStore
from tests.jobs.store.test_compact import FEW, Died, Mortal, commit, expected, few, judge_again

pytest.importorskip("pyspark", reason="pyspark is an extra of its own: pip install -e .[spark]")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java", allow_module_level=True)
__all__ = ["few"]


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from pyspark.sql import SparkSession

    folder = tmp_path_factory.mktemp("spark")
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.sql.warehouse.dir", str(folder))
    session = builder.getOrCreate()
    yield session
    session.stop()


def counted(spark: Any, run: Path) -> Counter[tuple[str, str, str, int, int, str]]:
    from examples.spark_read import read_verdicts

    rows = read_verdicts(spark, str(run)).select("v", "model", "task", "problem_idx", "sample_idx", "status").collect()
    return Counter(tuple(row) for row in rows)


def test_each_sample_once_before_during_and_after_compaction(spark: Any, tmp_path: Path, few: None) -> None:
    store = DirectoryStore(tmp_path / "run")
    run = store
    commit(run, *range(FEW + 1))
    judge_again(run, 0, version="5e10")  # a version that looks like a number
    rows = [("v1", "org/m", "gsm8k", *row[:3]) for row in expected(*range(FEW + 1))]
    rows += [("5e10", "org/m", "gsm8k", p, s, "pass") for p, s, _, _ in expected(0)]
    assert counted(spark, tmp_path / "run") == Counter(rows)
    for changes in (2, 1, 1):  # committed, nothing deleted yet; and then with some of the unit files gone
        with pytest.raises(Died):
            compact_run(Mortal(store, changes))
        assert counted(spark, tmp_path / "run") == Counter(rows)
    compact_run(run)
    assert counted(spark, tmp_path / "run") == Counter(rows)
