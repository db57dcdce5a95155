"""The reference of a ``patch`` problem: a repository at a commit, and the tests that decide."""

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from sampling.limits import Limits

DECIDES_HOW_TESTS_RUN = (
    *("conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "pyproject.toml", "setup.cfg"),
    *("tox.ini", "noxfile.py", "sitecustomize.py", "usercustomize.py", "*.pth", "*.pyc", "*.egg-info", "*.dist-info"),
    *("pytest.py", "pytest/*", "_pytest/*", "unittest.py", "unittest/*"),
)


class PatchReference(Limits):
    """A repository at a commit, tests that a patch has to make pass, and tests that it must not break.

    The repository is either a ``snapshot`` or in a container ``image``; give one of them.
    """

    default_limit_s: ClassVar[float] = 600.0

    time_limit_s: float | None = Field(default=None, gt=0)
    """Seconds of wall time for one run of the tests, and of CPU time for each of its processes. Default: 600.

    Slower machines get up to 5 times as much.
    """

    memory_mb: int = Field(default=4096, ge=16)
    """Megabytes (2^20 bytes) of memory for all processes of one run of the tests together."""

    snapshot: str | None = Field(default=None, min_length=1)
    """Git repository or bundle that holds ``base_commit``, on every node. Default: ``image`` is used.

    A relative path starts at the folder of the problem's file. Example: `repos/calc`.
    """

    image: str | None = Field(default=None, pattern=r"^[a-z0-9][\w.:/@-]*$")
    """Container image that has the repository at ``/testbed``; it is pulled if needed. Default: ``snapshot`` is used.

    Example: `swebench/sweb.eval.x86_64.django_1776_django-11910:latest`.
    """

    base_commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    """Commit that the patch applies to: 40 hexadecimal digits in small letters."""

    test_patch: str = Field(pattern=r"\S")
    """Unified diff that adds or changes the tests; it is applied after the candidate's patch."""

    fail_to_pass: tuple[str, ...] = Field(min_length=1)
    """Tests that must pass with the patch, at least one; a candidate may not touch their files.

    Names are as the runner prints them. Without any patch, at least one of them has to fail. Example:
    `["tests/test_calc.py::test_add"]`.
    """

    pass_to_pass: tuple[str, ...] = ()
    """Tests that pass without the patch and must still pass with it, named as in ``fail_to_pass``."""

    test_command: str = Field(pattern=r"\S")
    """Shell text that runs the tests, at the root of the tree. Example: `python -m pytest tests/test_calc.py`.

    With ``control`` the name of one more file or module of tests is appended to it.
    """

    results: Literal["pytest", "unittest", "sympy"] = "pytest"
    """Format of the test command's output: pytest's summary, unittest's verbose lines, or SymPy's ``bin/test``."""

    control: bool = True
    """Runs ten tests of Troop's own with random names among the tests; half of them have to fail.

    A run in which they do not end as they must gives no results, so a patch that fakes all results does not pass. It
    must be false with results ``sympy``, whose runner takes no further file.
    """

    environment: str | None = None
    """Prefix of the Python installation or virtual environment that runs the tests on a ``snapshot``.

    A relative path starts at the folder of the problem's file. Default: the environment that Troop runs in. An image
    has its own.
    """

    protected: tuple[str, ...] = DECIDES_HOW_TESTS_RUN
    """Patterns of files that a patch must not touch, because they decide which tests run or how they end.

    A pattern without a slash matches a file or folder of that name anywhere, one with a slash the whole path. Default:
    ``conftest.py``, ``pyproject.toml``, ``setup.cfg``, ``*.pth`` and their like.
    """

    repeats: int = Field(default=1, ge=1, le=99)
    """Runs of the tests for each sample, an odd number; each test has to pass in most of them. Example: `3`.

    Runs stop as soon as the result is certain.
    """

    @model_validator(mode="after")
    def _one_place(self) -> "PatchReference":
        if (self.snapshot is None) == (self.image is None):
            raise ValueError("exactly one of snapshot, image is needed")
        if self.repeats % 2 == 0:
            raise ValueError(f"repeats: {self.repeats} runs can be a tie; an odd number is needed")
        if self.control and self.results == "sympy":
            raise ValueError(
                "control: SymPy's runner takes no further file of tests; with results sympy, set it to false"
            )
        return self
