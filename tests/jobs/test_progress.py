"""The progress display: the summary line, the table, and counts."""

from dataclasses import replace

import pytest
from rich.console import Console

from cluster.batches import SampleHeader, VerdictHeader
from cluster.sink import Receipt
from cluster.tally import CellProgress, CellTally, EngineProgress, EngineTally, Progress, Tally
from jobs.progress import (
    LINE_LENGTH,
    PlainLines,
    bottleneck,
    count_display,
    duration,
    engine_words,
    live_view,
    summary_line,
)
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


def test_cut_samples_are_said_and_too_many_are_a_warning(tally: Tally) -> None:
    assert "max_tokens" not in summary_line(tally.snapshot(engines_wait=False, set_aside=0))
    unit = Unit("small", "sums", 1, 0, 4, 10, 20)
    for length, said in (
        (1, "2.5% cut at max_tokens; "),
        (20, "26.2% cut at max_tokens (warning: 26% of small on sums)"),
    ):
        finish = (("length", length), ("stop", 40 - length))
        tally.add_receipt(Receipt(unit, True, 40, 800, 999, (), (), finish=finish))
        progress = tally.snapshot(engines_wait=False, set_aside=0)
        console = Console(width=300, force_terminal=True)
        with console.capture() as capture:
            console.print(live_view(progress))
        assert said in summary_line(progress) and said.rstrip("; ") in capture.get()


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


LARGE = Progress(
    elapsed_s=90_061, planned=70_400_000, committed=12_345_678, sampled=12_400_000, verified=12_390_000,
    shared=1_234_567, backlog=10_000, bottleneck="verifiers", balanced=12_345, left_s=86_400.0,
    engines=tuple(
        EngineProgress(f"model-{i % 10}/{i // 10}", ("sampling", "starting")[i % 100 // 90], 5, 12_345.6, 0)
        for i in range(1_000)
    ),
    cells=tuple(CellProgress(f"model-{i % 10}", f"task-{i // 10}", 128, 1_000_000, i % 7, 0.5) for i in range(70)),
    set_aside=12, tokens=1, idle=0.25,
)  # fmt: skip


def shown(progress: Progress, height: int | None = None) -> list[str]:
    console = Console(width=140, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(live_view(progress, height))
    return capture.get().splitlines()


def test_a_line_of_a_large_run_is_bounded() -> None:
    line = summary_line(LARGE)
    assert len(line) <= LINE_LENGTH
    assert "12,345,678 of 70,400,000 committed" in line and "set aside 12 units" in line
    assert "engines: 900 sampling, 100 starting, 12,345,600 tokens/s; " in line
    small = summary_line(replace(LARGE, planned=9, committed=8, sampled=9, verified=8, left_s=None, set_aside=0))
    assert "engines: model-0 90 sampling, 10 starting, 1,234,560 tokens/s; and 9 more; " in small
    assert "model-0 on task-0: 0.500" in line and "more" in line.rpartition("coverage so far")[2]


def test_names_of_any_length_leave_the_line_bounded_and_without_control_codes() -> None:
    name = "\x1b[2J" + "n" * 500
    cells = tuple(replace(cell, model=name, task="t" * 64) for cell in LARGE.cells)
    engines = tuple(replace(engine, name=f"{name}/{i}") for i, engine in enumerate(LARGE.engines))
    line = summary_line(replace(LARGE, cells=cells, engines=engines))
    assert len(line) <= LINE_LENGTH and line.isprintable()
    assert "[2J" not in "".join(shown(replace(LARGE, cells=cells[:1], engines=engines[:1]))).replace(r"\x1b[2J", "")


def test_a_table_of_a_large_run_fits_the_terminal() -> None:
    lines = shown(LARGE)
    assert "and 50 more; `troop status RUN --json` has all" in "\n".join(lines)
    assert sum(line.startswith("model-0 ") and "90 sampling, 10 starting" in line for line in lines) == 1
    assert any(line.startswith("and 2 more") for line in lines), "models of engines"
    assert all(len(shown(LARGE, height)) <= height for height in (24, 30, 60))
    assert "and 60 more" in "\n".join(shown(LARGE, 25))


def test_unfinished_cells_are_shown_first() -> None:
    cells = tuple(replace(cell, committed=cell.planned if i < 60 else 0) for i, cell in enumerate(LARGE.cells))
    assert "model-0 on task-6" in summary_line(replace(LARGE, cells=cells))
    assert any("task-6" in line for line in shown(replace(LARGE, cells=cells)))


def test_many_engines_that_change_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    show = PlainLines()
    show(LARGE)
    show(LARGE)
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.startswith("troop: engines: model-0 90 sampling, 10 starting, ")
    assert all(len(line) <= 400 for line in (first, *rest)) and len(rest) == 1


def test_after_the_last_sample_the_line_names_who_is_waited_for(tally: Tally) -> None:
    tally.add_samples(None, SampleHeader(200, 2000, 0.0, 4000))  # 100 came from an earlier run
    assert "bottleneck verifiers" in summary_line(tally.snapshot(engines_wait=False, set_aside=0))
    tally.add_verdicts(VerdictHeader(240, 15, 0.5))
    assert "bottleneck store" in summary_line(tally.snapshot(engines_wait=False, set_aside=0))
    unit = Unit("small", "sums", 1, 0, 4, 0, 65)
    tally.add_receipt(Receipt(unit, True, 260, 800, 999, (), ()))
    done = tally.snapshot(engines_wait=False, set_aside=0)
    assert done.bottleneck == "" and "bottleneck" not in summary_line(done) + "".join(shown(done))


def test_a_caller_that_knows_better_names_the_bottleneck(tally: Tally) -> None:
    assert tally.snapshot(engines_wait=False, set_aside=0, bottleneck="store").bottleneck == "store"
    drawn = replace(LARGE, bottleneck="engines", sampled=LARGE.planned)
    assert [bottleneck(replace(drawn, backlog=waiting, balanced=None)) for waiting in (5, 0)] == ["verifiers", "store"]
