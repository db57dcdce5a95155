"""Reward models in Ray actors: dead engines are replaced, failed units tried again, then set aside."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.scoring import ScoreReceipt, ScoreTally, ScoreTexts, ScoreWork, score_on_ray
from jobs.score import StoreScores, scorer_of
from jobs.store.catalogue import read_versions
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.store.stored_units import StoredUnit, find_stored_units
from sampling.engines.reward import RewardSettings, inspect_reward, reward_spec
from sampling.errors import BadInput, EngineError, StoreError
from tests.jobs.test_score import PROBLEMS, SAMPLES, TASK, commit, layer, unit
from tests.support.reward_models import STEP

UNITS = 6


@dataclass(frozen=True)
class Troubled(StoreScores):
    """A sink whose first unit kills its process once, whose second fails once, and whose third always fails."""

    notes: Path

    def score(self, item: StoredUnit, engine: ScoreTexts) -> ScoreReceipt:
        number = item.unit.number
        first = not (self.notes / str(number)).exists()
        (self.notes / str(number)).touch()
        if number == 0 and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 2 or (number == 1 and first):
            raise StoreError(f"unit {number}: the store is away")
        return super().score(item, engine)


@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")
@pytest.mark.slow
def test_every_unit_is_scored_once_whatever_dies(tmp_path: Path, reward_models: Path) -> None:
    """Uses a process model: the command's own test uses the other kind, so both have been in an actor."""
    store = DirectoryStore(tmp_path / "run")
    for number in range(UNITS):
        commit(store, number)
    model = inspect_reward(reward_spec(str(reward_models / "process")), RewardSettings(steps="mean", step_token=STEP))
    (tmp_path / "notes").mkdir()
    prompts = {TASK: dict.fromkeys(range(PROBLEMS), "1+1?")}
    sink = Troubled(store, model.version, prompts, scorer_of(model).encode(), tmp_path / "notes")
    items = tuple(find_stored_units(store, [layer(UNITS)], read_versions(store), {}))
    seen: list[tuple[int, int]] = []
    tally = score_on_ray(ScoreWork(model, sink, items), lambda done, total: seen.append((done, total)), None)
    assert [(item.unit.number, item.error) for item in tally.set_aside] == [(2, "unit 2: the store is away")]
    rows = PROBLEMS * SAMPLES
    assert seen == [(rows * (i + 1), rows * UNITS) for i in range(UNITS - 1)]
    assert all(receipt.won for receipt in tally.receipts)
    with open_database(store) as db:
        found = db.execute("SELECT count(*), count(DISTINCT (problem_idx, sample_idx)), count(score) FROM scores")
        assert found.fetchall() == [(5 * rows, 5 * rows, 5 * 2 * SAMPLES)]
        low, high = db.execute("SELECT min(score), max(score) FROM scores").fetchall()[0]
    assert 0 <= low < high <= 1


def test_an_engine_that_never_lives_is_given_up_and_a_unit_that_kills_engines_is_set_aside() -> None:
    items = tuple(StoredUnit(unit(number), "", "") for number in range(4))
    tally = ScoreTally(items, lambda *_: None)
    died = EngineError("died")
    tally.broke([tally.take()], died)
    tally.broke([tally.take()], died)
    with pytest.raises(EngineError, match="died"):
        tally.broke([tally.take()], died)
    tally = ScoreTally(items, lambda *_: None)
    poison, *others = (tally.take() for _ in items)
    for number, other in enumerate(others, 1):
        tally.done(ScoreReceipt(other.unit, True, 1))
        tally.broke([poison], died)
        assert (tally.waiting, len(tally.set_aside)) == (int(number < 3), number // 3)
        if number < 3:
            assert tally.take() is poison


def test_a_model_that_no_node_can_hold_is_refused(tmp_path: Path, reward_models: Path) -> None:
    """The placement refuses it before an actor is made, so this needs no cluster."""
    model = inspect_reward(reward_spec(str(reward_models / "outcome"), gpus=2), RewardSettings())
    work = ScoreWork(model, StoreScores(DirectoryStore(tmp_path), "m", {}, b""), (StoredUnit(unit(0), "", ""),))
    from cluster.placement import Node, place

    with pytest.raises(BadInput, match="gpus is 2, but no node has more than 1"):
        place((work.as_model,), 8, 1, 1, (Node(8, 1),))
    assert place((work.as_model,), 8, 2, 1, (Node(8, 2),)).engines[0].gpus == 2
