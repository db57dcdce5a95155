"""Facts about a model before any engine starts: that it exists, its context length, its sizes, its revision."""

import hashlib
import json
import logging
import re
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from sampling.engines.hardware import BFLOAT16, FLOAT16, FLOAT32
from sampling.engines.openai_check import check_service
from sampling.engines.replay_engine import GOLD
from sampling.errors import BadInput, EngineError
from sampling.places import HUB_ID
from sampling.problems import load_json, read_text
from sampling.s3_folder import S3, S3Folder
from sampling.settings import ModelSpec
from sampling.settings.identity import files_read

WHOLE_FILE = 64 << 20  # bytes; of a larger file only the size and both ends are hashed
END = 1 << 20
HEAD = re.compile(r"(^|\.)(score|classifier|v_head)\.")  # tensors of the head of a reward model or classifier
HUB_TIMEOUT_S = 10.0
BLOCK_WEIGHTS = 12  # weights of a transformer block: this times the square of its width
MOST_OF_LITTLE = 4e6  # weights in all blocks; on two cores, two engines were faster up to 3 million, slower from 11
TOO_LARGE_FOR_FLOAT16 = ("Gemma2", "Gemma3", "Glm4For")  # architectures of vLLM's _FLOAT16_NOT_SUPPORTED_MODELS
FLOATS = {"F64", "F32", "F16", "BF16"}  # safetensors' types that an engine may load at another width
# Config keys that give a model's context, and the kinds of rotary scaling that leave it as the keys say; both vLLM's.
LENGTH_KEYS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_target_positions",
    "max_sequence_length", "max_seq_length", "seq_len",
)  # fmt: skip
SCALED_ALREADY = {"su", "longrope", "llama3", "yarn", "deepseek_yarn", "deepseek_llama_scaling"}
# Config keys of models that keep fewer keys and values than one per token and layer.
SMALLER_CACHE = {
    "kv_lora_rank", "full_attention_interval", "attn_layer_period", "hybrid_override_pattern", "num_kv_shared_layers",
}  # fmt: skip


Read = Callable[[str, int, int], bytes]  # bytes of a file, both ends included
Files = tuple[Mapping[str, int], Read]  # sizes by name, and how to read them


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a safetensors file: its shape, its type as the file names it, its bytes."""

    shape: list[int]
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class AdapterInfo:
    """Facts about a LoRA adapter: the revision of its files, its largest rank, and the base that it names."""

    revision: str
    rank: int
    base: str = ""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Shape of a model; zeros and None where only the engine will know (a hub id, a service).

    ``full_layers`` counts the layers that certainly keep keys and values of the whole context. ``floats`` counts the
    weights that an engine loads at the width it computes with; ``packed_bytes`` are the bytes of all other weights
    (quantised), which are loaded unchanged. ``architecture`` and ``labels`` (of a classifier's head) come from the
    config; ``has_head`` says whether the weights hold such a head. ``max_model_len`` is the context that vLLM takes by
    itself, ``most_model_len`` the longest that it can be told to take; None where rotary scaling may stretch it.
    ``heads`` are attention heads, which tensor parallelism divides; ``vocabulary`` is the number of token ids.
    ``own_dtype`` is the number format of plain weights by the config, ``dtype`` the one that was chosen for a run.
    ``unreachable`` says which addresses of a service did not answer.
    """

    revision: str
    max_model_len: int | None = None
    parameters: int | None = None
    layers: int = 0
    hidden: int = 0
    kv_width: int = 0
    full_layers: int = 0
    floats: int | None = None
    packed_bytes: int = 0
    architecture: str = ""
    labels: int = 0
    has_head: bool | None = None
    most_model_len: int | None = None
    heads: int = 0
    vocabulary: int | None = None
    adapter: AdapterInfo | None = None
    own_dtype: str = ""
    dtype: str = ""
    unreachable: tuple[str, ...] = ()

    @property
    def weights(self) -> str:
        """Revision of all weights that draw: the model's, and its adapter's behind a plus sign."""
        return f"{self.revision}+{self.adapter.revision}" if self.adapter else self.revision

    @property
    def half(self) -> bool:
        """False for models that vLLM refuses to compute in float16, for their numbers are too large for it."""
        return not self.architecture.startswith(TOO_LARGE_FOR_FLOAT16)

    @property
    def computes_little(self) -> bool:
        """True where an engine without a GPU spends more time on its own Python than on arithmetic.

        More engines then help more than more threads.
        """
        return 0 < BLOCK_WEIGHTS * self.layers * self.hidden**2 <= MOST_OF_LITTLE


