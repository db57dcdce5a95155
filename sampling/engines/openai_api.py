"""OpenAI's HTTP API as data: the request to send, and the meaning of each answer. This module sends nothing.

The protocol is https://platform.openai.com/docs/api-reference (completions, chat, models), as vLLM and others serve it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from sampling.engines.prompts import turns_of
from sampling.problems import Message, Problem
from sampling.settings import ModelSpec, SamplingSettings, settings_on
from sampling.thoughts import Split, Thoughts

RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, 529}
REFUSED = {400, 413, 422}
TOO_LONG = ("context_length_exceeded", "context length", "maximum context", "too long")
NO_MONEY = ("insufficient_quota", "billing_hard_limit")
FILTERED = ("content_filter", "content_policy", "responsibleai")
FINISHED = {"stop", "length", "content_filter"}
SAID_CHARACTERS = 200
SEND_ALL = {"vllm", "sglang"}  # as they name themselves in owned_by


class Text(BaseModel):
    """Message of a chat's choice; ``content`` may be null. Services name a thought in one of two ways."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class TokenLogprob(BaseModel):
    """One token of a chat's choice."""

    logprob: float


class Logprobs(BaseModel):
    """Log probabilities: a chat has ``content``, a completion ``token_logprobs`` (null for a token without one)."""

    content: list[TokenLogprob] | None = None
    token_logprobs: list[float | None] | None = None

    @property
    def values(self) -> list[float]:
        return [token.logprob for token in self.content or ()] or [v or 0.0 for v in self.token_logprobs or ()]


class Choice(BaseModel):
    """One completion, in ``message`` for a chat, else in ``text``."""

    text: str | None = None
    message: Text | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None

    @property
    def written(self) -> str:
        return self.text or (self.message.content if self.message else None) or ""

    @property
    def thought(self) -> str | None:
        return (self.message.reasoning or self.message.reasoning_content) if self.message else None

    @property
    def finished(self) -> str:
        return self.finish_reason if self.finish_reason in FINISHED else "stop"


class TokenDetails(BaseModel):
    """Parts of the completion's tokens."""

    reasoning_tokens: int | None = Field(default=None, ge=0)


class Usage(BaseModel):
    """Tokens as the service counts and bills them."""

    prompt_tokens: int = Field(default=0, ge=0)
    completion_tokens: int = Field(default=0, ge=0)
    completion_tokens_details: TokenDetails | None = None


class Reply(BaseModel):
    """Body of an answer with status 200; keys that are not needed are ignored."""

    choices: list[Choice] = Field(min_length=1)
    usage: Usage | None = None


