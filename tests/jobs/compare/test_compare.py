"""Tests of ``troop compare``: what SQL counts, intervals and p-values about made pairs, flips, pages, exit codes."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest

from bench.compared import coverage_of_intervals, p_values
from jobs.compare import read
from jobs.compare.build import Wanted, compare_runs
from jobs.compare.page import FILES, as_markdown, as_page
from jobs.compare.pairs import PairCounts, mcnemar
from jobs.compare.result import Compared
from jobs.numbers.cells import IMPORTED, CellCounts, Stopping
from jobs.store.commit import RunSink
from jobs.store.counts import read_cells
from jobs.store.database import open_database
from jobs.store.folder import DirectoryStore
from jobs.store.stored_run import StoredRun, read_run
from jobs.sweep import open_run
from sampling.errors import BadInput
from tests.conftest import Troop
from tests.jobs.store.test_compact import judge_again
from tests.support.adaptive import RATES, K, outcomes, write_adaptive
from tests.support.made_run import judges, make_run, text_problem
from verify.verdict import Status, Verdict

__all__ = ["RunSink", "Verdict", "judge_again"]
PROBLEMS = [text_problem(number) for number in range(11)]
HOSTILE = "<img src=x onerror=alert(1)> [a](javascript:b) \x1b[31m | `x`"


def better(_: str, problem: int, sample: int) -> Status:
    return Status.PASS if (sample * 7 + problem) % 10 < problem - 1 else Status.FAIL


@pytest.fixture
def runs(tmp_path: Path) -> tuple[StoredRun, StoredRun]:
    """Two runs whose problems overlap, at other positions, and whose samples are others."""
    a = make_run(DirectoryStore(tmp_path / "a"), PROBLEMS, 40)
    other = [text_problem(number) for number in range(13, 1, -1)]
    return a, make_run(DirectoryStore(tmp_path / "b"), other, 40, status=better, text=lambda *at: f"b {at}")


def joined(a: StoredRun, b: StoredRun) -> list[tuple[str, int, bool, bool]]:
    """Returns every pair of decided samples as the two runs' own views have them."""
    query = """SELECT problem_id, sample_idx, passed FROM verdicts JOIN problems USING (task, problem_idx)
        WHERE passed IS NOT NULL"""
    sides = []
    for run in (a, b):
        with open_database(run.store, run.version) as db:
            sides.append({(name, sample): passed for name, sample, passed in db.sql(query).fetchall()})
    return [(*key, sides[0][key], sides[1][key]) for key in sorted(sides[0].keys() & sides[1].keys())]


def test_numbers_are_those_of_the_runs_own_views(runs: tuple[StoredRun, StoredRun]) -> None:
    a, b = runs
    (one,) = compare_runs(a, b, Wanted()).comparisons
    pairs = joined(a, b)
    assert (one.problems, one.only_a, one.only_b) == (9, 2, 3)
    assert one.mcnemar.unit == "samples"
    assert one.mcnemar.pairs == len(pairs)
    assert one.mcnemar.a_only == sum(x and not y for _, _, x, y in pairs)
    assert one.mcnemar.b_only == sum(y and not x for _, _, x, y in pairs)
    rates = []
    for run in runs:
        with open_database(run.store) as db:
            rates.append(dict(db.sql("""SELECT problem_id, avg(passed::INT) FROM verdicts
                JOIN problems USING (task, problem_idx) GROUP BY ALL""").fetchall()))  # fmt: skip
    steps = [rates[1][name] - rates[0][name] for name in rates[0].keys() & rates[1].keys()]
    assert one.at(1).value == pytest.approx(np.mean(steps))
    assert one.at(1).low < one.at(1).value < one.at(1).high
    assert [d.k for d in one.differences] == [1, 2, 5, 10, 20, 38]
    assert all(d.value == pytest.approx(d.b - d.a) for d in one.differences)


def test_swapping_the_sides_turns_every_sign(runs: tuple[StoredRun, StoredRun]) -> None:
    (one,), (other,) = (compare_runs(*sides, Wanted()).comparisons for sides in (runs, runs[::-1]))
    for d, e in zip(one.differences, other.differences, strict=True):
        assert (d.value, d.low, d.high) == pytest.approx((-e.value, -e.high, -e.low))
    assert (one.mcnemar.a_only, one.mcnemar.b_only) == (other.mcnemar.b_only, other.mcnemar.a_only)
    assert one.mcnemar.p == pytest.approx(other.mcnemar.p)
    assert {f.problem for f in one.lost} == {f.problem for f in other.gained}


