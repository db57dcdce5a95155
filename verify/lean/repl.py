"""One REPL process that has elaborated a header (``import Mathlib`` and the like) and the theorems of problems.

https://github.com/leanprover-community/repl defines the protocol: a JSON object and a blank line each way. The request
is ``{"cmd", "env"}``, the reply ``{"env", "messages": [{"severity", "data"}]}``, or ``{"message"}`` where the REPL
itself failed. An environment is a number; it never changes and lives as long as the process.
"""

import json
import re
import secrets
from typing import Literal

from pydantic import ConfigDict, ValidationError, model_validator

from sampling.errors import VerifierFault
from sampling.theorems import NAME, theorem_name
from sampling.validate import Plain
from verify.lean.home import LeanHome
from verify.sandbox.limits import Quota
from verify.sandbox.process_tree import Usage
from verify.sandbox.tool import Stopped, open_tool
from verify.verdict import Status

HEADER = Quota(wall_s=600.0, memory_mb=65_536)  # enough for all of mathlib from a cold disk
LEFT_MB = 1024  # memory that proofs may leave behind in a process before it is replaced
_DEPENDS = re.compile(rf"'({NAME})' (?:does not depend on any axioms|depends on axioms:\s*\[([^\]]*)\])\s*")
_SHORT = 160  # characters of a message


class _FromRepl(Plain):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Message(_FromRepl):
    """One message of the elaborator, as structured data: no text of a candidate can pose as another message."""

    severity: Literal["trace", "info", "warning", "error"]
    data: str


class Reply(_FromRepl):
    """The environment after a command and the elaborator's messages; or ``message``, the REPL's own error."""

    env: int | None = None
    messages: tuple[Message, ...] = ()
    message: str | None = None

    @model_validator(mode="after")
    def _env_or_message(self) -> "Reply":
        if (self.env is None) == (self.message is None):
            raise ValueError("either env or message")
        return self

    @property
    def error(self) -> str | None:
        """The beginning of the first error, or of the REPL's own error; None where there is no error."""
        errors = [message.data for message in self.messages if message.severity == "error"]
        return _line(errors[0] if errors else self.message) if errors or self.message is not None else None

    def axioms(self, name: str) -> frozenset[str] | None:
        """Returns the axioms in the only answer to ``#print axioms NAME``; None where the answer is anything else."""
        found = [_DEPENDS.fullmatch(message.data) for message in self.messages if message.severity == "info"]
        if len(found) != 1 or found[0] is None or found[0][1] != name:
            return None
        return frozenset((found[0][2] or "").replace(",", " ").split())


