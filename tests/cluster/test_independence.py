"""Independence of the samples that copies of one model draw: three real engines, started as the cluster starts them.

If engines are independent, two samples are equal with the same chance whether they come from one engine or from two.
Engines that share their random stream agree sample by sample; the second test shows that the first would notice.
"""

import itertools
import math
from collections import Counter

import pytest

from cluster.batches import ModelWork, SampleBatch
from cluster.placement import EngineSlot
from cluster.sampler import Sampler
from sampling.engines.model_info import inspect_model
from sampling.problems import Problem
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings
from tests.support.places import SMALL_MODEL

ENGINES, SAMPLES, FAR = 3, 300, 5.0  # FAR is in standard deviations: chance exceeds it once in two million runs
MODEL = ModelSpec(name="small", path=str(SMALL_MODEL), max_num_seqs=128)
PROBLEM = Problem.model_validate(
    {"id": "a", "prompt": "-3=9;0=0;2=4;5=25 >", "verifier": "exact", "reference": {"answer": "x*x"}}
)
UNIT = Unit("small", "t", 0, 0, 1, 0, SAMPLES)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600), pytest.mark.filterwarnings("default")]


def texts(monkeypatch: pytest.MonkeyPatch, start: str | None = None) -> list[str]:
    """Returns one engine's samples in order; ``start`` replaces the random token that makes each start different."""
    if start:
        monkeypatch.setattr("secrets.token_hex", lambda size: start)
    settings = SamplingSettings(temperature=1.0, max_tokens=12)
    work = ModelWork(MODEL, inspect_model(MODEL, "m"), settings, "h", (UNIT,))
    sampler = Sampler(work, {"t": {0: PROBLEM}}, 0, "test", EngineSlot(1, 1, 0, 1))
    sampler.start()
    found = [s for item in sampler.sample(UNIT) if isinstance(item, SampleBatch) for s in item.samples]
    sampler.stop()
    return [sample.text for sample in sorted(found, key=lambda sample: sample.sample_idx)]


def surprise(engines: list[list[str]]) -> float:
    """Returns by how many standard deviations engines agree more often, sample by sample, than by chance."""
    counts = Counter(text for engine in engines for text in engine)
    total = sum(counts.values())
    chance = sum(n * (n - 1) for n in counts.values()) / (total * (total - 1))
    pairs = list(itertools.combinations(engines, 2))
    trials = sum(len(first) for first, _ in pairs)
    agreed = sum(a == b for first, second in pairs for a, b in zip(first, second, strict=True))
    return (agreed - trials * chance) / math.sqrt(trials * chance * (1 - chance))


def across(engines: list[list[str]]) -> float:
    """Returns the rate of equal pairs across engines, divided by the rate of equal pairs within engines."""
    each = [Counter(engine) for engine in engines]
    within = sum(n * (n - 1) / 2 for count in each for n in count.values()) / len(each) / math.comb(SAMPLES, 2)
    pairs = list(itertools.combinations(each, 2))
    between = sum(first[text] * second[text] for first, second in pairs for text in first) / len(pairs) / SAMPLES**2
    return between / within


def test_engines_of_one_model_agree_no_more_than_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = [texts(monkeypatch) for _ in range(ENGINES)]
    assert len({text for engine in engines for text in engine}) > 50
    assert surprise(engines) < FAR
    assert across(engines) < 1.8  # a tenth is one standard deviation of it, for few texts are frequent


@pytest.mark.slow
def test_engines_with_one_seed_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = [texts(monkeypatch, start="same") for _ in range(2)]
    assert surprise(twins) > 5 * FAR
