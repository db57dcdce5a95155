"""A run whose results are in object storage, on a real S3 server where one can be started."""

import json

import pytest

from jobs.store.base import Store
from tests.conftest import Troop, WriteSweep
from tests.support.s3_server import S3Server


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


CHECKER = """def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return float(solution_str == "yes")
"""


def test_problems_and_results_lie_on_two_services(
    troop: Troop, write_sweep: WriteSweep, moto: S3Server, swift: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results go to one server, the problems and their checker come from another; none is the standard one."""
    for name, value in {**swift.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    problem = {"id": "a", "prompt": "?", "verifier": "custom", "reference": {"path": "own.py"}, "solution": "yes"}
    files = {"t/own.jsonl": json.dumps(problem), "t/own.py": CHECKER}
    for server, bucket in ((swift, "problems"), (moto, "results")):
        client = server.client()
        client.create_bucket(Bucket=bucket)
        for key, text in files.items() if bucket == "problems" else ():
            client.put_object(Bucket=bucket, Key=key, Body=text.encode())
        client.close()
    task = {"name": "sums", "kind": "jsonl", "path": "s3://problems/t/own.jsonl"}
    task["s3_options"] = {"endpoint_url": swift.endpoint, "region": "us-east-1"}
    sweep = write_sweep(store="s3://results/runs", store_options={"endpoint_url": moto.endpoint}, tasks=[task])
    found = troop("run", sweep, "--local", "--no-report")
    assert (found.code, "4 samples committed" in found.err) == (0, True), found.err
    assert json.loads(troop("status", sweep, "--json").out)["complete"]
    wrong = troop("plan", sweep, "--set", "tasks.sums.s3_options.endpoint_url=http://127.0.0.1:9")
    assert (wrong.code, len(wrong.err.splitlines())) == (2, 1) and "(endpoint http://127.0.0.1:9)" in wrong.err


@pytest.mark.parametrize("where", ["models.gold", "tasks.sums"])
def test_options_of_a_bucket_without_a_bucket_are_refused(troop: Troop, write_sweep: WriteSweep, where: str) -> None:
    found = troop(
        "plan", write_sweep(), "--set", f"{where}.s3_options.region=eu-west-1", "--set", "tasks.sums.kind=gsm8k"
    )
    assert found.code == 2 and "s3_options is for a path" in found.err
