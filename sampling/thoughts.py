"""Tells a model's thoughts from its answer, by the marks that chat formats put around them.

``split`` is for the engines, which know whether the prompt itself opened the thought; verifiers read texts that were
stored whole by the same marks.
"""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import Field

from sampling.validate import Plain

TEMPLATE_MARKS = (
    ("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"),
    ("<seed:think>", "</seed:think>"), ("<|begin_of_thought|>", "<|end_of_thought|>"), ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"), ("<reflection>", "</reflection>"),
)  # fmt: skip
OPENS, CLOSES = (re.compile("|".join(map(re.escape, marks))) for marks in zip(*TEMPLATE_MARKS, strict=True))
# OpenAI's harmony format: https://cookbook.openai.com/articles/openai-harmony
CHANNEL = re.compile(r"<\|channel\|>(?P<name>[a-z]{1,20})[^<\n]{0,80}<\|message\|>")
_HARMONY_TOKENS = re.compile(r"<\|(?:start|end|return|call|message)\|>(?:assistant)?")
SPECIAL = frozenset({"<|channel|>", "<|message|>"}.union(*TEMPLATE_MARKS))  # where a tokenizer has them as such


class ThoughtMarks(Plain):
    """Marks around the thoughts of a model whose format Troop does not know."""

    start: str = Field(min_length=1)
    """Text that opens a thought. Example: `<reason>`."""

    end: str = Field(min_length=1)
    """Text that closes a thought; the answer follows it. Example: `</reason>`."""


@dataclass(frozen=True, slots=True)
class Split:
    """A completion in two: ``reasoning`` is None where there is no thought, ``answer`` is "" inside one."""

    reasoning: str | None
    answer: str


@dataclass(frozen=True)
class Thoughts:
    """The marks of one model's thoughts: those of all known formats, or its own."""

    opens: re.Pattern[str] = OPENS
    closes: re.Pattern[str] = CLOSES
    channel: re.Pattern[str] | None = CHANNEL

    @classmethod
    def of(cls, marks: ThoughtMarks) -> "Thoughts":
        """Returns a format with these marks alone."""
        return cls(re.compile(re.escape(marks.start)), re.compile(re.escape(marks.end)), None)

    def are_opened_by(self, prompt: str, continued: bool = False) -> bool:
        """Tells whether a rendered prompt ends inside a thought, as some chat templates do.

        White space alone may follow the mark, unless the prompt ends with a turn of the assistant, ``continued``.
        """
        closed = deque(self.closes.finditer(prompt), maxlen=1)
        opened = deque(self.opens.finditer(prompt, closed[0].end() if closed else 0), maxlen=1)
        return bool(opened) and (continued or not prompt[opened[0].end() :].strip())

    def split(self, text: str, opened: bool = False) -> Split:
        """Splits a completion after its last closing mark; what was opened and is never closed is no answer.

        With ``opened``, the prompt opened the thought. The marks themselves are in neither part.
        """
        if self.channel and (channels := deque(self.channel.finditer(text), maxlen=1)):
            return _of_channels(text, channels[0])
        closed = deque(self.closes.finditer(text), maxlen=1)
        if not closed:
            return self._unclosed(text, opened)
        rest = self._unclosed(text[closed[0].end() :], opened=False)
        before = self.opens.sub("", text[: closed[0].start()], count=1)
        return Split(before + (rest.reasoning or ""), rest.answer)

    def _unclosed(self, text: str, opened: bool) -> Split:
        if opened:
            return Split(text, "")
        begin = self.opens.search(text)
        return Split(text[begin.end() :], text[: begin.start()]) if begin else Split(None, text)


def thoughts_of(thinking: str | ThoughtMarks) -> Thoughts | None:
    """Returns the marks that a model's key ``thinking`` names; None for ``none``."""
    if isinstance(thinking, ThoughtMarks):
        return Thoughts.of(thinking)
    return Thoughts() if thinking == "auto" else None


def _of_channels(text: str, last: re.Match[str]) -> Split:
    """Splits a harmony completion: only the last channel's text can be the answer, and only if it is ``final``."""
    is_final = last["name"] == "final"
    thought = text[: last.start()] if is_final else text
    reasoning = _HARMONY_TOKENS.sub("", CHANNEL.sub("", thought))
    return Split(reasoning or None if is_final else reasoning, text[last.end() :] if is_final else "")


def marks_in(template: str) -> tuple[str, str] | None:
    """Returns the first known pair of marks that a chat template writes or reads, or None."""
    return next(((start, end) for start, end in TEMPLATE_MARKS if start in template or end in template), None)


def are_special(tokens: Iterable[str]) -> bool:
    """Tells whether a tokenizer would drop marks from a text, since they are among its special ``tokens``."""
    return any(token in SPECIAL for token in tokens)
