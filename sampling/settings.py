"""What decides a sample's distribution: sampling settings and the model. Both are part of a run's identity."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sampling.validate import Plain

OPENAI_DEFAULT_PARALLEL = 32
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What a request to a service says by the sweep's own settings; a spending cap relies on some of them.
SENT_KEYS = frozenset(
    {"model", "messages", "prompt", "n", "seed", "stop", "stream", "logprobs"}
    | {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens"}
)


class SamplingSettings(Plain):
    """How to sample. ``top_k`` 0 means all tokens; ``stop`` adds to the stop strings of the task's own format."""

    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    seed: Literal["per_engine", "per_sample"] = "per_engine"
    logprobs: bool = False


class TaskSampling(Plain):
    """What a task samples with in place of a model's settings; a key that is not given leaves those."""

    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=0)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: tuple[str, ...] | None = None


class Prices(Plain):
    """US dollars: per hour of one engine (its GPUs together), or per million tokens of a service."""

    per_engine_hour: float | None = Field(default=None, ge=0)
    per_million_prompt_tokens: float | None = Field(default=None, ge=0)
    per_million_tokens: float | None = Field(default=None, ge=0)


class ServiceSettings(Plain):
    """How a service may be used. Only ``endpoint`` and ``extra`` change samples.

    ``endpoint`` auto sends a chat to the chat endpoint and a text to the other one; ``chat`` makes a text one user
    message. ``n_per_request`` asks for several samples at once where the service can. ``cap_usd`` is the most that
    the model may cost in this run, over all continuations; it needs both prices per token. ``timeout_s`` bounds a try.
    ``extra`` goes into every request as it is; ``check`` asks the service for its models before a run.
    """

    endpoint: Literal["auto", "chat", "completions"] = "auto"
    n_per_request: int = Field(default=1, ge=1)
    requests_per_minute: float | None = Field(default=None, gt=0)
    tokens_per_minute: float | None = Field(default=None, gt=0)
    timeout_s: float = Field(default=600.0, gt=0)
    cap_usd: float | None = Field(default=None, gt=0)
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    extra: dict[str, Any] = Field(default_factory=dict)
    check: bool = True

    @field_validator("extra")
    @classmethod
    def _sets_no_key_of_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(set(value) & SENT_KEYS)
        if ours:
            raise ValueError(f"{', '.join(ours)} is set by the sweep's own keys")
        return value


class ModelSpec(Plain):
    """One model of a sweep and the engine that serves it.

    ``path`` is a local folder, a Hugging Face id, an ``s3://`` folder, the model name at a service (``openai``), or a
    samples file (``replay``). ``k`` is samples per problem, ``tasks`` those that it is asked (all, where none is
    named). A model with ``sampling`` of its own keeps to it on every task. ``gpus`` is what one engine holds: 0.25 of a
    GPU, or 2 GPUs of one node for tensor parallelism. ``engines_per_gpu`` says a share as a number of engines; ``auto``
    packs several engines of a small model where they fit. On a machine without a GPU an engine gets CPU cores instead.
    ``vllm`` passes further engine arguments through as they are. ``weight`` is its share of the cluster beside other
    models. An engine that has work and gives nothing for ``stall_timeout_s`` seconds is killed and replaced.
    """

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    engine: Literal["vllm", "openai", "replay"] = "vllm"
    revision: str | None = None
    k: int | None = Field(default=None, ge=1)
    tasks: tuple[str, ...] | None = Field(default=None, min_length=1)
    baseline: bool = False
    sampling: SamplingSettings | None = None
    engines: int | Literal["auto"] = "auto"
    gpus: float = Field(default=1.0, gt=0)
    engines_per_gpu: int | Literal["auto"] = 1
    dtype: str = "auto"
    max_model_len: int | None = Field(default=None, ge=8)
    max_num_seqs: int = Field(default=256, ge=1)
    weight: float = Field(default=1.0, gt=0)
    stall_timeout_s: float = Field(default=600.0, gt=0)
    prices: Prices = Prices()
    base_url: str | None = None
    api_key_env: str | None = None
    parallel: int = Field(default=OPENAI_DEFAULT_PARALLEL, ge=1)
    service: ServiceSettings = ServiceSettings()
    vllm: dict[str, Any] = Field(default_factory=dict)

    @field_validator("engines", "engines_per_gpu")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("at least 1, or auto")
        return value

    @field_validator("gpus")
    @classmethod
    def _a_share_or_whole_gpus(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("a share below 1, or a whole number")
        return value

    @model_validator(mode="after")
    def _a_share_is_said_once(self) -> "ModelSpec":
        if self.engines_per_gpu != 1 and self.gpus != 1:
            raise ValueError("give gpus or engines_per_gpu, not both")
        return self

    @model_validator(mode="after")
    def _service_has_an_address(self) -> "ModelSpec":
        if self.engine == "openai" and not self.base_url:
            raise ValueError("engine openai needs base_url")
        if self.engine != "openai" and self.service != ServiceSettings():
            raise ValueError("service is for engine openai")
        if self.engine == "openai" and self.engines not in ("auto", 1):
            raise ValueError(
                "engine openai takes one engine, which keeps the rate limits; parallel is how much it asks"
            )
        prices = (self.prices.per_million_prompt_tokens, self.prices.per_million_tokens)
        if self.service.cap_usd is not None and None in prices:
            raise ValueError("service.cap_usd needs prices.per_million_prompt_tokens and prices.per_million_tokens")
        return self

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        """A key put here by mistake must not get into a plan, nor into the error: see validate.SECRET."""
        if value is not None and not ENVIRONMENT_NAME.fullmatch(value):
            raise ValueError("the name of an environment variable that holds the key, never the key itself")
        return value

    @field_validator("base_url")
    @classmethod
    def _holds_no_credentials(cls, value: str | None) -> str | None:
        if value is not None:
            url = urlsplit(value)
            if url.scheme not in {"http", "https"} or not url.hostname or "@" in url.netloc or url.query:
                raise ValueError("http(s)://host/v1, without credentials and query")
        return value

    @property
    def distribution(self) -> dict[str, object]:
        """What changes the model's samples; the rest (how many engines, prices) may change between runs."""
        kept = self.model_dump(mode="json", include={"engine", "revision", "dtype", "max_model_len", "base_url"})
        local = Path(self.path).exists()  # then the hash of its content tells, not where it lies
        own = "own" if self.sampling else None  # then a task's settings do not hold for it, though they look the same
        said = {"endpoint": self.service.endpoint, "extra": self.service.extra, "settings": own}
        kept |= {name: value for name, value in said.items() if value not in ("auto", {}, None)}
        return {"path": Path(self.path).name if local else self.path, **kept, "vllm": self.vllm}


def settings_on(model: ModelSpec, settings: SamplingSettings, task: TaskSampling | None) -> SamplingSettings:
    """What a model samples with on a problem whose task says ``task``; see ``jobs.sweep.Sweep`` for who goes first."""
    if task is None or model.sampling is not None:
        return settings
    return settings.model_copy(update=task.model_dump(exclude_none=True))


def distribution_digest(model: ModelSpec, settings: SamplingSettings, revision: str) -> str:
    """Hash of all that changes the samples of one model: stored on every row."""
    parts = [model.distribution, settings.model_dump(mode="json"), revision]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
