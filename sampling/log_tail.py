"""The errors that an engine's own processes write to this process's log: vLLM's exception says only that they ended."""

import os
import re
from pathlib import Path

SHOWN = 3  # lines
MAX_BYTES = 1 << 20
_ERROR = re.compile(r"\bERROR\b[^\n]*?\] ?(?P<said>[^\n]*)")
# The line of an exception that tells what is wrong, not where: "ValueError: …", "torch.OutOfMemoryError: …".
_EXCEPTION = re.compile(r"(?:[\w.]+\.)?\w*(?:Error|Exception|Interrupt)\b:? .*")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class LogTail:
    """Reads what is written to log files from now on; by default those behind the standard streams, as Ray makes them.

    vLLM logs to standard output.
    """

    def __init__(self, *paths: Path) -> None:
        found = paths or [path for stream in (1, 2) if (path := _file_behind(stream))]
        self._begins = {path: path.stat().st_size for path in found}

    def errors(self) -> str:
        """Returns the last ERROR lines and their log's path in one line; "" where there are none."""
        return next((said for path, begin in self._begins.items() if (said := _errors(path, begin))), "")


def _errors(path: Path, begin: int) -> str:
    with path.open("rb") as file:
        file.seek(max(begin, path.stat().st_size - MAX_BYTES))
        text = _COLOUR.sub("", file.read().decode("utf-8", "replace"))
    lines = [found["said"].strip() for found in _ERROR.finditer(text) if found["said"].strip()]
    told = [line for line in lines if _EXCEPTION.fullmatch(line) and "root cause" not in line] or lines
    return f"{' / '.join(dict.fromkeys(told[-SHOWN:]))}; log: {path}" if told else ""


def _file_behind(descriptor: int) -> Path | None:
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
    except OSError:
        return None
    return path if path.is_file() else None
