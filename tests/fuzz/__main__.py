"""Command line: ``python -m tests.fuzz --seconds 600 --seed 1`` prints what was tried and what was found.

In each tier one random program after another runs, each followed by an honest sample that looks for leftovers. The seed
gives the same programs again; what they do differs, as they meet the clock and what the kernel answers.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.attacks.test_attacks import survivors
from tests.fuzz.calls import EXPECTED, HONEST, make_program
from verify.sandbox import outcomes
from verify.sandbox.limits import Quota
from verify.sandbox.sandbox import Code, Sandbox
from verify.sandbox.tiers import SAFE_TIERS, TierUnavailable
from verify.verdict import Status

LIMIT = Quota(wall_s=0.5, memory_mb=128, cpu_s=0.3)
HONEST_LIMIT = Quota(wall_s=20.0, memory_mb=128)


@dataclass
class Found:
    """Figures of one tier; ``wrong`` names honest samples that did not pass, and ``left`` what programs left."""

    calls: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        return not self.wrong and not self.left


def fuzz(sandbox: Sandbox, seconds: float, seed: int, most: int = sys.maxsize) -> Found:
    """Runs programs for so many seconds, at least one and at most ``most``."""
    found, dice, deadline, number = Found(), random.Random(seed), time.monotonic() + seconds, 0
    while not number or (number < most and time.monotonic() < deadline):
        number += 1
        program = make_program(dice, sandbox.tier == "isolated")
        run, found.calls = _count(sandbox, program, found.calls)
        if run.status is Status.FAULT:  # on a busy machine its time was over before it began: such a one is tried again
            run, found.calls = _count(sandbox, program, found.calls)
        found.ends[str(run.status or "ended")] += 1
        if run.status is Status.FAULT:
            found.left.append(f"program {number}: {run.reason}")
        if alive := survivors(sandbox):
            found.left.append(f"program {number}: {len(alive)} processes")
        honest = sandbox.run_stdio(Code(HONEST), "12\n", HONEST_LIMIT)
        if (honest.status, honest.output) != (None, EXPECTED):
            found.wrong.append(f"after program {number}: {honest.status} {honest.reason} {honest.output!r}")
    return found


def _count(sandbox: Sandbox, program: str, calls: int) -> tuple[outcomes.Execution, int]:
    """Runs a program; adds the calls that it made, which it counts on standard error."""
    ended, output, errors = sandbox._run_whole(sandbox._supervisor("candidate", ()), "stdio", (program,), (), "", LIMIT)
    return outcomes.describe_program(ended, LIMIT, output, errors), calls + errors.count(b".")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="for both tiers together")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    clean = True
    for tier in SAFE_TIERS:
        try:
            sandbox = Sandbox(tier)
        except TierUnavailable as error:
            print(f"{tier}: not tried: {error}")
            continue
        with sandbox:
            found = fuzz(sandbox, given.seconds / len(SAFE_TIERS), given.seed)
        print(f"{tier}: {sum(found.ends.values()):,} programs, {found.calls:,} system calls, seed {given.seed}")
        print(f"  ends: {json.dumps(dict(found.ends.most_common()))}")
        print(f"  honest samples that did not pass: {len(found.wrong)}; leftovers: {len(found.left)}")
        print(*(f"  {line}" for line in (*found.wrong, *found.left)), sep="\n", end="")
        clean = clean and found.clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
