"""``troop score``: each stored sample gets one score, whatever dies; reports choose scores; bad input is refused."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from jobs.score import StoreScores
from jobs.store.base import Store
from jobs.store.catalogue import read_versions
from jobs.store.check import find_damage, quarantine_damage
from jobs.store.commit import RunSink
from jobs.store.compact import compact_shard
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.encode import parse_prompt, prompt_text
from jobs.store.folder import DirectoryStore
from jobs.store.layers import Block, Layer
from jobs.store.layout import scores_key
from jobs.store.scores import read_scorers
from jobs.store.stored_units import find_stored_units
from sampling.engines.reward import Score, Text
from sampling.errors import BadInput
from sampling.problems import Problem
from sampling.samples import UNITS_PER_SHARD, Provenance, Sample, Unit
from tests.conftest import Troop
from verify.verdict import Status, Verdict

MODEL, TASK = "org/m", "sums"
PROBLEMS, SAMPLES = 3, 4
BY = Provenance(MODEL, "r", "vllm", "0", "h", "c", "n", "cpu")


def unit(number: int) -> Unit:
    return Unit(MODEL, TASK, number, 0, PROBLEMS, number * SAMPLES, (number + 1) * SAMPLES)


def layer(units: int) -> Layer:
    """Returns a plan of ``units`` units."""
    block = Block(
        model=MODEL, task=TASK, first_unit=0, first_problem=0, last_problem=PROBLEMS, first_sample=0,
        last_sample=units * SAMPLES, problems_per_unit=PROBLEMS, samples_per_unit=SAMPLES,
    )  # fmt: skip
    return Layer(number=0, created="", code_version="", sweep={}, models=(), problems=(), blocks=(block,))


def commit(store: Store, number: int, note: str = "") -> None:
    """Commits a unit with the answers 0 to 3: 0 is a fault, 3 is right. The last problem's prompt was too long."""
    samples = [
        Sample(p, number * SAMPLES + s, f"{note}{s}", "prompt_too_long" if p == 2 else "stop", 1, 1, 0, 0.0)
        for p in range(PROBLEMS)
        for s in range(SAMPLES)
    ]
    statuses = [Status.FAULT, Status.FAIL, Status.FAIL, Status.PASS]
    verdicts = [Verdict(statuses[s.sample_idx % SAMPLES], answer=str(s.sample_idx % SAMPLES)) for s in samples]
    RunSink(store, "v1").commit(unit(number), samples, verdicts, BY)


def by_length(texts: Sequence[Text]) -> tuple[list[Score], float]:
    """Scores like an engine that prefers large answers and has no score for 1."""
    return [Score(None if t.completion == "1" else float(t.completion[-1]), "unlucky", 7) for t in texts], 0.5


def score_all(store: Store, version: str = "m1", units: int = 2, engine: Callable[..., object] = by_length) -> None:
    sink = StoreScores(store, version, {TASK: dict.fromkeys(range(PROBLEMS), "1+1?")}, b"{}")
    for item in find_stored_units(store, [layer(UNITS_PER_SHARD)], read_versions(store), {})[:units]:
        sink.score(item, engine)  # type: ignore[arg-type]


def rows(store: Store, query: str, scores: str | None = None) -> list[tuple[object, ...]]:
    with open_database(store, scores=scores) as db:
        return db.execute(query).fetchall()


def test_scores_are_read_beside_the_verdicts(store: Store) -> None:
    commit(store, 0), commit(store, 1)
    score_all(store)
    found = rows(store, "SELECT * FROM scores ORDER BY problem_idx, sample_idx")
    assert len(found) == 2 * PROBLEMS * SAMPLES
    assert found[0] == (MODEL, TASK, "m1", 0, 0, 0.0, None, 7)
    assert found[1] == (MODEL, TASK, "m1", 0, 1, None, "unlucky", 7)
    assert found[-1][5:] == (None, "the prompt is longer than the model's context", 0)
    (cell,) = read_cells(store)
    assert cell.scores == "m1"
    assert [scored.score.tolist() for scored in cell.scored] == [[2.0, 3.0], [2.0, 3.0], []]
    assert [scored.right.tolist() for scored in cell.scored] == [[0, 2], [0, 2], []]
    assert cell.unscorable == (
        "12 samples have no score (8 the prompt is longer than the model's context; 4 unlucky); they are no candidates"
    )


def test_the_second_of_two_attempts_changes_nothing(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, 0)
    score_all(store, units=1)
    before = rows(store, "SELECT * FROM scores ORDER BY ALL")
    score_all(store, units=1, engine=lambda texts: ([Score(9.0)] * len(texts), 0.0))
    assert rows(store, "SELECT * FROM scores ORDER BY ALL") == before


