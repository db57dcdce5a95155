"""Tokens of prompts and chats with real tokenizers: the demo's, with and without a template, and Mistral's own."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sampling.engines.prompts import PromptRefused, prompt_tokens
from sampling.errors import EngineRefused
from sampling.problems import Problem
from tests.support.places import SMALL_MODEL

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]
TURNS = "{% for m in messages %}{{ m.role[0] }}{{ m.content }};{% endfor %}{% if add_generation_prompt %}>{% endif %}"
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}" + TURNS


def chat(*turns: tuple[str, str]) -> Problem:
    messages = [{"role": role, "content": content} for role, content in turns]
    return Problem.model_validate({"id": "a", "messages": messages, "verifier": "exact", "reference": {"answer": "2"}})


@pytest.fixture
def small() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(SMALL_MODEL)


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Any:
    import mistral_common
    from vllm.tokenizers.mistral import MistralTokenizer

    folder = tmp_path_factory.mktemp("mistral")
    shutil.copy(next(Path(mistral_common.__path__[0]).glob("data/tekken*.json")), folder / "tekken.json")
    (folder / "config.json").write_text('{"model_type": "mistral"}')
    return MistralTokenizer.from_pretrained(str(folder))


def test_a_chat_goes_through_the_template(small: Any) -> None:
    small.chat_template = TURNS
    tokens = prompt_tokens(small, chat(("user", "1=2")))
    assert tokens == list(small.encode("u1=2;>", add_special_tokens=False))


def test_a_last_turn_of_the_assistant_is_continued(small: Any) -> None:
    small.chat_template = TURNS
    tokens = prompt_tokens(small, chat(("user", "1=2"), ("assistant", "3")))
    assert tokens == list(small.encode("u1=2;a3", add_special_tokens=False))


def test_messages_that_the_template_does_not_take_are_told_from_a_template_that_is_not_there(small: Any) -> None:
    small.chat_template = STRICT
    assert prompt_tokens(small, chat(("user", "1")))
    with pytest.raises(PromptRefused, match="no system turn"):
        prompt_tokens(small, chat(("system", "1"), ("user", "1")))
    small.chat_template = None
    with pytest.raises(EngineRefused, match=r"no chat template.*style: base"):
        prompt_tokens(small, chat(("user", "1")))


def test_mistrals_tokenizer_writes_its_own_marks(mistral: Any) -> None:
    assert "[INST]" in mistral.convert_ids_to_tokens(prompt_tokens(mistral, chat(("user", "1+1?"))))
    continued = mistral.convert_ids_to_tokens(prompt_tokens(mistral, chat(("user", "1+1?"), ("assistant", "It"))))
    assert continued[-2:] == ["[/INST]", "It"]
