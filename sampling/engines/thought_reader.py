"""Thoughts in what vLLM generates: whether a prompt opens one, where it ends, and how many tokens it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampling.engines.prompt_checks import template_text
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.settings import ModelSpec, SamplingSettings
from sampling.thoughts import TEMPLATE_MARKS, ThoughtMarks, are_special, marks_in, thoughts_of


@dataclass(frozen=True, slots=True)
class Read:
    """A completion in its parts; fields as in sampling.samples.Sample."""

    reasoning: str | None
    answer: str
    tokens: int | None


class ThoughtReader:
    """Reads thoughts with the tokenizer of one engine. Where marks are special tokens, vLLM must leave them in."""

    def __init__(self, thinking: str | ThoughtMarks, tokenizer: Any) -> None:
        self._thoughts, self._tokenizer = thoughts_of(thinking), tokenizer
        self._special = special_tokens(tokenizer)
        marks = (thinking.start, thinking.end) if isinstance(thinking, ThoughtMarks) else ()
        known = self._thoughts is not None and not marks and are_special(self._special)
        self.needs_special_tokens = known or any(mark in self._special for mark in marks)
        vocabulary = tokenizer.get_vocab()
        closing = (thinking.end,) if isinstance(thinking, ThoughtMarks) else [end for _, end in TEMPLATE_MARKS]
        self._closing = {vocabulary[mark] for mark in closing if mark in vocabulary}

    def is_opened(self, tokens: Sequence[int], problem: Problem) -> bool:
        """Tells whether a prompt ends inside a thought."""
        if self._thoughts is None:
            return False
        turns = problem.messages or ()
        continued = bool(turns) and turns[-1].role == "assistant"
        return self._thoughts.are_opened_by(self._tokenizer.decode(list(tokens)), continued)

    def read(self, text: str, tokens: Sequence[int], opened: bool) -> Read:
        """Returns thought and answer of a completion; its special tokens are dropped where they were kept for this."""
        if self._thoughts is None:
            return Read(None, text, None)
        split = self._thoughts.split(text, opened)
        reasoning, answer = split.reasoning, split.answer
        if self.needs_special_tokens:
            answer = self._plain(answer)
            reasoning = None if reasoning is None else self._plain(reasoning)
        return Read(reasoning, answer, None if reasoning is None else self._count(tokens, answer))

    def _count(self, tokens: Sequence[int], answer: str) -> int:
        """Returns the tokens of the thought with its marks; an estimate where the closing mark is no single token."""
        last = next((place for place in range(len(tokens) - 1, -1, -1) if tokens[place] in self._closing), None)
        if last is not None and answer:
            return last + 1
        if not answer:
            return len(tokens)
        return max(len(tokens) - len(self._tokenizer.encode(answer, add_special_tokens=False)), 0)

    def _plain(self, text: str) -> str:
        for token in self._special:
            text = text.replace(token, "")
        return text


def special_tokens(tokenizer: Any) -> tuple[str, ...]:
    """Returns the tokens that a tokenizer drops from a text; some are known by a flag alone."""
    flagged = getattr(tokenizer, "added_tokens_decoder", {}).values()
    named = getattr(tokenizer, "all_special_tokens", ())
    return tuple(dict.fromkeys([*named, *(token.content for token in flagged if token.special)]))


def reasoning_arguments(model: ModelSpec, settings: SamplingSettings, folder: Path) -> dict[str, Any]:
    """Returns the engine argument that a budget for thoughts needs; raises EngineRefused where no marks are known."""
    if settings.thinking_token_budget is None:
        return {}
    own = (model.thinking.start, model.thinking.end) if isinstance(model.thinking, ThoughtMarks) else None
    marks = own or marks_in(settings.chat_template or template_text(folder))
    if marks is None:
        raise EngineRefused(f"model {model.name}: {WITHOUT_MARKS}")
    from vllm.config.reasoning import ReasoningConfig

    return {"reasoning_config": ReasoningConfig(reasoning_start_str=marks[0], reasoning_end_str=marks[1])}


WITHOUT_MARKS = (
    "thinking_token_budget: the model's chat template shows no marks of a thought; "
    "name them: thinking: {start: <think>, end: </think>}"
)