def test_flips_have_the_samples_that_flipped(
    runs: tuple[StoredRun, StoredRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = runs
    (one,) = compare_runs(a, b, Wanted()).comparisons
    pairs = {(name, sample): (x, y) for name, sample, x, y in joined(a, b)}
    for flips, way in ((one.lost, (True, False)), (one.gained, (False, True))):
        assert flips
        for flip in flips:
            assert flip.sample is not None
            of_it = {key: found for key, found in pairs.items() if key[0] == flip.problem}
            assert flip.sample == min(sample for (_, sample), found in of_it.items() if found == way)
            assert flip.lost == sum(found == (True, False) for found in of_it.values())
            assert flip.gained == sum(found == (False, True) for found in of_it.values())
            assert flip.a_text is not None
            assert flip.a_text.startswith(f"answer {flip.problem[1:]}.")
            assert (flip.b_text or "").startswith("b (")
    monkeypatch.setattr(read, "_ROWS_AT_ONCE", 50)
    assert compare_runs(a, b, Wanted()).comparisons == (one,)


def test_two_models_of_one_run(tmp_path: Path) -> None:
    run = make_run(DirectoryStore(tmp_path / "run"), PROBLEMS, 20, ("x", "y"))
    (one,) = compare_runs(run, run, Wanted(model_a="x", model_b="y")).comparisons
    assert (one.at(1).value, one.equal_texts, one.comparable_texts) == (0.0, 209, 209)
    assert (one.mcnemar.a_only, one.mcnemar.b_only, one.mcnemar.p) == (0, 0, 1.0)
    assert (one.lost, one.gained) == ((), ())


def test_two_versions_judge_the_same_samples_so_problems_are_paired(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "run")
    run = make_run(store, PROBLEMS, 20)
    make_version(run, "v2", lambda model, p, s: Status.PASS if p == 0 else judges(model, p, s))
    sides = [StoredRun(store, run.layers, version) for version in ("v1", "v2")]
    (one,) = compare_runs(*sides, Wanted()).comparisons
    assert (one.mcnemar.unit, one.mcnemar.a_only, one.mcnemar.b_only, one.mcnemar.p) == ("problems", 0, 1, 1.0)
    assert "same samples" in one.mcnemar.why
    (flip,) = one.gained
    assert (flip.problem, flip.lost, flip.gained) == ("p0", 0, 19)
    assert flip.a_text == flip.b_text == "answer 0.0 "


def make_version(run: StoredRun, version: str, status: object) -> None:
    """Judges the samples of a run again, as `troop verify` does."""
    from jobs.store.encode import decode_samples
    from jobs.store.layout import VERDICTS, parse_key
    from jobs.store.sealed_parquet import read_footer, read_table
    from sampling.samples import Unit

    assert callable(status)
    for info in list(run.store.list(VERDICTS)):
        key, footer = parse_key(info.key), read_footer(run.store.get(info.key))
        assert key
        assert key.number is not None
        samples = decode_samples(read_table(run.store.get(footer.samples), "samples", ""))
        verdicts = [Verdict(status(key.model, s.problem_idx, s.sample_idx)) for s in samples]
        unit = Unit(key.model, key.task, key.number, 0, 0, 0, 0)
        RunSink(run.store, version).commit_verdicts(unit, samples, verdicts, footer)


def test_adaptive_sampling_is_compared_by_its_own_estimator(troop: Troop, tmp_path: Path) -> None:
    """Two models with the same outcomes by index, at other depths: each problem's samples end where it retires."""
    outcome = outcomes(RATES, K)
    assert troop("run", write_adaptive(tmp_path, outcome, models=("m", "n")), "--local", "--no-report").code == 0
    run = open_run(str(tmp_path / "runs/run"))
    (one,) = compare_runs(run, run, Wanted(model_a="m", model_b="n")).comparisons
    assert one.mcnemar.unit == "problems"
    assert {d.value for d in one.differences} == {0.0}
    (cell, _) = read_cells(run.store)
    raw = float((cell.c / cell.n).mean())
    assert one.a.pass_at_1 == pytest.approx(one.at(1).a)
    assert one.a.pass_at_1 != pytest.approx(raw)  # the share of passes is too high where passes end the sampling


def counts(n: list[int], c: list[int], version: str = "v1", stopping: Stopping | None = None) -> CellCounts:
    none = np.zeros(len(n), dtype=np.int64)
    names = tuple(f"p{i}" for i in range(len(n)))
    return CellCounts("m", "t", names, np.array(n), np.array(c), none, none, {}, version=version, stopping=stopping)


def test_samples_are_paired_only_where_that_is_sound() -> None:
    at = (np.arange(4), np.arange(4))
    pairs = PairCounts(np.array([3, 0, 1, 0]), np.array([1, 0, 2, 5]), np.array([9, 9, 9, 9]))
    a, b = counts([9] * 4, [5, 1, 3, 0]), counts([9] * 4, [3, 1, 4, 5])
    sampled = mcnemar(a, b, at, pairs, same_samples=False)
    assert (sampled.unit, sampled.a_only, sampled.b_only, sampled.pairs) == ("samples", 4, 8, 36)
    assert sampled.p == pytest.approx(0.3876953125)  # 2 * P(Binomial(12, 1/2) <= 4)
    by_problem = [
        mcnemar(counts([9] * 4, [5, 1, 3, 0], IMPORTED), b, at, pairs, same_samples=False),
        mcnemar(a, b, at, pairs, same_samples=True),
        mcnemar(counts([9] * 4, [5, 1, 3, 0], stopping=Stopping(5, 9)), b, at, pairs, same_samples=False),
    ]
    assert [(t.unit, t.a_only, t.b_only, t.p) for t in by_problem] == [("problems", 1, 2, 1.0)] * 3
    unequal = mcnemar(
        counts([9] * 4, [5, 1, 3, 0], IMPORTED), counts([8] * 4, [3, 1, 4, 5]), at, pairs, same_samples=False
    )
    assert unequal.p is None
    assert "their numbers differ" in unequal.why


def test_intervals_hold_the_truth_and_p_is_uniform_without_a_difference() -> None:
    """200 made pairs with a known truth; bench/compared.py draws them, and thousands more."""
    assert all(0.93 <= held <= 0.97 for held in coverage_of_intervals(200).values())
    p = p_values(200)
    assert kstest(p, "uniform").pvalue > 0.01
    assert (p <= 0.05).mean() <= 0.09  # the 99th percentile of a binomial share of 200 at 5 %
    assert (p_values(200, same_samples=True) <= 0.05).mean() <= 0.09


def test_the_margin_and_the_bound_look_at_the_interval(runs: tuple[StoredRun, StoredRun]) -> None:
    d = compare_runs(*runs, Wanted()).comparisons[0].at(1)
    for margin, said in ((1.0, True), (max(-d.low, d.high) + 1e-9, True), (max(-d.low, d.high) - 1e-9, False)):
        assert compare_runs(*runs, Wanted(margin=margin)).comparisons[0].equivalent is said
    for name in ("value", "low", "high"):
        bound = getattr(d, name)
        for below, said in ((bound - 1e-9, False), (bound, False), (bound + 1e-9, True)):
            assert compare_runs(*runs, Wanted(fail_below=below, fail_on=name)).failed is said  # type: ignore[arg-type]
    at_10 = compare_runs(*runs, Wanted(at=10, ks=(1, 3), fail_below=0.0)).comparisons[0]
    assert [row.k for row in at_10.differences] == [1, 3, 10]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        assert not any(name.startswith("on") or (name in ("src", "href") and value != "#main") for name, value in attrs)


def test_names_and_texts_are_text_everywhere(tmp_path: Path) -> None:
    problems = [text_problem(number, id=f"p{number} {HOSTILE}") for number in range(4)]
    sides = [
        make_run(DirectoryStore(tmp_path / name), problems, 10, (f"m {HOSTILE}",), f"t {HOSTILE}", status=status,
                 text=lambda *_: f"</pre><script>alert(1)</script>{HOSTILE}")
        for name, status in (("a", lambda *_: Status.PASS), ("b", lambda *_: Status.FAIL))
    ]  # fmt: skip
    found = compare_runs(sides[0], sides[1], Wanted(margin=0.1))
    page, markdown = as_page(found), as_markdown(found)
    tags = Tags()
    tags.feed(page)
    assert not tags.found & {"script", "img", "iframe", "object"}
    assert "alert(1)&lt;/script&gt;" in page
    assert "default-src &#39;none&#39;" in page
    assert "\x1b" not in page
    assert "<" not in markdown
    assert not re.search(r"(?<!\\)\[", markdown)
    assert all("\x1b" not in each for each in (markdown, found.as_text()))
    assert Compared.model_validate_json(found.model_dump_json()) == found


def test_long_names_are_cut_where_people_read_them(tmp_path: Path) -> None:
    long = "n" * 5000
    problems = [text_problem(number, id=f"{number}{long}") for number in range(3)]
    sides = [
        make_run(DirectoryStore(tmp_path / name), problems, 4, status=status)
        for name, status in (("a", lambda *_: Status.PASS), ("b", lambda *_: Status.FAIL))
    ]
    found = compare_runs(sides[0], sides[1], Wanted())
    assert found.comparisons[0].lost[0].problem == f"0{long}"
    for words in (as_page(found), as_markdown(found), found.as_text()):
        assert "n" * 79 not in words
        assert "0" + "n" * 78 in words


def test_the_command(troop: Troop, runs: tuple[StoredRun, StoredRun], tmp_path: Path) -> None:
    a, b = (run.store.uri for run in runs)
    done = troop("compare", a, b, "--k", "1,5", "--margin", "0.05", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "McNemar's exact test over samples" in done.out
    assert "not shown to be equivalent within ±0.05" in done.out
    found = Compared.model_validate_json((tmp_path / "out" / "compare.json").read_text())
    assert [d.k for d in found.comparisons[0].differences] == [1, 5]
    assert all((tmp_path / "out" / name).stat().st_size for name in FILES)
    failed = troop("compare", a, b, "--fail-below", "-0.01", "--json")
    assert failed.code == 3
    assert json.loads(failed.out)["comparisons"][0]["failed"] is True
    assert troop("compare", a, b, "--fail-below", "-0.9").code == 0
    assert troop("compare", a, b, "--fail-below", "0.5", "--fail-on", "high", "--population", "benchmark").code == 3


def test_bad_input_is_one_line(troop: Troop, runs: tuple[StoredRun, StoredRun], tmp_path: Path) -> None:
    a, b = (run.store.uri for run in runs)
    make_run(DirectoryStore(tmp_path / "c"), [text_problem(99)], 4)
    make_run(DirectoryStore(tmp_path / "d"), PROBLEMS, 4, task="others")
    make_run(DirectoryStore(tmp_path / "e"), PROBLEMS, 4, ("x", "y"))
    c, d, e = (str(tmp_path / name) for name in "cde")
    for words, said in (
        ([a, c], "have no problem of sums that both have decided samples of"),
        ([a, d], "no common problem: A has the tasks sums, B has others"),
        ([a, a], "are the same samples"),
        ([a], "are the same samples"),
        ([a, e], "no model has the same name in both"),
        ([a, e, "--model-b", "z"], "--model-b z: not in"),
        ([a, b, "--task", "t"], "--task t: not in"),
        ([a, b, "--k", "0"], "'0' is no whole number"),
        ([a, b, "--k", "1,99"], "k = 99: some common problem of sums has only 38"),
        ([a, b, "--at", "99"], "k = 99"),
        ([a, b, "--margin", "0"], "0"),
        ([a, b, "--fail-below", "2"], "2"),
        ([a, b, "--version-b", "v9"], "v9"),
        ([a, tmp_path / "none"], "no run here"),
    ):
        done = troop("compare", *words)
        assert (done.code, done.out) == (2, ""), words
        assert said in done.err
        assert done.err.count("\n") == 1


def test_cells_without_a_partner_are_named(tmp_path: Path) -> None:
    a = make_run(DirectoryStore(tmp_path / "a"), PROBLEMS, 10, ("x", "y"))
    b = make_run(DirectoryStore(tmp_path / "b"), PROBLEMS, 10, ("y", "z"), status=better)
    found = compare_runs(read_run(a.store), b, Wanted())
    assert [one.a.model for one in found.comparisons] == ["y"]
    assert found.notes == ("not compared, no partner: x on sums (A)", "not compared, no partner: z on sums (B)")
    with pytest.raises(BadInput, match="has no verdict yet"):
        compare_runs(a, StoredRun(DirectoryStore(tmp_path / "empty"), a.layers), Wanted())
