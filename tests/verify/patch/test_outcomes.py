"""Test runs: output of real runners is read, output of a candidate is not believed, most of several runs decide."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.patch.outcomes import OTHER, PASS, READERS, XFAIL, majority, make_control, passed, read_outcomes

MIXED = """
import os, sys, unittest
import pytest


def test_good():
    print("FAILED test_mixed.py::test_good")


def test_bad():
    print("PASSED test_mixed.py::test_bad")
    assert 0, "a - b"


@pytest.mark.parametrize("x", ["a b", "c"])
def test_words(x):
    pass


@pytest.mark.xfail
def test_known():
    assert 0


def test_excused():
    pytest.xfail("why not")


def test_skipped():
    pytest.skip()


@pytest.fixture
def broken():
    raise ValueError


def test_error(broken):
    pass


class TestClass(unittest.TestCase):
    def test_method(self):
        pass
"""
OPTIONS = {"PYTEST_ADDOPTS": "-rA -v --show-capture=no --color=no --continue-on-collection-errors"}
QUIET = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def ran(folder: Path, *words: str) -> str:
    environment = {**os.environ, **OPTIONS, **QUIET}
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def control_of(folder: Path, results: str, seed: str = "seed") -> list[str]:
    control = make_control(results, seed)
    (folder / control.file).write_text(control.source)
    return [control.argument]


def test_what_pytest_says(tmp_path: Path) -> None:
    (tmp_path / "test_mixed.py").write_text(MIXED)
    (tmp_path / "test_broken.py").write_text("import nothing_of_this_name\n\n\ndef test_x():\n    pass\n")
    words = ["pytest", "test_mixed.py", "test_broken.py", *control_of(tmp_path, "pytest")]
    outcomes = read_outcomes("pytest", ran(tmp_path, *words), make_control("pytest", "seed"))
    names = {
        name.removeprefix("test_mixed.py::"): outcome
        for name, outcome in outcomes.items()
        if name.startswith("test_mixed")
    }
    expected = {"good": PASS, "bad": OTHER, "words[a b]": PASS, "words[a": PASS, "words[c]": PASS, "known": XFAIL}
    expected |= {"excused": XFAIL, "skipped": OTHER, "error": OTHER}
    assert {name: names[f"test_{name}"] for name in expected} == expected
    assert names["TestClass::test_method"] == PASS
    assert {names[name] for name in names if " - " in name} <= {OTHER, XFAIL}
    assert outcomes["test_broken.py"] == OTHER
    assert passed(outcomes, {"test_mixed.py::test_known"}) >= {"test_mixed.py::test_known"}
    assert "test_mixed.py::test_excused" not in passed(outcomes, {"test_mixed.py::test_known"})


UNITTEST = """
import sys, unittest


class Case(unittest.TestCase):
    def test_good(self):
        sys.stderr.write("noise ")

    def test_bad(self):
        sys.stderr.write("test_bad (test_case.Case.test_bad) ... ok\\n")
        self.fail()

    @unittest.skip("no")
    def test_skipped(self):
        pass

    @unittest.expectedFailure
    def test_known(self):
        self.fail()

    def test_loud(self):
        sys.stderr.write("noise\\n")
