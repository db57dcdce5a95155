"""Tiny reward models with random weights, created where a test needs one."""

import json
import shutil
from pathlib import Path
from typing import Any

CHAT = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STEP = "<extra_0>"
SPECIAL = [STEP, "<|im_start|>", "<|im_end|>", "<|pad|>"]
CONTEXT = 256


def save_tokenizer(folder: Path, chat: bool) -> Any:
    """Saves a tokenizer with one token per byte, and the special tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    made = PreTrainedTokenizerFast(
        tokenizer_object=core, extra_special_tokens=SPECIAL[:2], eos_token=SPECIAL[2], pad_token=SPECIAL[3]
    )
    made.chat_template = CHAT if chat else None
    made.save_pretrained(folder)
    return made


def outcome_model(folder: Path, chat: bool = True) -> Path:
    """Saves an outcome model: one label, read at the last token."""
    from transformers import LlamaForSequenceClassification

    return _save(folder, LlamaForSequenceClassification, chat, "llama", 30, num_labels=1)


def process_model(folder: Path) -> Path:
    """Saves a process model: two labels at every token, as TRL saves them."""
    from transformers import Qwen2ForTokenClassification

    return _save(folder, Qwen2ForTokenClassification, True, "qwen2", 2, num_labels=2)


def qwen_math_model(folder: Path, process: Path, architecture: str, labels: int) -> dict[str, Any]:
    """Saves a model with Qwen2.5-Math's two-layer head over the body of ``process``; returns the head's weights."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(process, folder)
    generator = torch.Generator().manual_seed(5)
    shapes = {"0.weight": (64, 64), "0.bias": (64,), "2.weight": (labels, 64), "2.bias": (labels,)}
    head = {f"score.{name}": torch.randn(shape, generator=generator) / 10 for name, shape in shapes.items()}
    weights = load_file(folder / "model.safetensors")
    body = {name: value for name, value in weights.items() if not name.startswith("score")}
    save_file(body | head, folder / "model.safetensors", {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": [architecture]}))
    return head


def _save(folder: Path, cls: Any, chat: bool, kind: str, head: float, **more: Any) -> Path:
    import torch
    from transformers import AutoConfig

    tokenizer = save_tokenizer(folder, chat)
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        kind, vocab_size=len(tokenizer), hidden_size=64, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=CONTEXT,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id, **more,
    )  # fmt: skip
    model = cls(config)
    with torch.no_grad():
        for name, value in model.named_parameters():  # so that every letter changes a score, and nothing saturates
            value.mul_(head if name.startswith("score") else 30 if "embed" in name else 3)
    model.save_pretrained(folder)
    return folder
