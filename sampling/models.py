"""What can be known of a model before any engine starts: does it exist, how long a prompt it takes, how large it is."""

import hashlib
import json
import logging
import re
import struct
from dataclasses import dataclass
from math import prod
from pathlib import Path

from sampling.errors import BadInput
from sampling.openai_check import check_service
from sampling.problems import Problem, load_json, read_text
from sampling.replay_engine import GOLD
from sampling.settings import ModelSpec

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
WHOLE_FILE = 64 << 20  # larger files are known by their size and ends
END = 1 << 20
HUB_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Shape of a model; zeros and None where only the engine will know (a hub id, a service)."""

    revision: str
    max_model_len: int | None = None
    parameters: int | None = None
    layers: int = 0
    hidden: int = 0
    kv_width: int = 0


def inspect_model(model: ModelSpec, where: str) -> ModelInfo:
    """Raises BadInput for a path that is no model; of a model on the hub it fetches the config."""
    if model.engine == "openai":
        if model.service.check:
            check_service(model, where)
        return ModelInfo(revision=model.revision or "service")
    folder = Path(model.path)
    if model.engine == "replay":
        if model.path == GOLD:
            return ModelInfo(revision=GOLD)
        if not folder.is_file():
            raise BadInput(f"{where}.path: no file {model.path!r}; engine replay takes a samples JSONL, or {GOLD!r}")
        return ModelInfo(revision=_file_digest(folder).hexdigest()[:16])
    if folder.is_dir():
        return _inspect_folder(folder, model, where)
    if HUB_ID.fullmatch(model.path) and not model.path.startswith("."):
        config = _hub_config(model, where)
        return _shape(config, revision=config.parent.name, parameters=None)
    raise BadInput(
        f"{where}.path: no model at {model.path!r}; allowed: a folder with config.json, or a hub id owner/name"
    )


def prompt_too_long(model: ModelSpec, info: ModelInfo, problems: tuple[Problem, ...]) -> str | None:
    """Names the first plain prompt that leaves no room for a single token, or None; local models only."""
    tokenizer_file = Path(model.path) / "tokenizer.json"
    longest = model.max_model_len or info.max_model_len
    if model.engine != "vllm" or longest is None or not tokenizer_file.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    for problem in problems:
        text = problem.prompt or "\n\n".join(message.content for message in problem.messages or ())
        length = len(tokenizer.encode(text).ids)
        if length >= longest:
            return f"problem {problem.id!r}: its prompt has {length} tokens; {model.name} takes at most {longest - 1}"
    return None


def _inspect_folder(folder: Path, model: ModelSpec, where: str) -> ModelInfo:
    if not (folder / "config.json").is_file():
        raise BadInput(f"{where}.path: {model.path!r} has no config.json; a model folder needs one")
    return _shape(folder / "config.json", _folder_digest(folder), _count_parameters(folder))


def _hub_config(model: ModelSpec, where: str) -> Path:
    """The config.json of a model on the hub, from this machine's cache or from the hub; its folder is the revision."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # its retries are no news to the user
    try:
        return Path(hf_hub_download(model.path, "config.json", revision=model.revision, etag_timeout=HUB_TIMEOUT_S))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = "is not in the cache, and the hub cannot be reached"
        if isinstance(error, HfHubHTTPError):
            reason = f"is refused by the hub ({error.response.status_code})"
        raise BadInput(
            f"{where}.path: model {model.path!r} {reason}; allowed: a folder with config.json, a hub id"
        ) from error


def _shape(config_file: Path, revision: str, parameters: int | None) -> ModelInfo:
    config = load_json(read_text(config_file), str(config_file))
    text = config.get("text_config", config)
    heads = text.get("num_attention_heads") or 1
    hidden = text.get("hidden_size") or 0
    return ModelInfo(
        revision=revision,
        max_model_len=text.get("max_position_embeddings"),
        parameters=parameters,
        layers=text.get("num_hidden_layers") or 0,
        hidden=hidden,
        kv_width=(text.get("head_dim") or hidden // heads) * (text.get("num_key_value_heads") or heads),
    )


def _count_parameters(folder: Path) -> int | None:
    """Parameters from the safetensors headers (https://huggingface.co/docs/safetensors: 8-byte length, then JSON)."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total or None


def _folder_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in {".json", ".safetensors", ".model", ".txt"}):
        digest.update(path.name.encode() + _file_digest(path).digest())
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
