"""The process that compares two answers with sympy. It runs as a script, and its parent kills it when it hangs.

sympy can spend hours or gigabytes on a harmless formula (``9^{9^{9^9}}``), and nothing inside its process can stop it
safely. So a fresh interpreter executes this file. It speaks JSON lines over its pipes and limits its own memory; the
kernel's alarm ends it if its parent is gone. This file imports nothing of Troop.
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
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # output that a library prints must not mix with replies
    sys.path[:] = json.loads(sys.stdin.readline())
    logging.disable()
    _send(replies, {"ready": equal("$\\frac{1}{2}$", "$0.5$")})  # imports math-verify and warms its parser
    resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["limit_s"] + GRACE_S)
        reply = _answer(request["pairs"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _send(replies, reply)


def equal(gold: str, answer: str) -> bool:
    """Returns True if math-verify finds ``answer`` equal to ``gold``."""
    from math_verify import parse, verify

    parsed_gold = parse(gold, parsing_timeout=None)
    parsed = parse(answer, parsing_timeout=None)
    return bool(verify(parsed_gold, parsed, timeout_seconds=None))


def _answer(pairs: list[list[str]]) -> dict[str, Any]:
    try:
        return {"equal": any(equal(gold, answer) for gold, answer in pairs)}
    except MemoryError:
        return {"error": "memory"}
    except Exception as error:  # noqa: BLE001  a formula may break sympy in any way: then it is not equal
        return {"equal": False, "error": f"{type(error).__name__}"}


def _send(replies: Any, reply: dict[str, Any]) -> None:
    replies.write(json.dumps(reply) + "\n")
    replies.flush()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
