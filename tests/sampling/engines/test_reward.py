"""Texts shown to reward models, places that are read, and scores; with a real tokenizer and no engine."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampling.engines.reward import (
    Reading,
    RewardModel,
    RewardSettings,
    Score,
    Text,
    inspect_reward,
    read,
    reward_spec,
    score_of,
    with_steps,
)
from sampling.errors import BadInput
from sampling.problems import Message
from tests.support.reward_models import STEP, save_tokenizer

pytestmark = pytest.mark.filterwarnings("default")  # transformers warns of its own business
STEPS = RewardSettings(steps="min", step_token=STEP)


def model(folder: Path, architecture: str | None, labels: int = 1, **settings: object) -> RewardModel:
    """Returns an inspected reward model of which only the config exists."""
    folder.mkdir(exist_ok=True)
    config: dict[str, object] = {"id2label": {str(i): f"LABEL_{i}" for i in range(labels)}}
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [architecture] if architecture else []}))
    return inspect_reward(reward_spec(str(folder)), RewardSettings.model_validate(settings))


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return save_tokenizer(tmp_path_factory.mktemp("tokenizer"), chat=True)


@given(st.lists(st.text(max_size=20) | st.sampled_from([STEP, "\n", " "]), max_size=6))
def test_a_step_token_follows_every_step_and_no_forged_one_counts(parts: list[str]) -> None:
    shown, ends = with_steps("\n\n".join(parts), STEPS)
    assert shown.count(STEP) == len(ends)
    assert all(shown[:end].endswith(STEP) for end in ends) and (not ends or ends[-1] == len(shown))
    steps = shown.split(STEP)[:-1]
    assert all(step == step.strip() != "" and "\n\n" not in step for step in steps)


@pytest.mark.parametrize("template", ["chat", "plain"])
def test_scores_are_read_at_the_step_tokens_of_the_completion(tmp_path: Path, tokenizer: Any, template: str) -> None:
    """The prompt has step tokens too, and the completion is not ASCII."""
    process = model(tmp_path / "prm", "Qwen2ForProcessRewardModel", steps="min", template=template)
    prompt = (Message(role="system", content=f"Judge.{STEP}"), Message(role="user", content="2+2?"))
    found = read(Text(("t", 0), prompt, "  É: 2 and 2\n\nso 4 "), process, tokenizer)
    assert isinstance(found, Reading)
    at = [i for i, token in enumerate(found.tokens) if token == tokenizer.convert_tokens_to_ids(STEP)]
    assert found.places == at[-2:] and len(at) == 3
    end = f"É: 2 and 2{STEP}so 4{STEP}" + ("<|im_end|>\n" if template == "chat" else "")
    assert tokenizer.decode(found.tokens).endswith(end)


def test_a_line_break_may_be_the_step_token(tmp_path: Path, tokenizer: Any) -> None:
    """TRL trains process models so; a template that strips the line break is reported as a reason."""
    said = {"steps": "mean", "step_token": "\n", "step_separator": "\n"}
    process = model(tmp_path / "prm", "Qwen2ForTokenClassification", 2, template="plain", **said)
    found = read(Text(("t", 0), "2+2?\n", "a\nb"), process, tokenizer)
    assert isinstance(found, Reading) and [tokenizer.decode(found.tokens[: p + 1]) for p in found.places] == [
        "2+2?\na\n", "2+2?\na\nb\n",
    ]  # fmt: skip
    chat = model(tmp_path / "prm", "Qwen2ForTokenClassification", 2, **said)
    refused = read(Text(("t", 0), "2+2?", "a\nb"), chat, tokenizer)
    assert isinstance(refused, Score) and refused.value is None and "template changes" in refused.reason


def test_an_outcome_model_is_shown_the_chat_or_the_plain_text(tmp_path: Path, tokenizer: Any) -> None:
    outcome = model(tmp_path / "orm", "LlamaForSequenceClassification")
    found = read(Text(("t", 0), "2+2?", "4"), outcome, tokenizer)
    assert isinstance(found, Reading) and found.places == []
    assert tokenizer.decode(found.tokens) == "<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n"
    plain = model(tmp_path / "orm", "LlamaForSequenceClassification", template="plain")
    shown = read(Text(("t", 0), "2+2=", "4"), plain, tokenizer)
    assert isinstance(shown, Reading) and tokenizer.decode(shown.tokens) == "2+2=4"


def test_a_completion_without_steps_and_a_template_that_refuses_are_reasons(tmp_path: Path, tokenizer: Any) -> None:
    process = model(tmp_path / "prm", "Qwen2ForProcessRewardModel", steps="min")
    empty = read(Text(("t", 0), "2+2?", f" \n\n{STEP}\n"), process, tokenizer)
    assert empty == Score(None, "the completion has no steps")
    strict = save_tokenizer(tmp_path, chat=True)
    strict.chat_template = "{{ raise_exception('roles must alternate') }}"
    refused = read(Text(("t", 0), "2+2?", "4"), process, strict)
    assert isinstance(refused, Score) and "refuses the conversation: roles must alternate" in refused.reason


def test_outputs_become_one_score(tmp_path: Path) -> None:
    rows = [[0.3, 1.1], [2.0, -1.0], [0.0, 0.0]]
    right = [math.exp(b) / (math.exp(a) + math.exp(b)) for a, b in rows]
    wanted = {"min": min(right), "prod": math.prod(right), "mean": sum(right) / 3, "last": right[-1]}
    for steps, value in wanted.items():
        process = model(tmp_path / "prm", "Qwen2ForProcessRewardModel", steps=steps)
        assert score_of(rows, process, 9) == Score(pytest.approx(value), "", 9)
    outcome = model(tmp_path / "orm", "LlamaForSequenceClassification")
    assert score_of([[-3.5]], outcome, 9) == Score(-3.5, "", 9)
    assert score_of([[math.nan]], outcome, 9) == Score(None, "the model said no number", 9)
    two = model(tmp_path / "orm", "LlamaForSequenceClassification", 2)
    assert score_of([[-1000.0, 1000.0]], two, 9).value == 1.0


@pytest.mark.parametrize(
    ("architecture", "labels", "settings", "said"),
    [
        ("LlamaForCausalLM", 2, {}, "is no reward model .LlamaForCausalLM.; allowed: …ForSequenceClassification"),
        ("Qwen2Model", 2, {}, "is no reward model .Qwen2Model."),
        (None, 2, {}, "its config.json names no architecture"),
        ("LlamaForSequenceClassification", 5, {}, "has 5 labels; allowed: 1"),
        ("LlamaForSequenceClassification", 1, {"steps": "min"}, "--steps min: this model scores the whole text"),
        ("LlamaForSequenceClassification", 1, {"step_token": "x"}, "--step-token: this model"),
        ("Qwen2ForProcessRewardModel", 2, {}, "--steps is missing.*allowed: min, prod, mean, last"),
        ("Qwen2ForTokenClassification", 2, {"steps": "min"}, "--step-token is missing"),
    ],
)
def test_a_model_or_a_setting_of_the_wrong_kind_is_refused(
    tmp_path: Path, architecture: str | None, labels: int, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        model(tmp_path / "m", architecture, labels, **settings)


def test_the_version_changes_with_all_that_changes_a_score(tmp_path: Path) -> None:
    architecture, given = "Qwen2ForProcessRewardModel", {"steps": "min"}
    changes: list[dict[str, object]] = [
        {"steps": "prod"}, {"step_separator": "\n"}, {"step_token": "<s>"}, {"template": "plain"},
    ]  # fmt: skip
    versions = {model(tmp_path / "m", architecture, **(given | change)).version for change in [{}, *changes]}
    assert model(tmp_path / "m", architecture, **given).version in versions
    spec, settings = reward_spec(str(tmp_path / "m"), max_model_len=64), RewardSettings.model_validate(given)
    versions.add(inspect_reward(spec, settings).version)
    (tmp_path / "m" / "chat_template.jinja").write_text("{{ messages }}")
    versions.add(model(tmp_path / "m", architecture, **given).version)
    assert len(versions) == 7 and all(version.startswith("m-") for version in versions)
