"""How each published data set becomes problems: its rows, its prompt, its stop strings, its gold solutions.

A prompt is made from ``prompts/<kind>_<style>.txt``: plain text with names in braces that the row fills. A few-shot
example is the same template with ``{answer}`` filled in; the question itself ends where ``{answer}`` stands. So whoever
replaces a template sees all that a model will see.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field

from sampling.boxed import boxed_answer
from sampling.errors import BadInput
from sampling.problems import (
    AnswerReference,
    JudgeReference,
    LeanReference,
    Limits,
    PythonReference,
    Reference,
    StdioReference,
    load_json,
    read_text,
)
from sampling.tasks.swebench import SweBenchRow, read_row
from sampling.theorems import read_theorem
from sampling.validate import Plain, parse

Style = Literal["base", "chat"]
PROMPTS = Path(__file__).with_name("prompts")


@dataclass(frozen=True, slots=True)
class Question:
    """One row, read: ``fields`` fill the template, ``answer`` is what a few-shot example shows after it.

    A row without an ``answer`` is no few-shot example; one that is ``held_out`` is of a split that is never asked.
    """

    id: str
    fields: Mapping[str, str]
    answer: str
    verifier: str
    reference: Reference
    solution: str | None = None
    held_out: bool = False


@dataclass(frozen=True, slots=True)
class Recipe:
    """What there is to know about one kind of task. ``read`` turns a parsed row into a question.

    ``shots`` is how many few-shot examples a base prompt shows by default; ``own_pool`` are the ids of rows that the
    data set itself reserves for that, which are never asked. ``columns`` are all that ``read`` looks at, where a
    published file has others that are large.
    """

    read: Callable[[Any, str, int], Question]
    needs: tuple[str, ...] = ("question",)
    stop: tuple[str, ...] = ()
    few_shot: bool = False
    shots: int = 0
    own_pool: tuple[str, ...] = ()
    reserved: frozenset[str] = frozenset()
    columns: frozenset[str] | None = None


class Row(Plain):
    """A row of a published file: the fields named here are needed, others are left alone."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Gsm8kRow(Row):
    question: str
    answer: str = Field(pattern=r"####")


class MathRow(Row):
    problem: str
    solution: str
    answer: str | None = None  # only the 500 of PRM800K have it apart; elsewhere it is boxed in the solution
    unique_id: str | None = None


class HumanEvalRow(Row):
    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


class MbppRow(Row):
    task_id: int
    text: str
    code: str
    test_list: tuple[str, ...] = Field(min_length=1)
    test_setup_code: str = ""


class CodeContestsRow(Row):
    id: int | str
    content: str
    test: str


class _Tests(Row):
    input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()


class _Solutions(Row):
    language: tuple[int, ...] = ()
    solution: tuple[str, ...] = ()


class _Duration(Row):
    seconds: int = 0
    nanos: int = 0


class ContestRow(Row):
    """As ``deepmind/code_contests`` publishes it, in Parquet or as the same in JSON."""

    name: str
    description: str
    public_tests: _Tests = _Tests()
    private_tests: _Tests = _Tests()
    generated_tests: _Tests = _Tests()
    solutions: _Solutions = _Solutions()
    time_limit: _Duration | None = None
    memory_limit_bytes: int | None = None


class MiniF2FRow(Row):
    """A row of DeepSeek's JSONL, or a theorem of a ``.lean`` file."""

    name: str
    split: Literal["test", "valid"] = "test"
    informal_prefix: str = ""
    formal_statement: str
    header: str
    proof: str | None = None


class _Stdin(Row):
    stdin: str


class _Stdout(Row):
    stdout: str


class _Case(Row):
    input: _Stdin
    output: _Stdout


class _Cases(Row):
    test: tuple[_Case, ...] = Field(min_length=1)


def _gsm8k(data: Any, where: str, index: int) -> Question:
    row = parse(Gsm8kRow, data, where)
    gold = row.answer.rpartition("####")[2].strip().replace(",", "")
    reference = AnswerReference(answer=gold)
    return Question(f"gsm8k/{index}", {"question": row.question}, row.answer, "math", reference, row.answer)


def _math(data: Any, where: str, index: int) -> Question:
    row = parse(MathRow, data, where)
    answer = row.answer or boxed_answer(row.solution)
    if answer is None:
        raise BadInput(f"{where}: answer: Field required, or a solution with a \\boxed answer")
    shown = f"{row.solution}\nFinal Answer: The final answer is ${answer}$. I hope it is correct."
    reference = AnswerReference(answer=answer)
    return Question(row.unique_id or f"math/{index}", {"question": row.problem}, shown, "math", reference, row.solution)