class Meaning(Enum):
    """Meaning of an answer for its request."""

    DRAWN = "samples came"
    AGAIN = "worth another try"
    TOO_LONG = "this prompt does not fit"
    FILTERED = "this prompt is not answered"
    REFUSED = "this prompt, or the settings, cannot be used"
    BROKEN = "no request can succeed"


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of one try. ``said`` is for a person; ``may_cost``: no usage came, but the try may be billed."""

    meaning: Meaning
    said: str = ""
    reply: Reply | None = None
    may_cost: bool = False


class Served(BaseModel):
    """One model that a service has."""

    id: str
    owned_by: str | None = None


class ServedModels(BaseModel):
    """Answer to GET models."""

    data: list[Served]


def read_models(content: bytes) -> list[Served]:
    """Returns the models of an answer to GET models; none where it cannot be read."""
    try:
        return ServedModels.model_validate_json(content).data
    except ValidationError:
        return []


def top_k_of_all(listed: bytes) -> int | None:
    """Returns what stands for ``top_k: 0`` at a service that gave this answer to GET models.

    vLLM and SGLang fill in the default of the model's generation_config.json where the key is missing, and take -1 for
    all tokens. None for other services, which may refuse a key that OpenAI's API does not have.
    """
    return -1 if any(model.owned_by in SEND_ALL for model in read_models(listed)) else None


def request_of(
    model: ModelSpec,
    settings: SamplingSettings,
    problem: Problem,
    samples: int,
    seed: int | None,
    all_tokens: int | None = None,
) -> tuple[str, dict[str, Any]]:
    """Returns the path below the base URL and the body of a request; keys left out have the server's defaults.

    ``all_tokens`` is sent for ``top_k: 0``; None leaves the key out.
    """
    service, settings = model.service, settings_on(model, settings, problem.sampling)
    body: dict[str, Any] = {"model": model.path, "temperature": settings.temperature, "top_p": settings.top_p}
    body[service.max_tokens_key] = settings.max_tokens
    optional = {
        "top_k": settings.top_k or all_tokens,
        "stop": [*settings.stop, *problem.stop] or None,
        "n": samples if samples > 1 else None,
        "seed": seed,
    }
    given = {key: value for key, value in settings.given_keys.items() if key != "system"}
    body |= {key: value for key, value in optional.items() if value is not None} | given | service.extra
    if service.endpoint == "completions" or (service.endpoint == "auto" and problem.messages is None):
        turns = [problem.prompt] if problem.messages is None else [m.content for m in problem.messages]
        prompt = {"prompt": "\n\n".join(turn or "" for turn in turns)}
        return "completions", body | prompt | ({"logprobs": 1} if settings.logprobs else {})
    messages = turns_of(problem.messages or (Message(role="user", content=problem.prompt or ""),), settings.system)
    return "chat/completions", body | {"messages": messages} | ({"logprobs": True} if settings.logprobs else {})


def read_answer(status: int, content: bytes) -> Answer:
    """Returns the meaning of an HTTP answer."""
    if status == 200:
        return _read_reply(content)
    said = f"{status} {_said(content)}"
    text = said.lower()
    if status == 429 and any(word in text for word in NO_MONEY):
        return Answer(Meaning.BROKEN, said)
    if status in RETRIED:
        return Answer(Meaning.AGAIN, said)
    if status not in REFUSED:
        return Answer(Meaning.BROKEN, said)
    if any(word in text for word in TOO_LONG) or status == 413:
        return Answer(Meaning.TOO_LONG, said)
    return Answer(Meaning.FILTERED if any(word in text for word in FILTERED) else Meaning.REFUSED, said)


@dataclass(frozen=True, slots=True)
class Drawn:
    """One sample of a reply; fields as in sampling.samples.Sample."""

    text: str
    finish_reason: str
    tokens: int
    reasoning: str | None
    reasoning_tokens: int | None
    logprob: float | None


def drawn_of(reply: Reply, samples: int, thoughts: Thoughts | None) -> list[Drawn]:
    """Returns at most ``samples`` samples of a reply, each with its share of the tokens that are counted together.

    A thought that the service itself told from the answer is kept so; else ``thoughts`` tells them, or nothing does.
    """
    choices = reply.choices[:samples]
    parts = [_split(choice, thoughts) for choice in choices]
    weights = [
        len(choice.logprobs.values) if choice.logprobs else _bytes(part.reasoning) + _bytes(part.answer)
        for choice, part in zip(choices, parts, strict=True)
    ]
    tokens = share_tokens(reply.usage.completion_tokens if reply.usage else 0, weights)
    details = reply.usage.completion_tokens_details if reply.usage else None
    thought = _thought_tokens(parts, tokens, details.reasoning_tokens if details else None)
    return [
        Drawn(
            text=part.answer,
            finish_reason=choice.finished,
            tokens=count,
            reasoning=part.reasoning,
            reasoning_tokens=of_thought,
            logprob=sum(choice.logprobs.values) if choice.logprobs else None,
        )
        for choice, part, count, of_thought in zip(choices, parts, tokens, thought, strict=True)
    ]


def _split(choice: Choice, thoughts: Thoughts | None) -> Split:
    if choice.thought is not None:
        return Split(choice.thought, choice.written)
    return thoughts.split(choice.written) if thoughts else Split(None, choice.written)


def _thought_tokens(parts: Sequence[Split], tokens: Sequence[int], counted: int | None) -> list[int | None]:
    """Returns the tokens of each thought: shares of the service's own count, else by the length of its text."""
    if counted:
        return list(share_tokens(counted, [_bytes(part.reasoning) for part in parts]))
    sizes = [(_bytes(part.reasoning), _bytes(part.answer)) for part in parts]
    return [
        None if part.reasoning is None else count * thought // max(thought + answer, 1)
        for part, count, (thought, answer) in zip(parts, tokens, sizes, strict=True)
    ]


def _bytes(text: str | None) -> int:
    return len((text or "").encode("utf-8", "replace"))


def share_tokens(total: int, weights: Sequence[int]) -> list[int]:
    """Returns whole shares of ``total``, nearly in proportion to the weights, that add up to it exactly.

    The API counts the tokens of a request together, so the tokens of one of its samples are an estimate.
    """
    whole, done, given = sum(weights), 0, 0
    shares = []
    for i, weight in enumerate(weights, start=1):
        done += weight
        upto = total * done // whole if whole else total * i // len(weights)
        shares.append(upto - given)
        given = upto
    return shares


def _read_reply(content: bytes) -> Answer:
    try:
        return Answer(Meaning.DRAWN, reply=Reply.model_validate_json(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "reply"
        return Answer(Meaning.AGAIN, f"200, but not what the API promises: {place}: {first['msg']}", may_cost=True)


def _said(content: bytes) -> str:
    """Returns the service's error in one line: code, type and message of its error object, or the start of the text."""
    text = content[:10_000].decode("utf-8", "replace")
    try:
        error = json.loads(text)
        error = error.get("error", error) if isinstance(error, dict) else error
        if isinstance(error, dict):
            text = " ".join(str(error[key]) for key in ("code", "type", "message") if error.get(key))
    except (ValueError, RecursionError):
        pass
    printable = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())[:SAID_CHARACTERS]
