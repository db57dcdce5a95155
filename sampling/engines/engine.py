"""The protocol of all engines: add requests, step, take completions when they finish.

It is a step loop and not a call for each prompt, because an engine must have more samples in flight than it can run at
once, from several units, and hand each completion on at the moment it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sampling.problems import Problem
from sampling.samples import NO_LISTS, TokenLists


@dataclass(frozen=True, slots=True)
class Request:
    """Samples ``first_sample <= sample_idx < last_sample`` of one problem; every completion carries its ``tag``.

    ``model`` names the one that draws, where several share the engine.
    """

    tag: int
    problem: Problem
    problem_idx: int
    first_sample: int
    last_sample: int
    model: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One finished sample. Fields as in sampling.samples.Sample."""

    tag: int
    problem_idx: int
    sample_idx: int
    text: str
    finish_reason: str
    prompt_tokens: int
    tokens: int
    seed: int
    gen_s: float
    logprob: float | None = None
    usd: float = 0.0
    reasoning: str | None = None
    reasoning_tokens: int | None = None
    lists: TokenLists = NO_LISTS


class Engine(Protocol):
    """A source of completions, used by one thread only."""

    version: str
    device: str
    concurrency: int
    """Most samples that the engine generates at a time."""

    @property
    def dtype(self) -> str | None:
        """Number format that the engine computes in; None where it does not tell."""

    def add(self, request: Request) -> None:
        """Queues a request. A prompt longer than the context completes at once with ``prompt_too_long``.

        One that the chat template does not take, or without tokens, completes with ``prompt_refused``.
        """

    def step(self) -> Sequence[Completion]:
        """Works for a moment and returns finished completions; raises EngineError when the engine is broken."""

    def in_flight(self) -> int:
        """Returns the number of samples that were added and not yet returned."""

    def close(self) -> None:
        """Frees the device and ends every process of the engine."""