def test_the_most_complete_version_is_read_then_the_newest_unless_another_is_asked_for(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, 0), commit(store, 1)
    score_all(store, "m1")
    score_all(store, "m2", engine=lambda texts: ([Score(1.0)] * len(texts), 0.0))
    for number in range(2):
        os.utime(tmp_path / scores_key("m1", unit(number)), (1, 1))

    def read(scores: str | None = None) -> str:
        (cell,) = read_cells(store, scores=scores)
        return cell.scores

    assert (read(), read("m1"), read("m2"), read("verdicts")) == ("m2", "m1", "m2", "")
    store.delete(scores_key("m2", unit(0)))
    assert (read(), read("m2")) == ("m1", "m2")
    (cell,) = read_cells(store, scores="m2")
    assert "not scored yet, `troop score` goes on" in cell.unscorable
    assert rows(store, "SELECT DISTINCT version FROM scores", "m2") == [("m2",)]
    with pytest.raises(BadInput, match="scores 'm3': not in this run; it has: m1, m2, verdicts"):
        read("m3")


def test_a_cell_without_the_scores_asked_for_has_none_in_their_place(tmp_path: Path) -> None:
    """Scores of another version, or in the verdicts, do not replace the missing ones."""
    store = DirectoryStore(tmp_path)
    commit(store, 0)
    score_all(store, units=1)
    other = Unit("own", TASK, 0, 0, 1, 0, 1)
    sample, verdict = Sample(0, 0, "x", "stop", 1, 1, 0, 0.0), Verdict(Status.PASS, answer="x", score=0.5)
    RunSink(store, "v1").commit(other, [sample], [verdict], BY)
    assert {c.model: c.scores for c in read_cells(store)} == {MODEL: "m1", "own": "verdicts"}
    assert {c.model: c.scores for c in read_cells(store, scores="m1")} == {MODEL: "m1", "own": ""}
    assert rows(store, "SELECT model, version, score FROM scores WHERE model = 'own'") == [("own", "verdicts", 0.5)]
    assert rows(store, "SELECT * FROM scores WHERE model = 'own'", "m1") == []


