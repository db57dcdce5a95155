"""The demo's small model with marks of a thought among its tokens, and a chat template that opens one."""

import json
import shutil
from pathlib import Path

from tests.support.places import SMALL_MODEL

OPEN, CLOSE = 38, 39  # ids of the tokens that are renamed
OPENS_IN_PROMPT = "{% for m in messages %}{{ m.content }}{% endfor %} ><think>"
OPENS_ITSELF = "{% for m in messages %}{{ m.content }}{% endfor %} >"


def save_thinking_model(
    folder: Path, template: str | None, *, special: bool = False, marks: tuple[str, str] | None = None
) -> Path:
    """Saves the model with the tokens ``<think>`` and ``</think>``, as special tokens or not; returns its folder."""
    shutil.copytree(SMALL_MODEL, folder)
    file = folder / "tokenizer.json"
    data = json.loads(file.read_text())
    names = dict(zip((OPEN, CLOSE), marks or ("<think>", "</think>"), strict=True))
    data["model"]["vocab"] = {names.get(place, token): place for token, place in data["model"]["vocab"].items()}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": special}
    data["added_tokens"] += [{"id": place, "content": token, **plain} for place, token in names.items()]
    data["added_tokens"].sort(key=lambda token: token["id"])
    file.write_text(json.dumps(data))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    return folder
