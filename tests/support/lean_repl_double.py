"""A process that speaks the Lean REPL's protocol, for machines without Lean. Run as a program, never imported.

It keeps numbered environments, parses commands and answers with structured messages, as the real REPL does. Its
language is a small part of Lean: ``import``, ``open``, ``set_option … in``, ``theorem NAME : A``, ``axiom NAME : A``,
``#print axioms NAME``. Propositions are ``True``, sums of numerals (``2 + 2 = 4``) and ``type_of% @NAME``. Some tactics
act on it as hostile or unlucky proofs act on the real one.
"""

# ruff: noqa: PTH123, PTH208  it tries what a hostile program would try

import json
import os
import re
import socket
import sys
import time
from dataclasses import dataclass, field

LIBRARIES = ("Init", "Mathlib", "Aesop")
COMMANDS = re.compile(r"^(?=import |open |set_option |theorem |lemma |axiom |#print )", re.MULTILINE)
DECLARATION = re.compile(r"(theorem|lemma|axiom) +([\w.']+) *:(?!=) *(.*?)(?: *:=\s*(.*))?", re.DOTALL)


@dataclass(frozen=True)
class Theorem:
    """A declared name: its proposition, and all axioms that its proof uses."""

    says: str
    axioms: frozenset[str] = frozenset()


@dataclass
class State:
    """An environment while a command is elaborated."""

    theorems: dict[str, Theorem]
    messages: list[dict[str, str]] = field(default_factory=list)


class Wrong(Exception):
    """An error in the candidate, in Lean's words."""


def main() -> None:
    environments: list[dict[str, Theorem]] = []
    while (request := read()) is not None:
        number = request.get("env")
        if number is not None and not 0 <= number < len(environments):
            answer({"message": "Unknown environment."})
            continue
        state = State(dict(environments[number]) if number is not None else {})
        unknown = elaborate(request["cmd"], state, fresh=number is None)
        if unknown:
            answer({"message": f"unknown module prefix '{unknown}'"})
            continue
        environments.append(state.theorems)
        answer({"env": len(environments) - 1} | ({"messages": state.messages} if state.messages else {}))


def read() -> dict[str, object] | None:
    lines = []
    for line in sys.stdin:
        if not line.strip():
            return json.loads("".join(lines))
        lines.append(line)
    return None


def answer(reply: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(reply, ensure_ascii=False, indent=1) + "\n\n")
    sys.stdout.flush()


def elaborate(source: str, state: State, fresh: bool) -> str | None:
    """Adds to ``state`` what the commands declare and print; returns the first library that is missing."""
    for command in COMMANDS.split(source):
        words = command.split()
        if words[:1] == ["import"]:
            if not fresh:
                say(state, "error", "invalid 'import' command, it must be used in the beginning of the file")
            elif words[1] not in LIBRARIES:
                return words[1]
        elif command.strip() and words[0] not in ("open", "set_option"):
            try:
                run(command.strip(), state)
            except Wrong as error:
                say(state, "error", str(error))
    return None


def run(command: str, state: State) -> None:
    if command.startswith("#print axioms "):
        say(state, "info", about(command.split()[2], state))
        return
    found = DECLARATION.fullmatch(command)
    if found is None:
        raise Wrong("unexpected token")
    kind, name, says, proof = found.groups()
    if name in state.theorems:
        raise Wrong(f"'{name}' has already been declared")
    says = meaning(says.strip(), state)
    axioms = frozenset({name}) if kind == "axiom" else prove((proof or "").strip(), says, state)
    state.theorems[name] = Theorem(says, axioms)


def about(name: str, state: State) -> str:
    axioms = ", ".join(sorted(known(name, state).axioms))
    return f"'{name}' depends on axioms: [{axioms}]" if axioms else f"'{name}' does not depend on any axioms"


def known(name: str, state: State) -> Theorem:
    name = name.removeprefix("@").removeprefix("_root_.")
    if name not in state.theorems:
        raise Wrong(f"Unknown constant `{name}`")
    return state.theorems[name]


