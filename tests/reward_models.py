"""Tiny reward models with random weights, made where a test needs one, and their scores by transformers."""

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
    """One token a byte, and the special ones."""
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
    """One label, read at the last token."""
    from transformers import LlamaForSequenceClassification

    return _save(folder, LlamaForSequenceClassification, chat, "llama", 30, num_labels=1)


def process_model(folder: Path) -> Path:
    """Two labels at every token, as TRL saves process reward models."""
    from transformers import Qwen2ForTokenClassification

    return _save(folder, Qwen2ForTokenClassification, True, "qwen2", 2, num_labels=2)


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
        for name, value in model.named_parameters():  # so that every letter moves a score, and nothing saturates
            value.mul_(head if name.startswith("score") else 30 if "embed" in name else 3)
    model.save_pretrained(folder)
    return folder
