"""Five small git repositories, each with a fault, tests for it, and patches that are right, wrong or flaky, or hang."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HANG = "import subprocess, time\nsubprocess.Popen(['setsid', 'sleep', '4481.5'])\ntime.sleep(4481.5)"
PYTEST = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 python -m pytest"


@dataclass(frozen=True)
class Repository:
    """One repository. ``source`` is a module with a gap for the body of one function.

    ``faulty``, ``right`` and ``wrong`` are such bodies; ``added`` is what the test patch adds to the test file.
    """

    name: str
    module: str
    source: str
    faulty: str
    right: str
    wrong: str
    test: str
    tests: str
    added: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    command: str
    results: str = "unittest"
    others: Mapping[str, str] = field(default_factory=dict)

    def with_body(self, body: str) -> str:
        indent = self.source[: self.source.index("@BODY@")].rpartition("\n")[2]
        return self.source.replace("@BODY@", body.replace("\n", "\n" + indent))

    def flaky(self, turns: str, turn_file: str) -> str:
        """Returns a body that is right in the runs ``turns``; the tests' harness counts the runs in ``turn_file``."""
        indented = self.right.replace("\n", "\n    ")
        return f"if int(open({turn_file!r}).read()) in {turns}:\n    {indented}\nraise ValueError('not this time')"


CALC = Repository(
    name="calc",
    module="calc.py",
    source="def add(a, b):\n    @BODY@\n\n\ndef mul(a, b):\n    return a * b\n",
    faulty="return a - b",
    right="return a + b",
    wrong="return a + b + 1",
    test="tests/test_calc.py",
    tests="import calc\n\n\ndef test_mul():\n    assert calc.mul(2, 3) == 6\n",
    added="\n\ndef test_add():\n    assert calc.add(2, 3) == 5\n",
    fail_to_pass=("tests/test_calc.py::test_add",),
    pass_to_pass=("tests/test_calc.py::test_mul",),
    command=f"{PYTEST} tests/test_calc.py",
    results="pytest",
)
SLUG = Repository(
    name="slug",
    module="slug/core.py",
    source="import re\n\n\ndef slug(text):\n    @BODY@\n",
    faulty="return text.lower()",
    right="return re.sub(r'\\W+', '-', text.lower()).strip('-')",
    wrong="return text.lower().replace(' ', '-')",
    test="tests/test_slug.py",
    tests="""import unittest

from slug import slug


class Slug(unittest.TestCase):
    def test_small(self):
        self.assertEqual(slug("A"), "a")
""",
    added="""
    def test_words(self):
        self.assertEqual(slug("Good, bad!"), "good-bad")
""",
    fail_to_pass=("test_words (tests.test_slug.Slug.test_words)",),
    pass_to_pass=("test_small (tests.test_slug.Slug.test_small)",),
    command="python -m unittest -v tests.test_slug",
    others={"slug/__init__.py": "from slug.core import slug\n", "tests/__init__.py": ""},
)
SHOP = Repository(
    name="shop",
    module="src/shop/cart.py",
    source="""class Cart:
    def __init__(self, prices):
        self.prices = prices

    def total(self):
        @BODY@
""",
    faulty="return self.prices[0]",
    right="return sum(self.prices)",
    wrong="return max(self.prices)",
    test="tests/test_cart.py",
    tests="import pytest\n\n\ndef test_one(one):\n    assert one.total() == 5\n",
    added="""

@pytest.mark.parametrize("more", [[1], [2, 3]])
def test_many(one, more):
    one.prices += more
    assert one.total() == 5 + sum(more)


@pytest.mark.xfail
def test_known(one):
    assert one.total() == "free"
""",
    fail_to_pass=("tests/test_cart.py::test_many[more0]", "tests/test_cart.py::test_many[more1]"),
    pass_to_pass=("tests/test_cart.py::test_one", "tests/test_cart.py::test_known"),
    command=f"{PYTEST} tests",
    results="pytest",
    others={
        "src/shop/__init__.py": "",
        "pyproject.toml": "[tool.pytest.ini_options]\npythonpath = ['src']\n",
        "tests/conftest.py": """import pytest

from shop.cart import Cart


@pytest.fixture
def one():
    return Cart([5])
""",
    },
)
TOOL = Repository(
    name="tool",
    module="tool.py",
    source="""import sys


def main(words):
    @BODY@


if __name__ == "__main__":
    print(main(sys.argv[1:]))
""",
    faulty="return words[0]",
    right="return ' '.join(words)",
    wrong="return ''.join(words)",
    test="test_tool.py",
    tests="""import subprocess, sys, unittest


class Tool(unittest.TestCase):
    def said(self, *words):
        return subprocess.check_output([sys.executable, "tool.py", *words], text=True)

    def test_one(self):
        self.assertEqual(self.said("a"), "a\\n")
""",
    added="""
    def test_two(self):
        self.assertEqual(self.said("a", "b"), "a b\\n")
""",
    fail_to_pass=("test_two (test_tool.Tool.test_two)",),
    pass_to_pass=("test_one (test_tool.Tool.test_one)",),
    command="python -m unittest -v test_tool",
)
HEAP = Repository(
    name="heap",
    module="heap.py",
    source="def smallest(items):\n    @BODY@\n",
    faulty="return items[0]",
    right="return min(items)",
    wrong="return sorted(items)[-1]",
    test="test_heap.py",
    tests="""import unittest

import heap


class Heap(unittest.TestCase):
    def test_first(self):
        self.assertEqual(heap.smallest([1, 2]), 1)

    def test_one(self):
        self.assertEqual(heap.smallest([7]), 7)
""",
    added="""
    def test_last(self):
        self.assertEqual(heap.smallest([2, 1]), 1)
""",
    fail_to_pass=("test_last (test_heap.Heap.test_last)",),
    pass_to_pass=("test_first (test_heap.Heap.test_first)", "test_one (test_heap.Heap.test_one)"),
    command="python -m unittest -v test_heap",
)
ALL = (CALC, SLUG, SHOP, TOOL, HEAP)


