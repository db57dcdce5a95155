"""The report as files: one page that opens offline, the numbers for machines, a picture, and a summary in Markdown.

The page carries all it needs and may load nothing: its policy allows only the one script and the one style sheet
whose hashes it names, so that a model's text could not run even if it got past the escaping. Charts are drawn here
rather than by a chart library in the page, which would weigh a megabyte and evaluate code.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from jobs import report_text as text
from jobs.chart_theme import LIGHT, NARROW, NARROW_LOW, PICTURE, WIDE, WIDE_LOW, Size, png, svg
from jobs.charts import AXES, Axis, axes_of, coverage_chart, how_to_read, places, selection_chart
from jobs.report_samples import BrowserSample, embed, for_page, script_json
from jobs.report_schema import Cell, CrossoverReport, Report
from jobs.strip import HEAT_LABELS, Strip, make_strip, strip_chart
from sampling.errors import BadInput

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Picture:
    """A chart drawn for wide and for narrow screens."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True)
class TaskView:
    """What the page shows of one task."""

    name: str
    cells: tuple[Cell, ...]
    crossovers: tuple[CrossoverReport, ...]
    charts: Mapping[Axis, Picture]
    words: str
    caption: str
    strip: Strip
    heat: Picture
    selection: Picture | None

    @property
    def colours(self) -> dict[str, str]:
        return {model: "ink" if i is None else f"s{i}" for model, i in places(self.cells).items()}


def write_report(
    report: Report,
    samples: Iterable[BrowserSample],
    out_dir: Path,
    prompts: Mapping[tuple[str, str], str] | None = None,
) -> Path:
    """Writes report.html, report.json, summary.md and, where there is a curve, coverage.png and .svg of each task.

    The first task's picture is called coverage, a second task's coverage-2 and so on. Returns the page's path.
    """
    _make(out_dir)
    page = out_dir / "report.html"
    page.write_text(render_page(report, for_page(samples), prompts or {}), encoding="utf-8")
    (out_dir / "report.json").write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (out_dir / "summary.md").write_text(text.summary_markdown(report), encoding="utf-8")
    for name, drawn in _pictures(report).items():
        (out_dir / f"{name}.svg").write_text(drawn, encoding="utf-8")
        (out_dir / f"{name}.png").write_bytes(png(drawn))
    return page


def render_page(report: Report, samples: Sequence[BrowserSample], prompts: Mapping[tuple[str, str], str]) -> str:
    """The whole page as text."""
    script, style = (_HERE / name for name in ("report.js", "report.css"))
    sources = Markup(script.read_text("utf-8")), Markup(style.read_text("utf-8"))  # our own files, never a model's text
    tasks = [_task(name, report) for name in dict.fromkeys(cell.task for cell in report.cells)]
    return _environment().get_template("report.html.j2").render(
        report=report, tasks=tasks, axes=AXES, heat_labels=HEAT_LABELS, headline=text.headline(report), text=text,
        script=sources[0], style=sources[1], policy=_policy(*sources), samples=len(samples),
        data=Markup(embed(samples, prompts)), strips=Markup(script_json([_hover(task.strip) for task in tasks])),
    )  # fmt: skip


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip


def _policy(script: str, style: str) -> str:
    return (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(source: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()


def _task(name: str, report: Report) -> TaskView:
    cells = tuple(cell for cell in report.cells if cell.task == name)
    crossovers = tuple(cross for cross in report.crossovers if cross.task == name)
    strip = make_strip(cells)
    voted = any(cell.majority for cell in cells)
    axes = axes_of(cells) if any(cell.coverage for cell in cells) else []
    return TaskView(
        name=name,
        cells=cells,
        crossovers=crossovers,
        charts={axis: _picture(partial(coverage_chart, cells, crossovers, axis)) for axis in axes},
        words=text.coverage_in_words(cells, crossovers),
        caption=how_to_read(cells),
        strip=strip,
        heat=_picture(lambda size: strip_chart(strip, size.width)),
        selection=_picture(partial(selection_chart, cells), (WIDE_LOW, NARROW_LOW)) if voted else None,
    )


def _picture(describe: Callable[[Size], dict[str, Any]], sizes: tuple[Size, Size] = (WIDE, NARROW)) -> Picture:
    wide, narrow = (Markup(svg(describe(size), on_page=True)) for size in sizes)
    return Picture(wide, narrow)


def _hover(strip: Strip) -> dict[str, Any]:
    """What the page says of a problem under the pointer."""
    counts = [[None if one is None else [one.c, one.n] for one in row] for row in strip.counts]
    return {"problems": strip.problems, "models": [text.short_name(m) for m in strip.models], "counts": counts}


def _pictures(report: Report) -> dict[str, str]:
    """The light picture of every task that has a curve, by file name."""
    drawn: dict[str, str] = {}
    for name in dict.fromkeys(cell.task for cell in report.cells if cell.coverage):
        cells = [cell for cell in report.cells if cell.task == name]
        crossovers = [cross for cross in report.crossovers if cross.task == name]
        described = coverage_chart(cells, crossovers, "samples", PICTURE, LIGHT)
        drawn["coverage" if not drawn else f"coverage-{len(drawn) + 1}"] = svg(described)
    return drawn


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder}: the report cannot be written there ({error.strerror})") from error