def _humaneval(data: Any, where: str, index: int) -> Question:
    row = parse(HumanEvalRow, data, where)
    reference = PythonReference(entry_point=row.entry_point, tests=row.test, prefix=row.prompt)
    solution = row.canonical_solution
    return Question(row.task_id, {"question": row.prompt}, solution, "python", reference, solution)


# Their tests build objects of the candidate's own classes (Node, Pair) or use its imports: one process or none.
_MBPP_SHARED = frozenset({367, 596, 601, 927})


def _mbpp(data: Any, where: str, index: int) -> Question:
    row = parse(MbppRow, data, where)
    code = row.code.replace("\r\n", "\n").strip()
    setup = row.test_setup_code.replace("\r\n", "\n")
    fields = {"question": row.text.strip(), "tests": "\n".join(row.test_list)}
    if row.task_id in _MBPP_SHARED:  # their set-up needs the candidate's classes: it is the test's first step
        reference = PythonReference(asserts=(*filter(None, [setup]), *row.test_list), shared=True)
    else:
        name = _tested_function(code, row.test_list[0])
        reference = PythonReference(entry_point=name, setup=setup, asserts=row.test_list)
    return Question(f"mbpp/{row.task_id}", fields, code, "python", reference, code)


def _tested_function(code: str, test: str) -> str | None:
    """The function of the gold solution that a test calls: tells a solution's block from one of examples."""
    defined = re.findall(r"^def[ \t]+(\w+)", code, re.MULTILINE)
    return next((name for name in defined if re.search(rf"\b{name}[ \t]*\(", test)), None)


def _codecontests(data: Any, where: str, index: int) -> Question:
    return _contest(data, where) if isinstance(data, dict) and "public_tests" in data else _sandboxed(data, where)


PYTHON3 = 3  # among the dataset's languages
CONTEST_LIMITS = Limits()  # the memory limits are those of C++: more than ours is kept, less is not


def _contest(data: Any, where: str) -> Question:
    row = parse(ContestRow, data, where)
    seconds = row.time_limit.seconds + row.time_limit.nanos / 1e9 if row.time_limit else 0.0
    memory = (row.memory_limit_bytes or 0) >> 20
    reference = {
        "cases": [
            case for tests in ("public", "private", "generated") for case in _cases(row, f"{tests}_tests", where)
        ],
        "time_limit_s": seconds or CONTEST_LIMITS.time_limit_s,
        "memory_mb": max(memory, CONTEST_LIMITS.memory_mb),
    }
    program = _python_solution(row.solutions)
    checked = parse(StdioReference, reference, where)
    return Question(f"codecontests/{row.name}", {"question": row.description}, program or "", "stdio", checked, program)


def _cases(row: ContestRow, name: str, where: str) -> list[dict[str, str]]:
    tests: _Tests = getattr(row, name)
    if len(tests.input) != len(tests.output):
        raise BadInput(f"{where}: {name}: {len(tests.input)} inputs, but {len(tests.output)} outputs")
    return [{"stdin": given, "stdout": wanted} for given, wanted in zip(tests.input, tests.output, strict=True)]


def _python_solution(solutions: _Solutions) -> str | None:
    """The first that is right and in Python 3; its authors say so, and all of its characters are ASCII."""
    pairs = zip(solutions.language, solutions.solution, strict=False)
    return next((text.strip() for language, text in pairs if language == PYTHON3 and text.isascii()), None)


def _sandboxed(data: Any, where: str) -> Question:
    """A row of SandboxFusion's sample: the statement in ``content``, the cases as JSON in ``test``."""
    row = parse(CodeContestsRow, data, where)
    cases = parse(_Cases, {"test": load_json(row.test, f"{where}: test")}, where).test
    reference = StdioReference.model_validate(
        {"cases": [{"stdin": case.input.stdin, "stdout": case.output.stdout} for case in cases]}
    )
    return Question(f"codecontests/{row.id}", {"question": row.content}, "", "stdio", reference)


def _swebench(data: Any, where: str, index: int) -> Question:
    row = read_row(data, where)
    return Question(row.instance_id, row.fields, row.patch, "patch", row.reference(where), row.patch)


