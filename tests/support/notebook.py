"""Notebooks executed as a kernel would, without one: cells in order, in one namespace, in a fresh process.

``python -m tests.support.notebook examples/library.ipynb`` writes the output of every cell into the file.
"""

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from tests.support.places import ROOT


def printed(cell: dict[str, Any]) -> str:
    """Returns the text that a stored cell shows."""
    parts = (output.get("text") or output["data"]["text/plain"] for output in cell["outputs"])
    return "".join("".join(part) for part in parts)


def execute(notebook: dict[str, Any], folder: Path) -> list[str]:
    """Returns what each code cell shows, run in a process in ``folder``; raises CalledProcessError."""
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    run = f"import os; from tests.support.notebook import main; os.chdir({str(folder)!r}); main(['--cells'])"
    command = [sys.executable, "-c", run]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, input=json.dumps(cells), stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


def show_all(cells: Sequence[str]) -> list[str]:
    """Runs cells in this process; returns what each prints, and then the value of its last expression."""
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for number, source in enumerate(cells):
        body = ast.parse(source).body
        last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(ast.Module(body, []), f"cell {number}", "exec"), names)  # noqa: S102  the notebook's own code
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)  # noqa: S307
                print("" if value is None else pformat(value, sort_dicts=False), end="")
        shown.append(out.getvalue())
    return shown


def main(words: Sequence[str]) -> None:
    """Runs the cells that come on standard input, or fills in the outputs of a notebook's file."""
    if words == ["--cells"]:
        shown = show_all(json.load(sys.stdin))
        print(json.dumps(shown))
        return
    path = Path(words[0])
    notebook = json.loads(path.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        found = iter(execute(notebook, Path(folder)))
    for number, cell in enumerate((c for c in notebook["cells"] if c["cell_type"] == "code"), start=1):
        text = next(found).splitlines(keepends=True)
        cell["execution_count"] = number
        cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": text}] if text else []
    path.write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
