"""Options of multiple-choice problems in their prompts, in the file's order or in a shuffled one."""

import hashlib
import re
from dataclasses import replace

from sampling.choices import ChoiceReference, option_lines, reordered
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.tasks.questions import Question

PLACE = "{options}"
# Options that stay last: they speak of all the others.
_OF_ALL = re.compile(
    r"\b(?:all|none|neither|both|any)\b[^.]{0,20}\b(?:above|these|those|options|choices)\b", re.IGNORECASE
)
# Options that name others by their labels: such a problem is not shuffled.
_NAMES_OTHERS = re.compile(
    r"\b(?:both|neither|either|only|options?|choices?|answers?)\b|\b[A-J0-9]\)? (?:and|or|nor) ", re.I
)


def show_options(problem: Problem, seed: int | None, where: str) -> Problem:
    """Returns the problem with its options in the prompt, shuffled where a seed is given; others come back unchanged.

    ``{options}`` stands for the options in a prompt or a message. A prompt that neither has it nor shows the texts
    of all options gets them at its end. Raises BadInput where options that a prompt shows itself should be shuffled.
    """
    reference = problem.reference
    if not isinstance(reference, ChoiceReference) or reference.options is None:
        return problem
    held, shown = PLACE in problem.asked, all(text in problem.asked for text in reference.options.values())
    if seed is not None and not reference.order:
        if shown and not held:
            raise BadInput(
                f"{where}: shuffle_options: the prompt of problem {problem.id!r} shows its options itself; "
                f"write {PLACE} in their place"
            )
        problem = _shuffled(problem, reference, seed)
    return problem if shown and not held else _filled(problem, held)


def shuffled_order(reference: ChoiceReference, seed: int, name: str) -> list[str]:
    """Returns the labels in an order that depends on the seed and on the problem's name alone.

    "All of the above" and its like keep their place at the end; options that name others by label keep the whole order.
    """
    options = reference.options or {}
    labels = list(options)
    last = len(labels)
    while last and _OF_ALL.search(options[labels[last - 1]]):
        last -= 1
    if any(_OF_ALL.search(options[label]) or _names_others(options[label], labels) for label in labels[:last]):
        return labels
    return _mixed(labels[:last], seed, name) + labels[last:]


def with_options(question: Question, seed: int | None) -> Question:
    """Returns a question with its options as the field ``options``, in an order that its id and the seed decide.

    The data set's texts name no labels of their own, so all options are shuffled. Without a seed the order stays.
    """
    reference = question.reference
    if not isinstance(reference, ChoiceReference) or not reference.options:
        return question
    answer, solution = question.answer, question.solution
    if seed is not None:
        reference = reordered(reference, _mixed(list(reference.options), seed, question.id))
        answer = solution = f"The answer is {reference.answer}."
    fields = {**question.fields, "options": option_lines(reference.options or {})}
    return replace(question, fields=fields, answer=answer, solution=solution, reference=reference)


def _mixed(labels: list[str], seed: int, name: str) -> list[str]:
    return sorted(labels, key=lambda label: hashlib.sha256(f"{seed}\n{name}\n{label}".encode()).digest())


def _names_others(text: str, labels: list[str]) -> bool:
    named = {word for word in re.findall(r"[A-Za-z0-9]+", text) if word in labels}
    return bool(named) and bool(_NAMES_OTHERS.search(text))


def _shuffled(problem: Problem, reference: ChoiceReference, seed: int) -> Problem:
    moved = reordered(reference, shuffled_order(reference, seed, problem.id))
    update: dict[str, object] = {"reference": moved}
    if problem.solution is not None and moved.right != reference.right:
        update["solution"] = f"The answer is {moved.answer}."
    return problem.model_copy(update=update)


def _filled(problem: Problem, held: bool) -> Problem:
    """Returns the problem with its options in place of ``{options}``, else at the end of the prompt or last turn."""
    assert isinstance(problem.reference, ChoiceReference)
    lines = option_lines(problem.reference.options or {})
    if problem.messages is None:
        prompt = problem.prompt or ""
        return problem.model_copy(update={"prompt": prompt.replace(PLACE, lines) if held else f"{prompt}\n\n{lines}"})
    *before, last = problem.messages
    if not held:
        turns = [*before, last.model_copy(update={"content": f"{last.content}\n\n{lines}"})]
    else:
        turns = [turn.model_copy(update={"content": turn.content.replace(PLACE, lines)}) for turn in problem.messages]
    return problem.model_copy(update={"messages": tuple(turns)})
