"""The house keeps its measures: modules of a room, lines of a file and of a function, first words of docstrings."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles

from tests.support.places import ROOT

ROOMS = ("sampling", "verify", "cluster", "jobs", "troop")
MOST_MODULES = 25  # of a room, but for the sandbox: many small pieces, each alone in front of the kernel
MOST_LINES = 350
OPENERS = re.compile(
    r"(Of|By|Those|That|Also|As|Once|With|Whether|Until|From|To|For|In|On|At|Its|Their|It|They|Where|What|How|Who|Whose"
    r"|When|Which|So|Only|No longer|If|Before|After|Here|There|These|This|We|Our|Nothing|Whoever|The same)\b"
)


def modules() -> list[Path]:
    """Every module of the rooms and of the library."""
    return [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]


def lines(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[int]:
    """Lines of each function of a module, its signature and docstring included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            yield node.end_lineno - node.lineno + 1


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every docstring of a module, its classes and its functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def test_no_room_is_crowded() -> None:
    rooms = Counter(path.parent.relative_to(ROOT).as_posix() for path in modules())
    assert {room: count for room, count in rooms.items() if count > MOST_MODULES} == {
        "verify/sandbox": rooms["verify/sandbox"]
    }


def test_files_and_functions_are_short() -> None:
    sizes = {
        path.relative_to(ROOT).as_posix(): lines(path)
        for path in modules()
        if path.name not in {"__init__.py", "__main__.py"}
    }
    assert [name for name, size in sizes.items() if size > MOST_LINES] == []
    assert 80 <= median(sizes.values()) <= 200
    lengths = [length for path in modules() for length in functions(path)]
    assert quantiles(lengths, n=10)[8] <= 20


def test_first_sentences_stand_alone() -> None:
    """A docstring begins with a noun or a verb, not with a word that hangs on the name before it."""
    hanging = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for folder in (*ROOMS, "docs", "bench", "tests", "examples")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in docstrings(path)
        if OPENERS.match(text)
    ]
    assert hanging == [], "\n".join(hanging)
