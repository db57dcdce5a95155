"""The CPU image has Troop's base dependencies alone, and drives a run: no vLLM, no PyTorch, nothing of the extras."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import WriteSweep
from tests.support.places import ROOT, SMALL_MODEL

# Refuses every module of a distribution that the base install lacks, then becomes the command line.
BOOT = """
import importlib.abc, json, sys
missing = set(json.loads(sys.argv.pop(1)))
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in missing:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Missing())
from jobs.cli.main import main
main()
"""


def required(requirement: Requirement) -> Iterator[tuple[str, str]]:
    """Yields the distributions that a requirement brings, each with one of the extras it is wanted with."""
    for extra in ("", *requirement.extras):
        yield canonicalize_name(requirement.name), extra


def base_install() -> set[str]:
    """Returns the names of the distributions that ``pip install .`` brings."""
    waiting, seen = [("troop", "")], set[tuple[str, str]]()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            wanted = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        for requirement in map(Requirement, wanted):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += required(requirement)
    return {name for name, _ in seen}


@pytest.fixture(scope="module")
def missing() -> str:
    kept = base_install()
    modules = importlib.metadata.packages_distributions().items()
    return json.dumps([module for module, names in modules if not kept & {canonicalize_name(name) for name in names}])


def plan(missing: str, sweep: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", BOOT, missing, "plan", str(sweep)]
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)


def test_the_base_install_lacks_the_engine(missing: str) -> None:
    lacking = set(json.loads(missing))
    assert {"vllm", "torch", "transformers", "datasets"} & set(sys.modules) <= lacking
    assert {"vllm", "torch"} <= lacking and not {"ray", "pyarrow", "huggingface_hub", "tokenizers"} & lacking


def test_a_folder_is_planned(missing: str, write_sweep: WriteSweep) -> None:
    model = {"name": "small", "path": str(SMALL_MODEL)}
    done = plan(missing, write_sweep(models=[model], sampling={"max_tokens": 24}))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("path", "said"),
    [("nobody/nothing-here", "nobody/nothing-here"), ("s3://no-such-bucket-here/model", "s3://no-such")],
)
def test_a_model_that_cannot_be_had_is_named(
    missing: str, write_sweep: WriteSweep, monkeypatch: pytest.MonkeyPatch, path: str, said: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # the hub's client tries six times, which takes half a minute
    done = plan(missing, write_sweep(models=[{"name": "m", "path": path}]))
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1
    assert said in done.stderr and "No module named" not in done.stderr
