"""The workloads: sweeps that need only files of the repository."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from jobs.resolve import Resolved, resolve, with_formats
from jobs.sweep import Sweep, demo_sweep
from sampling.engines.hardware import formats_here

SHOTS = 5
CONTEXT, MAX_TOKENS = 2048, 256


@dataclass(frozen=True, slots=True)
class Workload:
    """One model on one task; ``make`` resolves the sweep and may write files into the given folder."""

    name: str
    about: str
    make: Callable[[Path], Resolved]


def functions(_: Path) -> Resolved:
    """Resolves the demo's small model: about ten tokens per sample, and a program to run for each."""
    sweep = demo_sweep(("tasks.functions.limit=32", "models.small.k=200"))
    return resolve_here(sweep.model_copy(update={"models": sweep.models[:1]}))


def word_problems(folder: Path) -> Resolved:
    """Resolves few-shot word problems and a model with random weights: long outputs of very different lengths."""
    _write_model(folder / "model")
    (folder / "problems.jsonl").write_text("".join(json.dumps(_problem(i)) + "\n" for i in range(128)))
    sweep = {
        "name": "words",
        "models": [{"name": "random", "path": str(folder / "model"), "k": 16, "vllm": {"load_format": "dummy"}}],
        "tasks": [{"name": "words", "kind": "jsonl", "path": str(folder / "problems.jsonl")}],
        "sampling": {"temperature": 0.8, "max_tokens": MAX_TOKENS},
    }
    return resolve_here(Sweep.model_validate(sweep))


WORKLOADS = {
    "words": Workload(
        "words", "128 few-shot word problems × 16 samples, up to 256 tokens, judged as math", word_problems
    ),
    "functions": Workload("functions", "32 demo problems × 200 samples of about 10 tokens, a program each", functions),
}


def resolve_here(sweep: Sweep) -> Resolved:
    """Resolves as ``troop run`` does, with the number format that this machine computes in."""
    return with_formats(resolve(sweep), lambda: [("", formats_here())])


def without_format(resolved: Resolved) -> Resolved:
    """Returns the sweep as an engine sees it that takes the number format of a model's own config."""
    infos = {name: replace(info, dtype="") for name, info in resolved.infos.items()}
    return replace(resolved, infos=infos)


def chooses_format(resolved: Resolved) -> bool:
    """Tells whether a model computes here in another number format than its config says."""
    return any(info.dtype and info.dtype != info.own_dtype for info in resolved.infos.values())


def _problem(number: int) -> dict[str, object]:
    shots = "".join(f"{question}\n{answer}\n\n" for question, answer in (_question(-i - 1) for i in range(SHOTS)))
    question, answer = _question(number)
    reference = {"answer": answer.rsplit("#### ", 1)[1]}
    prompt = {"prompt": f"{shots}{question}\n", "stop": ["Question:"]}
    return {"id": f"w{number}", **prompt, "verifier": "math", "reference": reference}


def _question(number: int) -> tuple[str, str]:
    draw = random.Random(number)
    boxes, each, gone = draw.randint(2, 40), draw.randint(2, 40), draw.randint(1, 30)
    total = boxes * each
    question = f"Question: A shop has {boxes} boxes of {each} apples and sells {gone} apples. How many are left?"
    return question, f"Answer: {boxes} * {each} = {total}. {total} - {gone} = {total - gone}.\n#### {total - gone}"


def _write_model(folder: Path) -> None:
    """Writes the configuration of a two-layer Llama over bytes; the engine draws its weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate([*letters, "</s>"])}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    fast.save_pretrained(str(folder))
    LlamaConfig(
        vocab_size=len(letters) + 1,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        eos_token_id=len(letters),
        bos_token_id=None,
        architectures=["LlamaForCausalLM"],
        dtype="bfloat16",
    ).save_pretrained(str(folder))
