"""LoRA adapters before any engine starts: that they are there, that vLLM serves them, that they fit on their model.

An adapter's rank and the revision of its files join what is known of its model; its files are fetched as a model's are.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from sampling.engines.model_info import (
    FLOATS,
    AdapterInfo,
    Files,
    ModelInfo,
    Tensor,
    bucket_revision,
    files_digest,
    hub_file,
    inspect_model,
    local_files,
    read_tensors,
)
from sampling.engines.weights import local_weights
from sampling.errors import BadInput, EngineError, EngineRefused
from sampling.places import HUB_ID
from sampling.problems import load_json
from sampling.s3_folder import S3, S3Folder
from sampling.settings import ModelSpec, SamplingSettings
from sampling.settings.model import ADAPTER_CONFIG

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # those that vLLM takes for max_lora_rank
MOST_AT_ONCE = 8  # adapters in one batch; vLLM keeps memory for so many
WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin", "adapter_model.pt")  # vLLM takes the first that is there
STARTS_ONLY = {"gaussian", "eva", "orthogonal", "mica", "lora_ga"}  # ways to begin that leave the base's weights alone
# Keys of a model that its engine's start does not depend on: what a request says, and what only the plan reads.
OF_REQUESTS = {"name", "adapter", "sampling", "varied", "series", "k", "tasks", "baseline", "weight"}
OTHER = "it is of another model"
_SNAPSHOT = re.compile(r"/models--([\w.-]+?)--([\w.-]+)/snapshots/")
_LAYER = re.compile(r"(?:^|\.)(?:layers|h|blocks)\.(\d+)\.(.*)")


class AdapterConfig(BaseModel):
    """Keys of an adapter_config.json, as PEFT writes them, that decide whether vLLM can serve it."""

    r: int = Field(gt=0)
    peft_type: str = "LORA"
    base_model_name_or_path: str | None = None
    rank_pattern: dict[str, int] = Field(default_factory=dict)
    use_dora: bool = False
    lora_bias: bool = False
    bias: str = "none"
    modules_to_save: list[str] | None = None
    init_lora_weights: bool | str | None = True
    alora_invocation_tokens: list[int] | None = None
    layer_replication: list[list[int]] | None = None
    use_bdlora: dict[str, Any] | None = None
    use_qalora: bool = False

    @property
    def rank(self) -> int:
        """Largest rank of any module."""
        return max([self.r, *self.rank_pattern.values()])

    @property
    def unserved(self) -> str | None:
        """First thing in it that vLLM does not serve, or None."""
        init = self.init_lora_weights
        found = {
            f"peft_type {self.peft_type}": self.peft_type.upper() != "LORA",
            f"rank {self.rank}": self.rank > RANKS[-1],
            "use_dora": self.use_dora,
            f"bias {self.bias}": self.bias != "none",
            "lora_bias": self.lora_bias,
            "modules_to_save": bool(self.modules_to_save),
            f"init_lora_weights {init}": isinstance(init, str) and init.lower() not in STARTS_ONLY,
            "alora_invocation_tokens": bool(self.alora_invocation_tokens),
            "layer_replication": bool(self.layer_replication),
            "use_bdlora": bool(self.use_bdlora),
            "use_qalora": self.use_qalora,
        }
        return next((what for what, is_there in found.items() if is_there), None)


@dataclass(frozen=True, slots=True)
class Variant:
    """One of the models that share an engine: they differ in what a request says, settings and adapter."""

    model: ModelSpec
    info: ModelInfo
    settings: SamplingSettings


@dataclass(frozen=True, slots=True)
class _Found:
    """An adapter's config, the revision of its files, and its tensors where they can be seen."""

    config: AdapterConfig
    revision: str
    tensors: Mapping[str, Tensor]


def inspect_adapted(model: ModelSpec, where: str) -> ModelInfo:
    """Returns what is known of a model and its adapter; raises BadInput where one is not there or they do not fit."""
    info = inspect_model(model, where)
    if model.adapter is None:
        return info
    where = f"{where}.adapter"
    try:
        found = _look(model, model.adapter.path, where)
        trouble = _trouble(found, model, info)
    except EngineError as error:
        raise BadInput(f"{where}: {error}") from error
    if trouble:
        raise BadInput(f"{where}: {model.adapter.path!r} {trouble}")
    base = found.config.base_model_name_or_path or ""
    return replace(info, adapter=AdapterInfo(found.revision, found.config.rank, base))


