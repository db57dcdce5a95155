"""Reads the outcome of each test from a test run's output, and combines several runs. Pure: text in, decisions out.

The text comes from a process that also runs the candidate's code, so a line of it proves nothing by itself:

- a test counts as passed only if a line says so and no line says otherwise. A file that failed fails all its tests. A
  test that failed as expected counts only if it does so without any patch (any code may call ``pytest.xfail``);
- with pytest, only the summary up to the closing line can say that a test has passed: text printed while tests run
  comes too early, text printed after the end (``atexit``) too late, and captured output is off (``PYTEST_ADDOPTS``);
- *controls*: small tests of our own with random names run among the others, and some of them have to fail. A run in
  which a control ends differently proves nothing, and counts as no result for every test.

So early exits, printed lines and a patch of all reports do not pass. Code that looks for the controls and forges the
named tests alone still passes: see ``verify.patch.verifier``.
"""

import random
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

VERSION = "outcomes/1"  # must change with every rule below
PASS, XFAIL, OTHER = "pass", "xfail", "other"
_CHECKS = (
    "assert {} == 1",
    "self.assertEqual({}, 1)",
    "self.assertTrue({})",
    "self.assertIn({}, [1])",
    "with self.assertRaises(ZeroDivisionError): 1 // (1 - {})",
)
_WORST_FIRST = (OTHER, XFAIL, PASS)
Outcomes = Mapping[str, str]  # from a test's name to PASS, XFAIL or OTHER

_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_PYTEST = re.compile(r"^(?P<status>PASSED|XFAIL|FAILED|ERROR|XPASS|SKIPPED) +(?P<name>\S.*)$")
_PYTEST_SUMMARY = re.compile(r"^=+ short test summary info =+$")
_PYTEST_WHILE = re.compile(r"^(?P<name>\S.*?) (?P<status>FAILED|ERROR|XPASS|SKIPPED)\b")
_COUNTED = "passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?|rerun"
_PYTEST_END = re.compile(rf"^(?:=+ )?(?:no tests ran|\d+ (?:{_COUNTED})\b).* in \d+(?:\.\d+)?(?:s\b| seconds)")
_UNITTEST = re.compile(r"^(.*?) \.\.\. +(.*)$")
_UNITTEST_BAD = re.compile(r"^(?:ERROR|FAIL): (.*)$")
_UNITTEST_ENDS = ("ok", "fail", "error", "skipped", "unexpected", "expected failure")
_SYMPY = re.compile(r"^(test_\S+) (ok|F|E|f|s|w|X|K|T)\b")
_OUTCOMES = {"PASSED": PASS, "XFAIL": XFAIL, "ok": PASS, "expected failure": XFAIL, "f": XFAIL}


class _Tally:
    """The worst outcome reported of each name; no test of the files in ``ruined`` can have passed."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.ruined: set[str] = set()

    def add(self, name: str, word: str) -> None:
        outcomes = (self.outcomes.get(name, PASS), _OUTCOMES.get(word, OTHER))
        self.outcomes[name] = min(outcomes, key=_WORST_FIRST.index)

    def all(self) -> Outcomes:
        items = self.outcomes.items()
        return {name: OTHER if name.partition("::")[0] in self.ruined else outcome for name, outcome in items}


def _pytest(text: str) -> Outcomes:
    """Reads the output of ``pytest -rA -v``: passes from the summary after the last test, other outcomes anywhere.

    A name with blanks also counts under its first word, as in SWE-bench's lists.
    """
    lines = text.split("\n")
    end = next((number for number, line in enumerate(lines) if _PYTEST_END.match(line)), -1)
    summary = max((number for number, line in enumerate(lines[: end + 1]) if _PYTEST_SUMMARY.match(line)), default=end)
    said = _Tally()
    for number, line in enumerate(lines[: end + 1]):
        if found := _PYTEST.match(line):
            if found["status"] not in _OUTCOMES or number > summary:
                _add_pytest(said, found["status"], found["name"])
            if found["status"] not in _OUTCOMES and "::" not in found["name"]:
                said.ruined.add(found["name"].split()[0])  # a file, and with it all its tests
        elif (found := _PYTEST_WHILE.match(line)) and "::" in found["name"]:
            _add_pytest(said, found["status"], found["name"])
    return said.all()


def _add_pytest(said: _Tally, status: str, name: str) -> None:
    for one in {name, name.split()[0], *([] if status == "PASSED" else [name.partition(" - ")[0]])}:
        said.add(one, status)


def _unittest(text: str) -> Outcomes:
    """Reads ``python -m unittest -v`` and Django's ``--verbosity 2``: ``name ... ok``, with other output between."""
    said, last = _Tally(), ""
    for line in (line.strip() for line in text.split("\n")):
        if found := _UNITTEST_BAD.match(line):
            said.add(found[1], "FAIL")
            said.add(found[1].split()[0], "FAIL")
        elif found := _UNITTEST.match(line):
            last, result = found[1], found[2].lower()
            if result.startswith(_UNITTEST_ENDS):
                said.add(last, result)
                last = ""
        elif last and line.lower() in _UNITTEST_ENDS:
            said.add(last, line.lower())
            last = ""
    return said.all()


