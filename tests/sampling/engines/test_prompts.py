"""Tokens of prompts and chats with real tokenizers: the demo's, with and without a template, and Mistral's own."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from sampling.engines.prompts import PromptRefused, prompt_tokens
from sampling.errors import EngineRefused
from sampling.problems import Problem
from sampling.settings import SamplingSettings
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
    tokens = prompt_tokens(small, chat(("user", "1=2")), SamplingSettings())
    assert tokens == list(small.encode("u1=2;>", add_special_tokens=False))


def test_a_last_turn_of_the_assistant_is_continued(small: Any) -> None:
    small.chat_template = TURNS
    tokens = prompt_tokens(small, chat(("user", "1=2"), ("assistant", "3")), SamplingSettings())
    assert tokens == list(small.encode("u1=2;a3", add_special_tokens=False))


def test_messages_that_the_template_does_not_take_are_told_from_a_template_that_is_not_there(small: Any) -> None:
    small.chat_template = STRICT
    assert prompt_tokens(small, chat(("user", "1")), SamplingSettings())
    with pytest.raises(PromptRefused, match="no system turn"):
        prompt_tokens(small, chat(("system", "1"), ("user", "1")), SamplingSettings())
    small.chat_template = None
    with pytest.raises(EngineRefused, match=r"no chat template.*style: base"):
        prompt_tokens(small, chat(("user", "1")), SamplingSettings())


def test_mistrals_tokenizer_writes_its_own_marks(mistral: Any) -> None:
    assert "[INST]" in mistral.convert_ids_to_tokens(prompt_tokens(mistral, chat(("user", "1+1?")), SamplingSettings()))
    continued = mistral.convert_ids_to_tokens(
        prompt_tokens(mistral, chat(("user", "1+1?"), ("assistant", "It")), SamplingSettings())
    )
    assert continued[-2:] == ["[/INST]", "It"]


def test_a_sweep_gives_the_system_message_the_template_and_its_values(small: Any) -> None:
    template = TURNS + "{% if not enable_thinking %}0{% endif %}"
    given = {"system": "7", "chat_template": template, "chat_template_kwargs": {"enable_thinking": True}}

    def shown(problem: Problem, **settings: Any) -> str:
        return str(small.decode(prompt_tokens(small, problem, SamplingSettings(**settings))))

    asked = chat(("system", "1"), ("user", "2"))
    small.chat_template = TURNS
    with_all, without_system = shown(asked, **given), shown(asked, **{**given, "system": None})
    assert with_all == shown(chat(("system", "7"), ("user", "2"))) != without_system == shown(asked)
    assert shown(asked, **{**given, "chat_template_kwargs": None}) == with_all + "0"
    small.chat_template = None
    assert shown(asked, **given) == with_all  # a model without a template has the sweep's
