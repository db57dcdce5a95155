"""Pages of unusual runs in a real Chromium: unfinished, stopped, one problem, all or none solved, crowded, series."""

from dataclasses import replace
from pathlib import Path

import axe_playwright_python
import pytest

from jobs.numbers.cells import ModelFacts, Stopping
from jobs.report.build import build_report
from jobs.report.chart_process import ChartProcess
from jobs.report.page import write_report
from jobs.report.samples import BrowserSample
from jobs.report.schema import Report
from tests.support.made_cells import FACTS, LARGE, SMALL, cell


def samples() -> list[BrowserSample]:
    return [BrowserSample(SMALL, "gsm8k", f"p{i % 9}", i, "pass", "an answer") for i in range(40)]


def thin_and_crowded(kind: str) -> Report:
    """Returns a report that is unlike the usual one: unfinished, stopped, with one problem, …, with a series."""
    small = cell([50] * 9, [3] * 9, tokens=9000, prompt_tokens=90, engine_s=9.0)
    large = cell([50] * 9, [20] * 9, model=LARGE, tokens=9000, prompt_tokens=90, engine_s=9.0)
    cut = replace(small, finish_counts={"stop": 225, "length": 225}, invalid_reasons={"no answer": 9})
    half = {"planned_problems": 40, "planned_samples": 2000}
    crowd = [cell([99] * 9, [9 + i + j for j in range(9)], model=f"model-{i}-with-a-name") for i in range(7)]
    steps = {f"rl@step_{i}": ModelFacts(f"rl@step_{i}", series={"checkpoint": i}) for i in range(1, 4)}
    cells = {
        "unfinished": [replace(cut, **half), replace(large, **half)],
        "stopped": [replace(cell(list(range(1, 10)), [1] * 8 + [0]), stopping=Stopping(1, 9)), large],
        "one problem": [cell([50], [3]), cell([50], [20], model=LARGE)],
        "all solved": [replace(small, c=small.n), replace(large, c=large.n)],
        "none solved": [replace(cut, c=0 * cut.c), replace(large, c=0 * large.c)],
        "seven models": [*crowd, large],
        "series": [*(replace(small, model=name) for name in steps), large],
    }[kind]
    return build_report(cells, FACTS | steps, run=f"runs/{kind}")


KINDS = ("unfinished", "stopped", "one problem", "all solved", "none solved", "seven models", "series")


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory, process: ChartProcess) -> dict[str, Path]:
    out = tmp_path_factory.mktemp("kinds")
    return {kind: write_report(thin_and_crowded(kind), samples(), out / kind, process) for kind in KINDS}


LEAVES = """() => [...document.querySelectorAll("figure svg text")].filter(text => {
    const box = text.getBoundingClientRect(), card = text.closest("section").getBoundingClientRect();
    return box.width && (box.right > card.right || box.left < card.left);
}).map(text => text.textContent)"""
ONE_LETTER = """() => [...document.querySelectorAll("td, th")].filter(cell => {
    const style = getComputedStyle(cell), letters = Math.max(...cell.innerText.split(/\\s+/).map(word => word.length));
    return cell.offsetWidth && letters > 3 && cell.clientWidth < 3 * parseFloat(style.fontSize);
}).map(cell => cell.innerText)"""


@pytest.mark.browser
@pytest.mark.parametrize("kind", KINDS)
def test_pages_of_unusual_runs_fit_and_their_labels_stay_in_the_card(
    kind: str, page: object, kinds: dict[str, Path]
) -> None:
    page.goto(kinds[kind].as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(LEAVES) == []
    assert page.evaluate(ONE_LETTER) == []


@pytest.mark.browser
def test_axe_finds_no_fault(chromium: object, kinds: dict[str, Path]) -> None:
    """Runs axe-core, which the package brings along: WCAG's rules and best practices, serious faults and others."""
    source = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
    for scheme, width in (("light", 1100), ("dark", 1100), ("light", 375)):
        viewport = {"width": width, "height": 900}
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, bypass_csp=True)
        tab = context.new_page()
        for kind, path in kinds.items():
            tab.goto(path.as_uri())
            tab.evaluate(source)
            found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
            assert [(kind, scheme, fault["id"], fault["impact"]) for fault in found] == []
        context.close()
