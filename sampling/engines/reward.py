"""Reward models: what they are shown of a completion, and how their outputs become a score. No engine is used here.

An outcome model gives one output for the whole text, at its last token (Cobbe et al. 2021, arXiv 2110.14168). A process
model gives one at the end of every step (Lightman et al. 2023, arXiv 2305.20050). The way in which these become one
score changes best-of-N more than most models do, so the user names it and it is never guessed.
"""

import hashlib
import json
import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from sampling.engines.model_info import ModelInfo, inspect_model
from sampling.errors import BadInput, EngineRefused
from sampling.places import model_place
from sampling.problems import Message
from sampling.settings import ModelSpec
from sampling.validate import Plain, parse

VERSION = "reward 1"  # must change with any change that could change a score
Prompt = str | tuple[Message, ...]
Join = Literal["last", "min", "prod", "mean"]


@dataclass(frozen=True, slots=True)
class Head:
    """One kind of reward model. ``labels`` None: the config says how many. ``step_token`` None: the kind has none."""

    suffix: str
    process: bool
    task: Literal["classify", "token_classify"]
    labels: int | None = None
    step_token: str | None = None


# Found by the end of the architecture's name; head and step token as in Qwen2.5-Math-RM and -PRM (arXiv 2501.07301).
HEADS = (
    Head("ForSequenceClassification", False, "classify"),
    Head("ForRewardModel", False, "token_classify", labels=1),
    Head("ForTokenClassification", True, "token_classify"),
    Head("ForProcessRewardModel", True, "token_classify", labels=2, step_token="<extra_0>"),
)


class RewardSettings(Plain):
    """Settings of scoring; each key is an option of ``troop score``."""

    steps: Join | None = None
    """Rule that makes one score of a process model's scores of steps: ``min``, ``prod``, ``mean`` or ``last``.

    A process model needs it; an outcome model, which scores the whole text, takes none.
    """

    step_separator: str = Field(default="\n\n", min_length=1)
    """Text at which a completion is cut into steps, for a process model. Default: an empty line."""

    step_token: str | None = Field(default=None, min_length=1)
    """Token after each step, at which a process model is read. Default: the model's own, where its kind has one."""

    template: Literal["auto", "chat", "plain"] = "auto"
    """Form of the text: ``chat`` uses the model's chat template, ``plain`` joins prompt and completion.

    ``auto`` is chat where the model has a chat template.
    """


@dataclass(frozen=True, slots=True)
class RewardModel:
    """An inspected reward model with settings that fit it."""

    spec: ModelSpec
    info: ModelInfo
    head: Head
    labels: int
    settings: RewardSettings

    @property
    def version(self) -> str:
        """Name of everything that changes a score: the ``m=`` part of the keys of stored scores."""
        parts = [VERSION, self.spec.distribution, self.info.revision, self.settings.model_dump(), self.labels]
        digest = hashlib.sha256(json.dumps([*parts, self.info.architecture], sort_keys=True).encode()).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.spec.name)[:60]
        return f"{name}-{self.settings.steps}-{digest[:10]}"

    @property
    def words(self) -> str:
        """Description for a person: model, revision, where it is read, template."""
        settings = self.settings
        how = "at the last token" if not self.head.process else f"{settings.steps} over steps cut at " + (
            f"{settings.step_separator!r} and read at {settings.step_token!r}"
        )  # fmt: skip
        return f"{self.spec.path} ({self.info.revision}), {how}, template {settings.template}"


def inspect_reward(spec: ModelSpec, settings: RewardSettings) -> RewardModel:
    """Returns the reward model of ``spec``; raises BadInput where it is none, or the settings do not fit it."""
    info = inspect_model(spec, "--model")
    head = _find_head(spec.path, info)
    if info.floats is not None:
        refuse_without_head(spec.path, info)
    labels = head.labels or info.labels
    if labels not in (1, 2):
        raise BadInput(f"{spec.path}: has {labels} labels; allowed: 1 (a score) or 2 (the second is right)")
    update = {"steps": _choose_join(head, settings), "step_token": _choose_step_token(head, settings)}
    every_token = {"pooler_config": {"tok_pooling_type": "ALL"}} if head.task == "token_classify" else {}
    spec = spec.model_copy(update={"vllm": {"runner": "pooling", **every_token, **spec.vllm}})
    return RewardModel(spec, info, head, labels, settings.model_copy(update=update))


def refuse_without_head(path: str, info: ModelInfo) -> None:
    """Raises EngineRefused where the weights lack the head; vLLM would fill it with random numbers."""
    if info.has_head is False:
        raise EngineRefused(f"{path}: its weights have no head (no tensor named score, classifier or v_head)")
    if info.has_head is None:
        raise EngineRefused(f"{path}: no safetensors there; a reward model's head is looked for in their headers")


def _find_head(path: str, info: ModelInfo) -> Head:
    found = [head for head in HEADS if info.architecture.endswith(head.suffix)]
    if not found:
        allowed = ", ".join(f"…{head.suffix}" for head in HEADS)
        named = info.architecture or "its config.json names no architecture"
        raise BadInput(f"{path}: is no reward model ({named}); allowed: {allowed}")
    return max(found, key=lambda head: len(head.suffix))


