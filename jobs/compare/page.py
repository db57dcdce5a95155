"""Writes a comparison as files: compare.html, which opens offline and loads nothing, compare.md and compare.json.

The page runs no script. All names and texts are escaped; its content security policy allows its one style sheet alone.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

import jinja2
from markupsafe import Markup

from jobs import report
from jobs.compare.result import SHOWN, Compared, Comparison, Flip, facts_of, name_of
from sampling.errors import BadInput
from sampling.words import markdown_text, printable, short

_HERE = Path(__file__).parent
FILES = ("compare.html", "compare.md", "compare.json")
_WIDTH, _ROW, _LEFT = 640, 26, 96  # of the picture


def write_files(compared: Compared, folder: Path) -> None:
    """Writes the three files; raises BadInput where the folder cannot be written."""
    texts = (as_page(compared), as_markdown(compared), compared.model_dump_json(indent=1) + "\n")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in zip(FILES, texts, strict=True):
            (folder / name).write_text(content, encoding="utf-8", errors="replace")
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be written ({error.strerror})") from error


def as_page(compared: Compared) -> str:
    """Returns the page."""
    style = (Path(report.__path__[0]) / "page.css").read_text(encoding="utf-8") + _STYLE
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    loader = jinja2.FileSystemLoader(_HERE)
    page = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return page.get_template("page.html.j2").render(
        compared=compared, style=Markup(style), policy=policy, name_of=name_of, facts_of=facts_of, drawn=drawn,
        printable=printable, short=short, shown=SHOWN, lines=_lines,
    )  # fmt: skip


def _lines(text: str) -> str:
    """Returns a completion without control characters but line ends and tabs."""
    return "".join(c if c in "\n\t" or c.isprintable() else "\ufffd" for c in text)


_STYLE = """
.interval{stroke:var(--s0);stroke-width:2}.point{fill:var(--s0)}.zero{stroke:var(--muted);stroke-dasharray:4 3}
.margin{fill:var(--grid)}.plot text{fill:var(--ink);font-size:12px}
@media(max-width:600px){.plot text{font-size:19px}}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(260px,1fr));gap:12px}
.sides pre{white-space:pre-wrap;overflow-wrap:anywhere;font-size:13px;background:var(--ground);padding:8px;margin:0}
"""


def drawn(one: Comparison, margin: float | None) -> Markup:
    """Returns the differences with their intervals as SVG, one line a k; it has numbers alone."""
    far = max([0.01, margin or 0.0, *(max(abs(d.low), abs(d.high)) for d in one.differences)]) * 1.05
    height = _ROW * len(one.differences) + 24

    def x(value: float) -> float:
        return round(_LEFT + (value / far + 1) / 2 * (_WIDTH - _LEFT - 10), 1)

    parts = [f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" aria-hidden="true">']
    if margin:
        parts.append(f'<rect class="margin" x="{x(-margin)}" y="0" width="{round(x(margin) - x(-margin), 1)}" '
                     f'height="{height - 24}"/>')  # fmt: skip
    parts.append(f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="0" y2="{height - 20}"/>')
    for row, d in enumerate(one.differences):
        y = row * _ROW + _ROW // 2
        parts.append(f'<text x="0" y="{y + 4}">k = {d.k:,}</text>'
                     f'<line class="interval" x1="{x(d.low)}" x2="{x(d.high)}" y1="{y}" y2="{y}"/>'
                     f'<circle class="point" cx="{x(d.value)}" cy="{y}" r="4"/>')  # fmt: skip
    for value, anchor in ((-far / 1.05, "start"), (0.0, "middle"), (far / 1.05, "end")):
        parts.append(f'<text x="{x(value)}" y="{height - 4}" text-anchor="{anchor}">{value:+.3f}</text>')
    return Markup("".join([*parts, "</svg>"]))


def as_markdown(compared: Compared) -> str:
    """Returns tables for a pull request; names are written so that they stay text."""
    parts = []
    for one in compared.comparisons:
        title = f"{one.task}: B {name_of(one.b, one.a)} minus A {name_of(one.a, one.b)}"
        parts.append(f"### {markdown_text(title)}")
        rows = [[f"{d.k:,}", f"{d.a:.3f}", f"{d.b:.3f}", f"{d.value:+.3f}", f"{d.low:+.3f} to {d.high:+.3f}"]
                for d in one.differences]  # fmt: skip
        parts.append(_table(["k", "A", "B", "B - A", "95 % interval"], rows))
        about = "problems like these" if compared.population == "problems" else "this very benchmark"
        parts.append(f"Over {one.problems:,} common problems; intervals are about {about}.")
        parts.append("\n".join(f"- {markdown_text(line)}" for line in facts_of(one, compared)))
        for name, flips in (("lost", one.lost), ("gained", one.gained)):
            if flips:
                heads = [f"problem, most {name}", "A", "B", "right in A alone", "right in B alone"]
                parts.append(_table(heads, map(_flip_row, flips)))
    parts += [markdown_text(note) for note in compared.notes]
    return "\n\n".join(parts) + "\n"


def _flip_row(flip: Flip) -> list[str]:
    counts = f"{flip.a_passed:,}/{flip.a_samples:,}", f"{flip.b_passed:,}/{flip.b_samples:,}"
    return [markdown_text(short(flip.problem)), *counts, f"{flip.lost:,}", f"{flip.gained:,}"]


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
