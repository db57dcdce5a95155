"""A made run for exports and comparisons: problems with prompts, samples with texts, verdicts by a rule."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jobs.planning import make_block
from jobs.store.base import Store
from jobs.store.catalogue import write_problems
from jobs.store.commit import RunSink
from jobs.store.layers import Layer, PlannedModel, PlannedProblems, layer_key
from jobs.store.stored_run import StoredRun, read_run
from sampling.problems import Problem
from sampling.samples import Provenance, Sample, Unit
from verify.verdict import Status, Verdict

Say = Callable[[str, int, int], str]  # (model, problem, sample)
Judge = Callable[[str, int, int], Status]


def text_problem(number: int, **changes: Any) -> Problem:
    base = {"id": f"p{number}", "prompt": f"What is {number} é?", "verifier": "exact"}
    return Problem.model_validate({**base, "reference": {"answer": f"gold-{number}"}} | changes)


def chat_problem(number: int) -> Problem:
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f"What is {number}?"}]
    return text_problem(number, prompt=None, messages=turns)


def says(_: str, problem: int, sample: int) -> str:
    return f"answer {problem}.{sample % 3} " + "x" * (sample % 5)


def judges(_: str, problem: int, sample: int) -> Status:
    """Problem p passes p times in ten; a fault comes once in twenty samples."""
    if sample % 20 == 19:
        return Status.FAULT
    return Status.PASS if sample % 10 < problem else Status.FAIL


def make_run(
    store: Store, problems: Sequence[Problem], samples: int = 20, models: Sequence[str] = ("org/small",),
    task: str = "sums", text: Say = says, status: Judge = judges, changes: Mapping[int, Mapping[str, Any]] = {},
    version: str = "v1",
) -> StoredRun:  # fmt: skip
    """Commits two units of each model; ``changes`` replaces fields of the samples with an index."""
    ids = tuple(problem.id for problem in problems)
    write_problems(store, task, 0, problems)
    blocks = []
    for model in models:
        per_unit = -(-samples // 2)
        block = make_block(model, task, 0, (0, len(problems)), (0, samples), len(problems) * per_unit)
        blocks.append(block)
        for number, first in enumerate(range(0, samples, per_unit)):
            unit = Unit(model, task, number, 0, len(problems), first, min(first + per_unit, samples))
            drawn = [
                Sample(**{**{"problem_idx": p, "sample_idx": s, "text": text(model, p, s), "finish_reason": "stop",
                             "prompt_tokens": 7, "tokens": 5, "seed": 1, "gen_s": 1.0}, **changes.get(s, {})})
                for p in range(len(problems)) for s in range(unit.first_sample, unit.last_sample)
            ]  # fmt: skip
            verdicts = [Verdict(status(model, s.problem_idx, s.sample_idx)) for s in drawn]
            RunSink(store, version).commit(
                unit, drawn, verdicts, Provenance(model, "rev", "vllm", "1", "h", "c", "n/1", "cpu")
            )
    planned = PlannedProblems(task=task, ids=ids, prompt_digests=ids, reference_digests=ids)
    sweep = {"name": "made", "models": [{"name": m, "path": "gold", "engine": "replay"} for m in models],
             "tasks": [{"name": task, "kind": "jsonl", "path": "/secret/place/problems.jsonl"}]}  # fmt: skip
    known = [PlannedModel(name=m, distribution={}, sampling={}, revision="rev", sampling_hash="h") for m in models]
    number = sum(1 for _ in store.list("plan."))
    layer = Layer(number=number, created="2026-01-01T00:00:00+00:00", code_version="made", sweep=sweep,
                  models=tuple(known), problems=(planned,), blocks=tuple(blocks))  # fmt: skip
    store.put_new(layer_key(number), layer.encode())
    return read_run(store)
