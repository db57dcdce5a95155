"""A real workload: HumanEval's problems, many candidates each, through HumanEval's own harness and through Troop.

Candidates are gold solutions, mutants of them and a few endless loops, as a model writes them. All ways judge the same
ones, in rounds: each round has some of the problems and runs every way in a fresh process, in an order that rotates.
CPU seconds are those of the process and of all that it started. The data set is not part of the repository:

    python -m bench.verify --humaneval HumanEval.jsonl.gz [CANDIDATES [ROUNDS]]
"""

import ast
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from textwrap import indent

from bench import others
from bench.others import HUMANEVAL
from sampling.limits import Limits
from sampling.problems import Problem
from sampling.references import PythonReference
from sampling.tasks.load import load_task
from verify.trials import with_limits
from verify.verifiers import Verifiers

CANDIDATES, ROUNDS = 100, 4
GOLD, ENDLESS = 0.3, 0.004  # shares of the candidates; all others are mutants
LIMIT_S = 3.0
SAME, AUTO = f"Troop, {LIMIT_S:g} s", "Troop, auto"
WAYS = (HUMANEVAL, SAME, AUTO)
_LOOPS = ("while True:\n    pass", "i = 0\nwhile i >= 0:\n    i += 1", "n = 1\nwhile n != 0:\n    n = n * 3 % 1000003")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One completion of a problem."""

    problem: str
    text: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The result of one way in one round."""

    cpu_s: float
    wall_s: float
    passed: list[bool]


# ---------------------------------------------------------------- candidates


