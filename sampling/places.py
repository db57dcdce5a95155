"""Places that a user writes: a path, ``~/…``, ``file:///…``, ``s3://…`` or ``hf://…``; none is cut or guessed at."""

import re
from pathlib import Path
from urllib.parse import unquote

from sampling.errors import BadInput

HUB = "hf://"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_FILE = re.compile(r"file:(?://(?:localhost)?)?(/(?!/)[^#?]*)")


def expand_home(text: str) -> str:
    """Returns a path with ``~`` or ``~user`` at its start replaced by that home folder; other text is unchanged."""
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser()) + ("/" if text.endswith("/") else "")
    except RuntimeError:  # no such user: the name of a file
        return text


def local_path(text: str) -> str:
    """Returns a path without ``~`` and ``file:``; other places are unchanged. Raises BadInput for a wrong file: URL."""
    if not text.lower().startswith("file:"):
        return expand_home(text)
    found = _FILE.fullmatch("file:" + text[len("file:") :])
    if found is None or "\0" in unquote(found[1]):
        raise BadInput(f"{text}: no file of this machine; allowed: file:///path (# as %23, ? as %3F), or a path")
    return unquote(found[1])


def model_place(text: str, folder: Path, config: str = "config.json") -> tuple[str, str | None]:
    """Returns a model's full path or hub id, and, where both may be meant, a sentence that says which was taken.

    ``owner/name`` is the folder of that name in ``folder`` if it has the file ``config``, else the model of the hub;
    ``./owner/name`` is always the folder, ``hf://owner/name`` always the hub's model.
    """
    if text.startswith(HUB) and HUB_ID.fullmatch(text.removeprefix(HUB)):
        return text.removeprefix(HUB), None
    path = local_path(text)
    beside = folder / path
    here = beside.exists() or (beside.parent != folder and beside.parent.is_dir())
    if not HUB_ID.fullmatch(path) or path.startswith("."):
        return (str(beside.resolve()) if here else path), None
    if (beside / config).is_file():
        found = str(beside.resolve())
        return found, f"{path!r} is the folder {found}; write {HUB}{path} for the hub's model"
    said = f"{path!r} is the hub's model; write ./{path} for the folder, which has no {config}"
    return path, said if beside.exists() else None


def check_scheme(place: str, *allowed: str) -> None:
    """Raises BadInput for a URL whose scheme is none of ``allowed`` (`s3`, `file`)."""
    found = _SCHEME.match(place)
    if found and found[1] not in allowed:
        schemes = ", ".join(f"{scheme}://…" for scheme in allowed)
        raise BadInput(f"{place}: cannot be opened; allowed: a path, {schemes}")
