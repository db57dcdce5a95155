"""Writes the report: one page that opens offline, report.json, the charts as files, and a summary in Markdown.

The page contains everything that it needs and loads nothing. Its content security policy allows only the one script
and the one style sheet whose hashes it names, so a model's text could not run even if it got past the escaping. Charts
are drawn here: a chart library in the page would weigh a megabyte and evaluate code.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from jobs.report import outcomes, text
from jobs.report.chart_process import ChartProcess
from jobs.report.chart_theme import NARROW, NARROW_LOW, REST, WIDE, WIDE_LOW, Size, Spec, in_light
from jobs.report.charts import (
    AXES,
    Axis,
    Paint,
    axes_of,
    cost_at,
    coverage_chart,
    how_to_read,
    how_to_select,
    paints,
    selection_chart,
)
from jobs.report.markdown import summary_markdown
from jobs.report.points import SelectionPoint
from jobs.report.rounds import HEADS, rounds_row
from jobs.report.samples import BrowserSample, embed, for_page, script_json
from jobs.report.schema import Cell, CrossoverReport, Report, SeriesReport
from jobs.report.series_chart import how_to_read as series_caption
from jobs.report.series_chart import line_paints, series_chart, series_heads, series_in_words, series_rows
from jobs.report.strip import HEAT_LABELS, Strip, make_strip, strip_chart, strip_picture
from sampling.errors import BadInput

_HERE = Path(__file__).parent
MOST_ROWS = 2_000  # rows of the table below a strip of problems


@dataclass(frozen=True)
class Picture:
    """A chart for wide and for narrow screens, and its text alternative."""

    drawn: Future[str]
    drawn_narrow: Future[str]
    words: str

    @property
    def wide(self) -> Markup:
        return Markup(self.drawn.result())

    @property
    def narrow(self) -> Markup:
        return Markup(self.drawn_narrow.result())


@dataclass(frozen=True)
class SeriesView:
    """A series with its picture, and the colours of its lines."""

    series: SeriesReport
    picture: Picture
    colours: Mapping[str, str]
    caption: str

    @property
    def heads(self) -> list[str]:
        return series_heads(self.series)

    @property
    def rows(self) -> list[list[str]]:
        return series_rows(self.series)


@dataclass(frozen=True)
class TaskView:
    """Everything that the page shows of one task."""

    name: str
    cells: tuple[Cell, ...]
    crossovers: tuple[CrossoverReport, ...]
    colours: Paint
    charts: Mapping[Axis, Picture]
    caption: str
    selection_caption: str
    strip: Strip
    heat: Picture
    selection: Picture | None
    series: tuple[SeriesView, ...] = ()

    def cost(self, cell: Cell, axis: Axis, k: int) -> float | None:
        return cost_at(cell, axis, k)

    @property
    def greys(self) -> list[str]:
        """The models that share the one grey."""
        return [model for model, name in self.colours.items() if name == REST]

    @property
    def selected(self) -> list[tuple[Cell, str, tuple[SelectionPoint, ...]]]:
        """The points of each model by each way of selection."""
        return [
            (cell, text.METHODS[name], getattr(cell, name)) for cell in self.cells for name in text.methods_of(cell)
        ]


def write_report(
    report: Report,
    samples: Iterable[BrowserSample],
    out_dir: Path,
    process: ChartProcess,
    prompts: Mapping[tuple[str, str], str] | None = None,
) -> Path:
    """Writes report.html, report.json, report.md and every chart as PNG and SVG; returns the page's path.

    ``samples`` are read while charts are drawn. ``prompts`` is by (task, problem). The charts' files are coverage (and
    coverage-tokens, …, against a cost), selection, problems and series; those of a second task, or of a second series,
    end in -2, and so on. Raises BadInput where the folder cannot be written.
    """
    _make_folder(out_dir)
    tasks = [_task_view(name, report, process) for name in dict.fromkeys(cell.task for cell in report.cells)]
    files = _request_files(tasks, process)
    pictures = {name: process.png(drawn) for name, drawn in files.items()}
    page = out_dir / "report.html"
    page.write_text(_page(report, tasks, for_page(samples), prompts or {}), encoding="utf-8")
    (out_dir / "report.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out_dir / "report.md").write_text(summary_markdown(report), encoding="utf-8")
    for name, drawn in files.items():
        (out_dir / f"{name}.svg").write_text(in_light(drawn.result()), encoding="utf-8")
        (out_dir / f"{name}.png").write_bytes(pictures[name].result())
    return page


def _page(
    report: Report,
    tasks: Sequence[TaskView],
    samples: Sequence[BrowserSample],
    prompts: Mapping[tuple[str, str], str],
) -> str:
    script, style = (_HERE / name for name in ("page.js", "page.css"))
    sources = (
        Markup(script.read_text("utf-8")),
        Markup(style.read_text("utf-8")),
    )  # these are our own files, never a model's text
    return _environment().get_template("page.html.j2").render(
        report=report, tasks=tasks, axes=AXES, heat_labels=HEAT_LABELS, headline=text.headline(report), text=text,
        round_heads=HEADS, rounds_row=rounds_row, outcomes=outcomes, intervals=text.intervals_in_words(report),
        script=sources[0], style=sources[1], policy=_policy(*sources), samples=len(samples), most_rows=MOST_ROWS,
        drawn=sum(sum(cell.status_counts.values()) for cell in report.cells),
        data=Markup(embed(samples, prompts)), strips=Markup(script_json([_strip_data(task) for task in tasks])),
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.filters["short_name"] = text.short_name
    made.filters["breakable"] = _breakable
    return made


def _breakable(model: str) -> Markup:
    """Returns a model's name for a narrow column: a line may end behind what joins its parts."""
    return Markup(re.sub(r"(?<=[@+])(?=\w)", "<wbr>", str(escape(model))))


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _task_view(name: str, report: Report, process: ChartProcess) -> TaskView:
    cells, crossovers, paint = _part(name, report)
    strip = make_strip(cells)
    selection = None
    if any(text.methods_of(cell) for cell in cells):
        draw = partial(selection_chart, cells, paint=paint)
        selection = _request_picture(process, draw, text.selection_in_words(cells), (WIDE_LOW, NARROW_LOW))
    return TaskView(
        name=name,
        cells=cells,
        crossovers=crossovers,
        colours=paint,
        charts={
            axis: _request_picture(
                process, partial(coverage_chart, cells, crossovers, axis, paint=paint), _words(cells, crossovers, axis)
            )
            for axis in _drawn_axes(cells)
        },
        caption=how_to_read(cells, crossovers),
        selection_caption=how_to_select(cells),
        strip=strip,
        heat=_request_picture(process, lambda size: strip_chart(strip, size.width), text.strip_in_words(cells)),
        selection=selection,
        series=tuple(_series_view(each, cells, process) for each in report.series if each.task == name),
    )


