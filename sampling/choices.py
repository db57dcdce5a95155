"""The reference of a multiple-choice problem: its options, their labels, and the right ones."""

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from sampling.validate import Plain

MAX_OPTIONS = 200
_LABEL = re.compile(r"[A-Za-z0-9]{1,4}")
_WRAPPED = re.compile(r"[\s(\[{*]*([A-Za-z0-9]{1,4})[\s)\]}.:*]*")
_ONE_LETTER = re.compile(r"[^A-Za-z0-9]*([A-Za-z])[^A-Za-z0-9]*")
_ONE_NUMBER = re.compile(r"[^A-Za-z0-9]*([0-9]{1,3})[^A-Za-z0-9]*")
_SEVERAL = re.compile(r"[^A-Za-z0-9]+(?:and[^A-Za-z0-9]+)?")
_ABC = frozenset(string.ascii_uppercase)


def labels_of(count: int) -> list[str]:
    """Returns the labels of ``count`` options in a list: A, B, C … up to 26 options, else 1, 2, 3 …"""
    return list(string.ascii_uppercase[:count]) if count <= 26 else [str(number) for number in range(1, count + 1)]


class ChoiceReference(Plain):
    """The right option of a ``choice`` problem, or several, and the options that were shown."""

    answer: str
    """Label of the right option, or its text; labels of all right options where several are right.

    Brackets, blanks and case do not count. Examples: `B`, `(b)`, `10`, `AC` or `A, C`, `["A", "C"]`.
    """

    options: dict[str, str] | None = Field(default=None, min_length=2, max_length=MAX_OPTIONS)
    """Options by label, in the order in which they are shown; a list of texts gets the labels A, B, C … .

    More than 26 texts get 1, 2, 3 … . Labels have one to four letters or digits. With options only their labels
    count, and the text of one may stand for its label. Default: any letter (or number, where ``answer`` is one) is a
    label. Example: `{"A": "green", "B": "blue"}`.
    """

    order: tuple[str, ...] = ()
    """Labels that the options had in the file, in the order shown; a task's ``shuffle_options`` fills it in.

    Default: the options are as in the file.
    """

    @model_validator(mode="before")
    @classmethod
    def _plain_forms(cls, data: Any) -> Any:
        """Gives a list of options its labels, and writes a list of right options as one text."""
        if not isinstance(data, dict):
            return data
        options, answer = data.get("options"), data.get("answer")
        if isinstance(options, list | tuple):
            options = dict(zip(labels_of(len(options)), options, strict=True))
        if isinstance(answer, list | tuple) and answer and all(isinstance(part, str) for part in answer):
            known = options if isinstance(options, dict) else {}
            answer = ", ".join(_label_of(part, known) or part for part in answer)
        return {**data, "answer": answer, **({"options": options} if "options" in data else {})}

    @field_validator("options")
    @classmethod
    def _distinct_labels(cls, options: dict[str, str] | None) -> dict[str, str] | None:
        for label, text in (options or {}).items():
            if not _LABEL.fullmatch(label):
                raise ValueError(f"label {label!r}: one to four letters or digits are needed")
            if not text.strip():
                raise ValueError(f"option {label}: its text is empty")
        if options and len({label.casefold() for label in options}) < len(options):
            raise ValueError("two labels differ only in case")
        return options

    @model_validator(mode="after")
    def _right_ones_are_options(self) -> "ChoiceReference":
        if self.options is not None and not self.right:
            raise ValueError(f"answer {self.answer!r} is none of the options; allowed: {', '.join(self.options)}")
        if self.order and (self.options is None or len(self.order) != len(self.options)):
            raise ValueError("order: one label for each option is needed")
        return self

    @model_serializer(mode="wrap")
    def _as_before_options(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leaves out what is not given, so that the digest of a reference with an answer alone stays as it was."""
        given = ("answer", *(name for name in ("options", "order") if getattr(self, name)))
        return {name: value for name, value in serialize(self).items() if name in given}

    @property
    def right(self) -> tuple[str, ...]:
        """Labels of the right options, in order; empty where ``answer`` names none."""
        if self.options is not None:
            return right_options(self.answer, self.options)
        answer = self.answer.strip()
        if found := _ONE_LETTER.fullmatch(answer):
            return (found[1].upper(),)
        if found := _ONE_NUMBER.fullmatch(answer):
            return (str(int(found[1])),)
        if set(answer) <= _ABC and list(answer) == sorted(set(answer)):
            return tuple(answer)
        parts = [part for part in _SEVERAL.split(answer) if part]
        letters = len(parts) > 1 and all(len(part) == 1 and part.isalpha() and part.isascii() for part in parts)
        numbers = len(parts) > 1 and all(_ONE_NUMBER.fullmatch(part) for part in parts)
        if letters:
            return tuple(sorted({part.upper() for part in parts}))
        return tuple(map(str, sorted({int(part) for part in parts}))) if numbers else ()


def right_options(answer: str, options: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the labels that ``answer`` names, in the options' order: a label or a text, labels joined, or nothing."""
    if one := _label_of(answer, options):
        return (one,)
    for parts, joined in ((_SEVERAL.split(answer.strip("()[]{}., ")), False), (list(answer.strip()), True)):
        named = [_label_of(part, options, texts=False) for part in parts]
        right = tuple(label for label in options if label in named)
        if len(right) > 1 and all(named) and (not joined or list(right) == named):
            return right
    return ()


def _label_of(said: str, options: Mapping[str, str], texts: bool = True) -> str | None:
    """Returns the option's own label for a label in any case and brackets, or for the exact text of just one option."""
    if found := _WRAPPED.fullmatch(said):
        for label in options:
            if label.casefold() == found[1].casefold():
                return label
    named = [label for label, text in options.items() if texts and text.strip() == said.strip()]
    return named[0] if len(named) == 1 else None


def option_lines(options: Mapping[str, str]) -> str:
    """Returns the options as a prompt shows them: a line ``A) text`` for each."""
    return "\n".join(f"{label}) {text}" for label, text in options.items())


def reordered(reference: ChoiceReference, order: Sequence[str]) -> ChoiceReference:
    """Returns the reference with its texts under its labels in another order; ``order`` are the old labels."""
    assert reference.options is not None
    texts = [reference.options[label] for label in order]
    new_label = dict(zip(order, reference.options, strict=True))
    right = {new_label[label] for label in reference.right}
    answer = ", ".join(label for label in reference.options if label in right)
    options = dict(zip(reference.options, texts, strict=True))
    return ChoiceReference(answer=answer, options=options, order=tuple(order))
