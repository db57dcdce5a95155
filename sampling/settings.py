"""What decides a sample's distribution: sampling settings and the model. Both are part of a run's identity."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from sampling.validate import Plain

OPENAI_DEFAULT_PARALLEL = 32


class SamplingSettings(Plain):
    """How to sample. ``top_k`` 0 means all tokens; ``stop`` adds to the stop strings of the task's own format."""

    temperature: float = Field(default=1.0, ge=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=512, ge=1)
    stop: tuple[str, ...] = ()
    seed: Literal["per_engine", "per_sample"] = "per_engine"
    logprobs: bool = False


class Prices(Plain):
    """US dollars: per hour of one engine (its GPUs together), or per million tokens of a service."""

    per_engine_hour: float | None = Field(default=None, ge=0)
    per_million_prompt_tokens: float | None = Field(default=None, ge=0)
    per_million_tokens: float | None = Field(default=None, ge=0)


class ModelSpec(Plain):
    """One model of a sweep and the engine that serves it.

    ``path`` is a local folder, a Hugging Face id, or the model name at a service (``openai``), or a samples file
    (``replay``). ``k`` is samples per problem. ``gpus`` is the share of GPUs of one engine; on a machine without a GPU
    an engine gets CPU cores instead. ``vllm`` passes further engine arguments through as they are.
    ``weight`` is its share of the cluster beside other models. An engine that has work and gives nothing for
    ``stall_timeout_s`` seconds is killed and replaced.
    """

    name: str = Field(min_length=1)
    path: str = Field(min_length=1)
    engine: Literal["vllm", "openai", "replay"] = "vllm"
    revision: str | None = None
    k: int | None = Field(default=None, ge=1)
    baseline: bool = False
    sampling: SamplingSettings | None = None
    engines: int | Literal["auto"] = "auto"
    gpus: float = Field(default=1.0, gt=0)
    dtype: str = "auto"
    max_model_len: int | None = Field(default=None, ge=8)
    max_num_seqs: int = Field(default=256, ge=1)
    weight: float = Field(default=1.0, gt=0)
    stall_timeout_s: float = Field(default=600.0, gt=0)
    prices: Prices = Prices()
    base_url: str | None = None
    api_key_env: str | None = None
    parallel: int = Field(default=OPENAI_DEFAULT_PARALLEL, ge=1)
    vllm: dict[str, Any] = Field(default_factory=dict)

    @field_validator("engines")
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
    def _service_has_an_address(self) -> "ModelSpec":
        if self.engine == "openai" and not self.base_url:
            raise ValueError("engine openai needs base_url")
        return self

    @property
    def distribution(self) -> dict[str, object]:
        """What changes the model's samples; the rest (how many engines, prices) may change between runs."""
        kept = self.model_dump(mode="json", include={"engine", "revision", "dtype", "max_model_len", "base_url"})
        local = Path(self.path).exists()  # then the hash of its content tells, not where it lies
        return {"path": Path(self.path).name if local else self.path, **kept, "vllm": self.vllm}


def distribution_digest(model: ModelSpec, settings: SamplingSettings, revision: str) -> str:
    """Hash of all that changes the samples of one model: stored on every row."""
    parts = [model.distribution, settings.model_dump(mode="json"), revision]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