def _series_view(series: SeriesReport, cells: Sequence[Cell], process: ChartProcess) -> SeriesView:
    baselines = [cell for cell in cells if cell.baseline]
    picture = _request_picture(process, partial(series_chart, series, baselines), series_in_words(series))
    return SeriesView(series, picture, line_paints(series), series_caption(series))


def _part(name: str, report: Report) -> tuple[tuple[Cell, ...], tuple[CrossoverReport, ...], Paint]:
    """Returns the cells and crossovers of one task, and the colours, which a model keeps from task to task."""
    cells = tuple(cell for cell in report.cells if cell.task == name)
    return cells, tuple(cross for cross in report.crossovers if cross.task == name), paints(report.cells)


def _drawn_axes(cells: Sequence[Cell]) -> list[Axis]:
    return axes_of(cells) if any(cell.coverage for cell in cells) else []


def _words(cells: Sequence[Cell], crossovers: Sequence[CrossoverReport], axis: Axis) -> str:
    def at(cell: Cell, k: int) -> str:
        return f"k={k:,}" if axis == "samples" else f"{text.compact(cost_at(cell, axis, k))} {axis} (k={k:,})"

    return text.coverage_in_words(cells, crossovers, axis, at)


def _request_picture(
    process: ChartProcess, describe: Callable[[Size], Spec], words: str, sizes: tuple[Size, Size] = (WIDE, NARROW)
) -> Picture:
    wide, narrow = (process.svg(describe(size)) for size in sizes)
    return Picture(wide, narrow, words)


def _strip_data(task: TaskView) -> dict[str, Any]:
    """Returns the counts that the page shows for the problem under the pointer."""
    strip = task.strip
    counts = [[None if one is None else [one.c, one.n] for one in row] for row in strip.counts]
    names = [text.short_name(model) for model in strip.models]
    return {"task": task.name, "problems": strip.problems, "models": names, "counts": counts}


def _request_files(tasks: Sequence[TaskView], process: ChartProcess) -> dict[str, Future[str]]:
    """Returns every chart by file name, for the tasks that have a curve; requests those that the page does not show."""
    drawn: dict[str, Future[str]] = {}
    for i, task in enumerate(task for task in tasks if task.charts):
        end = f"-{i + 1}" if i else ""
        for axis, picture in task.charts.items():
            kind = "coverage" if axis == "samples" else f"coverage-{axis}"
            drawn[kind + end] = picture.drawn
        if task.selection:
            drawn[f"selection{end}"] = task.selection.drawn
        drawn[f"problems{end}"] = process.svg(strip_picture(task.strip))
    for i, view in enumerate(view for task in tasks for view in task.series):
        drawn[f"series-{i + 1}" if i else "series"] = view.picture.drawn
    return drawn


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: the report cannot be written there ({error.strerror})") from error
