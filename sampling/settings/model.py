"""A model of a sweep, and the settings that hold for it on a problem."""

from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from sampling.s3_folder import S3, STANDARD, S3Options
from sampling.settings.drawing import SamplingSettings, TaskSampling
from sampling.settings.service import ENVIRONMENT_NAME, OPENAI_DEFAULT_PARALLEL, Prices, ServiceSettings
from sampling.thoughts import ThoughtMarks
from sampling.validate import Plain

# Keys of a model that one kind of engine alone reads.
OF_SERVICES = ("base_url", "api_key_env", "parallel")
OF_VLLM = ("device", "gpus", "gpu", "engines_per_gpu", "dtype", "max_num_seqs", "vllm")  # and adapters: see grid.py
ADAPTER_CONFIG = "adapter_config.json"


class Adapter(Plain):
    """One LoRA adapter of a model; the key `adapters` fills it in."""

    name: str = Field(min_length=1)
    """Name of the adapter, in the column ``adapter`` of samples and after the model's name: `qwen+math`."""

    path: str = Field(min_length=1)
    """Location of its adapter_config.json and weights: a folder, a Hugging Face id or an ``s3://`` folder."""


class ModelSpec(Plain):
    """One model of a sweep and the engines that serve it."""

    name: str = Field(min_length=1)
    """Name of the model in columns, reports and paths; it must be unique in the sweep. Example: `qwen-1.5b`."""

    path: str = Field(min_length=1)
    """Location of the model: a folder, a Hugging Face id, an ``s3://`` folder, or what ``engine`` takes instead.

    ``openai`` takes the name that the service knows the model by, ``replay`` a JSONL file of samples or ``gold``. A
    relative path starts at the folder of the sweep's file; a folder must be there on every node. Where `owner/name` is
    both a folder with a config.json and a hub id, the folder is taken, and `troop plan` says so; `hf://owner/name` is
    always the hub's, `./owner/name` always the folder. Example: `Qwen/Qwen2.5-1.5B`.
    """

    s3_options: S3Options = STANDARD
    """Connection to the bucket of an ``s3://`` path: endpoint, region, profile, as in ``store_options``.

    Default: the standard AWS settings. Example: `{endpoint_url: "http://minio:9000"}`.
    """

    engine: Literal["vllm", "openai", "replay"] = "vllm"
    """Producer of the samples: ``vllm`` runs the model here, ``openai`` asks a service over HTTP.

    ``replay`` returns the samples of a file, or with path ``gold`` each problem's own solution.
    """

    revision: str | None = None
    """Commit, branch or tag of a model on the hub. Default: the newest commit of its main branch.

    For ``openai`` it is a free text that names the version of the model. It is part of the model's identity.
    """

    checkpoints: str | tuple[str, ...] | None = None
    """Checkpoints, a model of each: a pattern of folders in place of ``path``, or a list of the model's revisions.

    Each is named after its model and its folder or revision: `qwen@step_100`. Example: `runs/step_*`.
    """

    adapters: dict[str, str] | None = None
    """LoRA adapters, a model of each: its name, and a folder, a Hugging Face id or an ``s3://`` folder.

    Each is named after its model and its own name: `qwen+math`. One engine serves all adapters of a model. Only for
    vllm. Example: `{math: runs/math, code: owner/code-lora}`.
    """

    adapter: Adapter | None = None
    """LoRA adapter of the model; ``adapters`` fills it in. Example: `{name: math, path: runs/math}`."""

    k: int | None = Field(default=None, ge=1)
    """Samples per problem of this model, on every task. Default: the task's, the sweep's, the preset's, else 100."""

    tasks: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the tasks that the model is asked. Default: all tasks of the sweep. Example: `[gsm8k, math]`."""

    baseline: bool = False
    """Marks the model as one to compare with: reports say at which k each other model reaches its single try."""

    sampling: SamplingSettings | None = None
    """Sampling settings of this model on every task, whatever the tasks say. Default: the task's and the sweep's.

    Keys that are not given have their own defaults, not the sweep's values.
    """

    thinking: Literal["auto", "none"] | ThoughtMarks = "auto"
    """Marks around the model's thoughts, which are kept apart from its answers, in the column ``reasoning``.

    ``auto`` knows `<think>`, `<thinking>`, `[THINK]`, `◁think▷`, harmony's channels and their like, and templates that
    open the thought in the prompt. ``none`` keeps the text whole. Example: `{start: <reason>, end: </reason>}`.
    """

    varied: TaskSampling | None = None
    """Sampling keys of one point of a grid; they go before all other settings.

    A list on a sampling key makes a model of each value, with this key filled in. Example: `{temperature: 0.6}`.
    """

    series: dict[str, float | str] = Field(default_factory=dict)
    """Place of the model in a series, which reports draw over it; grids and `checkpoints` fill it in.

    Example: `{step: 1000}`.
    """

    engines: int | Literal["auto"] = "auto"
    """Number of engines of this model, at least 1; ``auto`` starts as many as fit and have work.

    A service always has one engine, which keeps the rate limits; ``parallel`` is how much it asks at a time.
    """

    device: Literal["auto", "gpu", "cpu"] = "auto"
    """Device that engines of this model run on: ``auto`` takes GPUs if the cluster has any when the run starts.

    ``gpu`` waits for GPUs, and asks for twice as many engines as fit, so that an autoscaler adds nodes. ``cpu`` takes
    cores even where GPUs are. Only for vllm.
    """

    gpus: float = Field(default=1.0, gt=0)
    """GPUs that one engine holds: below 1 a share of one GPU, else whole GPUs of one node (tensor parallelism).

    On a cluster without GPUs an engine gets CPU cores instead. Only for vllm. Examples: `0.25`, `2`.
    """

    nodes: int = Field(default=1, ge=1)
    """Nodes that one engine spans, with ``gpus`` GPUs of each: for a model that no single node holds.

    Layers are divided among the nodes (pipeline parallelism), each layer among a node's GPUs. The nodes need a fast
    network. Only for vllm, through Ray. Example: `2`.
    """

    gpu: str | None = Field(default=None, pattern=r"^[\w.-]+$")
    """Type of GPU that engines of this model run on, as Ray names it in a node's label ``ray.io/accelerator-type``.

    Default: any. In a cluster of several types, give every model its type, or a model without one may take the GPUs
    that another waits for. Only for vllm. Examples: `H100`, `L4`, `A100-80G`.
    """

    engines_per_gpu: int | Literal["auto"] = 1
    """Engines that share one GPU; ``auto`` puts up to 4 engines of a small model on it where their memory fits.

    A model is small up to 3 billion parameters. Give this or ``gpus``, not both.
    """

    dtype: str = "auto"
    """Number format that vLLM computes in. Example: `bfloat16`.

    ``auto`` is what vLLM takes by itself (the config's format, 16 bits in place of float32) where all nodes of the run
    compute in it. Where one emulates it, it is float16 on GPUs, else float32: on cores up to four times as fast. It is
    chosen once for a run and kept in its plan; an engine on a node that would emulate it is refused.
    """

    max_model_len: int | None = Field(default=None, ge=8)
    """Most tokens of prompt and completion together. Default: the context length of the model's config."""

    max_num_seqs: int | Literal["auto"] = "auto"
    """Most samples that one vLLM engine generates at a time; ``auto`` is what vLLM's own ``LLM`` takes.

    That is 1024 on a GPU with 70 GiB or more (256 on an A100), else 256. Engines that share a GPU count their share of
    its memory. Example: `4096`.
    """

    weight: float = Field(default=1.0, gt=0)
    """Share of the cluster relative to the other models: weight 2 gets twice the GPUs of weight 1."""

    stall_timeout_s: float = Field(default=600.0, gt=0)
    """Seconds for which an engine with work may return nothing; then it is killed and replaced."""

    start_timeout_s: float = Field(default=1800.0, gt=0)
    """Seconds that an engine may take to start, with download and compilation; then it is killed and tried again."""

    prices: Prices = Prices()
    """Prices in US dollars, for reports and spending limits. Default: no dollars are counted."""

    base_url: str | tuple[str, ...] | None = None
    """Address of the service, needed by ``openai``; no credentials, query or fragment. Example: `https://host/v1`.

    A list names servers of one and the same model. Each request goes to the one with the least under way; a server that
    fails is left out for a while and tried again, and its requests go elsewhere. All limits hold for the list as a
    whole. Addresses are no part of the model's identity: `path` and `revision` say what is served there.
    """

    api_key_env: str | None = None
    """Environment variable that holds the service's key, never the key itself. Default: no key is sent.

    It must be set where the run is started and where engines run. Example: `OPENAI_API_KEY`.
    """

    parallel: int = Field(default=OPENAI_DEFAULT_PARALLEL, ge=1)
    """Most requests that are open at the service at a time, at all its addresses together. Only for ``openai``."""

    service: ServiceSettings = ServiceSettings()
    """Settings for asking the service: endpoint, rate limits, spending cap. Only for ``openai``."""

    vllm: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's EngineArgs, passed as they are; they replace Troop's own. Only for vllm.

    Example: `{enable_prefix_caching: false}`.
    """

    @field_validator("engines", "engines_per_gpu", "max_num_seqs")
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
    def _several_nodes_give_whole_gpus(self) -> "ModelSpec":
        if self.nodes > 1 and (self.gpus < 1 or self.engines_per_gpu != 1 or self.device == "cpu"):
            raise ValueError("nodes above 1 is for engines on whole GPUs: set gpus to the GPUs of each node")
        if self.nodes > 1 and self.engine != "vllm":
            raise ValueError("nodes is for engine vllm")
        return self

    @model_validator(mode="after")
    def _options_are_of_a_bucket(self) -> "ModelSpec":
        places = [self.path, self.adapter.path if self.adapter else ""]
        read = self.engine == "vllm" and any(place.startswith(S3) for place in places)
        if self.s3_options != STANDARD and not read:
            raise ValueError(f"s3_options is for a path that begins with {S3}, which engine vllm reads")
        return self

    @model_validator(mode="after")
    def _an_adapter_needs_vllm(self) -> "ModelSpec":
        if self.adapter and self.engine != "vllm":
            raise ValueError(f"adapters: engine {self.engine} cannot do it; engine vllm can")
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
        """Refuses a key put here by mistake: it must reach neither a plan nor the error (see validate.SECRET)."""
        if value is not None and not ENVIRONMENT_NAME.fullmatch(value):
            raise ValueError("the name of an environment variable that holds the key, never the key itself")
        return value

    @field_validator("base_url")
    @classmethod
    def _holds_no_credentials(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        urls = _as_tuple(value)
        for place in urls:
            url = urlsplit(place)
            more = "@" in url.netloc or set("?# ") & set(place) or not place.isprintable()
            if url.scheme not in {"http", "https"} or not url.hostname or more:
                raise ValueError("http(s)://host/v1, without credentials, query, fragment and spaces")
        if len({url.rstrip("/") for url in urls}) < len(urls):
            raise ValueError("an address occurs more than once")
        return value

    @property
    def base_urls(self) -> tuple[str, ...]:
        """The addresses of the service; none for other engines."""
        return _as_tuple(self.base_url)

    @property
    def distribution(self) -> dict[str, object]:
        """The parts of the spec that change the model's samples; others (engines, prices) may change between runs."""
        kept = self.model_dump(mode="json", include={"engine", "revision", "dtype", "max_model_len", "base_url"})
        path = Path(self.path)
        local = path.is_absolute() and path.exists()  # the hash of its content identifies it, not its folder
        own = "own" if self.sampling else None  # a task's settings do not apply, even if the sweep's look the same
        thinking = self.thinking if isinstance(self.thinking, str) else self.thinking.model_dump()
        said = {"endpoint": self.service.endpoint, "extra": self.service.extra, "settings": own, "thinking": thinking}
        kept |= {name: value for name, value in said.items() if value not in ("auto", {}, None)}
        kept["base_url"] = self.base_urls[0] if self.base_urls else None  # it stands for the others
        adapter = {"adapter": self.adapter.name} if self.adapter else {}
        return {"path": path.name if local else self.path, **kept, "vllm": self.vllm, **adapter}


def _as_tuple(given: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else given or ()


def unread_key(model: ModelSpec) -> str | None:
    """Returns a message about a key that the model's engine would not read, or None.

    Runs that were stored with such a key still open, so this is no rule of the spec itself.
    """
    keys = {"vllm": OF_SERVICES, "openai": OF_VLLM}.get(model.engine, ())
    for key in keys:
        if getattr(model, key) != ModelSpec.model_fields[key].get_default(call_default_factory=True):
            other = "openai" if model.engine == "vllm" else "vllm"
            return f"models.{model.name}.{key}: engine {model.engine} does not read it; it is for engine {other}"
    return None


def settings_on(model: ModelSpec, settings: SamplingSettings, task: TaskSampling | None) -> SamplingSettings:
    """Returns a model's settings on a problem with the task's ``task``; ``jobs.sweep.Sweep`` has the precedence."""
    if task is None or model.sampling is not None:
        return settings
    return over(over(settings, task), model.varied)


def over(settings: SamplingSettings, keys: TaskSampling | None) -> SamplingSettings:
    """Returns the settings with the given keys in place of their own."""
    return settings.model_copy(update={key: value for key, value in keys or () if value is not None})
