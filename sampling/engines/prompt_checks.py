"""Checks of a task's prompts against a model's files, before the model is loaded."""

from collections.abc import Sequence
from pathlib import Path

from sampling.engines.model_info import ModelInfo
from sampling.engines.prompts import WITHOUT_TEMPLATE
from sampling.problems import Problem, load_json, read_text
from sampling.settings import ModelSpec

TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
MISTRAL_FILES = ("tekken.json", "tokenizer.model.v*", "tokenizer.mm.model.v*")  # vLLM encodes their chats by itself
OWN_TOKENIZER = {"tokenizer", "tokenizer_mode", "hf_config_path"}  # engine arguments: not the folder's files decide


def prompt_trouble(model: ModelSpec, info: ModelInfo, problems: Sequence[Problem]) -> str | None:
    """Returns a message about the first thing that keeps a model in a local folder from its prompts, or None."""
    folder = Path(model.path)
    if model.engine != "vllm" or not folder.is_absolute() or not folder.is_dir() or OWN_TOKENIZER & model.vllm.keys():
        return None
    if any(problem.messages for problem in problems) and _lacks_template(folder, info):
        return f"models.{model.name}: {WITHOUT_TEMPLATE}"
    return _too_long(model, info, problems)


def _lacks_template(folder: Path, info: ModelInfo) -> bool:
    if info.architecture.startswith("Deepseek"):  # vLLM writes the chats of some of them in its own code
        return False
    if any((folder / name).exists() for name in TEMPLATE_FILES) or any(any(folder.glob(n)) for n in MISTRAL_FILES):
        return False
    config = folder / "tokenizer_config.json"
    return not (config.is_file() and load_json(read_text(config), str(config)).get("chat_template"))


def _too_long(model: ModelSpec, info: ModelInfo, problems: Sequence[Problem]) -> str | None:
    tokenizer_file = Path(model.path) / "tokenizer.json"
    longest = model.max_model_len or info.max_model_len
    if longest is None or not tokenizer_file.is_file():
        return None
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    for problem in problems:
        length = len(tokenizer.encode(problem.asked).ids)
        if length >= longest:
            return (
                f"problem {problem.id!r}: its prompt has {length} tokens; {model.name} takes at most {longest - 1}; "
                "shorten the prompt, or raise the model's max_model_len"
            )
    return None
