"""Packages for candidates: which files a name stands for, every way to import them, and what is refused in one line."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobs.sweep import load_sweep
from sampling.errors import BadInput
from sampling.problems import Problem
from tests.conftest import Troop, WriteSweep
from verify.custom import CustomVerifier
from verify.needs import check_packages
from verify.python import PythonVerifier
from verify.sandbox import packages, sandbox
from verify.sandbox.outcomes import NO_PACKAGE
from verify.sandbox.packages import PackageMissing, find_packages, wanted
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.stdio import StdioVerifier
from verify.verdict import Status, Verdict
from verify.verifiers import Verifiers

# Kind: any text that asks Python for NumPy, in whatever form; none of them declares it.
NUMPY_FORMS = (
    "import numpy",
    "import numpy as np, sys",
    "import sys, numpy",
    "import os; import numpy as np",
    "import os, \\\n  numpy",
    "if True: import numpy",
    "from numpy import *",
    "from numpy.linalg import det",
    "try:\n    import numpy\nexcept ImportError:\n    raise SystemExit(1)",
    "__import__('numpy')",
    "import importlib\nimportlib.import_module('numpy.linalg')",
    "exec('import numpy')",
    "exec('import num' + 'py')",
    "__import__('num' + 'py').linalg",
)


@pytest.fixture(scope="module", params=SAFE_TIERS)
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        made = Sandbox(request.param)
    except TierUnavailable as error:
        pytest.skip(str(error))
    with made:
        yield made


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed distributions, first on the path."""
    monkeypatch.syspath_prepend(tmp_path)
    find_packages.cache_clear()
    yield tmp_path
    find_packages.cache_clear()


def install(site: Path, name: str, files: dict[str, str], requires: tuple[str, ...] = (), record: bool = True) -> None:
    """Writes a distribution with these files as an installer would."""
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    head = "".join(f"Requires-Dist: {text}\n" for text in requires)
    files = {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{head}", **files}
    for place, text in files.items():
        (site / place).parent.mkdir(parents=True, exist_ok=True)
        (site / place).write_text(text)
    if record:
        (site / info / "RECORD").write_text("".join(f"{place},,\n" for place in [*files, f"{info}/RECORD"]))


def problem(declared: tuple[str, ...] | None, output: str = "ok") -> Problem:
    reference = {"cases": [{"stdin": "", "stdout": output}], "packages": declared}
    return Problem.model_validate({"id": "p", "prompt": "x", "verifier": "stdio", "reference": reference})


def verify(box: Sandbox, code: str, declared: tuple[str, ...] | None = None, output: str = "ok") -> Verdict:
    return StdioVerifier(box).verify(problem(declared, output), f"```python\n{code}\nprint('ok')\n```")


@pytest.mark.parametrize("form", NUMPY_FORMS)
def test_numpy_is_there_in_every_form(box: Sandbox, form: str) -> None:
    assert verify(box, form).status is Status.PASS


def test_the_word_alone_harms_nobody(box: Sandbox) -> None:
    assert verify(box, "# without numpy\nimport sys\nassert 'numpy.linalg' in sys.modules").status is Status.PASS
    assert verify(box, "my_numpy_like = 1").status is Status.PASS


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("import pandas", "pandas"),
        ("from sklearn.svm import SVC", "sklearn"),
        ("import sys, torch", "torch"),
        ("__import__('yaml')", "yaml"),
        ("def f():\n    import scipy.optimize\nf()", "scipy"),
    ],
)
def test_a_package_that_is_not_there_is_named(box: Sandbox, code: str, module: str) -> None:
    """Kind: a program that imports what its task does not declare; the status is `crash`, the reason begins alike."""
    verdict = verify(box, code)
    assert verdict.status is Status.CRASH
    assert verdict.reason == f"case 1 of 1: {NO_PACKAGE}No module named {module!r}"


@pytest.mark.parametrize("way", ["cases", "tests", "asserts", "shared"])
@pytest.mark.parametrize("code", ["import pandas\ndef f(x): return x", "def f(x):\n    import pandas\n    return x"])
def test_functions_name_it_too(box: Sandbox, way: str, code: str) -> None:
    ways: dict[str, dict[str, object]] = {
        "cases": {"cases": [{"args": [1], "expected": 1}]},
        "tests": {"tests": "def check(candidate):\n    assert candidate(1) == 1"},
        "asserts": {"asserts": ["assert True", "assert f(1) == 1"]},
        "shared": {"tests": "def check(candidate):\n    assert candidate(1) == 1", "shared": True},
    }
    data = {"id": "p", "prompt": "x", "verifier": "python", "reference": {"entry_point": "f", **ways[way]}}
    verdict = PythonVerifier(box).verify(Problem.model_validate(data), code)
    assert verdict.status is Status.CRASH
    assert f"{NO_PACKAGE}No module named 'pandas'" in verdict.reason


