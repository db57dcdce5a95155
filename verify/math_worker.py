"""The process that compares two answers with sympy. It is run as a script, and killed when a comparison hangs.

sympy can spend hours or gigabytes on an innocent formula (``9^{9^{9^9}}``) and nothing inside its process can stop it
safely. So this file is executed by a fresh interpreter, speaks JSON lines over its pipes, limits its own memory, and is
ended by the kernel's alarm should its parent be gone. Nothing of Troop is imported here.
"""

import json
import logging
import os
import resource
import signal
import sys
from typing import Any

GRACE_S = 2.0  # beyond the parent's own time limit


def serve(memory_mb: int) -> None:
    """Answers requests until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a library prints is no reply
    sys.path[:] = json.loads(sys.stdin.readline())
    logging.disable()
    _send(replies, {"ready": equal("$\\frac{1}{2}$", "$0.5$")})  # imports, and warms its parser
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + GRACE_S)
        reply = _answer(request["pairs"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(replies, reply)


def equal(gold: str, answer: str) -> bool:
    """Whether math-verify takes ``answer`` for ``gold``."""
    from math_verify import parse, verify

    parsed_gold = parse(gold, parsing_timeout=None)
    parsed = parse(answer, parsing_timeout=None)
    return bool(verify(parsed_gold, parsed, timeout_seconds=None))


def _answer(pairs: list[list[str]]) -> dict[str, Any]:
    try:
        return {"equal": any(equal(gold, answer) for gold, answer in pairs)}
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # noqa: BLE001  a formula may break sympy in any way; that is an answer about the formula
        return {"equal": False, "error": f"{type(error).__name__}"}


def _send(replies: Any, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
