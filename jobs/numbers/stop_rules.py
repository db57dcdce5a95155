"""Rules that ended imported samples because of their outcome: said by the importer, or seen in the counts.

Without the rule a report would give the usual pass@k, which is biased then. What counts show is asked about, since
nobody but the importer knows whether rounds ended it.
"""

from dataclasses import dataclass

import numpy as np
import yaml
from pydantic import Field

from jobs.numbers.cells import Stopping
from jobs.numbers.estimators import Ints, stopped_at
from jobs.numbers.paths import pass_when_stopped
from jobs.numbers.rounds import StopRule
from sampling.errors import BadInput
from sampling.validate import Plain, parse

OPTION = "--stopped"
NEVER = "no"


class Stopped(Plain):
    """Rule that `troop import --stopped` takes."""

    at: int = Field(ge=1)
    """Passes at which the sampling of a problem ended."""

    rounds: tuple[int, ...] = ()
    """Samples at which passes were counted, rising: `[100, 200, 400]`. Default: after every sample."""


@dataclass(frozen=True)
class Said:
    """Words of the importer: a rule, that there was none (``never``), or nothing."""

    rule: Stopped | None = None
    never: bool = False


def parse_stopped(text: str | None) -> Said:
    """Parses ``{at: 1, rounds: [100, 200]}`` or ``no``; raises BadInput."""
    if text is None or text.strip() == NEVER:
        return Said(never=text is not None)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{OPTION} {text!r}: not YAML; write {{at: 1}}, {{at: 5, rounds: [100, 200]}} or no") from error
    rule = parse(Stopped, data, OPTION)
    if list(rule.rounds) != sorted({end for end in rule.rounds if end > 0}):
        raise BadInput(f"{OPTION} rounds: {list(rule.rounds)}; allowed: whole numbers above 0, each more than the last")
    return Said(rule)


def find_rule(said: Said, model: str, task: str, n: Ints, c: Ints) -> StopRule | None:
    """Returns the rule of one model on one task; raises BadInput where the counts ask for one, or contradict it."""
    where, rule = f"{model} on {task}", said.rule
    if rule is None:
        if not said.never and (passes := stopped_at(n, c)) is not None:
            raise BadInput(
                f"{where}: sampling seems to have stopped at {passes} {'pass' if passes == 1 else 'passes'}: every "
                f"problem with fewer samples has so many; say {OPTION} '{{at: {passes}}}', with rounds: […] where "
                f"passes were counted at their ends alone, or {OPTION} no"
            )
        return None
    cap = rule.rounds[-1] if rule.rounds else int(n.max(initial=1))
    _check(rule, cap, where, n, c)
    return StopRule(model=model, task=task, at=rule.at, cap=cap, rounds=rule.rounds)


def _check(rule: Stopped, cap: int, where: str, n: Ints, c: Ints) -> None:
    """Raises BadInput for counts that the rule cannot have led to."""
    odd = (n > cap) | ((c >= rule.at) & bool(rule.rounds) & ~np.isin(n, rule.rounds))
    if odd.any():
        i = int(odd.argmax())
        ends = ", ".join(f"{end:,}" for end in rule.rounds) or f"{cap:,}"
        raise BadInput(
            f"{where}: a problem has {c[i]:,} passes of {n[i]:,} samples; by {OPTION} it ended at one of {ends}"
        )
    decided = n > 0
    before = Stopping(rule.at, cap, rule.rounds).round_before(n[decided])
    try:
        pass_when_stopped(n[decided], c[decided], before, rule.at, np.ones((int(decided.sum()), 1), dtype=np.int64))
    except BadInput as error:
        raise BadInput(f"{where}: {OPTION}: {error}") from error