def meaning(says: str, state: State) -> str:
    if says.startswith("type_of% "):
        return known(says.removeprefix("type_of% "), state).says
    if says != "True" and holds(says) is None:
        raise Wrong(f"unknown identifier '{says}'")
    return says


def holds(says: str) -> bool | None:
    """Returns whether a proposition such as ``1 + 2 = 3`` is true; None for other propositions."""
    if not re.fullmatch(r"\d+(?: \+ \d+)* = \d+", says):
        return None
    left, right = says.split(" = ")
    return sum(map(int, left.split(" + "))) == int(right)


def prove(proof: str, says: str, state: State) -> frozenset[str]:
    """Returns the axioms that a term, or tactics after ``by``, use; raises Wrong where they prove something else."""
    if not proof.startswith("by"):
        return term(proof, says, state)
    axioms, done = frozenset[str](), False
    for tactic in proof.removeprefix("by").split("\n"):
        word, _, rest = tactic.strip().partition(" ")
        if word == "norm_num" and (says == "True" or holds(says)):
            done = True
        elif word == "norm_num":
            raise Wrong("norm_num failed to simplify")
        elif word == "choose_one":  # as a classical proof does
            axioms, done = axioms | {"propext", "Classical.choice", "Quot.sound"}, True
        elif word == "cheat":  # stands for any way round the words that are refused
            axioms, done = axioms | {"Lean.ofReduceBool"}, True
        elif word == "exact":
            axioms, done = axioms | term(rest, says, state), True
        elif word in DEEDS:
            DEEDS[word](rest)
        elif word:
            raise Wrong(f"unknown tactic '{word}'")
    if not done:
        raise Wrong(f"unsolved goals\n⊢ {says}")
    return axioms


def term(words: str, says: str, state: State) -> frozenset[str]:
    found = Theorem("True") if words == "True.intro" else known(words, state)
    if found.says != says:
        raise Wrong(f"Type mismatch\n  {words}\nhas type\n  {found.says}\nbut is expected to have type\n  {says}")
    return found.axioms


def say(state: State, severity: str, data: str) -> None:
    state.messages.append({"severity": severity, "pos": {"line": 1, "column": 0}, "endPos": None, "data": data})


def hang(_: str) -> None:
    time.sleep(600)


def eat(_: str) -> None:
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1 << 20)) * 8)


def shout(_: str) -> None:
    while True:
        sys.stdout.write("x" * 65536)


def forge(name: str) -> None:
    """Answers the next command before it has come."""
    text = f"'{name}' does not depend on any axioms"
    answer({"env": 0, "messages": [{"severity": "info", "data": text}]})


def bear(_: str) -> None:
    """Starts a child that outlives its parent, then hangs."""
    if os.fork() == 0:
        os.setsid()
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(600)


def peek(_: str) -> None:
    """Fails with the names of all forbidden actions that succeeded."""
    could = [name for name, attempt in ATTEMPTS.items() if worked(attempt)]
    raise Wrong(f"could: {', '.join(could) or 'nothing'}; environment: {' '.join(sorted(os.environ))}")


def worked(attempt: object) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


ATTEMPTS = {
    "read": lambda: open("/etc/passwd").close(),
    "list": lambda: os.listdir("/proc"),
    "write": lambda: open("/dev/shm/troop-lean", "w").close(),
    "connect": lambda: socket.socket(),
    "fork": lambda: os.fork() or os._exit(0),
    "execute": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "signal": lambda: os.kill(os.getppid(), 0) if os.getppid() else os.kill(2, 0),
}
DEEDS = {
    "hang": hang,
    "eat": eat,
    "shout": shout,
    "forge": forge,
    "bear": bear,
    "peek": peek,
    "crash": lambda _: os._exit(1),
    "abort": lambda _: os.abort(),
    "babble": lambda _: print("no JSON\n", flush=True),
}

if __name__ == "__main__":
    main()
