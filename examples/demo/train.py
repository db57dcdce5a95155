"""Trains the demo's two models from scratch on a CPU: ``python examples/demo/train.py small|large [--minutes M]``.

Training rows are drawn at random for every step. Held-out functions are removed, by their values, before the first
step. The schedule follows steps, not the clock, and every random choice has a fixed seed: the same steps on the same
kind of machine give the same model.
"""

import argparse
import json
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from examples.demo.functions import Ints, Level, build_levels, held_out
from examples.demo.tokens import (
    CONTEXT,
    END,
    PAD,
    PROMPT_TOKENS,
    expression_ids,
    prompt_ids,
    save_tokenizer,
    vocabulary,
)

HERE = Path(__file__).resolve().parent
LEVEL_SIZES = (10**6, 10**6, 300_000, 300_000)
SHARES_FIRST = np.array([0.20, 0.50, 0.20, 0.10])  # share of each level: easy levels more often at the start,
SHARES_LAST = np.array([0.05, 0.35, 0.40, 0.20])  # hard levels more often at the end
IGNORED = -100


@dataclass(frozen=True)
class Recipe:
    """A model's shape and its training settings."""

    hidden: int
    layers: int
    heads: int
    inner: int
    steps: int
    batch: int
    muon_rate: float
    adam_rate: float = 3e-3
    warmup: int = 50


RECIPES = {
    "small": Recipe(hidden=64, layers=2, heads=2, inner=128, steps=1000, batch=256, muon_rate=0.02),
    "large": Recipe(hidden=192, layers=5, heads=3, inner=512, steps=2000, batch=256, muon_rate=0.02),
}


class Data:
    """Draws training batches from the functions that are not held out."""

    def __init__(self, levels: list[Level], seed: int) -> None:
        kept = [level.take(~held_out(level.values)) for level in levels]
        self.rng = np.random.default_rng(seed)
        self.starts = np.cumsum([0] + [len(level) for level in kept])
        self.shown = np.concatenate([level.shown() for level in kept])
        self.ids, self.lengths = expression_ids([text for level in kept for text in level.texts])

    def batch(self, size: int, progress: float) -> tuple[Ints, Ints]:
        """Draws rows of prompt and completion ids, shortest first; returns them with the completions' lengths."""
        shares = SHARES_FIRST + (SHARES_LAST - SHARES_FIRST) * progress
        level = self.rng.choice(len(shares), size=size, p=shares / shares.sum())
        rows = self.rng.integers(self.starts[level], self.starts[level + 1])
        rows = rows[np.argsort(self.lengths[rows], kind="stable")]
        return np.concatenate([prompt_ids(self.shown[rows]), self.ids[rows]], axis=1), self.lengths[rows]


def make_model(recipe: Recipe) -> Any:
    """Makes an untrained Llama of the recipe's shape."""
    ids = vocabulary()
    config = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=recipe.hidden,
        intermediate_size=recipe.inner,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.heads,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=ids[END],
        pad_token_id=ids[PAD],
    )
    config._attn_implementation = "eager"
    return LlamaForCausalLM(config)


def optimizers(model: Any, recipe: Recipe) -> list[Any]:
    """Makes two optimizers: Muon for the layers' matrices, AdamW for embeddings and norms."""
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(matrices, lr=recipe.muon_rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=recipe.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def rate_factor(step: int, recipe: Recipe) -> float:
    """Returns the factor of the learning rate: linear warm-up, then a cosine down to zero."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    progress = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.5 + 0.5 * math.cos(math.pi * progress)


def completion_loss(model: Any, rows: Ints, lengths: Ints) -> Any:
    """Returns the loss, summed over the completions' tokens alone."""
    width = int(lengths.max())
    ids = torch.from_numpy(rows[:, : PROMPT_TOKENS + width])
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state[:, PROMPT_TOKENS - 1 :]
    real = torch.from_numpy(np.arange(width) < lengths[:, None])
    logits = model.lm_head(hidden[real]).float()
    return torch.nn.functional.cross_entropy(logits, ids[:, PROMPT_TOKENS:][real], reduction="sum")


def train_step(model: Any, parts: list[Any], data: Data, recipe: Recipe, step: int) -> float:
    """Makes one update, with the batch in four pieces of similar length; returns the mean loss per token."""
    rows, lengths = data.batch(recipe.batch, step / recipe.steps)
    total, tokens = 0.0, int(lengths.sum())
    for piece in np.array_split(np.arange(len(rows)), 4):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = completion_loss(model, rows[piece], lengths[piece]) / tokens
        loss.backward()
        total += loss.item()
    for part, rate in zip(parts, (recipe.muon_rate, recipe.adam_rate), strict=True):
        part.param_groups[0]["lr"] = rate * rate_factor(step, recipe)
        part.step()
        part.zero_grad()
    return total


def train(recipe: Recipe, data: Data, minutes: float = math.inf, compiled: bool = False) -> tuple[Any, list[float]]:
    """Trains a model; returns it with its loss at every step. Stops early after ``minutes``."""
    torch.manual_seed(1)
    model, losses, began = make_model(recipe), [], time.monotonic()
    parts = optimizers(model, recipe)
    if compiled:
        model.model.compile(dynamic=True)
    for step in range(recipe.steps):
        losses.append(train_step(model, parts, data, recipe, step))
        seconds = time.monotonic() - began
        if step % 100 == 99:
            print(f"step {step + 1}/{recipe.steps} loss {np.mean(losses[-100:]):.3f} {seconds:.0f} s", flush=True)
        if seconds > 60 * minutes:
            break
    return model, losses


def save(model: Any, folder: Path) -> None:
    """Saves the model in Hugging Face's format, weights in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = vocabulary()
    model.generation_config = GenerationConfig(
        do_sample=True, temperature=1.0, eos_token_id=ids[END], pad_token_id=ids[PAD], max_new_tokens=32
    )
    model.to(torch.bfloat16).save_pretrained(str(folder))
    save_tokenizer(folder)


def main() -> None:
    """Reads the command line, trains one model and saves it under models/."""
    parser = argparse.ArgumentParser(description="Train one of the demo's models on a CPU.")
    parser.add_argument("model", choices=sorted(RECIPES))
    parser.add_argument(
        "--minutes", type=float, default=math.inf, help="stop after this many minutes, even with steps left"
    )
    parser.add_argument("--out", type=Path, help="folder to write (default: models/ beside this file)")
    parser.add_argument("--compile", action="store_true", help="a third faster; needs a C++ compiler")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = Data(build_levels(LEVEL_SIZES, seed=1)[1:], seed=2)
    print(f"{data.starts[-1]} training functions", flush=True)
    model, losses = train(RECIPES[given.model], data, given.minutes, given.compile)
    save(model, given.out or HERE / "models" / given.model)
    print(json.dumps({"parameters": model.num_parameters(), "steps": len(losses), "loss": np.mean(losses[-100:])}))


if __name__ == "__main__":
    main()