def inspect_model(model: ModelSpec, where: str) -> ModelInfo:
    """Returns what is known of a model, fetching a hub model's config; raises BadInput for a path without a model."""
    if model.engine == "openai":
        missing = check_service(model, where) if model.service.check else ()
        return ModelInfo(revision=model.revision or "service", unreachable=missing)
    folder = Path(model.path)
    if model.engine == "replay":
        if model.path == GOLD:
            return ModelInfo(revision=GOLD)
        if not folder.is_file():
            raise BadInput(f"{where}.path: no file {model.path!r}; engine replay takes a samples JSONL, or {GOLD!r}")
        return ModelInfo(revision=_file_digest(folder).hexdigest()[:16])
    if model.path.startswith(S3):
        return _inspect_bucket(S3Folder.parse(model.path, model.s3_options), where)
    if folder.is_absolute() and folder.is_dir():  # elsewhere, a folder of the same name may lie beside the process
        return inspect_folder(folder, where)
    if HUB_ID.fullmatch(model.path) and not model.path.startswith("."):
        config = hub_file(model, "config.json", where)
        return _shape(_json(config), config.parent.name, Weights())
    raise BadInput(
        f"{where}.path: no model at {model.path!r}; allowed: a folder with config.json, s3://…, or a hub id owner/name"
    )


def inspect_folder(folder: Path, where: str) -> ModelInfo:
    """Returns what is known of a model in a local folder; raises BadInput."""
    if not (folder / "config.json").is_file():
        raise BadInput(f"{where}.path: {str(folder)!r} has no config.json; a model folder needs one")

    return _shape(_json(folder / "config.json"), files_digest(folder, files_read), _weigh(*local_files(folder)))


def local_files(folder: Path) -> Files:
    """Returns the sizes of a folder's files by name, and a function that reads them."""

    def read(name: str, first: int, last: int) -> bytes:
        with (folder / name).open("rb") as file:
            file.seek(first)
            return file.read(last - first + 1)

    return {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}, read


def _inspect_bucket(folder: S3Folder, where: str) -> ModelInfo:
    try:
        if "config.json" not in folder.files:
            raise BadInput(f"{where}.path: {folder.uri} has no config.json; a model folder needs one")
        config = load_json(
            folder.read("config.json").decode("utf-8-sig", "replace"), f"{folder.uri}config.json", strict=False
        )
        weights = _weigh({name: size for name, (size, _) in folder.files.items()}, folder.read)
    except EngineError as error:
        raise BadInput(f"{where}.path: {error}") from error
    return _shape(config, bucket_revision(folder), weights)


def hub_file(model: ModelSpec, name: str, where: str) -> Path:
    """Returns the path of a hub model's file, from the cache or the hub; its folder is named by the commit."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are not for the user
    try:
        return Path(hf_hub_download(model.path, name, revision=model.revision, etag_timeout=HUB_TIMEOUT_S))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = "is not in the cache, and the hub cannot be reached"
        if isinstance(error, HfHubHTTPError):
            reason = f"is refused by the hub ({error.response.status_code})"
        raise BadInput(
            f"{where}.path: model {model.path!r} {reason}; allowed: a folder with config.json, a hub id"
        ) from error


def _json(path: Path) -> Any:
    return load_json(read_text(path), str(path), strict=False)  # others wrote it, and engines read the last of two


@dataclass(frozen=True, slots=True)
class Weights:
    """Sizes of a model's weights; fields as in ModelInfo."""

    parameters: int | None = None
    floats: int | None = None
    packed_bytes: int = 0
    has_head: bool | None = None