def _minif2f(data: Any, where: str, index: int) -> Question:
    row = parse(MiniF2FRow, data, where)
    reference = parse(LeanReference, {"header": row.header, "statement": row.formal_statement}, where)
    if read_theorem(row.formal_statement).name != row.name:
        raise BadInput(f"{where}: name {row.name!r} is not the theorem that formal_statement declares")
    fields = {"question": row.informal_prefix + reference.statement, "header": row.header}
    held_out = row.split != "test"
    return Question(row.name, fields, row.proof or "", "lean", reference, row.proof, held_out)


_MBPP_RESERVED = frozenset(f"mbpp/{number}" for number in range(1, 11))
RECIPES: dict[str, Recipe] = {
    "gsm8k": Recipe(_gsm8k, stop=("\nQuestion:", "\nQ:"), few_shot=True, shots=5),
    "math": Recipe(_math, stop=("\nProblem:",), few_shot=True, shots=4),
    "humaneval": Recipe(_humaneval, stop=("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")),
    "mbpp": Recipe(
        _mbpp,
        needs=("question", "tests"),
        stop=("[DONE]",),
        few_shot=True,
        shots=3,
        own_pool=("mbpp/2", "mbpp/3", "mbpp/4"),
        reserved=_MBPP_RESERVED,
    ),
    "codecontests": Recipe(
        _codecontests,
        stop=("\n```",),
        few_shot=True,
        columns=frozenset({*ContestRow.model_fields, *CodeContestsRow.model_fields}),
    ),
    "swebench": Recipe(
        _swebench,
        needs=(),
        stop=("\n```",),
        columns=frozenset(field.alias or name for name, field in SweBenchRow.model_fields.items()),
    ),
    "minif2f": Recipe(_minif2f, stop=("\n\n", "\ntheorem", "\n/-", "\n#", "\n```"), few_shot=True, shots=5),
}


def template(kind: str, style: Style, path: Path | None) -> str:
    """The prompt template of a kind, or the user's own; raises BadInput where it lacks a name it must hold."""
    path = path or PROMPTS / f"{kind}_{style}.txt"
    text = read_text(path).rstrip("\n")
    needed = [*RECIPES[kind].needs, *(["answer"] if style == "base" else [])]
    missing = [name for name in needed if f"{{{name}}}" not in text]
    if missing:
        raise BadInput(f"{path}: {{{missing[0]}}} is missing; needed: {', '.join(f'{{{name}}}' for name in needed)}")
    return text


def default_shots(kind: str, prompt: Path | None) -> str:
    """The worked examples that a base prompt starts with when no pool is given; empty where a kind has none.

    They stand in ``<name>_shots.txt`` beside the template ``<name>.txt``, be it ours or the user's.
    """
    own = prompt.with_name(f"{prompt.stem}_shots.txt") if prompt else None
    path = own if own and own.exists() else PROMPTS / f"{kind}_base_shots.txt"
    return read_text(path).strip() + "\n\n" if path.exists() else ""


def fill(text: str, fields: Mapping[str, str]) -> str:
    """``text`` with ``{name}`` replaced for every name in ``fields``; other braces (LaTeX, code) stay."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), text)


def ask(text: str, question: Question) -> str:
    """The template up to the place of the answer, without blanks that a tokenizer would stumble over."""
    return fill(text.partition("{answer}")[0].rstrip(" "), question.fields)


def show(text: str, question: Question) -> str:
    """A few-shot example: the template with its answer."""
    return fill(text, {**question.fields, "answer": question.answer.strip()})


def choose_shots(question: Question, pool: Sequence[Question], shots: int) -> list[Question]:
    """``shots`` examples, drawn by a hash of the question's id: always the same ones, and never the question itself."""
    left = [shot for shot in pool if shot.fields != question.fields]
    if len(left) < shots:
        raise BadInput(f"shots: {shots} few-shot examples asked for, but the pool holds {len(left)}")
    chosen = []
    for turn in range(shots):
        digest = hashlib.sha256(f"{question.id}\n{turn}".encode()).digest()
        chosen.append(left.pop(int.from_bytes(digest[:8]) % len(left)))
    return chosen


def with_limits(reference: Reference, limits: Limits | None) -> Reference:
    """``reference`` with the time and memory that a task asks for; answers have none."""
    if limits is None or isinstance(reference, AnswerReference | JudgeReference):
        return reference
    return reference.model_copy(update=limits.model_dump(exclude_unset=True))
