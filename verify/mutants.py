"""Completions with a known verdict: the gold solution, mutants of it, programs that run into a limit.

Pure functions: they make text and run nothing. A mutant must not be as good as gold by accident. Where the reference
shows that it would be (nothing is expected and the mutant prints nothing), no mutant is made. Where only a run can
show it, the mutant has a ``proof``: a completion that passes only if the mutant is as good as gold. A changed answer
never equals gold.
"""

import ast
import re
import string
import warnings
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from textwrap import indent

from sampling.checkers import CustomReference
from sampling.choices import ChoiceReference
from sampling.formats import JsonReference, RegexReference
from sampling.instructions import IfevalReference
from sampling.patches import PatchReference
from sampling.problems import Problem
from sampling.references import AnswerReference, JudgeReference, LeanReference, PythonReference, StdioReference
from sampling.theorems import theorem_name
from verify.compare import same_output
from verify.languages.samples import SAMPLES
from verify.math.notation import as_number, normalise, number_text
from verify.patch.diff import extract_diff
from verify.programs.candidate import candidate_code
from verify.verdict import Status

GOLD = "gold"
WRONG = frozenset(Status) - {Status.PASS, Status.FAULT}
LIMIT_S, LIMIT_MB = 0.5, 256  # of programs that run into a limit; small, as they only show that there is a limit

_ALWAYS_EQUAL = """
class _Same:
    __eq__ = __le__ = __ge__ = __contains__ = lambda self, other: True
    __ne__ = __lt__ = __gt__ = lambda self, other: False
    __hash__ = lambda self: 0
    __bool__ = lambda self: True
    __len__ = __int__ = __index__ = lambda self: 1
    __float__ = lambda self: 1.0
    __iter__ = lambda self: iter([self])
    __getitem__ = __call__ = lambda self, *a, **k: self
    __str__ = __repr__ = lambda self: ""
"""
_EXIT = "import os\nos._exit(0)\n"
_GUARD = """

def _guarded(gold):
    def guarded(*args, **named):
        result = gold(*args, **named)
        if result:
            raise ValueError("a result that is not None's equal")
        return result
    return guarded


"""
_BREAKERS = {
    Status.TIMEOUT: "import time\nwhile True:\n    time.sleep(1)",
    Status.MEMORY: "eaten = []\nwhile True:\n    eaten.append(bytearray(1 << 24))",
    Status.OUTPUT: "while True:\n    print('x' * 1000)",
}
_STRANGE = "-271828.25"  # no answer that is not a number equals this


@dataclass(frozen=True, slots=True)
class Known:
    """A completion of a problem and the statuses that are right for it.

    ``proof``, if not empty, is a completion that passes only where this one is as good as gold; then the pass of this
    one is no error.
    """

    check: str
    text: str
    expected: frozenset[Status]
    proof: str = ""


def known_completions(problem: Problem) -> Iterator[Known]:
    """Yields the gold solution, then its mutants; nothing for problems of a paid judge.

    Without a gold solution only a theorem has mutants: proofs that prove nothing.
    """
    reference = problem.reference
    if isinstance(reference, JudgeReference):
        return
    if problem.solution is not None:
        yield Known(GOLD, problem.solution, frozenset({Status.PASS}))
    if isinstance(reference, LeanReference):
        yield from _wrong_proofs(reference)
        return
    if problem.solution is None:
        return
    if isinstance(reference, ChoiceReference):
        yield from _wrong_choices(reference)
    elif isinstance(reference, CustomReference | RegexReference | JsonReference | IfevalReference):
        yield Known("no answer", "", WRONG)
        if isinstance(reference, CustomReference | JsonReference):
            yield Known("no answer in words", "I do not know.", WRONG)
    elif isinstance(reference, AnswerReference):
        yield from _wrong_answers(problem.verifier, reference.answer)
    elif isinstance(reference, StdioReference):
        yield from _wrong_programs(problem.solution, reference)
    elif isinstance(reference, PatchReference):
        yield from _wrong_patches(problem.solution, reference)
    else:
        yield from _wrong_functions(problem.solution, reference)