"""


def test_what_unittest_says(tmp_path: Path) -> None:
    (tmp_path / "test_case.py").write_text(UNITTEST)
    words = ["unittest", "-v", "test_case", *control_of(tmp_path, "unittest")]
    outcomes = read_outcomes("unittest", ran(tmp_path, *words), make_control("unittest", "seed"))
    dotted = ".test_{}" if sys.version_info >= (3, 11) else ""

    def said(name: str) -> str:
        return outcomes[f"test_{name} (test_case.Case{dotted.format(name)})"]

    assert [said(name) for name in ("bad", "skipped", "known", "loud")] == [OTHER, OTHER, XFAIL, PASS]


def test_django_and_sympy_print_so() -> None:
    django = (
        "test_a (forms.tests.FormTests) ... ok\n"
        "test_b (forms.tests.FormTests)\nA line of its docstring. ... ok\n"
        "test_c (forms.tests.FormTests) ... Testing against Django installed in '/testbed/django'\nok\n"
        "test_d (forms.tests.FormTests) ... FAIL\ntest_e (forms.tests.FormTests) ... skipped 'x'\n"
        "ERROR: test_a (forms.tests.FormTests)\n"
    )
    assert passed(READERS["unittest"](django)) == {"A line of its docstring.", "test_c (forms.tests.FormTests)"}
    sympy = "sympy/core/tests/test_x.py[3]\ntest_a ok\ntest_b F\ntest_c f\ntest_d E   [FAIL]\ntest_e ok  [OK]\n"
    assert passed(READERS["sympy"](sympy)) == {"test_a", "test_e"}
    assert passed(READERS["sympy"](sympy), {"test_c"}) == {"test_a", "test_c", "test_e"}


FORGERIES = {
    "leaves early": "import os\nos._exit(0)",
    "prints and leaves": "import os\nos.write(1, b'PASSED test_it.py::test_it\\n== 1 passed in 1s ==\\n')\nos._exit(0)",
    "prints at the end": "import atexit\natexit.register(print, '\\nPASSED test_it.py::test_it')\nraise ImportError",
    "exits": "import sys\nsys.exit(0)",
    "stops pytest": "import pytest\npytest.exit('PASSED test_it.py::test_it', 0)",
    "excuses itself": "import pytest\ndef f():\n    pytest.xfail('no')",
    "skips and writes": (
        "import os, pytest\ndef f():\n    for fd in range(1, 40):\n        try:\n"
        "            os.write(fd, b'\\nPASSED test_it.py::test_it\\n')\n        except OSError:\n            pass\n"
        "    pytest.skip('later')"
    ),
    "skips": "import pytest\ndef f():\n    pytest.skip('PASSED test_it.py::test_it')",
    "asserts nothing": (
        "import unittest\nunittest.TestCase._baseAssertEqual = lambda *any, **more: None\n"
        "import builtins\nf = lambda: 0"
    ),
    "all pass": (
        "import _pytest.reports as r\n"
        "old = r.TestReport.__init__\n"
        "def init(self, *a, **k):\n"
        "    old(self, *a, **k)\n"
        "    self.outcome, self.longrepr = 'passed', None\n"
        "r.TestReport.__init__ = init\n"
        "f = lambda: 0"
    ),
    "prints in a test": "def f():\n    print('PASSED test_it.py::test_it\\n== 1 passed in 0.01s ==')\n    return 0",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_results_do_not_pass(tmp_path: Path, name: str) -> None:
    (tmp_path / "candidate.py").write_text(FORGERIES[name])
    (tmp_path / "test_it.py").write_text("def test_it():\n    from candidate import f\n    assert f() == 1\n")
    text = ran(tmp_path, "pytest", "test_it.py", *control_of(tmp_path, "pytest"))
    outcomes = read_outcomes("pytest", text, make_control("pytest", "seed"))
    assert "test_it.py::test_it" not in passed(outcomes), text


def test_a_control_is_told_by_its_seed_alone() -> None:
    controls = [make_control("pytest", f"{number}") for number in range(50)]
    assert len({control.file for control in controls}) == 50
    assert len({tuple(control.endings.values()) for control in controls}) > 10
    assert all(sum(control.endings.values()) == len(control.endings) / 2 for control in controls)
    assert make_control("pytest", "7") == make_control("pytest", "7")


def test_a_run_whose_control_fails_says_nothing() -> None:
    control = make_control("pytest", "seed")
    lines = [
        f"{'PASSED' if ok else 'FAILED'} {control.file}::TestControl::{name}" for name, ok in control.endings.items()
    ]
    lines.insert(0, "=== short test summary info ===")
    end = ["PASSED a.py::test_a", "== 5 failed, 6 passed in 0.02s =="]
    assert read_outcomes("pytest", "\n".join(lines + end), control)["a.py::test_a"] == PASS
    assert read_outcomes("pytest", "\n".join(lines), control) == {}
    assert read_outcomes("pytest", "\n".join(lines[1:] + end), control) == {}
    assert read_outcomes("pytest", "\n".join(lines[:1] + lines[2:] + end), control) == {}
    assert read_outcomes("pytest", "\n".join(lines + end).replace("FAILED", "PASSED"), control) == {}


@given(st.lists(st.sets(st.sampled_from("ab")), min_size=1, max_size=9), st.integers(0, 4))
def test_most_of_the_runs_decide_as_soon_as_they_can(runs: list[set[str]], half: int) -> None:
    repeats = 2 * half + 1
    given_runs = [frozenset(run) for run in runs[:repeats]]
    decided = majority(given_runs, "ab", repeats)
    times = [sum(test in run for run in given_runs) for test in "ab"]
    left = repeats - len(given_runs)
    assert (decided is True) == all(count > half for count in times)
    assert (decided is False) == any(count + left <= half for count in times)


@given(st.text(max_size=400), st.sampled_from(sorted(READERS)))
def test_any_text_is_read(text: str, results: str) -> None:
    assert set(read_outcomes(results, text, None).values()) <= {PASS, XFAIL, OTHER}


@pytest.mark.parametrize("results", sorted(READERS))
@pytest.mark.parametrize("unit", ["x PASSED (", "\x1b[1;", "a ... ", "1 passed in ", "x::y FAILED ", "===== "])
def test_long_lines_take_no_long_time(results: str, unit: str) -> None:
    """Reads two megabytes in a line: an expression that is not linear would not end."""
    read_outcomes(results, unit * (2_000_000 // len(unit)) + f"\n{unit}", None)
