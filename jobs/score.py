"""``troop score RUN --model RM``: a reward model scores stored samples.

Nothing is sampled and no verdict changes: scores have their own files, named by the version of the model and its
settings. A unit's scores are committed like its verdicts, with one create-only put at a key that all attempts share.
A scorer that is killed therefore loses only the units in flight, and the same command continues from there.
"""

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from cluster.address import check_address
from cluster.scoring import ScoreReceipt, ScoreTally, ScoreTexts, ScoreWork, score_here, score_on_ray
from cluster.verifier import without_answer
from jobs.messages import lines_of
from jobs.progress import count_display
from jobs.run import Say
from jobs.store.base import Store
from jobs.store.catalogue import read_problems, read_versions
from jobs.store.encode import NO_VERIFIER, encode_scores, parse_prompt
from jobs.store.layout import scorer_key, scores_key
from jobs.store.scores import Scorer, list_scored
from jobs.store.sealed_parquet import Footer
from jobs.store.stored_run import StoredRun
from jobs.store.stored_units import StoredUnit, UnitReader, find_stored_units
from jobs.sweep import open_run
from sampling.engines.reward import Prompt, RewardModel, RewardSettings, Score, Text, inspect_reward
from sampling.errors import BadInput
from sampling.samples import Sample
from sampling.settings import ModelSpec
from sampling.validate import Plain
from sampling.words import many

Prompts = Mapping[str, Mapping[int, Prompt]]  # task -> problem_idx -> prompt


class Scored(Plain):
    """Result of scoring, as `troop score --json` prints it."""

    run: str
    """Place of the run: a folder or an `s3://` prefix."""
    version: str
    """Version of the scores; `--scores VERSION` reads them."""
    model: str
    """Reward model, its revision and how it scores, in words."""
    written: int
    """Samples that this call scored."""
    already: int
    """Units that had scores of this version before."""
    without: dict[str, int]
    """Samples of this call that got no score, by reason."""
    set_aside: tuple[str, ...] = ()
    """Units that failed too often, one line each; the same command tries them again."""

    def as_text(self) -> str:
        there = f", {self.already:,} units were there" if self.already else ""
        lines = [f"{self.run}: {self.written:,} samples scored{there}; scores {self.version}", f"  by {self.model}"]
        lines += [f"  without a score: {count:,} ({reason})" for reason, count in self.without.items()]
        lines += [f"  {line}" for line in self.set_aside]
        if self.set_aside:
            lines.append("  the same command tries these again")
        return "\n".join(lines)


@dataclass(frozen=True)
class StoreScores:
    """Reads units, lets an engine score them and commits the scores; see cluster.scoring.ScoreSink.

    ``scorer`` is stored with the first scores, so that an engine that never starts leaves nothing behind.
    """

    store: Store
    version: str
    prompts: Prompts
    scorer: bytes

    def score(self, item: StoredUnit, engine: ScoreTexts) -> ScoreReceipt:
        """Scores and commits one unit; raises BadInput for a problem without a prompt, StoreError from the store."""
        _, samples, footer = _reader(self.store).read(item)
        with_text = [sample for sample in samples if without_answer(sample) is None]
        texts = [Text((item.unit.task, s.problem_idx), self._prompt(item, s), s.text) for s in with_text]
        found, engine_s = engine(texts)
        by_sample = {id(sample): score for sample, score in zip(with_text, found, strict=True)}
        scores = [by_sample.get(id(sample), _no_text(sample)) for sample in samples]
        footer = replace(footer, attempt=uuid.uuid4().hex, engine_s=engine_s, judge_usd=0.0, merged=(), finish=())
        return self._commit(item, samples, scores, footer)

    def _commit(self, item: StoredUnit, samples: list[Sample], scores: list[Score], footer: Footer) -> ScoreReceipt:
        _store_scorer(self.store, self.version, self.scorer)
        key = scores_key(self.version, item.unit)
        won = self.store.put_new(key, encode_scores(samples, scores, footer), {"attempt": footer.attempt})
        reasons = Counter(score.reason for score in scores if score.value is None)
        return ScoreReceipt(item.unit, won, len(samples), tuple(reasons.items()))

    def _prompt(self, item: StoredUnit, sample: Sample) -> Prompt:
        prompt = self.prompts.get(item.unit.task, {}).get(sample.problem_idx)
        if prompt is None:
            raise BadInput(
                f"problem {sample.problem_idx} of {item.unit.task}: the run has no prompt for it to score samples "
                "with; import it with --task KIND=PATH"
            )
        return prompt


@lru_cache(maxsize=1)
def _reader(store: Store) -> UnitReader:
    """Returns this process's reader; all units share its cache."""
    return UnitReader(store)


@lru_cache(maxsize=1)
def _store_scorer(store: Store, version: str, scorer: bytes) -> None:
    """Stores what made the scores, once per process."""
    store.put_new(scorer_key(version), scorer)


def _no_text(sample: Sample) -> Score:
    known = without_answer(sample)
    return Score(None, known.reason if known else "not scored")


def score_run(
    uri: str, spec: ModelSpec, settings: RewardSettings, *, address: str | None, local: bool, say: Say
) -> Scored:
    """Scores every committed unit that has no scores of this version; raises BadInput before anything is written."""
    stored = open_run(uri)
    model = inspect_reward(spec, settings)
    if not local:
        check_address(address)
    done = list_scored(stored.store, model.version)
    items = find_stored_units(stored.store, stored.layers, read_versions(stored.store), done)
    already = sum(map(len, done.values()))
    if not items:
        if not already:
            raise BadInput(f"{stored.store.uri}: holds no samples with their text yet; there is nothing to score")
        return _summary(stored, model, already, None)
    sink = StoreScores(stored.store, model.version, prompts_of(stored.store), scorer_of(model).encode())
    work = ScoreWork(model, sink, tuple(items))
    rows = sum(item.unit.rows for item in items)
    say(f"{stored.store.uri}: {many(len(items), 'unit')} to score ({many(rows, 'sample')}); the engine takes 10 to "
        "50 s to start")  # fmt: skip
    with count_display("samples scored") as show:
        tally = score_here(work, show) if local else score_on_ray(work, show, address)
    return _summary(stored, model, already, tally)


def scorer_of(model: RewardModel) -> Scorer:
    """Returns the description of a reward model that is stored with its scores."""
    return Scorer(
        model=model.spec.path, revision=model.info.revision, words=model.words,
        engine=model.spec.distribution, settings=model.settings.model_dump(),
    )  # fmt: skip


def prompts_of(store: Store) -> Prompts:
    """Reads the prompts that the run keeps, by task and problem_idx; imported problems may have none."""
    found: dict[str, dict[int, Prompt]] = {}
    for row in read_problems(store).to_pylist():
        if row["verifier"] != NO_VERIFIER:
            found.setdefault(row["task"], {})[row["problem_idx"]] = parse_prompt(row["prompt"])
    return found


def _summary(stored: StoredRun, model: RewardModel, already: int, tally: ScoreTally[StoredUnit] | None) -> Scored:
    receipts = tally.receipts if tally else []
    without: Counter[str] = Counter()
    for receipt in receipts:
        without.update(dict(receipt.reasons))
    return Scored(
        run=stored.store.uri,
        version=model.version,
        model=model.words,
        written=sum(receipt.rows for receipt in receipts if receipt.won),
        already=already,
        without=dict(without.most_common()),
        set_aside=tuple(lines_of(tally.set_aside if tally else [])),
    )
