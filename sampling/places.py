"""Places that a user writes: a path, ``~/…``, ``file:///…``, ``s3://…`` or ``hf://…``; none is cut or guessed at."""

import re
from pathlib import Path
from urllib.parse import unquote

from sampling.errors import BadInput

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


def check_scheme(place: str, *allowed: str) -> None:
    """Raises BadInput for a URL whose scheme is none of ``allowed`` (`s3`, `file`)."""
    found = _SCHEME.match(place)
    if found and found[1] not in allowed:
        schemes = ", ".join(f"{scheme}://…" for scheme in allowed)
        raise BadInput(f"{place}: cannot be opened; allowed: a path, {schemes}")
