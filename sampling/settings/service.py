"""Settings for a service that draws samples over HTTP, and the prices of samples."""

import re
from typing import Any, Literal

from pydantic import Field, field_validator

from sampling.validate import Plain

OPENAI_DEFAULT_PARALLEL = 32
ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Keys of a request that the sweep's own settings fill; a spending cap relies on some of them.
SENT_KEYS = frozenset(
    {"model", "messages", "prompt", "n", "seed", "stop", "stream", "logprobs"}
    | {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens"}
)


class Prices(Plain):
    """Prices of a model, in US dollars. Keys may be combined; without any, no dollars are reported for the model."""

    per_engine_hour: float | None = Field(default=None, ge=0)
    """US dollars for one hour of one engine, all its GPUs together. Example: `2.5`.

    Reports count the time that an engine spent on samples; the limit ``stop.usd`` counts all the time for which the
    engine held its GPUs or cores, its start included.
    """

    per_million_prompt_tokens: float | None = Field(default=None, ge=0)
    """US dollars for a million prompt tokens of a service. Default: prompt tokens cost nothing."""

    per_million_tokens: float | None = Field(default=None, ge=0)
    """US dollars for a million tokens that the model writes. Default: completion tokens cost nothing."""


class ServiceSettings(Plain):
    """Settings for asking a service (``engine: openai``). Only ``endpoint`` and ``extra`` change the samples."""

    endpoint: Literal["auto", "chat", "completions"] = "auto"
    """Endpoint of the API: ``auto`` sends messages to chat/completions and plain text to completions.

    ``chat`` sends a text as one user message; ``completions`` joins messages to one text with empty lines.
    """

    n_per_request: int = Field(default=1, ge=1)
    """Samples to ask for in one request (``n``), so that their prompt is billed once. Ignored with seed per_sample.

    A service that returns fewer is asked again for the rest.
    """

    requests_per_minute: float | None = Field(default=None, gt=0)
    """Most requests in a minute, spread evenly. Default: no limit."""

    tokens_per_minute: float | None = Field(default=None, gt=0)
    """Most tokens in a minute, prompt and completions together. Default: no limit.

    A request is counted at its most before it is sent (one token for each byte of the prompt, ``max_tokens`` for each
    sample); tokens that it did not use are given back when the answer comes.
    """

    timeout_s: float = Field(default=600.0, gt=0)
    """Seconds that one try of a request may take; a later answer counts as lost, and the request is tried again."""

    cap_usd: float | None = Field(default=None, gt=0)
    """Most US dollars that the model may cost in this run, over all sessions. Default: no cap.

    A unit starts only if its worst case still fits below the cap. Needs ``prices.per_million_prompt_tokens`` and
    ``prices.per_million_tokens``. Example: `20`.
    """

    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """Name under which the service takes the limit on tokens."""

    extra: dict[str, Any] = Field(default_factory=dict)
    """Further keys of the request's body, sent as they are. Example: `{reasoning_effort: low}`.

    Keys that the sweep sets itself (``temperature``, ``stop``, ``n``, …) are refused here.
    """

    check: bool = True
    """Asks the service for its list of models before a run: a wrong address, key or model name is found at once."""

    @field_validator("extra")
    @classmethod
    def _sets_no_key_of_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        ours = sorted(set(value) & SENT_KEYS)
        if ours:
            raise ValueError(f"{', '.join(ours)} is set by the sweep's own keys")
        return value