@pytest.mark.slow
def test_scores_outlive_a_compaction_and_new_ones_come_from_the_shard(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for number in range(UNITS_PER_SHARD):
        commit(store, number)
    score_all(store, units=8)
    before = rows(store, "SELECT * EXCLUDE (version) FROM scores ORDER BY ALL")
    (item, *_) = find_stored_units(store, [layer(UNITS_PER_SHARD)], read_versions(store), {})
    compact_shard(store, "v1", unit(0).in_shard)
    assert rows(store, "SELECT * EXCLUDE (version) FROM scores ORDER BY ALL") == before
    score_all(store, "m2", 8)
    assert rows(store, "SELECT * EXCLUDE (version) FROM scores ORDER BY ALL", "m2") == before
    sink = StoreScores(store, "m3", {TASK: dict.fromkeys(range(PROBLEMS), "1+1?")}, b"{}")
    assert sink.score(item, by_length).won  # listed before, read after
    assert find_damage(store) == []


def test_scores_of_samples_that_were_drawn_again_count_no_more(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, 0), commit(store, 1)
    score_all(store)
    (key,) = [info.key for info in store.list("samples/") if "u0000000" in info.key]
    store.delete(key)
    found = find_damage(store)
    assert [item.key.split("/")[0] for item in found] == ["samples", "scores"]
    assert "damaged or gone" in found[1].what
    late = store.get(scores_key("m1", unit(0)))
    assert len(quarantine_damage(store, found)) == 2
    assert rows(store, "SELECT DISTINCT sample_idx // 4 FROM scores") == [(1,)]
    commit(store, 0, note="again ")
    store.put_new(scores_key("m1", unit(0)), late)  # a scorer that was frozen in the meantime
    assert rows(store, "SELECT DISTINCT sample_idx // 4 FROM scores") == [(1,)]
    assert len(quarantine_damage(store, find_damage(store))) == 1
    score_all(store)
    assert rows(store, "SELECT count(*) FROM scores") == [(2 * PROBLEMS * SAMPLES,)]
    assert find_damage(store) == []


def test_a_damaged_file_of_scores_is_found(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    commit(store, 0)
    score_all(store, units=1)
    path = tmp_path / scores_key("m1", unit(0))
    data = bytearray(path.read_bytes())
    data[90] ^= 1
    path.write_bytes(data)
    (found,) = find_damage(store)
    assert found.key == scores_key("m1", unit(0)) and "damaged" in found.what


_KILLED = """
import os, signal, sys
from pathlib import Path
from jobs.store.folder import DirectoryStore
from tests.jobs.test_score import by_length, score_all

class Dies(DirectoryStore):
    def put_new(self, key, data, metadata={}):
        count = len(list(self.list("scores/")))
        if count == 1 and sys.argv[2] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        made = super().put_new(key, data, metadata)
        if count == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return made

score_all(Dies(Path(sys.argv[1])), units=4)
"""


@pytest.mark.parametrize(("when", "left"), [("before", 1), ("after", 2)])
def test_whoever_is_killed_loses_and_doubles_nothing(tmp_path: Path, when: str, left: int) -> None:
    store = DirectoryStore(tmp_path)
    for number in range(4):
        commit(store, number)
    words = [sys.executable, "-c", _KILLED, str(tmp_path), when]
    assert subprocess.run(words, timeout=120, check=False).returncode == -signal.SIGKILL
    assert len(list(store.list("scores/"))) == left
    score_all(store, units=4)
    assert rows(store, "SELECT count(*), count(DISTINCT (problem_idx, sample_idx)) FROM scores") == [(48, 48)]


def test_a_prompt_is_stored_as_text_and_read_as_what_it_was() -> None:
    chat = {
        "id": "a",
        "messages": [{"role": "user", "content": "é?"}],
        "verifier": "exact",
        "reference": {"answer": "1"},
    }
    problem = Problem.model_validate(chat)
    assert parse_prompt(prompt_text(problem)) == problem.messages
    for text in ("1+1?", '[{"role": 3}]', '[{"role": "user"', "[]"):
        assert parse_prompt(text) == text


@pytest.fixture
def imported(tmp_path: Path, troop: Troop, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A verified run of two problems with six samples each."""
    monkeypatch.chdir(tmp_path)
    problems = [
        {"id": f"q{p}", "prompt": f"{p}+1?", "verifier": "exact", "reference": {"answer": str(p + 1)}} for p in range(2)
    ]
    samples = [{"problem": f"q{p}", "sample": s, "text": str(1 + s % 4)} for p in range(2) for s in range(6)]
    samples[3]["text"] = "x" * 400
    for name, made in (("problems", problems), ("samples", samples)):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    words = ("--samples", "samples.jsonl", "--task", "jsonl=problems.jsonl", "--model", "m")
    assert troop("import", "run", *words).code == 0
    assert troop("verify", "run", "--workers", "1").code == 0
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "nowhere"), "--model.path: no model at 'nowhere'"),
        (("--model", "lm"), "lm: is no reward model (LlamaForCausalLM); allowed: …ForSequenceClassification"),
        (("--model", "prm"), "--steps is missing"),
        (("--model", "prm", "--steps", "min", "--gpus", "1.5"), "--model: gpus: a share below 1, or a whole number"),
        (("--model", "prm", "--steps", "min", "--address", "nonsense"), "--address 'nonsense': allowed: host:port"),
    ],
)
def test_what_cannot_score_is_refused_and_nothing_is_written(
    imported: Path, troop: Troop, words: tuple[str, ...], said: str
) -> None:
    for name, architecture in (("lm", "LlamaForCausalLM"), ("prm", "Qwen2ForProcessRewardModel")):
        (imported.parent / name).mkdir()
        (imported.parent / name / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    before = sorted(imported.rglob("*"))
    ended = troop("score", "run", *words)
    assert (ended.code, said in ended.err, ended.err.count("\n")) == (2, True, 1), ended.err
    assert sorted(imported.rglob("*")) == before


def test_outcomes_without_text_cannot_be_scored(tmp_path: Path, troop: Troop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("o.jsonl").write_text('{"problem": "a", "sample": 0, "passed": true, "score": 1.5}\n')
    assert troop("import", "run", "--outcomes", "o.jsonl", "--model", "m", "--task", "t").code == 0
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForSequenceClassification"], "num_labels": 1}')
    ended = troop("score", "run", "--model", ".")
    assert (ended.code, "no samples with their text" in ended.err) == (2, True)
    assert "1.5" in troop("sql", "run", "SELECT score FROM scores").out


@pytest.mark.engine
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("default")
def test_the_command_from_model_to_report(
    imported: Path, reward_models: Path, troop: Troop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupts scoring after the first unit, then finishes it, reads the scores and reports them."""
    words = ("score", "run", "--model", reward_models / "outcome", "--local", "--dtype", "float32")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("jobs.progress.CountLines.__call__", interrupt)
        assert troop(*words).code == 130
    done = troop(*words, "--json")
    told = json.loads(done.out)
    assert (done.code, told["written"], told["already"], told["set_aside"]) == (0, 0, 1, [])
    version = told["version"]
    assert version.startswith("outcome-last-")
    found = troop(
        "sql", "run", "SELECT count(*) AS n, count(score) AS scored, max(reason) AS why FROM scores", "--json"
    )
    assert json.loads(found.out) == {
        "n": 12, "scored": 11, "why": "longer than the reward model's context of 256 tokens",
    }  # fmt: skip
    reported = troop("report", "run", "--out", "out")
    assert reported.code == 0 and f"scores {version}, votes by exp(score)" in reported.err
    (cell,) = json.loads(Path("out/report.json").read_text())["cells"]
    assert (cell["scores"], cell["weighted_by"]) == (version, "exp(score)")
    picked = troop("sql", "run", """SELECT avg(passed::INT) AS right FROM (SELECT arg_max(passed, s.score) AS passed
        FROM scores s JOIN verdicts v USING (problem_idx, sample_idx) GROUP BY problem_idx)""", "--json")  # fmt: skip
    assert cell["best_of"][-1]["value"] == pytest.approx(json.loads(picked.out)["right"])
    assert "1 samples have no score (1 longer than the reward model's context" in " ".join(
        json.loads(Path("out/report.json").read_text())["limits"]
    )
    page = Path("out/report.html").read_text()
    assert f"uses the scores {version}; votes are weighted by exp(score)" in page
    assert "at the last token, template auto" in page
    assert read_scorers(DirectoryStore(imported))[version].revision in page