class Repl:
    """One REPL process. After ``Stopped`` from any method the process is gone and has to be closed."""

    def __init__(self, home: LeanHome, tier: str | None) -> None:
        self._tool = open_tool(home.command, home.readable, home.environment, tier)
        self.tier = self._tool.tier
        self.wall_s, self.used = 0.0, Usage()  # of the last proof
        self.served = 0  # proofs so far
        self._nonce = f"_troop_{secrets.token_hex(8)}"  # no candidate knows it, and no tactic looks up names with _
        self._header: int | None = None
        self._theorems: dict[str, tuple[str, int | None]] = {}

    @property
    def fit(self) -> bool:
        """True while the process is alive and earlier proofs have left less than ``LEFT_MB`` in it."""
        return self._tool.alive and self._tool.grown_mb < LEFT_MB

    def close(self) -> None:
        self._tool.close()

    def last_error(self) -> str:
        """The last line of the process's standard error."""
        return self._tool.last_error()

    def load(self, header: str) -> None:
        """Elaborates the header and tries ``#print axioms``; raises VerifierFault where either fails."""
        reply = self._run(header, None, HEADER)
        if reply.error is not None:
            raise VerifierFault(f"the header does not elaborate: {reply.error}")
        self._header = reply.env
        name = f"{self._nonce}_true"
        reply = self._run(_true(name), self._header, HEADER)
        if reply.error is not None or reply.axioms(name) != frozenset():
            raise VerifierFault(f"`#print axioms` of this Lean is not understood: {reply.error or reply.messages}")
        self._tool.remember_size()

    def declare(self, statement: str) -> None:
        """Declares a problem's theorem as an axiom with our own name, and tries the check of proofs on it.

        Raises VerifierFault where the theorem does not elaborate or is no proposition, whatever its proof.
        """
        if statement in self._theorems:
            return
        ours = f"{self._nonce}_{len(self._theorems)}"
        axiom = re.sub(rf"\A\s*(?:theorem|lemma)\s+{NAME}", f"axiom {ours}", statement)
        check = f"{ours}_check"
        reply = self._run(f"{axiom}\n{_same(ours, ours, check)}", self._header, HEADER)
        if reply.error is not None or reply.axioms(check) != frozenset({ours}):
            raise VerifierFault(
                f"theorem {theorem_name(statement)} does not elaborate: {reply.error or reply.messages}"
            )
        env = self._run(axiom, self._header, HEADER).env
        self._theorems[statement] = (ours, env)

    def prove(self, statement: str, source: str, quota: Quota) -> tuple[Reply, frozenset[str] | None]:
        """Returns the deciding reply on a candidate's source, and the axioms of its theorem if it is the problem's."""
        ours, env = self._theorems[statement]
        self.wall_s, self.used = 0.0, Usage()
        self.served += 1
        reply, axioms, check = self._run(source, env, quota), None, f"{ours}_check_{self.served}"
        if reply.error is None:
            reply = self._run(_same(ours, theorem_name(statement), check), reply.env, quota)
            axioms = reply.axioms(check)
        if axioms is None:  # else the reply answered our last command: only that command has the name in it
            self._check_in_step(quota)
        return reply, axioms

    def _check_in_step(self, quota: Quota) -> None:
        """Raises Stopped where the process has said more than it was asked: the rest would answer for the next one."""
        name = f"{self._nonce}_step_{self.served}"
        if self._run(_true(name), self._header, quota).axioms(name) != frozenset():
            raise Stopped(Status.CRASH, "the process said more than it was asked")

    def _run(self, command: str, env: int | None, quota: Quota) -> Reply:
        """Sends a command, returns its reply. Raises Stopped, also for bytes that are no reply: trust ends there."""
        request = {"cmd": command} if env is None else {"cmd": command, "env": env}
        try:
            said = self._tool.ask(json.dumps(request, ensure_ascii=False).encode() + b"\n\n", quota)
        finally:
            self.wall_s += self._tool.wall_s
            spent = self._tool.spent
            most = max(self.used.memory_mb, spent.memory_mb)
            self.used = Usage(self.used.cpu_s + spent.cpu_s, self.used.waited_s + spent.waited_s, most)
        try:
            return Reply.model_validate_json(said)
        except ValidationError as error:
            raise Stopped(Status.CRASH, f"no reply of a REPL: {_line(said.decode('utf-8', 'replace'))}") from error


def _same(ours: str, theirs: str | None, check: str) -> str:
    """Returns Lean source: theorem ``check`` with the type of ``ours``, proven by ``theirs``; and its axioms."""
    return f"theorem {check} : type_of% @{ours} := @_root_.{theirs}\n{_print_axioms(check)}"


def _true(name: str) -> str:
    """Returns Lean source: a theorem that needs no axiom, and the question which axioms it needs."""
    return f"theorem {name} : True := True.intro\n{_print_axioms(name)}"


def _print_axioms(name: str) -> str:
    return f"set_option pp.fullNames true in\n#print axioms {name}"


def _line(text: str | None) -> str:
    """Returns the beginning of a message, on one line."""
    line = " ".join((text or "")[: 4 * _SHORT].split())
    return line if len(line) <= _SHORT else line[: _SHORT - 1] + "…"
