"""Trains one step on an export, as its users would: ``python train.py FORMAT FOLDER`` prints the rows it has read.

``datasets`` reads the folder as it reads one of the hub; TRL's trainer of the format checks the columns, applies the
chat template and takes a step with a model of a few thousand weights. Runs in a process of its own, beside the packages
of ``make test-readers``.
"""

import importlib
import json
import sys
import tempfile
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def tokenizer() -> Any:
    """A tokenizer of single bytes with a chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = Tokenizer(models.BPE(vocab={one: at for at, one in enumerate(letters)}, merges=[]))
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=tokens, eos_token="</s>", pad_token="<pad>")
    made.chat_template = TEMPLATE
    return made


def model(words: Any) -> Any:
    """A model with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(LlamaConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=512, pad_token_id=words.pad_token_id, eos_token_id=words.eos_token_id,
    ))  # fmt: skip


def train(form: str, rows: Any) -> None:
    """Takes one step with the trainer of a format."""
    import trl

    place = importlib.import_module("trl.experimental.kto") if form == "kto" else trl
    config, trainer_of = (getattr(place, form.upper() + name) for name in ("Config", "Trainer"))
    words = tokenizer()
    with tempfile.TemporaryDirectory() as folder:
        settings = config(output_dir=folder, max_steps=1, per_device_train_batch_size=4, report_to=[], use_cpu=True)
        others = {} if form == "sft" else {"ref_model": model(words)}
        trainer = trainer_of(model=model(words), args=settings, train_dataset=rows, processing_class=words, **others)
        assert trainer.train().global_step == 1


def main(form: str, folder: str) -> None:
    from datasets import load_dataset

    loaded = load_dataset(folder)
    if form in ("sft", "dpo", "kto"):
        train(form, loaded["train"])
    print(json.dumps({name: rows.to_list() for name, rows in loaded.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
