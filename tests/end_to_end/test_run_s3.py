"""A run whose results are in object storage, on a real S3 server where one can be started."""

import json

import pytest

from jobs.store.base import Store
from tests.conftest import Troop, WriteSweep


def test_a_run_is_written_continued_and_read_where_it_lies(
    troop: Troop, write_sweep: WriteSweep, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = store.options.model_dump() if hasattr(store, "options") else {}
    monkeypatch.setenv("AWS_ENDPOINT_URL", options.get("endpoint_url") or "")
    sweep = write_sweep(store=store.uri, store_options=options)
    found = troop("run", sweep, "--local")
    assert found.code == 0, found.err
    assert "nothing to sample" in troop("run", sweep, "--local", "--no-report").err
    for run in (f"{store.uri}/sums", sweep):  # by its place, or by the sweep that names it
        status = json.loads(troop("status", run, "--json").out)
        assert (status["complete"], status["cells"][0]["committed"]) == (True, 12)
    rows = troop(
        "sql",
        f"{store.uri}/sums",
        "SELECT count(*) AS n FROM samples JOIN verdicts USING (model, task, problem_idx, sample_idx) WHERE passed",
        "--json",
    ).out
    assert json.loads(rows) == {"n": 8}
    report = [info.key for info in store.list("sums/report/")]
    assert "sums/report/report.html" in report
