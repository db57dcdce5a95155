"""Tokens of a problem's prompt, as the model's own tokenizer and chat template make them."""

from collections.abc import Sequence
from typing import Any

from sampling.errors import EngineRefused
from sampling.problems import Message, Problem
from sampling.settings import SamplingSettings

FOR_PROMPTS = {"system", "chat_template_kwargs"}  # sampling keys that shape the prompt, not the draw
WITHOUT_TEMPLATE = (
    "the model has no chat template, and a task asks with messages; set style: base on the task, "
    "or give a file: sampling.chat_template"
)


class PromptRefused(Exception):
    """The model's chat template does not take the messages of this problem, whatever others there are."""


def prompt_tokens(tokenizer: Any, problem: Problem, settings: SamplingSettings) -> list[int]:
    """Returns the tokens of a problem's prompt; messages go through the chat template of vLLM's ``tokenizer``.

    An assistant's turn at the end is continued; no turns are no tokens. Raises EngineRefused where the model has no
    template, PromptRefused where the template does not take these messages.
    """
    if problem.messages is None:
        return list(tokenizer.encode(problem.prompt))
    return _chat(tokenizer, turns_of(problem.messages, settings.system), settings)


def turns_of(messages: Sequence[Message], system: str | None) -> list[dict[str, Any]]:
    """Returns a chat as data; ``system`` takes the place of its system messages."""
    if system is None or not messages:
        return [message.model_dump() for message in messages]
    others = [message.model_dump() for message in messages if message.role != "system"]
    return [{"role": "system", "content": system}, *others]


def _chat(tokenizer: Any, messages: Sequence[dict[str, Any]], settings: SamplingSettings) -> list[int]:
    if not messages:
        return []
    continued = messages[-1]["role"] == "assistant"
    own = {"chat_template": settings.chat_template} if settings.chat_template else {}
    try:
        tokens = tokenizer.apply_chat_template(
            list(messages),
            tokenize=True,  # some tokenizers write marks that no text can, as Mistral's
            return_dict=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
            **own,
            **(settings.chat_template_kwargs or {}),
        )
    except Exception as error:
        if lacks_template(tokenizer) and not own:
            raise EngineRefused(WITHOUT_TEMPLATE) from error
        raise PromptRefused(str(error)) from error
    return list(tokens)


def lacks_template(tokenizer: Any) -> bool:
    """Tells whether this is a tokenizer that needs a template and has none; Mistral's encode a chat by themselves."""
    return getattr(tokenizer, "chat_template", "its own") is None