def limit_breakers(problem: Problem) -> Iterator[tuple[Problem, Known]]:
    """Yields programs that sleep, eat memory or print without end, each with the problem under limits met soon."""
    reference = problem.reference
    if not isinstance(reference, StdioReference | PythonReference):
        return
    for status, body in _BREAKERS.items():
        seconds = LIMIT_S if status is Status.TIMEOUT else 20 * LIMIT_S
        limits = {"time_limit_s": seconds, "memory_mb": min(LIMIT_MB, reference.memory_mb)}
        limited = problem.model_copy(update={"reference": reference.model_copy(update=limits)})
        if isinstance(reference, StdioReference) and reference.language != "python":
            yield from _foreign_breaker(limited, reference.language, status)
        elif isinstance(reference, StdioReference):
            yield limited, Known(f"limit: {status}", fenced(body), frozenset({status}))
        elif status is not Status.OUTPUT and (program := _function_that(body, problem.solution, reference)):
            yield limited, Known(f"limit: {status}", fenced(program), frozenset({status}))


def _foreign_breaker(limited: Problem, language: str, status: Status) -> Iterator[tuple[Problem, Known]]:
    """Yields a program in another language that meets this limit."""
    samples = SAMPLES[language]
    bodies = {Status.TIMEOUT: samples.endless, Status.MEMORY: samples.memory, Status.OUTPUT: samples.output}
    yield limited, Known(f"limit: {status}", fenced(bodies[status], language), frozenset({status}))


def _function_that(body: str, solution: str | None, reference: PythonReference) -> str | None:
    """Returns gold with another body in the functions that tests call; without a gold, the entry point alone."""
    if solution is not None:
        program, names = _program(solution, reference)
        return with_bodies(program, body, names) if names else None
    name = reference.entry_point or ""
    return f"def {name}(*args, **named):\n{indent(body, '    ')}" if name.isidentifier() else None


def _wrong_proofs(reference: LeanReference) -> Iterator[Known]:
    """Yields proofs that prove nothing. A broken theorem is found by them too: its verdict is a fault."""
    name = theorem_name(reference.statement)
    yield Known("no proof", "", WRONG)
    yield Known("sorry", "  sorry\n", WRONG)
    yield Known("unfinished", "  have trivially : True := True.intro\n", WRONG)
    yield Known("another theorem", f"```lean4\ntheorem {name} : True := True.intro\n```\n", WRONG)


def _wrong_answers(verifier: str, answer: str) -> Iterator[Known]:
    yield Known("no answer", "", WRONG)
    if verifier == "math":
        yield Known("changed answer", f"The final answer is \\boxed{{{changed_number(answer)}}}.", WRONG)
    else:
        yield Known("changed answer", f"{answer.strip()}!", WRONG)


def changed_number(answer: str) -> str:
    """Returns one more than a number; for any other answer, a number that it does not equal."""
    number = as_number(normalise(answer))
    return _STRANGE if number is None else number_text(number + 1)


def _wrong_choices(reference: ChoiceReference) -> Iterator[Known]:
    """Yields no choice, another one, the right one with another left open, one too few or too many; another's text."""
    yield Known("no answer", "", WRONG)
    right = reference.right
    other = next_choice(reference)
    if not right or other is None:
        return
    yield Known("changed answer", f"The answer is ({other}).", WRONG)
    yield Known("undecided answer", f"The answer is {right[0]} or {other}.", WRONG)
    yield Known("one too many", f"The answer is {', '.join((*right, other))}.", WRONG)
    if len(right) > 1:
        yield Known("one too few", f"The answer is {', '.join(right[1:])}.", WRONG)
    if reference.options is not None:
        yield Known("another option's text", f"The answer is {reference.options[other]}", WRONG)


def next_choice(reference: ChoiceReference) -> str | None:
    """Returns a label that is not right: an option's own, else a letter or number; None where all options are right."""
    right = reference.right
    numbers = bool(right) and all(label.isdigit() for label in right)
    known = reference.options or (map(str, range(1, 1000)) if numbers else string.ascii_uppercase)
    return next((label for label in known if label not in right), None)


