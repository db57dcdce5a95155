"""The spending cap: a unit starts only if its highest possible cost still fits below the cap.

A started unit is therefore always paid to its end, and no paid sample is thrown away. The real cost of a unit is known
when it is committed. A failed unit counts at its highest cost, since nobody knows what its answers cost.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping

from cluster.batches import Work
from sampling.engines.prices import most_usd
from sampling.samples import Unit
from sampling.settings.service import Prices

Dollars = Mapping[str, float]  # by payee: a model's name, or the judge's
Save = Callable[[Dollars], None]


class Spending:
    """Dollars spent and reserved, by payee: models by name, and the judge. ``before`` is what earlier sessions spent.

    ``save`` stores what this session has spent or reserved. It is called before a unit's first request, so that a
    driver that dies leaves a record of at least what it owes.
    """

    def __init__(self, work: Work, before: Mapping[str, float], save: Save) -> None:
        self._models = {model.model.name: model for shared in work.models for model in shared.members}
        self._judge, self._payees = work.judge, {name: model.model for name, model in self._models.items()}
        if work.judge:
            self._payees[work.judge.name] = work.judge
        self._problems, self._before, self._save = work.problems, before, save
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._reserved: dict[Unit, Dollars] = {}
        self._changed, self._saving = asyncio.Event(), asyncio.Lock()

    async def start(self, unit: Unit) -> bool:
        """Reserves a unit's money, waiting for other units to release some; returns False if it can never fit."""
        while (payee := self._short_of(unit)) is not None:
            if not self._waits_for(payee):
                return False
            self._changed.clear()
            await self._changed.wait()
        self.reserve(unit)
        if any(self._cap(payee) is not None for payee in self._reserved[unit]):
            async with self._saving:
                await asyncio.to_thread(self.save)
        return True

    def reserve(self, unit: Unit) -> None:
        self._reserved[unit] = self._worst(unit)

    def settle(self, unit: Unit, usd: float | None, judge_usd: float = 0.0) -> None:
        """Replaces an ended unit's reservation by what its samples and verdicts cost; ``usd`` is None if unknown."""
        worst = self._reserved.pop(unit)
        for payee, most in worst.items():
            cost = usd if payee == unit.model else judge_usd
            self.spent[payee] += most if usd is None or cost is None else cost
        self._changed.set()

    def save(self) -> None:
        """Stores what is spent and reserved now."""
        amounts = Counter[str]()
        for part in (self.spent, *list(self._reserved.values())):
            amounts.update(part)
        if any(amounts.values()):
            self._save({payee: usd for payee, usd in amounts.items() if usd})

    def refusal(self, unit: Unit) -> str:
        """Says why a unit was not started, and which key to raise."""
        payee = self._short_of(unit) or unit.model
        owed, cap, worst = self._owed(payee), self._cap(payee), self._worst(unit)[payee]
        who, key = (f"model {payee}", f"models.{payee}") if payee == unit.model else ("the judge", "judge")
        return (
            f"spending cap of {who}: ${owed:.4f} of ${cap:g} are spent or owed and this unit could cost "
            f"${worst:.4f}; raise {key}.service.cap_usd to go on"
        )

    def _short_of(self, unit: Unit) -> str | None:
        """Returns the payee whose cap the unit would exceed, or None."""
        for payee, worst in self._worst(unit).items():
            cap = self._cap(payee)
            if cap is not None and self._owed(payee) + worst > cap:
                return payee
        return None

    def _owed(self, payee: str) -> float:
        reserved = sum(worst.get(payee, 0.0) for worst in self._reserved.values())
        return self._before.get(payee, 0.0) + self.spent[payee] + reserved

    def _waits_for(self, payee: str) -> bool:
        return any(worst.get(payee) for worst in self._reserved.values())

    def _cap(self, payee: str) -> float | None:
        return self._payees[payee].service.cap_usd

    def _worst(self, unit: Unit) -> Dollars:
        """Returns the unit's highest possible cost by payee; its model is always among them."""
        work, table = self._models[unit.model], self._problems[unit.task]
        samples = unit.last_sample - unit.first_sample
        problems = [table[idx] for idx in range(unit.first_problem, unit.last_problem)]
        priced = work.model.prices != Prices()
        worst = {unit.model: sum(most_usd(work.model, work.settings, p, samples) for p in problems) if priced else 0.0}
        if self._judge and (judging := samples * sum(map(self._judge.most_usd, problems))):
            worst[self._judge.name] = judging
        return worst