def adapter_warning(model: ModelSpec, info: ModelInfo) -> str | None:
    """Returns a sentence where nothing here tells whether an adapter's base is the model; names alone differ."""
    base = info.adapter.base if info.adapter else ""
    same = base.rstrip("/").rpartition("/")[2].lower() == model.path.rstrip("/").rpartition("/")[2].lower()
    if model.adapter is None or not base or same or _hub_id(model.path) or Path(base).resolve() == Path(model.path):
        return None
    return (
        f"adapter {model.adapter.name}: is of {base!r}, and nothing here says whether {model.path!r} is the same model"
    )


def lora_arguments(infos: Sequence[ModelInfo]) -> dict[str, Any]:
    """Returns the engine arguments with which one engine serves these models' adapters; none where there are none."""
    adapters = {info.adapter.revision: info.adapter for info in infos if info.adapter}
    if not adapters:
        return {}
    most = max(adapter.rank for adapter in adapters.values())
    return {
        "enable_lora": True,
        "max_loras": min(len(adapters), MOST_AT_ONCE),
        "max_cpu_loras": len(adapters),
        "max_lora_rank": next(rank for rank in RANKS if rank >= most),
    }


def start_key(variant: Variant) -> str | None:
    """Returns everything that the start of a model's engine depends on; models with one key may share engines.

    None for a model that shares with no other: a service keeps its own rate limits. A model without an adapter shares
    with none that has one: on a CPU, vLLM 0.33 gives requests without an adapter that of other requests in their batch.
    """
    if variant.model.engine != "vllm":
        return None
    marks = variant.settings.chat_template if variant.settings.thinking_token_budget is not None else ""
    info, adapted = replace(variant.info, adapter=None), variant.model.adapter is not None
    return f"{variant.model.model_dump_json(exclude=OF_REQUESTS)} {info} {marks} {adapted}"


def load_adapters(engine: Any, variants: Sequence[Variant]) -> dict[str, Any]:
    """Loads the adapters of all variants into a vLLM engine, each once; returns vLLM's request by the model's name.

    Raises EngineRefused for an adapter that vLLM does not take, EngineError where it cannot be fetched.
    """
    requests: dict[str, Any] = {}  # by the adapter's revision
    found: dict[str, Any] = {}
    for variant in variants:
        if info := variant.info.adapter:
            if info.revision not in requests:
                requests[info.revision] = _load(engine, variant.model, info, len(requests) + 1)
            found[variant.model.name] = requests[info.revision]
    return found


def _load(engine: Any, model: ModelSpec, info: AdapterInfo, number: int) -> Any:
    from vllm.lora.request import LoRARequest

    assert model.adapter is not None, "what is known of an adapter is of the model's own"
    folder = local_weights(model.adapter.path, info.revision, model.s3_options)
    request = LoRARequest(info.revision, number, str(folder))
    try:
        engine.add_lora(request)
    except Exception as error:  # vLLM raises many kinds, and none would go away
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineRefused(f"model {model.name}: vLLM does not load the adapter ({said})") from error
    return request


def _look(model: ModelSpec, path: str, where: str) -> _Found:
    folder = Path(path)
    if path.startswith(S3):
        bucket = S3Folder.parse(path, model.s3_options)
        files: Files = {name: size for name, (size, _) in bucket.files.items()}, bucket.read
        return _found(files, path, where, lambda: bucket_revision(bucket))
    if folder.is_absolute() and folder.is_dir():
        return _found(local_files(folder), path, where, lambda: files_digest(folder, _files_read))
    if HUB_ID.fullmatch(path) and not path.startswith("."):
        config = hub_file(model.model_copy(update={"path": path, "revision": None}), ADAPTER_CONFIG, where)
        return _Found(_config(config.read_bytes(), path, where), config.parent.name, {})
    raise BadInput(
        f"{where}: no adapter at {path!r}; allowed: a folder with {ADAPTER_CONFIG}, s3://…, or a hub id owner/name"
    )


