"""Data sets of mathematics: GSM8K, MATH, AIME and OlympiadBench, judged by an answer, and MiniF2F, by a proof."""

import re
from math import isfinite
from typing import Any, Literal

from pydantic import AliasChoices, Field

from sampling.boxed import boxed_answer
from sampling.errors import BadInput
from sampling.references import LeanReference, MathReference
from sampling.tasks.questions import Question, Row
from sampling.theorems import read_theorem
from sampling.validate import parse


class Gsm8kRow(Row):
    question: str
    answer: str = Field(pattern=r"####")


class MathRow(Row):
    problem: str
    solution: str
    answer: str | int | None = None  # a column of PRM800K and AIME; elsewhere it is boxed in the solution
    unique_id: str | None = None


class AimeRow(Row):
    """A row of AIME 2024 or 2025 by the column names of any of its publishers on the hub."""

    problem: str = Field(validation_alias=AliasChoices("problem", "question", "Problem"))
    answer: str | int | float | None = Field(default=None, validation_alias=AliasChoices("answer", "Answer"))
    solution: str | None = Field(default=None, validation_alias=AliasChoices("solution", "Solution"))
    id: str | int | None = Field(default=None, validation_alias=AliasChoices("id", "ID", "problem_idx"))


class OlympiadRow(Row):
    """A row of ``Hothan/OlympiadBench``; ``final_answer`` has all answers, ``error`` the tolerance of a number."""

    id: int | str
    question: str
    context: str | None = None
    solution: tuple[str, ...] | None = None
    final_answer: tuple[str, ...] = Field(min_length=1)
    error: str | float | None = None
    modality: str | None = None


class MiniF2FRow(Row):
    """A row of DeepSeek's JSONL, or a theorem of a ``.lean`` file."""

    name: str
    split: Literal["test", "valid"] = "test"
    informal_prefix: str = ""
    formal_statement: str
    header: str
    proof: str | None = None


def read_gsm8k(data: Any, where: str, index: int) -> Question:
    row = parse(Gsm8kRow, data, where)
    gold = row.answer.rpartition("####")[2].strip().replace(",", "")
    reference = MathReference(answer=gold)
    return Question(f"gsm8k/{index}", {"question": row.question}, row.answer, "math", reference, row.answer)


def read_math(data: Any, where: str, index: int) -> Question:
    row = parse(MathRow, data, where)
    answer = boxed_answer(row.solution) if row.answer in (None, "") else str(row.answer)
    if answer is None:
        raise BadInput(f"{where}: answer: Field required, or a solution with a \\boxed answer")
    shown = f"{row.solution}\nFinal Answer: The final answer is ${answer}$. I hope it is correct."
    reference = MathReference(answer=answer)
    return Question(row.unique_id or f"math/{index}", {"question": row.problem}, shown, "math", reference, row.solution)


def read_aime(data: Any, where: str, index: int) -> Question:
    row = parse(AimeRow, data, where)
    answer = boxed_answer(row.solution or "") if row.answer in (None, "") else str(row.answer)
    if answer is None:
        raise BadInput(f"{where}: answer: Field required, or a solution with a \\boxed answer")
    number = re.fullmatch(r"\s*0*(\d{1,3})(?:\.0)?(?:\^\\circ)?\s*", answer)
    if number is None:
        raise BadInput(f"{where}: answer: a whole number from 0 to 999 is needed, got {answer[:80]!r}")
    gold = f"The final answer is $\\boxed{{{number[1]}}}$. I hope it is correct."
    name = f"aime/{index if row.id is None else row.id}"
    return Question(name, {"question": row.problem}, gold, "math", MathReference(answer=number[1]), gold)


def read_olympiadbench(data: Any, where: str, index: int) -> Question:
    row = parse(OlympiadRow, data, where)
    answer = ", ".join(text.strip().strip("$").strip() for text in row.final_answer)
    if not answer:
        raise BadInput(f"{where}: final_answer: empty; only problems with an answer can be judged (OE, not TP)")
    question = "\n".join(part.strip() for part in (row.context, row.question) if part)
    gold = f"The final answer is $\\boxed{{{answer}}}$. I hope it is correct."
    reference = MathReference(answer=answer, tolerance=_tolerance(row.error, where))
    pictured = row.modality == "Multimodal"
    return Question(f"olympiadbench/{row.id}", {"question": question}, gold, "math", reference, gold, pictured)


def _tolerance(error: str | float | None, where: str) -> float:
    """Returns the smallest tolerance of an answer, 0 where none is given; raises BadInput."""
    parts = [part.strip() for part in str(error).split(",")] if error not in (None, "") else ["0"]
    try:
        found = min(abs(float(part)) for part in parts)
    except ValueError as wrong:
        raise BadInput(f"{where}: error: a number is needed, got {str(error)[:80]!r}") from wrong
    if not isfinite(found):
        raise BadInput(f"{where}: error: a finite number is needed, got {str(error)[:80]!r}")
    return found


def read_minif2f(data: Any, where: str, index: int) -> Question:
    row = parse(MiniF2FRow, data, where)
    reference = parse(LeanReference, {"header": row.header, "statement": row.formal_statement}, where)
    if read_theorem(row.formal_statement).name != row.name:
        raise BadInput(f"{where}: name {row.name!r} is not the theorem that formal_statement declares")
    fields = {"question": row.informal_prefix + reference.statement, "header": row.header}
    held_out = row.split != "test"
    return Question(row.name, fields, row.proof or "", "lean", reference, row.proof, held_out)