@dataclass(frozen=True)
class Made:
    """A repository on disk at its base commit; git itself makes the diffs of its files."""

    repository: Repository
    folder: Path
    base: str

    def diff(self, changes: Mapping[str, str | None], *options: str) -> str:
        """Returns the diff of the tree with some files written anew or removed, then restores the tree."""
        for name, text in changes.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink() if text is None else path.write_text(text)
        git(self.folder, "add", "--all", "--force")
        found = git(self.folder, "diff", "--cached", "--binary", *options)
        git(self.folder, "reset", "--quiet", "--hard")
        return found

    def patch(self, body: str) -> str:
        return self.diff({self.repository.module: self.repository.with_body(body)})

    def reference(self, **changes: Any) -> dict[str, Any]:
        one = self.repository
        return {
            "snapshot": str(self.folder),
            "base_commit": self.base,
            "test_patch": self.diff({one.test: one.tests + one.added}),
            "fail_to_pass": one.fail_to_pass,
            "pass_to_pass": one.pass_to_pass,
            "test_command": one.command,
            "results": one.results,
            **changes,
        }


def git(folder: Path, *words: str) -> str:
    command = [
        "git",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@b.c",
        "-c",
        "init.defaultBranch=main",
        "-C",
        str(folder),
        *words,
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def make(repository: Repository, folder: Path) -> Made:
    """Creates a repository with three commits; the second is the base, and the last lies in its future."""
    files = {repository.module: repository.with_body(repository.faulty), repository.test: repository.tests}
    for name, text in {**files, **repository.others}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "--quiet")
    for message in ("first", "base", "later"):
        (folder / "NOTES").write_text(f"{repository.name}: {message}\n")
        git(folder, "add", "--all")
        git(folder, "commit", "--quiet", "--message", message)
    made = Made(repository, folder, git(folder, "rev-parse", "HEAD~1").strip())
    git(folder, "checkout", "--quiet", made.base)
    return made
