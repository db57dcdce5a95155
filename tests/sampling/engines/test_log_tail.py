"""The errors of an engine's own processes, read from a log."""

import subprocess
import sys
from pathlib import Path

import pytest

from sampling.log_tail import LogTail

LOG = """\
(EngineCore pid=7) INFO 11-30 10:00:00 [core.py:80] Initializing
(EngineCore pid=7) ERROR 11-30 10:00:01 [core.py:700] EngineCore failed to start.
(EngineCore pid=7) ERROR 11-30 10:00:01 [core.py:700] Traceback (most recent call last):
(EngineCore pid=7) ERROR 11-30 10:00:01 [core.py:700]   File "core.py", line 5, in f
\x1b[0;36m(EngineCore pid=7)\x1b[0;0m ERROR 11-30 10:00:01 [core.py:700] torch.OutOfMemoryError: CUDA out of memory.
Traceback (most recent call last):
RuntimeError: Engine core initialization failed. See root cause above.
"""


def test_the_exception_of_the_engines_process_is_told(tmp_path: Path) -> None:
    path = tmp_path / "worker.err"
    path.write_text("ERROR 11-30 09:00:00 [a.py:1] ValueError: an earlier engine\n")
    tail = LogTail(path)
    assert tail.errors() == ""
    with path.open("a") as file:
        file.write(LOG)
    assert tail.errors() == f"torch.OutOfMemoryError: CUDA out of memory.; log: {path}"


def test_without_an_exception_the_last_lines_are_told(tmp_path: Path) -> None:
    path = tmp_path / "worker.err"
    path.touch()
    tail = LogTail(path)
    path.write_text("".join(f"ERROR 11-30 09:00:00 [a.py:1] line {n}\n" for n in range(9)))
    assert tail.errors().startswith("line 6 / line 7 / line 8; log: ")


@pytest.mark.parametrize("kind", ["stdout", "stderr", "pipe"])
def test_a_standard_stream_is_read_where_it_is_a_file(tmp_path: Path, kind: str) -> None:
    code = (
        "import sys; from sampling.log_tail import LogTail; tail = LogTail()\n"
        f"print('ERROR 11-30 09:00:00 [a.py:1] ValueError: no', file=sys.{'stderr' if kind == 'stderr' else 'stdout'}, "
        "flush=True); open(sys.argv[1], 'w').write(tail.errors())"
    )
    log, said = tmp_path / "log", tmp_path / "said"
    with log.open("w") as file:
        streams = {name: file if name == kind else subprocess.PIPE for name in ("stdout", "stderr")}
        subprocess.run([sys.executable, "-c", code, str(said)], **streams, text=True, check=True)  # type: ignore[call-overload]
    assert said.read_text() == ("" if kind == "pipe" else f"ValueError: no; log: {log}")