def _sympy(text: str) -> Outcomes:
    """Reads the output of SymPy's ``bin/test --verbose``."""
    said = _Tally()
    for line in text.split("\n"):
        if found := _SYMPY.match(line.strip()):
            said.add(found[1], found[2])
    return said.all()


READERS: Mapping[str, Callable[[str], Outcomes]] = {"pytest": _pytest, "unittest": _unittest, "sympy": _sympy}


@dataclass(frozen=True, slots=True)
class Control:
    """Control tests in a file of their own; ``argument`` names it to the runner, ``endings`` says which tests pass."""

    file: str
    source: str
    argument: str
    endings: Mapping[str, bool]

    def holds(self, outcomes: Outcomes) -> bool:
        return all(self._held(name, passes, outcomes) for name, passes in self.endings.items())

    @staticmethod
    def _held(name: str, passes: bool, outcomes: Outcomes) -> bool:
        """Returns True if the test ended as it has to, under every name of it in the output: runners use several."""
        said = [outcome == PASS for known, outcome in outcomes.items() if name in known]
        return bool(said) and all(outcome is passes for outcome in said)


def make_control(results: str, seed: str) -> Control:
    """Returns one passing and one failing test per check; only ``seed`` tells their names and their order."""
    chance = random.Random(seed)
    module = f"test_{chance.getrandbits(64):016x}"
    tests = [(f"test_{chance.getrandbits(64):016x}", check, passes) for check in _CHECKS for passes in (True, False)]
    chance.shuffle(tests)
    body = "\n".join(f"    def {name}(self):\n        {check.format(int(passes))}\n" for name, check, passes in tests)
    source = f"import unittest\n\n\nclass TestControl(unittest.TestCase):\n{body}"
    argument = f"{module}.py" if results == "pytest" else module
    return Control(f"{module}.py", source, argument, {name: passes for name, _, passes in tests})


def read_outcomes(results: str, text: str, control: Control | None) -> Outcomes:
    """Returns the outcome of each test; nothing at all where a control did not end as it has to."""
    outcomes = READERS[results](_COLOUR.sub("", text).replace("\r", ""))
    return outcomes if control is None or control.holds(outcomes) else {}


def passed(outcomes: Outcomes, may_fail: Container[str] = ()) -> frozenset[str]:
    """Returns the tests that passed, and the tests of ``may_fail`` that failed as expected."""
    return frozenset(
        name for name, outcome in outcomes.items() if outcome == PASS or (outcome == XFAIL and name in may_fail)
    )


def majority(runs: Sequence[frozenset[str]], tests: Iterable[str], repeats: int) -> bool | None:
    """Returns True if every test passes in most of ``repeats`` runs, False if not, None while that is not certain.

    ``runs`` holds the tests that passed in each run so far.
    """
    needed = repeats // 2 + 1
    undecided = False
    for test in tests:
        times = sum(test in run for run in runs)
        if len(runs) - times > repeats - needed:
            return False
        undecided |= times < needed
    return None if undecided else True
