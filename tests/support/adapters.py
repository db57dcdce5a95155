"""LoRA adapters of the demo's small model, written by hand as PEFT writes them, and the model with one merged in."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from tests.support.places import SMALL_MODEL

TARGETS = {"self_attn.q_proj": (64, 64), "self_attn.v_proj": (64, 64), "mlp.down_proj": (64, 128)}
LAYERS, ALPHA = 2, 8.0

Floats = NDArray[np.float32]


def modules() -> list[tuple[str, tuple[int, int]]]:
    """Adapted modules by name, each with its numbers out and in."""
    return [(f"model.layers.{layer}.{name}", sizes) for layer in range(LAYERS) for name, sizes in TARGETS.items()]


def matrices(seed: int, rank: int) -> dict[str, tuple[Floats, Floats]]:
    """A and B of each module. Their product is about as large as the model's own weights, so that it changes texts."""
    draw = np.random.default_rng(seed)
    return {
        name: (
            draw.normal(0, 0.3, (rank, width)).astype(np.float32),
            draw.normal(0, 0.3, (out, rank)).astype(np.float32),
        )
        for name, (out, width) in modules()
    }


def save_adapter(folder: Path, seed: int, rank: int = 4, **config: Any) -> Path:
    """Saves an adapter of the demo's small model; ``config`` replaces keys of its config. Returns its folder."""
    folder.mkdir(parents=True)
    tensors = {}
    for name, (first, second) in matrices(seed, rank).items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = first
        tensors[f"base_model.model.{name}.lora_B.weight"] = second
    save_file(tensors, folder / "adapter_model.safetensors")
    said = {
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "demo/small", "r": rank,
        "lora_alpha": ALPHA, "target_modules": sorted({name.rpartition(".")[2] for name in TARGETS}), "bias": "none",
        "lora_dropout": 0.0, "use_rslora": False, "use_dora": False, "modules_to_save": None,
    }  # fmt: skip
    (folder / "adapter_config.json").write_text(json.dumps(said | config))
    return folder


def save_small_model(folder: Path) -> Path:
    """Saves the demo's small model with 32-bit weights, so that what is added to them is not rounded away."""
    return save_merged(folder, None)


def save_merged(folder: Path, seed: int | None, rank: int = 4) -> Path:
    """Saves the demo's small model with an adapter's product added to its weights; returns its folder."""
    shutil.copytree(SMALL_MODEL, folder)
    weights = _floats(folder / "model.safetensors")
    for name, (first, second) in matrices(seed, rank).items() if seed is not None else ():
        weights[f"{name}.weight"] += ALPHA / rank * second @ first
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"dtype": "float32"}))
    return folder


def _floats(file: Path) -> dict[str, Floats]:
    from safetensors.torch import load_file as load_torch

    return {name: tensor.float().numpy() for name, tensor in load_torch(file).items()}
