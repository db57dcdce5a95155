"""One recipe for each published kind of task: which reader, which stop strings, how many examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sampling.tasks.maths import read_gsm8k, read_math, read_minif2f
from sampling.tasks.programs import CodeContestsRow, ContestRow, read_codecontests, read_humaneval, read_mbpp
from sampling.tasks.questions import Question
from sampling.tasks.swebench import SweBenchRow, read_swebench

TaskKind = Literal["jsonl", "gsm8k", "math", "humaneval", "mbpp", "codecontests", "minif2f", "swebench"]
KINDS: tuple[str, ...] = get_args(TaskKind)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that Troop knows of one kind of task.

    ``read`` turns a parsed row into a question: ``read(row, where, index)``, which raises BadInput. ``needs`` are the
    names that a prompt template must hold. ``stop`` are the stop strings of a base prompt. ``shots`` is how many
    few-shot examples a base prompt shows by default. ``own_pool`` are ids of the rows that the data set itself gives as
    examples; ``reserved`` ids are never asked. ``columns`` are all that ``read`` looks at, where a published file has
    large ones besides; None reads all. ``published`` is the ``extraction`` of a reference that does as the benchmark's
    own program; None where there is no such rule.
    """

    read: Callable[[Any, str, int], Question]
    needs: tuple[str, ...] = ("question",)
    stop: tuple[str, ...] = ()
    few_shot: bool = False
    shots: int = 0
    own_pool: tuple[str, ...] = ()
    reserved: frozenset[str] = frozenset()
    columns: frozenset[str] | None = None
    published: str | None = None


_MBPP_RESERVED = frozenset(f"mbpp/{number}" for number in range(1, 11))
RECIPES: dict[str, Recipe] = {
    "gsm8k": Recipe(read_gsm8k, stop=("\nQuestion:", "\nQ:"), few_shot=True, shots=5, published="gsm8k"),
    "math": Recipe(read_math, stop=("\nProblem:",), few_shot=True, shots=4, published="math"),
    "humaneval": Recipe(
        read_humaneval, stop=("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```"), published="published"
    ),
    "mbpp": Recipe(
        read_mbpp,
        needs=("question", "tests"),
        stop=("[DONE]",),
        few_shot=True,
        shots=3,
        own_pool=("mbpp/2", "mbpp/3", "mbpp/4"),
        reserved=_MBPP_RESERVED,
        published="published",
    ),
    "codecontests": Recipe(
        read_codecontests,
        stop=("\n```",),
        few_shot=True,
        columns=frozenset({*ContestRow.model_fields, *CodeContestsRow.model_fields}),
    ),
    "swebench": Recipe(
        read_swebench,
        needs=(),
        stop=("\n```",),
        columns=frozenset(field.alias or name for name, field in SweBenchRow.model_fields.items()),
    ),
    "minif2f": Recipe(read_minif2f, stop=("\n\n", "\ntheorem", "\n/-", "\n#", "\n```"), few_shot=True, shots=5),
}
