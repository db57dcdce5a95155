"""Checks of a task's prompts against a model's files, before the model is loaded."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from sampling.engines.model_info import ModelInfo
from sampling.engines.prompts import WITHOUT_TEMPLATE
from sampling.problems import Problem, load_json, read_text
from sampling.settings import ModelSpec

TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
MISTRAL_FILES = ("tekken.json", "tokenizer.model.v*", "tokenizer.mm.model.v*")  # vLLM encodes their chats by itself
WITHOUT_TOKENS = "its prompt is empty, and vLLM refuses a prompt of no tokens; give it a text, or leave the problem out"
OWN_TOKENIZER = {"tokenizer", "tokenizer_mode", "hf_config_path"}  # engine arguments: not the folder's files decide


def prompt_trouble(
    model: ModelSpec, info: ModelInfo, problems: Sequence[Problem], *, has_template: bool = False
) -> str | None:
    """Returns a message about the first thing that keeps a vLLM model from its prompts, or None.

    Only a local folder shows whether it has a chat template, and how many tokens a prompt has. With
    ``has_template`` the sweep gives a template.
    """
    folder = Path(model.path)
    if model.engine != "vllm":
        return None
    if empty := next((problem.id for problem in problems if is_empty(problem)), None):
        return f"problem {empty!r}: {WITHOUT_TOKENS}"
    if not folder.is_absolute() or not folder.is_dir() or OWN_TOKENIZER & model.vllm.keys():
        return None
    if not has_template and any(problem.messages for problem in problems) and _lacks_template(folder, info):
        return f"models.{model.name}: {WITHOUT_TEMPLATE}"
    return _wrong_length(model, info, problems)


def is_empty(problem: Problem) -> bool:
    """Tells whether a problem asks nothing: an empty prompt, or messages without a text."""
    return not any(turn.content for turn in problem.messages) if problem.messages else not problem.prompt


def given_context(model: ModelSpec) -> int | None:
    """Returns the context that the sweep gives, in tokens; vLLM also takes -1, which means what fits in memory."""
    given = model.vllm.get("max_model_len", model.max_model_len)
    return given if isinstance(given, int) and given > 0 else None


def local_tokenizer(folder: Path) -> Any:
    """Returns the tokenizer of a model's folder, or None where it has no tokenizer.json."""
    file = folder / "tokenizer.json"
    return _read_tokenizer(str(file), file.stat().st_mtime_ns) if file.is_file() else None


@lru_cache(maxsize=2)  # a large one takes a second to read, and each task of a model asks for it
def _read_tokenizer(file: str, _changed_ns: int) -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(file)


def template_text(folder: Path) -> str:
    """Returns the chat template of a model's folder as text, or "" where it has none."""
    if (file := folder / "chat_template.jinja").is_file():
        return read_text(file)
    config = folder / "tokenizer_config.json"
    found = load_json(read_text(config), str(config)).get("chat_template") if config.is_file() else None
    return found if isinstance(found, str) else str(found or "")


def _lacks_template(folder: Path, info: ModelInfo) -> bool:
    if info.architecture.startswith("Deepseek"):  # vLLM writes the chats of some of them in its own code
        return False
    if any((folder / name).exists() for name in TEMPLATE_FILES) or any(any(folder.glob(n)) for n in MISTRAL_FILES):
        return False
    config = folder / "tokenizer_config.json"
    return not (config.is_file() and load_json(read_text(config), str(config)).get("chat_template"))


def _wrong_length(model: ModelSpec, info: ModelInfo, problems: Sequence[Problem]) -> str | None:
    """Returns a message about the first prompt that has no tokens, or as many as the context, or None."""
    tokenizer = local_tokenizer(Path(model.path))
    longest = given_context(model) or info.max_model_len
    for problem in problems if tokenizer else ():
        length = len(tokenizer.encode(problem.asked).ids)
        if not length and problem.messages is None:
            return f"problem {problem.id!r}: {WITHOUT_TOKENS}"
        if longest is not None and length >= longest:
            return (
                f"problem {problem.id!r}: its prompt has {length} tokens; {model.name} takes at most {longest - 1}; "
                "shorten the prompt, or raise the model's max_model_len"
            )
    return None