def _choose_join(head: Head, settings: RewardSettings) -> Join:
    if head.process and settings.steps is None:
        raise BadInput("--steps is missing: this model scores every step; allowed: min, prod, mean, last")
    if not head.process and settings.steps not in (None, "last"):
        raise BadInput(f"--steps {settings.steps}: this model scores the whole text, not its steps; leave it out")
    return settings.steps or "last"


def _choose_step_token(head: Head, settings: RewardSettings) -> str | None:
    if not head.process and settings.step_token:
        raise BadInput("--step-token: this model scores the whole text, not its steps; leave it out")
    if head.process and not (settings.step_token or head.step_token):
        raise BadInput(f"--step-token is missing: what a …{head.suffix} model was trained to see after each step")
    return settings.step_token or head.step_token


@dataclass(frozen=True, slots=True)
class Text:
    """A completion to score. Equal completions with the same ``problem`` (task, index) are scored once."""

    problem: tuple[str, int]
    prompt: Prompt
    completion: str


@dataclass(frozen=True, slots=True)
class Score:
    """Result of one text: a number, or the reason why there is none; ``tokens`` is how many the model read."""

    value: float | None
    reason: str = ""
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """A text as tokens, and the indices of the tokens at which a score is read (empty: at the last)."""

    tokens: list[int]
    places: list[int]


def read(text: Text, model: RewardModel, tokenizer: Any) -> Reading | Score:
    """Returns what the model is shown of a text, or a Score with the reason why it cannot be shown."""
    from jinja2 import TemplateError

    content, ends = text.completion, list[int]()
    if model.head.process:
        content, ends = with_steps(text.completion, model.settings)
        if not ends:
            return Score(None, "the completion has no steps")
    chat = model.settings.template == "chat" or (
        model.settings.template == "auto" and bool(getattr(tokenizer, "chat_template", None))
    )
    try:
        shown = _chat(text.prompt, content, tokenizer) if chat else _plain(text.prompt) + content
    except TemplateError as error:
        return Score(None, f"the model's chat template refuses the conversation: {error}")
    start = shown.rfind(content)
    if ends and start < 0:
        return Score(None, "the model's chat template changes the completion, so its steps are not found")
    encoded = tokenizer(shown, add_special_tokens=not chat, return_offsets_mapping=bool(ends))
    spans = [last for _, last in encoded["offset_mapping"]] if ends else []
    return Reading(list(encoded["input_ids"]), [bisect_left(spans, start + end) for end in ends])


def with_steps(completion: str, settings: RewardSettings) -> tuple[str, list[int]]:
    """Returns the completion with the step token after each step, and the offset in characters of each token's end.

    A step token that the sample wrote itself is removed, so that it cannot add a step.
    """
    assert settings.step_token is not None
    parts = completion.split(settings.step_separator)
    steps = [step for part in parts if (step := part.replace(settings.step_token, "").strip())]
    ends, size = [], 0
    for step in steps:
        size += len(step) + len(settings.step_token)
        ends.append(size)
    return "".join(step + settings.step_token for step in steps), ends


def _chat(prompt: Prompt, content: str, tokenizer: Any) -> str:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [m.model_dump() for m in prompt]
    turns.append({"role": "assistant", "content": content})
    return str(tokenizer.apply_chat_template(turns, tokenize=False))


def _plain(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else "\n\n".join(message.content for message in prompt)


def score_of(outputs: Sequence[Sequence[float]], model: RewardModel, tokens: int) -> Score:
    """Returns the score from the model's raw outputs (before any activation), one row of labels for each place.

    The score of an outcome model with one label is its logit, which has no scale. Every other score is a probability:
    of the second of two labels, or of the one label that a step has.
    """
    values = [_value(row, model) for row in outputs]
    if not all(map(math.isfinite, values)):
        return Score(None, "the model said no number", tokens)
    return Score(_join(values, model.settings.steps or "last"), "", tokens)


def _join(values: Sequence[float], how: Join) -> float:
    match how:
        case "min":
            return min(values)
        case "prod":
            return math.prod(values)
        case "mean":
            return math.fsum(values) / len(values)
        case "last":
            return values[-1]


def _value(row: Sequence[float], model: RewardModel) -> float:
    if len(row) == 1 and not model.head.process:
        return row[0]
    odds = row[0] if len(row) == 1 else row[1] - row[0]
    return (1 + math.tanh(odds / 2)) / 2  # the logistic function, without the overflow of exp


def reward_spec(path: str, **engine: object) -> ModelSpec:
    """Returns the spec of a reward model's engine, with the keys of a sweep's model; raises BadInput."""
    path, _ = model_place(path, Path.cwd())
    name = Path(path).name or Path(path).absolute().name
    given = {key: value for key, value in engine.items() if value is not None}
    return parse(ModelSpec, {"name": name, "path": path, **given}, "--model")
