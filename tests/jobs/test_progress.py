"""The progress display: the summary line, the table, and counts."""

import pytest
from rich.console import Console

from cluster.batches import SampleHeader, VerdictHeader
from cluster.sink import Receipt
from cluster.tally import CellTally, EngineTally, Tally
from jobs.progress import PlainLines, count_display, duration, engine_words, live_view, summary_line
from sampling.samples import Unit


@pytest.fixture
def tally() -> Tally:
    tally = Tally([CellTally("small", "sums", 4, 400, 100, {0})])
    engine = EngineTally("small/0")
    tally.engines.append(engine)
    engine.set_state("starting")
    engine.ready(1.5)
    tally.add_samples(engine, SampleHeader(100, 2000, 0.0, 4000))
    tally.add_verdicts(VerdictHeader(60, 15, 0.5))
    unit = Unit("small", "sums", 0, 0, 4, 0, 10)
    tally.add_receipt(Receipt(unit, True, 40, 800, 999, ((0, 10, 1), (2, 10, 3), (3, 10, 0)), (("pass", 4),)))
    return tally


def test_counts_what_is_sampled_verified_and_committed(tally: Tally) -> None:
    progress = tally.snapshot(engines_wait=False, set_aside=0)
    assert (progress.planned, progress.committed, progress.sampled, progress.verified) == (400, 140, 100, 60)
    assert (progress.backlog, progress.shared, progress.tokens) == (40, 15, 800)
    assert progress.cells[0].coverage == 0.5  # problem 0 from an earlier run, problem 2 now
    assert progress.bottleneck == "engines"
    assert tally.snapshot(engines_wait=True, set_aside=0).bottleneck == "verifiers"


def test_a_line_says_all_that_matters(tally: Tally) -> None:
    line = summary_line(tally.snapshot(engines_wait=False, set_aside=0))
    for words in (
        "100 sampled",
        "60 verified",
        "15 copies",
        "140 of 400 committed",
        "small on sums: 0.500 (140 of 400 samples)",
    ):
        assert words in line


def test_a_terminal_shows_the_same_as_a_table(tally: Tally) -> None:
    console = Console(width=140, force_terminal=True)
    with console.capture() as capture:
        console.print(live_view(tally.snapshot(engines_wait=False, set_aside=0)))
    assert "140/400" in capture.get()
    assert "small/0" in capture.get()


def test_a_starting_engine_is_announced_once(tally: Tally, capsys: pytest.CaptureFixture[str]) -> None:
    tally.engines[0].set_state("starting")
    show = PlainLines()
    show(tally.snapshot(engines_wait=False, set_aside=0))
    show(tally.snapshot(engines_wait=False, set_aside=0))
    assert capsys.readouterr().err.count("engine small/0: starting") == 1


def test_a_second_start_is_named(tally: Tally) -> None:
    tally.engines[0].restarts = 1
    tally.engines[0].set_state("starting")
    assert "start 2" in engine_words(tally.snapshot(engines_wait=False, set_aside=0).engines[0])


def test_durations_read_like_a_clock() -> None:
    assert [duration(s) for s in (5, 65, 3725)] == ["0:05", "1:05", "1:02:05"]


def test_a_count_is_told_now_and_then_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("jobs.progress.time.monotonic", lambda: now)
    with count_display("samples") as show:
        for done in range(1, 26):
            now += 1
            show(done, 25)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"troop: {done} of 25 samples in 0:{done}" for done in (10, 20, 25)]


def test_a_count_in_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal
    with count_display("samples") as show:
        show(2000, 2000)
    assert "2,000 of 2,000 samples" in capsys.readouterr().err
