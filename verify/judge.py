"""The verifier ``judge``: a language model reads the problem, a reference or rubric and the answer, and decides.

Promised: the answer stands behind marks that are drawn anew for every request, so it cannot end its own part of the
prompt or pose as another part. A verdict is read only from the last line of a finished reply, and only if the reply
speaks of a verdict once; anything else is asked again and then is a fault, never a wrong answer.

Not promised: that the judge is right. An answer can persuade a judge ("this is right"), and a judge makes errors of its
own. Use a test, a proof or a number where one can decide.

The judge is a service of ``sampling.engines.openai_engine``, with its retries, rate limits and worst-case accounting.
The API key comes from the environment of the verifying process; candidate programs run in other processes, with an
empty environment.
"""

import itertools
import re
import time
from collections.abc import Iterable
from typing import Any

from sampling.engines.engine import Completion, Request
from sampling.errors import BadInput, EngineError, VerifierFault
from sampling.problems import Problem
from sampling.seeds import Seeds
from verify.judge_settings import JudgeSettings, judge_prompt
from verify.special_tokens import after_thought
from verify.verdict import Status, Verdict

_VERDICT = re.compile(r"VERDICT: (?P<verdict>pass|fail)", re.IGNORECASE | re.ASCII)


def parse_verdict(reply: str) -> bool | None:
    """Returns True or False for pass or fail, by the last line of a reply with just one such line; else None.

    Only a line feed ends a line: an answer that the judge quotes may hold other characters that break lines.
    """
    lines = [line.strip().strip("*`").strip() for line in after_thought(reply).strip().split("\n")]
    found = _VERDICT.fullmatch(lines[-1]) if lines else None
    if found is None or sum("verdict:" in line.lower() for line in lines) > 1:
        return None
    return found["verdict"].lower() == "pass"


class JudgeVerifier:
    """Asks the judge, about several candidates at once after ``expect``. Belongs to one thread."""

    version = "judge/2"

    def __init__(self, settings: JudgeSettings) -> None:
        from sampling.engines.openai_check import api_key
        from sampling.engines.openai_engine import OpenAIEngine

        self._settings, self._tags = settings, itertools.count()
        try:
            api_key(settings)
        except EngineError as error:
            raise BadInput(f"judge.api_key_env: set that variable on the machine that verifies ({error})") from error
        self._new_engine = OpenAIEngine
        self._engine: OpenAIEngine | None = None
        self._asked: dict[tuple[str, ...], int] = {}
        self._done: dict[int, Completion] = {}

    def expect(self, problem: Problem, completions: Iterable[str]) -> None:
        """Asks the judge about these completions now, as they are verified soon."""
        for completion in completions:
            if _key(problem, completion) not in self._asked and self._fits(completion):
                self._ask(problem, completion)

    def verify(self, problem: Problem, completion: str) -> Verdict:
        """Tries once. Raises VerifierFault where the judge cannot be asked; the error's ``usd`` is what that cost."""
        if not completion.strip():
            return Verdict(Status.INVALID, reason="the completion is empty")
        if not self._fits(completion):
            return Verdict(Status.OUTPUT, reason=f"more than the {self._settings.longest:,} bytes that a judge reads")
        started = time.monotonic()
        done = self._wait_for(problem, completion)
        passed = parse_verdict(done.text) if done.finish_reason == "stop" else None
        seconds = time.monotonic() - started
        if passed is None:
            reason = "the judge gave no verdict: " + (" ".join(done.text[-150:].split()) or done.finish_reason)
            return Verdict(Status.FAULT, reason=reason, wall_s=seconds, usd=done.usd)
        if passed:
            return Verdict(Status.PASS, wall_s=seconds, usd=done.usd)
        return Verdict(Status.FAIL, reason="the judge says fail", wall_s=seconds, usd=done.usd)

    def close(self) -> None:
        engine, self._engine = self._engine, None
        self._asked.clear()
        self._done.clear()
        if engine is not None:
            engine.close()

    def _fits(self, completion: str) -> bool:
        return len(completion.encode("utf-8", "replace")) <= self._settings.longest

    def _ask(self, problem: Problem, completion: str) -> int:
        if self._engine is None:
            self._engine = self._new_engine(self._settings, self._settings.sampling, Seeds(0, 0))
        tag = self._asked[_key(problem, completion)] = next(self._tags)
        self._engine.add(Request(tag, judge_prompt(self._settings, problem, completion), 0, 0, 1))
        return tag

    def _wait_for(self, problem: Problem, completion: str) -> Completion:
        tag = self._asked.get(_key(problem, completion))
        tag = self._ask(problem, completion) if tag is None else tag
        engine: Any = self._engine
        try:
            while tag not in self._done:
                self._done |= {done.tag: done for done in engine.step()}
        except EngineError as error:
            raise self._close_broken(error) from error
        del self._asked[_key(problem, completion)]
        engine.settle(tag)
        return self._done.pop(tag)

    def _close_broken(self, error: EngineError) -> VerifierFault:
        """Ends the engine. Requests beside this one are lost too: this error has their cost, later ones ask anew."""
        usd = sum(self._engine.settle(tag) for tag in self._asked.values()) if self._engine else 0.0
        self.close()
        return VerifierFault(str(error), usd=usd)


def _key(problem: Problem, completion: str) -> tuple[str, ...]:
    """Returns all that the request to the judge holds: two tasks may have problems of one id."""
    return problem.prompt_digest, problem.reference_digest, completion
