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
    """Reads what is written to a log file from now on; by default the file behind standard error, as Ray makes it."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or _file_behind(2)
        self._begin = self._path.stat().st_size if self._path else 0

    def errors(self) -> str:
        """Returns the last ERROR lines and the log's path in one line; "" where there are none."""
        if self._path is None:
            return ""
        with self._path.open("rb") as file:
            file.seek(max(self._begin, self._path.stat().st_size - MAX_BYTES))
            text = _COLOUR.sub("", file.read().decode("utf-8", "replace"))
        lines = [found["said"].strip() for found in _ERROR.finditer(text) if found["said"].strip()]
        told = [line for line in lines if _EXCEPTION.fullmatch(line)] or lines
        return f"{' / '.join(dict.fromkeys(told[-SHOWN:]))}; log: {self._path}" if told else ""


def _file_behind(descriptor: int) -> Path | None:
    try:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115
    except OSError:
        return None
    return path if path.is_file() else None
