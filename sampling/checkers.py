"""Checkers that a user writes: the reference of a ``custom`` problem, and the function in its file.

The file is read when problems are loaded and travels with them, so every node and a later `troop verify` judge by the
same text. Nothing here runs it: its syntax tree tells which function it has and by which convention.
"""

import ast
import hashlib
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from sampling.packages import WithPackages

Convention = Literal["verl", "trl"]
VERL = ("data_source", "solution_str", "ground_truth", "extra_info")
TRL = ("prompts", "completions")
CONVENTIONS = (
    "allowed: compute_score(data_source, solution_str, ground_truth, extra_info=None), "
    "or f(prompts, completions, **kwargs)"
)
MAX_SOURCE = 1_000_000  # characters


class CustomReference(WithPackages):
    """A checker of your own: a function in a Python file that gives a completion a score."""

    path: str = Field(min_length=1)
    """Python file with the function. A relative path starts at the folder of the problem's file. Example: `reward.py`.

    It may import the standard library and ``packages``, and reads no other file.
    """

    function: str | None = None
    """Name of the function. Default: ``compute_score``, else the file's only function of either convention."""

    ground_truth: Any = None
    """Right answer, passed on as ``ground_truth``: any JSON value."""

    data_source: str = ""
    """Name of the data set, which verl's convention passes on as ``data_source``."""

    extra_info: dict[str, Any] | None = None
    """More values, which verl's convention passes on as ``extra_info``."""

    columns: dict[str, Any] = Field(default_factory=dict)
    """Further keyword arguments of TRL's convention, each passed on as a list of one. Example: `{"answer": "18"}`."""

    threshold: float = 1.0
    """Lowest score that passes. Example: `0.5`."""

    time_limit_s: float = Field(default=5.0, gt=0)
    """Seconds of CPU time that the function may take for one completion, and 4 times as much wall time.

    More is a fault of the checker, not a wrong answer.
    """

    memory_mb: int = Field(default=512, ge=16)
    """Megabytes (2^20 bytes) of memory for one call of the function, at least 16."""

    source: str = ""
    """Text of the file, filled in when the problems are loaded."""

    @model_validator(mode="after")
    def _has_the_function(self) -> "CustomReference":
        if self.source:
            self.found  # noqa: B018  raises ValueError
        return self

    @property
    def found(self) -> "Function":
        """The function in the file; raises ValueError where there is none that these arguments fit."""
        function = find_function(self.source, self.function)
        given = {*VERL} if function.convention == "verl" else {*TRL, "ground_truth", *self.columns}
        missing = [name for name in function.needs if name not in given]
        if missing:
            where = "; columns can give it" if function.convention == "trl" else ""
            raise ValueError(f"{function.name} needs {missing[0]!r}, which no key gives{where}")
        return function


class Function(NamedTuple):
    """A function by one of the conventions: all its parameters, and the ones that must be given.

    ``takes`` is None where it takes any keyword.
    """

    name: str
    convention: Convention
    takes: frozenset[str] | None
    needs: tuple[str, ...]


@lru_cache(maxsize=256)
def find_function(source: str, wanted: str | None) -> Function:
    """Returns the checker in a file's source; raises ValueError where there is none, or more than one."""
    defined = defined_functions(source)
    if wanted is not None:
        if wanted not in defined:
            raise ValueError(f"no function {wanted!r}; it defines: {', '.join(defined) or 'none'}")
        function = _by_convention(defined[wanted])
        if function is None:
            raise ValueError(f"{wanted} has other parameters; {CONVENTIONS}")
        return function
    found = {name: function for name, node in defined.items() if (function := _by_convention(node))}
    if "compute_score" in found:
        return found["compute_score"]
    if len(found) != 1:
        several = f"several functions fit ({', '.join(found)}); name one as `function`" if found else "no function"
        raise ValueError(f"{several}; {CONVENTIONS}")
    return next(iter(found.values()))


def defined_functions(source: str) -> dict[str, ast.FunctionDef]:
    """Returns the plain functions at the top level of Python source; raises ValueError where it is not Python."""
    if len(source) > MAX_SOURCE:
        raise ValueError(f"more than {MAX_SOURCE:,} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(source, "checker.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"not valid Python ({error})") from error
    return {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}


def _by_convention(node: ast.FunctionDef) -> Function | None:
    arguments = node.args
    plain = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    required = [argument.arg for argument in arguments.args[: len(arguments.args) - len(arguments.defaults)]]
    required += [
        a.arg for a, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if default is None
    ]
    takes = None if arguments.kwarg else frozenset(plain)
    if arguments.posonlyargs:
        return None
    if "solution_str" in plain:
        return Function(node.name, "verl", takes, tuple(required))
    if "completions" in plain:
        return Function(node.name, "trl", takes, tuple(required))
    return None


def check_output_checker(source: str) -> None:
    """Raises ValueError where the source of an output checker has no ``check(input, output, expected)``."""
    node = defined_functions(source).get("check")
    if node is None or not _takes(node, 3):
        raise ValueError("no function check(input, output, expected) at its top level")


def _takes(node: ast.FunctionDef, count: int) -> bool:
    """Returns True where the function can be called with ``count`` positional arguments."""
    plain, needed = node.args.posonlyargs + node.args.args, [d for d in node.args.kw_defaults if d is None]
    least = len(plain) - len(node.args.defaults)
    return not needed and least <= count and (count <= len(plain) or node.args.vararg is not None)


def checker_digests(references: Iterable[object]) -> tuple[str, ...]:
    """Returns hashes of all checkers' files that these references name, each once, sorted."""
    named = ((getattr(reference, "source", ""), getattr(reference, "checker_source", "")) for reference in references)
    sources = {source for pair in named for source in pair if source}
    return tuple(sorted(hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest() for source in sources))