def test_declared_packages_bring_their_requirements(box: Sandbox) -> None:
    code = "import mpmath, sympy.ntheory, sortedcontainers\nassert sortedcontainers.SortedList([2, 1])[0] == 1"
    verdict = verify(box, code, ("sympy", "sortedcontainers"))
    assert (verdict.status, verdict.reason) == (Status.PASS, "")


def test_packages_tell_their_version(box: Sandbox) -> None:
    code = "import importlib.metadata as m\nassert m.version('sortedcontainers')[0] == '2'"
    assert verify(box, code, ("sortedcontainers",)).status is Status.PASS


def test_what_a_candidate_changes_in_a_package_is_forgotten(box: Sandbox) -> None:
    declared = ("sortedcontainers",)
    assert verify(box, "import sortedcontainers\nsortedcontainers.SortedList = None", declared).status is Status.PASS
    assert verify(box, "import sortedcontainers\nsortedcontainers.SortedList([1])", declared).status is Status.PASS


def test_checkers_have_the_packages_of_their_problem(box: Sandbox) -> None:
    source = "import sympy\ndef compute_score(data_source, solution_str, ground_truth, extra_info=None):\n"
    source += "    return float(sympy.simplify(solution_str) == sympy.simplify(ground_truth))\n"
    data = {"path": "reward.py", "source": source, "ground_truth": "x + x", "packages": ["sympy"], "time_limit_s": 20}
    asked = Problem.model_validate({"id": "p", "prompt": "x", "verifier": "custom", "reference": data})
    assert [CustomVerifier(box).verify(asked, text).status for text in ("2*x", "3*x")] == [Status.PASS, Status.FAIL]


def test_verdicts_name_the_versions() -> None:
    with Verifiers() as verifiers:
        verdict = verifiers.verify(problem(("sortedcontainers",)), "print('ok')")
    assert verdict.toolchain.startswith("sortedcontainers 2.")


def test_a_folder_is_a_package_s_home(box: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("from mine.part import value\nimport helper")
    (tmp_path / "mine" / "part.py").write_text("value = 7")
    (tmp_path / "helper.py").write_text("word = 'h'")
    for path in (tmp_path, *tmp_path.parents):
        if path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o055)
    code = "import mine, helper\nassert (mine.value, helper.word) == (7, 'h')"
    assert verify(box, code, (str(tmp_path),)).reason == ""


def test_many_sets_of_packages_share_few_servers(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_MOST_SERVERS", 3)
    for declared in ((), ("sortedcontainers",), ("packaging",), ("click",), ("sortedcontainers",)):
        assert verify(box, "", declared).status is Status.PASS
        assert len(box._supervisors) <= 3


def test_files_of_a_distribution(site: Path) -> None:
    files = {"one/__init__.py": "", "one_data.libs/x.so": "", "single.py": "", "_hidden.py": "", "tool.pth": ""}
    install(
        site, "one-two", files, requires=("needed>=1", "absent", "never; python_version < '3'", "opt; extra == 'x'")
    )
    install(site, "needed", {"needed/__init__.py": ""}, requires=("one-two",))
    install(site, "opt", {"opt.py": ""})
    found = find_packages(("one-two",))
    assert dict(found.places) == {
        name: str(site / path)
        for name, path in {"one": "one", "single": "single.py", "_hidden": "_hidden.py", "needed": "needed"}.items()
    }
    assert (set(found.loaded), found.versions) == ({"one", "single"}, "one-two 1.0")
    assert {Path(path).name for path in found.others} == {
        "one_data.libs",
        "one_two-1.0.dist-info",
        "needed-1.0.dist-info",
    }
    assert find_packages(()).places == ()


def test_a_distribution_without_a_record_has_its_top_level(site: Path) -> None:
    install(site, "old", {"old/__init__.py": "", "old-1.0.dist-info/top_level.txt": "old\n"}, record=False)
    assert dict(find_packages(("old",)).places) == {"old": str(site / "old")}


def test_what_cannot_be_had_is_refused(site: Path, tmp_path: Path) -> None:
    install(site, "edited", {"__editable__.edited.pth": "", "__editable___edited_finder.py": ""})
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("no-such-package", "'no-such-package' is not installed; install it into the environment of Troop"),
        ("json", "'json' is not installed; it is part of Python, leave it out"),
        ("yaml", "'yaml' is not installed; the module is in 'PyYAML', write that"),
        ("edited", "'edited' has no files of its own here"),
        ("/nowhere/at/all", "/nowhere/at/all is no folder that can be read (No such file or directory)"),
        (str(tmp_path / "empty"), "holds no package"),
    ):
        with pytest.raises(PackageMissing) as error:
            find_packages((name,))
        assert words in str(error.value)
    with pytest.raises(BadInput, match=r"^task t: packages: 'no-such-package' is not installed"):
        check_packages([problem(("no-such-package",))], "task t: ")