def _wrong_programs(solution: str, reference: StdioReference) -> Iterator[Known]:
    if reference.language != "python":
        yield Known("no code", "", WRONG)
        if not all(same_output(reference.checker, case.stdout, "") for case in reference.cases):
            yield Known("empty program", fenced(SAMPLES[reference.language].empty, reference.language), WRONG)
        return
    program = candidate_code(reference, solution)
    if program is None:
        return
    yield Known("no code", "", WRONG)
    if not reference.checker.endswith(".py") and not all(
        same_output(reference.checker, case.stdout, "") for case in reference.cases
    ):
        yield Known("empty program", fenced("pass"), WRONG)
        yield Known("early exit", fenced(_EXIT + program), WRONG)
    yield Known("changed output", fenced("print('no such output')\n" + program), WRONG)


_NEW_FILE = "diff --git a/{0} b/{0}\nnew file mode 100644\n--- /dev/null\n+++ b/{0}\n@@ -0,0 +1 @@\n+\n"


def _wrong_patches(solution: str, reference: PatchReference) -> Iterator[Known]:
    """Yields three patches for which no test runs, and one that repairs nothing, so tests still fail."""
    gold = extract_diff(solution)
    yield Known("no diff", "", WRONG)
    yield Known("the tests changed", reference.test_patch, WRONG)
    if gold is not None:
        yield Known(
            "applied nowhere", re.sub(r"^([-+]{3} [ab]/|diff --git a/)", r"\1no/such/", gold, flags=re.M), WRONG
        )
    yield Known("nothing repaired", _NEW_FILE.format("troop-mutant.txt"), WRONG)


def _wrong_functions(solution: str, reference: PythonReference) -> Iterator[Known]:
    program, names = _program(solution, reference)
    yield Known("no code", "", WRONG)
    yield Known("empty program", fenced("pass"), WRONG)
    yield Known("early exit", fenced(_EXIT + program), WRONG)
    if not names:
        return
    yield Known("early exit in a call", fenced(with_bodies(program, _EXIT)), WRONG)
    yield Known("return None", fenced(with_bodies(program, "return None")), WRONG, fenced(only_falsy(program, names)))
    if not reference.shared:  # it may pass in a shared process; such verdicts carry a note
        yield Known("always equal", fenced(with_bodies(program, "return _Same()") + _ALWAYS_EQUAL), WRONG)


def with_bodies(program: str, body: str, names: Container[str] | None = None) -> str:
    """Returns ``program`` with another body in all its functions and methods, or only in ``names``."""
    tree = _parsed(program)
    for name, function in _functions(tree).items():
        if names is None or name in names:
            function.body = _statements(body)
    return ast.unparse(tree)


def _statements(body: str) -> list[ast.stmt]:
    function = ast.parse(f"def f():\n{indent(body, '    ')}").body[0]
    assert isinstance(function, ast.FunctionDef)
    return function.body


def only_falsy(program: str, names: Sequence[str]) -> str:
    """Returns ``program`` with functions ``names`` that raise unless they return None, 0 or something empty.

    Tests that it passes cannot tell gold from functions that return None.
    """
    return program + _GUARD + "".join(f"{name} = _guarded({name})\n" for name in names)


def fenced(program: str, language: str = "python") -> str:
    """Returns a program as the one block of a completion; no fence inside the program can close it."""
    return f"~~~~~~~~{language}\n{program}\n~~~~~~~~\n"


def _program(solution: str, reference: PythonReference) -> tuple[str, tuple[str, ...]]:
    """Returns the program in a gold solution, and the functions in it that the tests call."""
    program = candidate_code(reference, solution) or ""
    defined = _functions(_parsed(program))
    if reference.entry_point:
        return program, (reference.entry_point,) if reference.entry_point in defined else ()
    asserts = "\n".join(reference.asserts or ())
    return program, tuple(name for name in defined if re.search(rf"\b{re.escape(name)}[ \t]*\(", asserts))


def _functions(tree: ast.Module) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Returns top-level functions by name, and methods of top-level classes as ``Class.method``."""
    found: dict[str, ast.FunctionDef | ast.AsyncFunctionDef] = {}
    for node in tree.body:
        inner, before = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        for function in inner:
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found[before + function.name] = function
    return found


def _parsed(program: str) -> ast.Module:
    """Returns the program's syntax tree; an empty one where it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the gold code: "\\d" in a string and the like
        try:
            return ast.parse(program)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.Module([], [])
