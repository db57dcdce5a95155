"""A spending cap that holds: a unit starts only if all that it could cost at worst still fits below the cap.

So a unit that has started is always paid to its end, and no sample that was paid for is thrown away. What a unit really
cost is known when it is committed; one that failed counts at its worst, since nobody knows what its answers cost.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from cluster.batches import Work
from sampling.prices import most_usd
from sampling.samples import Unit
from sampling.settings import Prices

Save = Callable[[Mapping[str, float]], None]


class Spending:
    """Dollars by model. ``before`` is what earlier sessions of the run have spent.

    ``save`` keeps what this session has spent or reserved; it is called before the first request of a unit, so that a
    driver that dies leaves behind at least what it owes.
    """

    def __init__(self, work: Work, before: Mapping[str, float], save: Save) -> None:
        self._models = {model.model.name: model for model in work.models}
        self._problems, self._before, self._save = work.problems, before, save
        self.spent: Counter[str] = Counter()
        self._reserved: dict[Unit, float] = {}
        self._changed, self._saving = asyncio.Event(), asyncio.Lock()

    async def start(self, unit: Unit) -> bool:
        """Reserves a unit's money, when others have given back enough; False where it will never fit."""
        while not self.fits(unit):
            if not self._waits_for(unit.model):
                return False
            self._changed.clear()
            await self._changed.wait()
        self.reserve(unit)
        if self._cap(unit.model) is not None:
            async with self._saving:
                await asyncio.to_thread(self.save)
        return True

    def fits(self, unit: Unit) -> bool:
        cap = self._cap(unit.model)
        return cap is None or self._owed(unit.model) + self._worst(unit) <= cap

    def reserve(self, unit: Unit) -> None:
        self._reserved[unit] = self._worst(unit)

    def settle(self, unit: Unit, usd: float | None) -> None:
        """The unit has ended: what it cost, or None where that is not known."""
        worst = self._reserved.pop(unit)
        self.spent[unit.model] += worst if usd is None else usd  # type: ignore[assignment]
        self._changed.set()

    def save(self) -> None:
        """Keeps what is spent and reserved now."""
        amounts = Counter(self.spent)
        for unit, usd in list(self._reserved.items()):
            amounts[unit.model] += usd  # type: ignore[assignment]
        if any(amounts.values()):
            self._save({model: usd for model, usd in amounts.items() if usd})

    def refusal(self, unit: Unit) -> str:
        """Why this unit was not started, for a person."""
        owed, cap, worst = self._owed(unit.model), self._cap(unit.model), self._worst(unit)
        return (
            f"spending cap of model {unit.model}: ${owed:.4f} of ${cap:g} are spent or owed and this unit could cost "
            f"${worst:.4f}; raise models.{unit.model}.service.cap_usd to go on"
        )

    def _owed(self, model: str) -> float:
        reserved = sum(usd for unit, usd in self._reserved.items() if unit.model == model)
        return self._before.get(model, 0.0) + self.spent[model] + reserved

    def _waits_for(self, model: str) -> bool:
        return any(unit.model == model for unit in self._reserved)

    def _cap(self, model: str) -> float | None:
        return self._models[model].model.service.cap_usd

    def _worst(self, unit: Unit) -> float:
        work, problems = self._models[unit.model], self._problems[unit.task]
        if work.model.prices == Prices():
            return 0.0
        samples = unit.last_sample - unit.first_sample
        each = (problems[idx] for idx in range(unit.first_problem, unit.last_problem))
        return sum(most_usd(work.model, work.settings, problem, samples) for problem in each)