def test_a_package_that_does_not_start_is_refused(tmp_path: Path) -> None:
    """Every verifier process says so when it is prepared; a verdict without preparation is a fault."""
    for name, text, words in (
        ("raises", "import no_such_thing", "importing raises: ModuleNotFoundError: No module named 'no_such_thing'"),
        ("threads", "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
         "importing threads starts 1 threads"),
    ):  # fmt: skip
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "__init__.py").write_text(text)
        declared = (str(tmp_path / name),)
        with Verifiers() as verifiers:
            with pytest.raises(PackageMissing, match=words):
                verifiers.prepare(["stdio"], [declared])
            assert verifiers.verify(problem(declared), "print('ok')").status is Status.FAULT


def test_the_word_is_found_in_linear_time() -> None:
    assert wanted(None, "numpy" * 1_000_000) == ()
    assert wanted(None, "_numpy " * 1_000_000) == ()
    assert wanted((), "import numpy") == ()
    assert wanted(None, "import numpy") == packages.NUMPY


BAD = {"verify": {"packages": ["no-such-package"]}}
WRITTEN = "packages: 'no-such-package' is not installed"


@pytest.mark.parametrize("command", ["plan", "run", "audit"])
def test_a_package_of_the_sweep_that_is_missing_ends_the_command(
    troop: Troop, write_sweep: WriteSweep, command: str
) -> None:
    line = json.loads(problem(None).model_dump_json(exclude_none=True))
    done = troop(command, write_sweep([line], **BAD))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert f"task sums: {WRITTEN}" in done.err
    assert not Path("runs").exists()


def test_the_nearest_list_counts(write_sweep: WriteSweep, tmp_path: Path) -> None:
    """A problem's own list goes before its task's, and that before the sweep's; paths start at the file's folder."""
    lines = [json.loads(problem(own).model_copy(update={"id": name}).model_dump_json(exclude_none=True))
             for name, own in (("own", ("./mine",)), ("none", None))]  # fmt: skip
    path = write_sweep(lines, verify={"packages": ["numpy", "./folder"]})
    for change, expected in (
        (["./own"], (str(tmp_path / "own"),)),
        ([], ()),
        (None, ("numpy", str(tmp_path / "folder"))),
    ):
        sweep = load_sweep(path, [f"tasks.sums.packages={json.dumps(change)}"])
        own, none = sweep.problems_of(sweep.tasks[0])
        assert own.reference.packages == (str(tmp_path / "mine"),)
        assert none.reference.packages == expected


@pytest.mark.parametrize("entry", ["", "-r", "a b", "numpy>=2", "git+https"])
def test_an_entry_that_names_nothing_is_refused(troop: Troop, write_sweep: WriteSweep, entry: str) -> None:
    done = troop("plan", write_sweep(verify={"packages": [entry]}))
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "verify.packages.0: a package is the name of a distribution" in done.err


def test_older_runs_go_on() -> None:
    """A reference without the key has the digest that it had before there was one; a folder's place does not count."""
    old = {"id": "p", "prompt": "x", "verifier": "stdio", "reference": {"cases": [{"stdin": "", "stdout": "1"}]}}
    assert Problem.model_validate(old).reference_digest == "02f7b9e2951c0b22"
    assert problem(("/a/mine",)).reference_digest == problem(("/b/mine",)).reference_digest
    assert len({problem(names).reference_digest for names in (None, (), ("numpy",), ("/a/mine",))}) == 4
