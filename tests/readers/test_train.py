"""Exports as their users take them: ``datasets`` reads each, TRL's trainers take a step on sft, dpo and kto.

`make test-readers` installs both into ``.readers``, beside the PyTorch and transformers of this environment.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.export.data_set import DataSet, with_defaults
from jobs.export.formats import FORMATS, Format
from jobs.export.selection import Selection
from jobs.export.training import export_training
from jobs.store.folder import DirectoryStore
from tests.support.made_run import chat_problem, make_run, text_problem
from tests.support.places import ROOT

PLACES = sorted((ROOT / ".readers").glob("trl-*"))
HERE = Path(__file__).with_name("train.py")


@pytest.mark.slow
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "text"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("place", PLACES or [None], ids=lambda place: place.name if place else "trl")
def test_a_trainer_takes_the_export(tmp_path: Path, place: Path | None, form: Format, chat: bool) -> None:
    if place is None:
        pytest.skip("make test-readers installs trl and datasets")
    problems = [(chat_problem if chat else text_problem)(number) for number in range(11)]
    run = make_run(DirectoryStore(tmp_path / "run"), problems)
    splits = (("train", 0.8), ("test", 0.2))
    wanted = with_defaults(DataSet(form, Selection(), splits, chat=form == "rl"))
    report = export_training(run, DirectoryStore(out := tmp_path / "out"), wanted)
    home = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "PYTHONPATH": str(place)}
    words = [sys.executable, str(HERE), form, str(out)]
    done = subprocess.run(words, env=os.environ | home, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert {name: len(rows) for name, rows in found.items()} == report.rows
    for file in report.files:
        assert found[file.split] == pq.read_table(out / file.name).to_pylist()
