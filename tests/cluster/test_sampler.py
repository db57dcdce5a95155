"""One engine's samples as the pipeline gets them: in batches small enough for one verifier."""

from cluster.batches import ModelWork, SampleBatch, SampleHeader
from cluster.placement import EngineSlot
from cluster.sampler import BATCH_ROWS, Sampler
from sampling.engines.model_info import ModelInfo
from sampling.problems import Problem
from sampling.samples import Unit
from sampling.settings import ModelSpec, SamplingSettings
from tests.conftest import PROBLEMS

UNIT = Unit("gold", "sums", 0, 0, 2, 0, 700)


def test_an_engine_that_gives_all_at_once_fills_no_batch_beyond_its_size() -> None:
    model = ModelSpec(name="gold", path="gold", engine="replay")
    work = ModelWork(model, ModelInfo("r"), SamplingSettings(), "h", (UNIT,))
    problems = {index: Problem.model_validate(problem) for index, problem in enumerate(PROBLEMS)}
    sampler = Sampler(work, {"sums": problems}, 0, "test", EngineSlot(1, 1, 0, 1))
    sampler.start()
    items = list(sampler.sample(UNIT))
    sampler.stop()
    headers, batches = items[::2], items[1::2]
    rows = [len(batch.samples) for batch in batches if isinstance(batch, SampleBatch)]
    assert rows == [header.rows for header in headers if isinstance(header, SampleHeader)]
    assert sum(rows) == 1400 and max(rows) == BATCH_ROWS
    kept = {(s.problem_idx, s.sample_idx) for b in batches if isinstance(b, SampleBatch) for s in b.samples}
    assert len(kept) == 1400
