"""The real vLLM with tiny reward models, against what transformers says of the same texts."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampling.engines.gpu_memory import ONE_THREAD
from sampling.engines.reward import Reading, RewardSettings, Text, inspect_reward, read, reward_spec
from sampling.engines.reward_engine import RewardEngine
from sampling.errors import BadInput, EngineRefused
from tests.support.reward_models import CONTEXT, STEP, qwen_math_model

pytestmark = [
    pytest.mark.engine,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("default"),  # torch and vLLM warn of their own business
]

TEXTS = [Text(("t", p), f"What is {p}+{p}?", f"{p} and {p}\n\nso {p + s}") for p in range(3) for s in range(5)]


@pytest.fixture(scope="module")
def outcome(reward_models: Path) -> Iterator[RewardEngine]:
    model = inspect_reward(reward_spec(str(reward_models / "outcome"), dtype="float32"), RewardSettings())
    engine = RewardEngine(model, ONE_THREAD)
    yield engine
    engine.close()


def test_scores_of_whole_texts_are_those_of_transformers(outcome: RewardEngine, reward_models: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(reward_models / "outcome", dtype=torch.float32)
    scores = outcome.score(TEXTS)
    assert len({score.value for score in scores}) == len(TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        shown = read(text, outcome._model, outcome._tokenizer)
        assert isinstance(shown, Reading)
        assert score.value == pytest.approx(float(model(torch.tensor([shown.tokens])).logits), abs=1e-3)
        assert (score.tokens, score.reason) == (len(shown.tokens), "")


def test_equal_texts_of_a_problem_are_scored_once(outcome: RewardEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[str] = []
    add = outcome._engine.add_request
    monkeypatch.setattr(outcome._engine, "add_request", lambda name, *rest: (added.append(name), add(name, *rest)))
    first, again, other = (Text(("t", p), "1+1?", "11") for p in (90, 90, 91))
    a, b, c = outcome.score([first, again, other])
    assert a == b == outcome.score([again])[0] and c.value == pytest.approx(a.value, abs=1e-3)
    assert len(added) == 2


def test_a_text_longer_than_the_context_has_a_reason_and_one_that_fits_a_score(outcome: RewardEngine) -> None:
    shown = read(Text(("t", 0), "?", ""), outcome._model, outcome._tokenizer)
    assert isinstance(shown, Reading)
    room = CONTEXT - len(shown.tokens)
    full, over = outcome.score([Text(("t", 0), "?", "x" * room), Text(("t", 0), "?", "x" * (room + 1))])
    assert full.value is not None and full.tokens == CONTEXT
    assert (over.value, over.tokens) == (None, CONTEXT + 1)
    assert over.reason == f"longer than the reward model's context of {CONTEXT} tokens"


def test_scores_of_steps_are_those_of_transformers(reward_models: Path) -> None:
    import torch
    from transformers import AutoModelForTokenClassification

    model = AutoModelForTokenClassification.from_pretrained(reward_models / "process", dtype=torch.float32)
    settings = RewardSettings(steps="prod", step_token=STEP)
    engine = RewardEngine(
        inspect_reward(reward_spec(str(reward_models / "process"), dtype="float32"), settings), ONE_THREAD
    )
    *scores, none = engine.score([*TEXTS, Text(("t", 0), "What?", "\n\n")])
    assert len({score.value for score in scores}) == len(TEXTS)
    for text, score in zip(TEXTS, scores, strict=True):
        shown = read(text, engine._model, engine._tokenizer)
        assert isinstance(shown, Reading) and len(shown.places) == 2
        right = model(torch.tensor([shown.tokens])).logits[0].softmax(-1)[shown.places, 1]
        assert score.value == pytest.approx(float(right.prod()), abs=1e-3)
    assert (none.value, none.reason) == (None, "the completion has no steps")
    engine.close()


@pytest.mark.parametrize(
    ("architecture", "labels", "steps"), [("Qwen2ForProcessRewardModel", 2, "prod"), ("Qwen2ForRewardModel", 1, None)]
)
def test_scores_of_qwens_own_heads_are_what_their_weights_say(
    reward_models: Path, tmp_path: Path, architecture: str, labels: int, steps: str | None
) -> None:
    import torch
    from transformers import Qwen2ForTokenClassification

    head = qwen_math_model(tmp_path / "model", reward_models / "process", architecture, labels)
    body = Qwen2ForTokenClassification.from_pretrained(reward_models / "process", dtype=torch.float32).model
    settings = RewardSettings.model_validate({"steps": steps})
    engine = RewardEngine(inspect_reward(reward_spec(str(tmp_path / "model"), dtype="float32"), settings), ONE_THREAD)
    for text, score in zip(TEXTS, engine.score(TEXTS), strict=True):
        shown = read(text, engine._model, engine._tokenizer)
        assert isinstance(shown, Reading)
        hidden = body(torch.tensor([shown.tokens]))[0][0]
        inner = torch.relu(hidden @ head["score.0.weight"].T + head["score.0.bias"])
        said = (inner @ head["score.2.weight"].T + head["score.2.bias"]).detach()
        wanted = said[shown.places].softmax(-1)[:, 1].prod() if steps else said[-1, 0]
        assert score.value == pytest.approx(float(wanted), abs=1e-4)
    engine.close()


def test_a_model_that_may_lack_its_head_is_refused(reward_models: Path, tmp_path: Path) -> None:
    """vLLM would fill a missing head with random weights, and give random scores."""
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(reward_models / "outcome", tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(BadInput, match="its weights have no head"):
        inspect_reward(reward_spec(str(folder)), RewardSettings())
    (folder / "model.safetensors").unlink()
    with pytest.raises(EngineRefused, match="no safetensors there"):
        RewardEngine(inspect_reward(reward_spec(str(folder)), RewardSettings()), ONE_THREAD)
    (folder / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(BadInput, match="no safetensors there"):
        inspect_reward(reward_spec(str(folder)), RewardSettings())


def test_a_chat_asked_for_of_a_model_without_a_template_is_refused(reward_models: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(reward_models / "outcome", tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(EngineRefused, match="has no chat template"):
        RewardEngine(inspect_reward(reward_spec(str(folder)), RewardSettings(template="chat")), ONE_THREAD)
