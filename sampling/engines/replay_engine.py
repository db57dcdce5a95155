"""An engine that returns stored samples or the tasks' gold solutions: the simple twin of a real engine."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from sampling.engines.engine import Completion, Request
from sampling.problems import load_json, read_text
from sampling.settings import ModelSpec
from sampling.validate import Id, Plain, parse

GOLD = "gold"  # model path that answers every problem with its own solution


class StoredSample(Plain):
    """One line of a samples JSONL, for an engine ``replay`` and ``troop verify --samples``."""

    problem: Id
    """Id of the problem."""

    sample: int = Field(ge=0)
    """Index of the sample within its problem, from 0."""

    text: str
    """Completion."""

    model: str | None = None
    """Name of the model whose sample it is. Default: the sample belongs to every model that replays the file."""


def read_samples(path: Path) -> list[StoredSample]:
    """Returns the samples of a JSONL file; raises BadInput that names the line."""
    lines = read_text(path).split("\n")
    places = [(f"{path}:{number}", line) for number, line in enumerate(lines, start=1) if line.strip()]
    return [parse(StoredSample, load_json(line, place), place) for place, line in places]


class ReplayEngine:
    """Returns stored samples; a sample that is missing is a failed generation."""

    version = "replay 1"
    device = "none"
    dtype = None
    concurrency = 256  # a unit is drawn at once, so this is how far the driver looks ahead

    def __init__(self, model: ModelSpec) -> None:
        self._model = model
        self._requests: list[Request] = []
        stored = [] if model.path == GOLD else read_samples(Path(model.path))
        self._texts = {(s.problem, s.sample): s.text for s in stored if s.model in {None, model.name}}

    def add(self, request: Request) -> None:
        self._requests.append(request)

    def step(self) -> Sequence[Completion]:
        if not self._requests:
            return []
        request = self._requests.pop(0)
        return [self._completion(request, index) for index in range(request.first_sample, request.last_sample)]

    def in_flight(self) -> int:
        return sum(request.last_sample - request.first_sample for request in self._requests)

    def close(self) -> None:
        self._requests = []

    def _completion(self, request: Request, index: int) -> Completion:
        gold = self._model.path == GOLD
        text = request.problem.solution if gold else self._texts.get((request.problem.id, index))
        reason, words = "error" if text is None else "stop", len((text or "").split())
        return Completion(request.tag, request.problem_idx, index, text or "", reason, 0, words, seed=0, gen_s=0.0)
