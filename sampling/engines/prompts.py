"""Tokens of a problem's prompt, as the model's own tokenizer and chat template make them."""

from collections.abc import Sequence
from typing import Any

from sampling.errors import EngineRefused
from sampling.problems import Message, Problem

WITHOUT_TEMPLATE = (
    "the model has no chat template, and a task asks with messages; set style: base on the task, "
    "or put a chat_template.jinja into the model's folder"
)


class PromptRefused(Exception):
    """The model's chat template does not take the messages of this problem, whatever others there are."""


def prompt_tokens(tokenizer: Any, problem: Problem) -> list[int]:
    """Returns the tokens of a problem's prompt; messages go through the chat template of vLLM's ``tokenizer``.

    An assistant's turn at the end is continued; no turns are no tokens. Raises EngineRefused where the model has no
    template, PromptRefused where the template does not take these messages.
    """
    if problem.messages is None:
        return list(tokenizer.encode(problem.prompt))
    return _chat(tokenizer, problem.messages)


def _chat(tokenizer: Any, messages: Sequence[Message]) -> list[int]:
    if not messages:
        return []
    continued = messages[-1].role == "assistant"
    try:
        tokens = tokenizer.apply_chat_template(
            [message.model_dump() for message in messages],
            tokenize=True,  # some tokenizers write marks that no text can, as Mistral's
            return_dict=False,
            add_generation_prompt=not continued,
            continue_final_message=continued,
        )
    except Exception as error:
        if lacks_template(tokenizer):
            raise EngineRefused(WITHOUT_TEMPLATE) from error
        raise PromptRefused(str(error)) from error
    return list(tokens)


def lacks_template(tokenizer: Any) -> bool:
    """Tells whether this is a tokenizer that needs a template and has none; Mistral's encode a chat by themselves."""
    return getattr(tokenizer, "chat_template", "its own") is None