def _found(files: Files, path: str, where: str, revision: Callable[[], str]) -> _Found:
    sizes, read = files
    weights = next((name for name in WEIGHTS if name in sizes), None)
    if ADAPTER_CONFIG not in sizes or weights is None:
        raise BadInput(f"{where}: {path!r} lacks {ADAPTER_CONFIG} or {WEIGHTS[0]}; an adapter's folder needs both")
    config = _config(read(ADAPTER_CONFIG, 0, sizes[ADAPTER_CONFIG] - 1), path, where)
    try:
        tensors = dict(read_tensors({weights: sizes[weights]}, read))
    except (BadInput, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise BadInput(f"{where}: {path!r} has a damaged {weights}") from error
    return _Found(config, revision(), tensors)


def _files_read(names: Iterable[str]) -> list[str]:
    """Returns the names of an adapter's files that vLLM reads."""
    there = set(names)
    weights = next((name for name in WEIGHTS if name in there), None)
    return [ADAPTER_CONFIG, *([weights] if weights else [])]


def _config(data: bytes, path: str, where: str) -> AdapterConfig:
    name = f"{path.rstrip('/')}/{ADAPTER_CONFIG}"
    try:
        return AdapterConfig.model_validate(load_json(data.decode("utf-8-sig", "replace"), name, strict=False))
    except ValueError as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise BadInput(f"{where}: {name} is no LoRA config ({said})") from error


def _trouble(found: _Found, model: ModelSpec, info: ModelInfo) -> str | None:
    """Says why vLLM cannot serve the adapter on this model; None where nothing speaks against it."""
    if what := found.config.unserved:
        return f"has {what}, which vLLM does not serve; allowed: plain LoRA up to rank {RANKS[-1]}"
    if (base := found.config.base_model_name_or_path) and _is_another(base, model, info):
        return (
            f"is an adapter of {base!r}, not of {model.path!r}; allowed: an adapter of this model (its "
            f"base_model_name_or_path in {ADAPTER_CONFIG} says which)"
        )
    return _misfit(found.tensors, model, info)


def _is_another(base: str, model: ModelSpec, info: ModelInfo) -> bool:
    """Tells whether an adapter's base is surely another model: by hub ids, or by the files of two folders here."""
    folder, named = Path(model.path), Path(base)
    ids = [_hub_id(base), _hub_id(model.path)]
    if all(ids):
        return ids[0] != ids[1]
    if (
        folder.is_absolute()
        and named.is_absolute()
        and (named / "config.json").is_file()
        and named.resolve() != folder.resolve()
    ):
        return inspect_model(model.model_copy(update={"path": base}), "").revision != info.revision
    return False


def _hub_id(place: str) -> str:
    """Returns the hub id that a place is, or that a snapshot in the hub library's cache has, in small letters."""
    if cached := _SNAPSHOT.search(place):
        return f"{cached[1]}/{cached[2]}".lower()
    return place.lower() if HUB_ID.fullmatch(place) and not place.startswith(".") else ""


def _misfit(adapter: Mapping[str, Tensor], model: ModelSpec, info: ModelInfo) -> str | None:
    """Says which module of an adapter does not fit on the model."""
    base = _by_module(_base_tensors(model)) if adapter else {}
    for name, first in adapter.items():
        second = adapter.get(name.replace(".lora_A.", ".lora_B."))
        if not name.endswith(".lora_A.weight") or second is None or len(first.shape) != 2:
            continue
        module = name.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        sizes = [second.shape[0], first.shape[1]]
        layer, reads_hidden = _LAYER.search(module), module.endswith(("q_proj", "k_proj", "v_proj"))
        if not base and reads_hidden and info.hidden and sizes[1] != info.hidden:
            return f"reads {sizes[1]} numbers a token, but the model's hidden size is {info.hidden}; {OTHER}"
        if layer and info.layers and int(layer[1]) >= info.layers:
            return f"has weights for layer {layer[1]} of a model with {info.layers} layers; {OTHER}"
        there = base.get(_short(module))
        if there is not None and sorted(there) != sorted(sizes):
            return f"has {module} for weights of {sizes}, but the model's are {list(there)}; {OTHER}"
    return None


def _base_tensors(model: ModelSpec) -> Mapping[str, Tensor]:
    """Returns the model's tensors where they can be seen without a download: in a folder or a bucket."""
    if model.path.startswith(S3):
        bucket = S3Folder.parse(model.path, model.s3_options)
        return dict(read_tensors({name: size for name, (size, _) in bucket.files.items()}, bucket.read))
    return dict(read_tensors(*local_files(Path(model.path)))) if Path(model.path).is_absolute() else {}


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, Sequence[int] | None]:
    """Returns the shapes of weights by module; None where two modules have the same short name."""
    found: dict[str, Sequence[int] | None] = {}
    for name, tensor in tensors.items():
        if name.endswith(".weight") and tensor.kind in FLOATS and len(tensor.shape) == 2:
            short = _short(name.removesuffix(".weight"))
            found[short] = None if short in found else tensor.shape
    return found


def _short(module: str) -> str:
    """Returns a module's name from its layer's number on: what comes before differs between writers of one model."""
    layer = _LAYER.search(module)
    return f"{layer[1]}.{layer[2]}" if layer else module
