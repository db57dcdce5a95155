"""The demo models' tokenizer: each number of a prompt is one token, an expression has one token per piece.

It is saved in Hugging Face's format, so that any engine loads it. ``;-3=`` and ``12`` are one token each, so a prompt
(eight examples and the final `` >``) has seventeen tokens. Short prompts let two cores train a model in minutes.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from examples.demo.functions import PIECES, PROBE, SHOWN, SHOWN_LIMIT, Ints, pieces

PAD, END, UNKNOWN, ASK = "<pad>", "</s>", "<unk>", " >"
PROMPT_TOKENS = 2 * len(SHOWN) + 1
CONTEXT = 128
_WRITTEN = ["x", " if ", " else ", "abs(", "min(", "max(", "//", "==", *"+-*%&^()<>,|"]


def vocabulary() -> dict[str, int]:
    """Returns every token with its id."""
    numbers = [str(n) for n in range(-SHOWN_LIMIT, SHOWN_LIMIT + 1)]
    inputs = [f"{lead}{n}=" for lead in ("", ";") for n in PROBE]
    return {token: i for i, token in enumerate([PAD, END, UNKNOWN, ASK, *_WRITTEN, *inputs, *numbers])}


def make_tokenizer() -> Any:
    """Makes the tokenizer."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary(), unk_token=UNKNOWN))
    numbers = r";?-?[0-9]+=(?!=)|-?[0-9]+(?=;| >)| >"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(f"{numbers}|{PIECES}"), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
    )


def save_tokenizer(folder: Path) -> None:
    """Writes tokenizer.json and tokenizer_config.json with a class name that every version of transformers knows."""
    make_tokenizer().save_pretrained(str(folder))
    settings = folder / "tokenizer_config.json"
    kept = {**json.loads(settings.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
    settings.write_text(json.dumps(kept, indent=2) + "\n")


def expression_ids(texts: list[str]) -> tuple[Ints, Ints]:
    """Returns a padded row of token ids, ended by END, per expression; and the rows' lengths."""
    ids = vocabulary()
    rows = [[ids[piece] for piece in pieces(text)] + [ids[END]] for text in texts]
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    padded = np.full((len(rows), int(lengths.max())), ids[PAD], dtype=np.int64)
    padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    return padded, lengths


def prompt_ids(outputs: Ints) -> Ints:
    """Returns the token ids of prompts, one row each, from rows of outputs on SHOWN."""
    ids = vocabulary()
    prompts = np.full((len(outputs), PROMPT_TOKENS), ids[ASK], dtype=np.int64)
    prompts[:, 0:-1:2] = [ids[f"{';' if place else ''}{n}="] for place, n in enumerate(SHOWN)]
    prompts[:, 1:-1:2] = outputs + SHOWN_LIMIT + ids[str(-SHOWN_LIMIT)]
    return prompts
