"""Data sets of questions: GPQA and MMLU-Pro, judged by the option chosen, and IFEval, judged by instructions."""

from typing import Any

from pydantic import AliasChoices, Field

from sampling.choices import ChoiceReference
from sampling.errors import BadInput
from sampling.instructions import IfevalReference
from sampling.tasks.questions import Question, Row
from sampling.validate import parse

NO_OPTION = "N/A"  # fills up lists of fewer than ten options in MMLU-Pro


class GpqaRow(Row):
    """A row of ``Idavidrein/gpqa``, in which the right option stands first."""

    record: str | None = Field(default=None, alias="Record ID")
    question: str = Field(alias="Question")
    right: str = Field(alias="Correct Answer")
    first: str = Field(alias="Incorrect Answer 1")
    second: str = Field(alias="Incorrect Answer 2")
    third: str = Field(alias="Incorrect Answer 3")


class MmluProRow(Row):
    """A row of ``TIGER-Lab/MMLU-Pro``."""

    question_id: int | str
    question: str
    options: tuple[str, ...] = Field(min_length=2)
    answer_index: int = Field(ge=0)
    category: str = "knowledge"


class IfevalRow(Row):
    """A row of ``google/IFEval``, whose arguments are null where an instruction has none."""

    key: int | str
    prompt: str
    instruction_id_list: tuple[str, ...] = Field(min_length=1)
    arguments: tuple[dict[str, Any], ...] = Field(default=(), validation_alias=AliasChoices("kwargs", "arguments"))


def read_gpqa(data: Any, where: str, index: int) -> Question:
    row = parse(GpqaRow, data, where)
    options = [text.strip() for text in (row.right, row.first, row.second, row.third)]
    return _choice(f"gpqa/{row.record or index}", row.question, options, 0, where)


def read_mmlu_pro(data: Any, where: str, index: int) -> Question:
    row = parse(MmluProRow, data, where)
    if row.answer_index >= len(row.options):
        raise BadInput(f"{where}: answer_index: {row.answer_index}, but there are {len(row.options)} options, from 0")
    kept = [number for number, text in enumerate(row.options) if text != NO_OPTION or number == row.answer_index]
    options = [row.options[number] for number in kept]
    right = kept.index(row.answer_index)
    return _choice(f"mmlu_pro/{row.question_id}", row.question, options, right, where, category=row.category)


def _choice(name: str, question: str, options: list[str], right: int, where: str, **more: str) -> Question:
    answer = chr(ord("A") + right)
    reference = parse(ChoiceReference, {"answer": answer, "options": options}, where)
    solution = f"The answer is {answer}."
    return Question(name, {"question": question.strip(), **more}, solution, "choice", reference, solution)


def read_ifeval(data: Any, where: str, index: int) -> Question:
    row = parse(IfevalRow, data, where)
    given = [{name: _whole(value) for name, value in each.items()} for each in row.arguments]
    reference = parse(IfevalReference, {"instruction_id_list": row.instruction_id_list, "kwargs": given}, where)
    return Question(f"ifeval/{row.key}", {"question": row.prompt}, "", "ifeval", reference)


def _whole(value: Any) -> Any:
    """Returns a whole number that a Parquet file holds as a float, because other rows have null, as an integer."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