def _shape(config: Mapping[str, Any], revision: str, weights: Weights) -> ModelInfo:
    text = config.get("text_config", config)
    heads = text.get("num_attention_heads") or 1
    hidden = text.get("hidden_size") or 0
    longest = text.get("model_max_length") or min((text[key] for key in LENGTH_KEYS if text.get(key)), default=None)
    return ModelInfo(
        revision=revision,
        max_model_len=_context(text, longest),
        parameters=weights.parameters,
        layers=text.get("num_hidden_layers") or 0,
        hidden=hidden,
        kv_width=(text.get("head_dim") or hidden // heads) * (text.get("num_key_value_heads") or heads),
        full_layers=_full_layers(text),
        floats=weights.floats,
        packed_bytes=weights.packed_bytes,
        architecture=next(iter(config.get("architectures") or ()), ""),
        labels=len(config.get("id2label") or ())
        or config.get("num_labels")
        or 2,  # transformers writes neither where there are 2
        has_head=weights.has_head,
        heads=text.get("num_attention_heads") or 0,
        vocabulary=text.get("vocab_size"),
        most_model_len=None if any(kind != "default" for kind, _ in _rotary(text)) else longest,
        own_dtype="" if "quantization_config" in config else _own_dtype(config, text),
    )


def _own_dtype(*configs: Mapping[str, Any]) -> str:
    """Returns the number format that the first of the configs names; "" where none does: vLLM looks at the weights."""
    keys = ("dtype", "torch_dtype")
    named = next((str(config[key]) for config in configs for key in keys if config.get(key)), "")
    name = named.removeprefix("torch.")
    return name if name in {FLOAT32, FLOAT16, BFLOAT16} else ""


def compute_format(model: ModelSpec, info: ModelInfo) -> str:
    """Returns the number format for vLLM: the sweep's, or the one that was chosen for the run, else ``auto``."""
    return model.dtype if model.dtype != "auto" else info.dtype or "auto"


def _context(text: Mapping[str, Any], longest: int | None) -> int | None:
    """Returns the context that vLLM takes by itself for a model whose config's keys say ``longest``."""
    factor = 1.0
    for kind, stretched in _rotary(text):
        if kind == "longrope":
            return text.get("original_max_position_embeddings") or longest
        if kind not in SCALED_ALREADY and "gemma3" not in text.get("model_type", ""):
            factor = stretched
    return longest and int(longest * factor)


def _rotary(text: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Returns kind and factor of a config's rotary embeddings, one pair for each kind of layer that has its own."""
    given = text.get("rope_parameters") or text.get("rope_scaling") or {}
    parts = [part for part in given.values() if isinstance(part, Mapping)] or [given]
    return [
        (part.get("rope_type") or part.get("type") or "default", part.get("factor") or 1.0) for part in parts if part
    ]


def _full_layers(text: Mapping[str, Any]) -> int:
    """Counts layers with full attention; 0 where the config names windows, latent attention or state-space layers."""
    kinds = text.get("layer_types")
    if kinds:
        return sum(kind == "full_attention" for kind in kinds)
    window = text.get("sliding_window") and text.get("use_sliding_window", True)
    return 0 if window or SMALLER_CACHE & text.keys() else text.get("num_hidden_layers") or 0


def _weigh(sizes: Mapping[str, int], read: Read) -> Weights:
    """Sums the sizes of the tensors of a model; of other formats than safetensors only the files' size is known."""
    parameters = floats = packed = 0
    names: set[str] = set()
    for name, tensor in read_tensors(sizes, read):
        names.add(name)
        parameters += prod(tensor.shape)
        if tensor.kind in FLOATS:
            floats += prod(tensor.shape)
        else:
            packed += tensor.size
    if not parameters:
        other = sum(size for name, size in sizes.items() if name.endswith((".bin", ".pt")))
        return Weights(floats=0, packed_bytes=other) if other else Weights()
    return Weights(parameters, floats, packed, any(map(HEAD.search, names)))


def read_tensors(sizes: Mapping[str, int], read: Read) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors of safetensors files by name, from their headers alone.

    See https://huggingface.co/docs/safetensors: 8 bytes hold the length of the JSON that follows.
    """
    for name in sorted(name for name in sizes if name.endswith(".safetensors")):
        length = struct.unpack("<Q", read(name, 0, 7))[0]
        if length > sizes[name]:
            raise BadInput(f"{name}: damaged, or no safetensors file")
        header = json.loads(read(name, 8, 7 + length))
        for key, entry in header.items():
            if key != "__metadata__":
                first, last = entry["data_offsets"]
                yield key, Tensor(entry["shape"], entry["dtype"], last - first)


def bucket_revision(folder: S3Folder) -> str:
    """Returns a hash of the files in a bucket's folder that an engine reads; raises EngineError."""
    return folder.revision(files_read)


def files_digest(folder: Path, chosen: Callable[[Iterable[str]], Iterable[str]]) -> str:
    """Returns a hash of the names and contents of the files that ``chosen`` keeps."""
    digest = hashlib.sha256()
    for name in chosen(path.name for path in folder.iterdir() if path.is_file()):
        digest.update(name.encode() + _file_digest(folder / name).digest())
    return digest.hexdigest()[:16]


def _file_digest(path: Path) -> "hashlib._Hash":
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        if size <= WHOLE_FILE:
            digest.update(file.read())
        else:
            digest.update(file.read(END))
            file.seek(-END, 2)
            digest.update(file.read())
    return digest
