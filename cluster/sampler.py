"""One engine and the units it samples: a plain class, which Ray makes an actor and the in-process twin calls."""

import itertools
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator

from cluster.batches import EngineReady, ModelWork, Problems, SampleBatch, SampleHeader
from cluster.placement import EngineSlot
from cluster.session import granted, own_nodes
from sampling.engines import devices
from sampling.engines.adapters import Variant
from sampling.engines.engine import Request
from sampling.engines.engine_loop import EngineLoop
from sampling.engines.gpu_memory import taken_bytes
from sampling.engines.start import start_engine
from sampling.samples import Provenance, Sample, Unit
from sampling.seeds import Seeds, engine_seed

BATCH_ROWS = 256
BATCH_CHARACTERS = 2**20  # and bytes of lists


class Sampler:
    """One engine of one model, or of several that share it, which samples several units at a time."""

    def __init__(self, work: ModelWork, problems: Problems, run_seed: int, code_version: str, slot: EngineSlot) -> None:
        self._work, self._problems, self._run_seed = work, problems, run_seed
        self._code_version, self._slot = code_version, slot
        self._tags = itertools.count()
        self._starting = threading.Lock()
        self._ready: EngineReady | None = None

    def is_placed(self) -> tuple[str, ...]:
        """Returns the ids of its engine's nodes, as soon as this actor has its share of the cluster."""
        return own_nodes()

    def start(self) -> EngineReady:
        """Starts the engine, or waits for the start that is under way.

        Raises EngineError, or EngineRefused if it can never run on what this process has.
        """
        with self._starting:
            self._ready = self._ready or self._start()
            return self._ready

    def _start(self) -> EngineReady:
        started = time.monotonic()
        self._given = self._look()
        devices.refuse_wrong(self._given)
        work, first = self._work, next(iter(self._work.units))
        seed = engine_seed(self._run_seed, work.model.name, f"{first.task}/{first.number}", secrets.token_hex(8))
        seeds = Seeds(self._run_seed, seed)
        allowance = self._given.allowance(self._slot.threads)
        if work.model.engine == "vllm" and allowance.share:
            devices.wait_for_memory(self._given, taken_bytes(work.model, work.info, allowance.share))
        sharing = [Variant(one.model, one.info, one.settings) for one in work.members]
        self._loop = EngineLoop(lambda: start_engine(work.model, work.info, work.settings, seeds, allowance, sharing))
        return EngineReady(time.monotonic() - started, self._provenance(), self._loop.engine.concurrency)

    def sample(self, unit: Unit) -> Iterator[SampleHeader | SampleBatch]:
        """Yields the unit's samples in batches, each after its header."""
        waiting: list[Sample] = []
        since = time.monotonic()
        for samples in self._loop.submit(self._requests(unit)):
            waiting += samples
            while len(waiting) >= BATCH_ROWS:  # a larger batch would keep one verifier busy for minutes
                yield from self._batch(unit, waiting[:BATCH_ROWS])
                waiting, since = waiting[BATCH_ROWS:], time.monotonic()
            size = sum(sample.size for sample in waiting)
            if waiting and (size >= BATCH_CHARACTERS or time.monotonic() - since >= self._slot.batch_s):
                yield from self._batch(unit, waiting)
                waiting, since = [], time.monotonic()
        if waiting:
            yield from self._batch(unit, waiting)

    def stalled_s(self) -> float:
        """Returns the seconds since the engine last yielded anything; 0 if it has nothing to do."""
        return self._loop.stalled_s

    def stop(self) -> None:
        """Ends the engine."""
        self._loop.close()

    def _look(self) -> devices.Given:
        slot, grant = self._slot, granted()
        if slot.nodes > 1:
            return devices.look_across(int(slot.gpus), slot.nodes, grant.node_id if grant else None)
        return devices.look(slot.gpus, grant)

    def _requests(self, unit: Unit) -> list[Request]:
        tag, problems = next(self._tags), self._problems[unit.task]
        return [
            Request(tag, problems[idx], idx, unit.first_sample, unit.last_sample, unit.model)
            for idx in range(unit.first_problem, unit.last_problem)
        ]

    def _batch(self, unit: Unit, samples: list[Sample]) -> Iterator[SampleHeader | SampleBatch]:
        size = sum(sample.size for sample in samples)
        yield SampleHeader(len(samples), self._loop.stats.tokens, self._loop.stats.starved_s, size)
        yield SampleBatch(unit.task, tuple(samples))

    def _provenance(self) -> Provenance:
        work, engine = self._work, self._loop.engine
        plain = Provenance(
            model=work.model.name,
            revision=work.info.weights,
            engine=work.model.engine,
            engine_version=engine.version,
            sampling_hash=work.sampling_hash,
            code_version=self._code_version,
            node=f"{socket.gethostname()}/{os.getpid()}",
            device=engine.device,
            dtype=engine.dtype,
        )
        return devices.located(plain, self._given)
