"""Prompts from templates, and the few-shot examples in them.

A prompt is made from ``prompts/<kind>_<style>.txt``: plain text with names in braces that the row fills. A few-shot
example is the same template with ``{answer}`` filled in; the question itself ends where ``{answer}`` stands. A user who
replaces a template therefore sees everything that a model will see.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from sampling.errors import BadInput
from sampling.problems import read_text
from sampling.tasks.questions import Question

Style = Literal["base", "chat"]
PROMPTS = Path(__file__).with_name("prompts")


def read_template(kind: str, style: Style, path: Path | None, needs: Sequence[str]) -> str:
    """Returns the prompt template of a kind, or the user's own; raises BadInput where it lacks a name of ``needs``."""
    path = path or PROMPTS / f"{kind}_{style}.txt"
    text = read_text(path).rstrip("\n")
    needed = [*needs, *(["answer"] if style == "base" else [])]
    missing = [name for name in needed if f"{{{name}}}" not in text]
    if missing:
        raise BadInput(f"{path}: {{{missing[0]}}} is missing; needed: {', '.join(f'{{{name}}}' for name in needed)}")
    return text


def read_fixed_shots(kind: str, prompt: Path | None) -> str:
    """Returns the worked examples that a base prompt starts with when no pool is given; empty where a kind has none.

    They stand in ``<name>_shots.txt`` beside the template ``<name>.txt``, be it Troop's or the user's.
    """
    own = shots_beside(prompt) if prompt else None
    path = own if own and own.exists() else PROMPTS / f"{kind}_base_shots.txt"
    return read_text(path).strip() + "\n\n" if path.exists() else ""


def shots_beside(prompt: Path) -> Path:
    """Returns the path of the worked examples of a template ``<name>.txt``: ``<name>_shots.txt`` beside it."""
    return prompt.with_name(f"{prompt.stem}_shots.txt")


def fill(text: str, fields: Mapping[str, str]) -> str:
    """Replaces ``{name}`` in ``text`` for every name in ``fields``; other braces (LaTeX, code) stay."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), text)


def ask(text: str, question: Question) -> str:
    """Returns the filled template up to the place of the answer, without the blanks before it.

    A trailing blank would be a token of its own, which models have not seen before an answer.
    """
    return fill(text.partition("{answer}")[0].rstrip(" "), question.fields)


def show(text: str, question: Question) -> str:
    """Returns a few-shot example: the template with its answer."""
    return fill(text, {**question.fields, "answer": question.answer.strip()})


def choose_shots(question: Question, pool: Sequence[Question], shots: int) -> list[Question]:
    """Draws ``shots`` examples by a hash of the question's id: always the same ones, and never the question itself.

    Raises BadInput where the pool is too small.
    """
    left = [shot for shot in pool if shot.fields != question.fields]
    if len(left) < shots:
        raise BadInput(f"shots: {shots} few-shot examples asked for, but the pool holds {len(left)}")
    chosen = []
    for turn in range(shots):
        digest = hashlib.sha256(f"{question.id}\n{turn}".encode()).digest()
        chosen.append(left.pop(int.from_bytes(digest[:8]) % len(left)))
    return chosen
