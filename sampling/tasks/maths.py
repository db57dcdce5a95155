"""Data sets of mathematics: GSM8K and MATH, judged by an answer, and MiniF2F, judged by a proof."""

from typing import Any, Literal

from pydantic import Field

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


def read_minif2f(data: Any, where: str, index: int) -> Question:
    row = parse(MiniF2FRow, data, where)
    reference = parse(LeanReference, {"header": row.header, "statement": row.formal_statement}, where)
    if read_theorem(row.formal_statement).name != row.name:
        raise BadInput(f"{where}: name {row.name!r} is not the theorem that formal_statement declares")
    fields = {"question": row.informal_prefix + reference.statement, "header": row.header}
    held_out = row.split != "test"
    return Question(row.name, fields, row.proof or "", "lean", reference, row.proof, held_out)
