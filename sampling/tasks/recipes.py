"""One recipe for each published kind of task: which reader, which stop strings, how many examples."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sampling.tasks.exams import GpqaRow, read_gpqa, read_ifeval, read_mmlu_pro
from sampling.tasks.functions import read_bigcodebench, read_humaneval_plus, read_mbpp_plus
from sampling.tasks.livecodebench import LiveCodeRow, read_livecodebench
from sampling.tasks.maths import read_aime, read_gsm8k, read_math, read_minif2f, read_olympiadbench
from sampling.tasks.programs import CodeContestsRow, ContestRow, read_codecontests, read_humaneval, read_mbpp
from sampling.tasks.questions import Question
from sampling.tasks.swebench import SweBenchRow, read_swebench

TaskKind = Literal[
    "jsonl", "table", "gsm8k", "math", "aime", "olympiadbench", "gpqa", "mmlu_pro", "ifeval", "humaneval",
    "humaneval_plus", "mbpp", "mbpp_plus", "bigcodebench", "livecodebench", "codecontests", "minif2f", "swebench",
]  # fmt: skip
OWN = ("jsonl", "table")  # kinds without a recipe: the user's own problems
KINDS: tuple[str, ...] = get_args(TaskKind)


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that Troop knows of one kind of task.

    ``read`` turns a parsed row into a question: ``read(row, where, index)``, which raises BadInput. ``needs`` are the
    names that a prompt template must hold. ``stop`` are the stop strings of a base prompt. ``shots`` is how many
    few-shot examples a base prompt shows by default. ``own_pool`` are ids of the rows that the data set itself gives as
    examples; ``reserved`` ids are never asked. ``columns`` are all that ``read`` looks at, where a published file has
    large ones besides; None reads all. ``published`` is the ``extraction`` of a reference that does as the benchmark's
    own program; None where there is no such rule. ``prompts`` names the kind whose prompt files are used; empty stands
    for the kind itself. Rows of a kind with ``options`` have options to choose from; ``shuffled`` ones are published
    with the right option first, so that an order is always drawn.
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
    prompts: str = ""
    options: bool = False
    shuffled: bool = False


_MBPP_RESERVED = frozenset(f"mbpp/{number}" for number in range(1, 11))
_FUNCTION_ENDS = ("\nclass ", "\ndef ", "\n#", "\nif ", "\nprint(", "\n```")
RECIPES: dict[str, Recipe] = {
    "gsm8k": Recipe(read_gsm8k, stop=("\nQuestion:", "\nQ:"), few_shot=True, shots=5, published="gsm8k"),
    "math": Recipe(read_math, stop=("\nProblem:",), few_shot=True, shots=4, published="math"),
    "humaneval": Recipe(read_humaneval, stop=_FUNCTION_ENDS, published="published"),
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
    "aime": Recipe(read_aime, stop=("\nProblem:",), shots=4, prompts="math"),
    "olympiadbench": Recipe(read_olympiadbench, stop=("\nProblem:",)),
    "gpqa": Recipe(
        read_gpqa,
        needs=("question", "options"),
        stop=("\nQuestion:",),
        columns=frozenset(field.alias or name for name, field in GpqaRow.model_fields.items()),
        options=True,
        shuffled=True,
    ),
    "mmlu_pro": Recipe(read_mmlu_pro, needs=("question", "options"), stop=("\nQuestion:",), options=True),
    "ifeval": Recipe(read_ifeval),
    "humaneval_plus": Recipe(read_humaneval_plus, stop=_FUNCTION_ENDS, published="published", prompts="humaneval"),
    "mbpp_plus": Recipe(
        read_mbpp_plus,
        needs=("question", "tests"),
        stop=("[DONE]",),
        few_shot=True,
        published="published",
        prompts="mbpp",
    ),
    "bigcodebench": Recipe(read_bigcodebench, needs=(), stop=_FUNCTION_ENDS),
    "livecodebench": Recipe(
        read_livecodebench, needs=("question", "format"), stop=("\n```",), columns=frozenset(LiveCodeRow.model_fields)
    ),
    "swebench": Recipe(
        read_swebench,
        needs=(),
        stop=("\n```",),
        columns=frozenset(field.alias or name for name, field in SweBenchRow.model_fields.items()),
    ),
    "minif2f": Recipe(read_minif2f, stop=("\n\n", "\ntheorem", "\n/-", "\n#", "\n```"), few_shot=True, shots=5),
}
