import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest

from sampling.engines.engine import Completion, Request
from sampling.engines.engine_loop import EngineLoop
from sampling.engines.replay_engine import GOLD, ReplayEngine
from sampling.errors import EngineError, EngineRefused
from sampling.problems import Problem
from sampling.settings import ModelSpec

PROBLEM = Problem.model_validate(
    {"id": "a", "prompt": "1+1=", "verifier": "exact", "reference": {"answer": "2"}, "solution": "one two"}
)


def gold() -> ReplayEngine:
    return ReplayEngine(ModelSpec(name="m", path=GOLD, engine="replay"))


def requests(tag: int, samples: int) -> list[Request]:
    return [Request(tag, PROBLEM, idx, 0, samples) for idx in range(3)]


def test_several_units_at_once_each_get_their_own_samples() -> None:
    loop = EngineLoop(gold)
    found: dict[int, list[tuple[int, int]]] = {}

    def take(tag: int) -> None:
        samples = [sample for some in loop.submit(requests(tag, tag + 1)) for sample in some]
        found[tag] = sorted((sample.problem_idx, sample.sample_idx) for sample in samples)

    threads = [threading.Thread(target=take, args=(tag,)) for tag in range(8)]
    [thread.start() for thread in threads]
    [thread.join(timeout=20) for thread in threads]
    loop.close()
    assert found == {tag: [(p, s) for p in range(3) for s in range(tag + 1)] for tag in range(8)}


def test_the_engines_time_is_shared_out_whole() -> None:
    loop = EngineLoop(gold)
    samples = [sample for some in loop.submit(requests(0, 50)) for sample in some]
    loop.close()
    assert sum(sample.engine_s for sample in samples) == pytest.approx(loop.stats.busy_s)
    assert loop.stats.tokens == 2 * len(samples)


class Broken(ReplayEngine):
    def step(self) -> Sequence[Completion]:
        raise EngineError("out of memory")


def test_a_broken_engine_is_told_to_everyone_who_waits_and_comes_later() -> None:
    loop = EngineLoop(lambda: Broken(ModelSpec(name="m", path=GOLD, engine="replay")))
    for _ in range(2):
        with pytest.raises(EngineError, match="out of memory"):
            list(loop.submit(requests(0, 1)))
    loop.close()


def test_a_bug_in_an_engine_hangs_nobody() -> None:
    class Wrong(ReplayEngine):
        def add(self, request: Request) -> None:
            raise ValueError("an empty prompt")

    loop = EngineLoop(lambda: Wrong(ModelSpec(name="m", path=GOLD, engine="replay")))
    with pytest.raises(EngineError, match="ValueError: an empty prompt"):
        list(loop.submit(requests(0, 1)))
    loop.close()


def test_what_an_engine_refuses_ends_that_submission_alone() -> None:
    """Several models may share an engine: the settings of one must not cost the others their samples."""

    class Choosy(ReplayEngine):
        def add(self, request: Request) -> None:
            if request.model == "wrong" and request.problem_idx:
                raise EngineRefused("vLLM refuses the settings")
            super().add(request)

    loop = EngineLoop(lambda: Choosy(ModelSpec(name="m", path=GOLD, engine="replay")))
    wrong = [replace(request, model="wrong") for request in requests(0, 5)]
    for _ in range(2):
        with pytest.raises(EngineRefused, match="refuses the settings"):
            list(loop.submit(wrong))
        samples = [sample for some in loop.submit(requests(1, 4)) for sample in some]
        assert len(samples) == 12
    loop.close()


def test_an_engine_that_does_not_start_raises_at_once() -> None:
    def start() -> ReplayEngine:
        raise EngineError("no such device")

    with pytest.raises(EngineError, match="no such device"):
        EngineLoop(start)


class Held(ReplayEngine):
    """An engine whose step waits until the test lets it end."""

    begun, go_on = threading.Event(), threading.Event()

    def step(self) -> Sequence[Completion]:
        self.begun.set()
        self.go_on.wait(timeout=20)
        return super().step()


def test_only_an_engine_that_has_work_can_be_stalled() -> None:
    loop = EngineLoop(lambda: Held(ModelSpec(name="m", path=GOLD, engine="replay")))
    assert loop.stalled_s == 0
    samples = threading.Thread(target=lambda: list(loop.submit(requests(0, 1))))
    samples.start()
    Held.begun.wait(timeout=20)
    assert loop.stalled_s > 0
    Held.go_on.set()
    samples.join(timeout=20)
    loop.close()
    assert loop.stalled_s == 0
