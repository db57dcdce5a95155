"""A network that breaks a share of all requests, chosen by a seeded random generator."""

import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from tests.support.faulty_proxy import Fault, FaultyProxy

ANY: tuple[Fault, ...] = ("503", "cut before", "lose reply", "reset")
FAULTS: dict[str, tuple[Fault, ...]] = {"PUT": (*ANY, "cut body"), "GET": (*ANY, "cut reply")}


@dataclass
class BadNetwork(FaultyProxy):
    """Breaks a share ``rate`` of all requests; ``counts`` has the number of faults by kind."""

    rate: float = 0.0
    seed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._draw, self._lock = random.Random(self.seed), threading.Lock()

    def next_fault(self, method: str) -> Fault:
        with self._lock:
            self.seen.append(method)
            chance, which = self._draw.random(), self._draw.random()
            if chance >= self.rate:
                return "ok"
            kinds = FAULTS.get(method, ANY)
            fault = kinds[int(which * len(kinds))]
            self.counts[fault] += 1
            return fault
