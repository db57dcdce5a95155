"""A sweep of three adapters and two temperatures, from its file to its rows: one engine start serves all six cells.

It is slow: tests/cluster/test_sharing_engines.py and tests/sampling/engines/test_lora.py try its parts.
"""

import json
from pathlib import Path

import pytest

from tests.conftest import Troop, WriteSweep
from tests.support.adapters import save_adapter
from tests.support.places import SMALL_MODEL

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]

PROBLEMS: list[dict[str, object]] = [
    {"id": text, "prompt": text, "verifier": "exact", "reference": {"answer": "x"}}
    for text in ("-3=9;0=0;2=4;5=25 >", "0=1;1=2;2=3;5=6 >")
]
QUERY = """SELECT model, adapter, count(*) AS rows, count(DISTINCT revision) AS revisions,
    any_value(revision) AS revision,
    count(DISTINCT sampling_hash) AS hashes, any_value(sampling_hash) AS hash, count(DISTINCT node) AS engines,
    sum(tokens) AS tokens, sum(len(token_ids)) AS ids, sum(len(token_logprobs)) AS logprobs,
    sum(len(top_token_ids)) AS top, sum(len(top_logprobs)) AS tops FROM samples GROUP BY ALL ORDER BY ALL"""


def write(folder: Path, write_sweep: WriteSweep, **changes: object) -> Path:
    for seed in (1, 2, 3):
        if not (folder / f"a{seed}").exists():
            save_adapter(folder / f"a{seed}", seed)
    adapters = {f"a{seed}": f"a{seed}" for seed in (1, 2, 3)}
    model = {"name": "small", "path": str(SMALL_MODEL), "adapters": adapters, "engines": 1, "max_num_seqs": 32}
    sampling = {"temperature": [0.0, 1.0], "max_tokens": 8, "logprobs": 2, "token_ids": True}
    return write_sweep(PROBLEMS, models=[model | changes], sampling=sampling, k=4)


@pytest.mark.slow
def test_three_adapters_and_two_temperatures_take_one_engine_start(
    troop: Troop, write_sweep: WriteSweep, tmp_path: Path
) -> None:
    sweep = write(tmp_path, write_sweep)
    found = troop("run", sweep, "--no-report")
    assert found.code == 0, found.err
    (session,) = (tmp_path / "runs/sums/sessions").iterdir()
    assert json.loads(session.read_text())["engines"] == {"small+a1@temperature=0.0": 1}
    rows = [json.loads(line) for line in troop("sql", "runs/sums", QUERY, "--json").out.splitlines()]
    names = [f"small+a{seed}@temperature={t}" for seed in (1, 2, 3) for t in ("0.0", "1.0")]
    assert [(row["model"], row["adapter"], row["rows"]) for row in rows] == [(name, name[6:8], 8) for name in names]
    assert {(row["revisions"], row["hashes"], row["engines"]) for row in rows} == {(1, 1, 1)}
    assert len({row["revision"] for row in rows}) == 3 and len({row["hash"] for row in rows}) == 6
    assert all(row["ids"] == row["logprobs"] == row["tokens"] for row in rows)
    assert all(row["top"] == row["tops"] == 2 * row["tokens"] for row in rows)
    save_adapter(tmp_path / "moved" / "a1", 9)  # other weights under the name of the run's
    changed = {"a1": "moved/a1", "a2": "a2"}
    refused = troop("run", write(tmp_path, write_sweep, adapters=changed), "--no-report")
    assert refused.code == 2 and "revision of the weights was" in refused.err


def test_an_adapter_of_another_base_is_refused_by_plan(troop: Troop, write_sweep: WriteSweep, tmp_path: Path) -> None:
    found = troop("plan", write(tmp_path, write_sweep, path=str(SMALL_MODEL.with_name("large"))))
    assert found.code == 2 and found.err.count("\n") == 1
    assert "models.small+a1@temperature=0.0.adapter: " in found.err and "it is of another model" in found.err
    assert not (tmp_path / "runs").exists()