def make_candidates(problems: Sequence[Problem], count: int) -> list[Candidate]:
    """Returns ``count`` candidates of each problem, always the same ones; no two are equal."""
    total = count * len(problems)
    loops = round(ENDLESS * total)
    endless = {place * total // loops for place in range(loops)} if loops else set()
    rng, made = random.Random(0), []
    for number in range(total):
        problem = problems[number // count]
        text = _endless(rng) if number in endless else _gold(problem) if rng.random() < GOLD else _mutant(problem, rng)
        made.append(Candidate(problem.id, f"{text.rstrip()}\n    # {number}\n"))
    return made


def _endless(rng: random.Random) -> str:
    return indent(rng.choice(_LOOPS), "    ")


def _gold(problem: Problem) -> str:
    return problem.solution or ""


def _mutant(problem: Problem, rng: random.Random) -> str:
    """Returns the body of the gold solution with one change in it."""
    reference = problem.reference
    assert isinstance(reference, PythonReference)
    tree = ast.parse(reference.prefix + _gold(problem))
    function = next(
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == reference.entry_point
    )
    rng.choice(list(_changes(function)))()
    return indent("\n".join(ast.unparse(statement) for statement in function.body[1:]), "    ")


def _changes(function: ast.FunctionDef) -> Iterator[Callable[[], object]]:
    """Yields changes of a body. A body with ``while`` only gets other results: its loops have to end."""
    body = [node for statement in function.body[1:] for node in ast.walk(statement)]
    loops = any(isinstance(node, ast.While) for node in body)
    for node in body:
        if isinstance(node, ast.Return):
            yield partial(setattr, node, "value", None)
            yield partial(setattr, node, "value", ast.List([node.value or ast.Constant(None)]))
        elif isinstance(node, ast.If) and not loops:
            yield partial(setattr, node, "test", ast.UnaryOp(ast.Not(), node.test))
        elif isinstance(node, ast.Compare) and not loops:
            yield partial(setattr, node, "ops", [ast.NotEq() for _ in node.ops])
        elif isinstance(node, ast.BinOp) and not loops:
            yield partial(setattr, node, "op", ast.Add() if isinstance(node.op, ast.Sub) else ast.Sub())
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and not loops:
            yield partial(setattr, node, "value", int(node.value) + 1)
    yield partial(function.body.insert, 1, ast.parse("raise ValueError('unfinished')").body[0])


# ---------------------------------------------------------------- judging, in a process of its own


def _judge(way: str, problems: Sequence[Problem], candidates: Sequence[Candidate]) -> list[bool]:
    limit = "auto" if way == AUTO else LIMIT_S
    asked = {problem.id: _limited(problem, limit) for problem in problems}
    asked = with_limits(asked, None)  # what measuring costs, counts
    with Verifiers(remembered=0) as verifiers:
        return [bool(verifiers.verify(asked[one.problem], one.text).passed) for one in candidates]


def _limited(problem: Problem, limit: object) -> Problem:
    assert isinstance(problem.reference, Limits)
    return problem.model_copy(update={"reference": problem.reference.model_copy(update={"time_limit_s": limit})})


def _programs(problems: Sequence[Problem], candidates: Sequence[Candidate]) -> list[str]:
    """Returns what HumanEval's harness executes for each candidate."""
    by_id = {problem.id: problem.reference for problem in problems}
    made = []
    for one in candidates:
        reference = by_id[one.problem]
        assert isinstance(reference, PythonReference)
        made.append(f"{reference.prefix}{one.text}\n{reference.tests}\ncheck({reference.entry_point})")
    return made


def _serve(way: str, path: str, work: str) -> None:
    """Judges the candidates of the file ``work`` and prints the result."""
    began = time.perf_counter()
    given = json.loads(Path(work).read_text(encoding="utf-8"))
    problems = [problem for problem in load_task("humaneval", path) if problem.id in given["problems"]]
    passed = _judge(way, problems, [Candidate(*one) for one in given["candidates"]])
    print(json.dumps(asdict(Judged(used_s(), time.perf_counter() - began, passed))))


def used_s() -> float:
    """Returns the CPU seconds of this process and of all that it has waited for."""
    own, rest = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + rest.ru_utime + rest.ru_stime


# ---------------------------------------------------------------- rounds


def measure(path: str, count: int, rounds: int) -> dict[str, list[Judged]]:
    """Returns the results of every way, one for each round."""
    problems = load_task("humaneval", path)
    candidates = make_candidates(problems, count)
    found: dict[str, list[Judged]] = {way: [] for way in WAYS}
    for number in range(rounds):
        chosen = problems[number::rounds]
        names = {problem.id for problem in chosen}
        part = [one for one in candidates if one.problem in names]
        for turn in range(len(WAYS)):
            way = WAYS[(number + turn) % len(WAYS)]
            found[way].append(_run(way, path, chosen, part))
            print(f"round {number + 1} of {rounds}: {way}: {found[way][-1].cpu_s:.1f} s CPU", file=sys.stderr)
    return found


def _run(way: str, path: str, problems: Sequence[Problem], candidates: Sequence[Candidate]) -> Judged:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as work:
        if way == HUMANEVAL:
            json.dump([LIMIT_S, _programs(problems, candidates)], work)
            words = ["-I", others.__file__, "--programs", work.name]
        else:
            given = {"problems": [problem.id for problem in problems]}
            json.dump(given | {"candidates": [[one.problem, one.text] for one in candidates]}, work)
            words = ["-m", "bench.humaneval", way, path, work.name]
        work.flush()
        done = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, text=True, check=True)
    return Judged(**json.loads(done.stdout))


def as_markdown(found: dict[str, list[Judged]], count: int) -> str:
    total = {way: sum(one.cpu_s for one in rounds) for way, rounds in found.items()}
    passes = {way: [passed for one in rounds for passed in one.passed] for way, rounds in found.items()}
    samples = len(passes[HUMANEVAL])
    lines = [
        f"{samples:,} candidates, {count} of each problem, {ENDLESS:.1%} of them endless loops",
        "",
        "| way | CPU s | wall s | pass | other verdicts than HumanEval's | HumanEval's CPU ÷ its CPU, by round |",
        "|---|---|---|---|---|---|",
    ]
    for way, rounds in found.items():
        differ = Counter(a != b for a, b in zip(passes[way], passes[HUMANEVAL], strict=True))[True]
        ratios = [a.cpu_s / b.cpu_s for a, b in zip(found[HUMANEVAL], rounds, strict=True)]
        span = f"{total[HUMANEVAL] / total[way]:.2f} ({min(ratios):.2f}–{max(ratios):.2f})"
        wall = sum(one.wall_s for one in rounds)
        lines.append(f"| {way} | {total[way]:.1f} | {wall:.1f} | {sum(passes[way]):,} | {differ} | {span} |")
    return "\n".join(lines)


def report(path: str, count: int = CANDIDATES, rounds: int = ROUNDS) -> str:
    """Measures everything; returns it as Markdown."""
    return as_markdown(measure(path, count, rounds), count)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
