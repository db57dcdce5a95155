"""The page of a comparison in a real Chromium: it fits, axe finds no fault, hostile texts stay texts."""

from pathlib import Path

import axe_playwright_python
import pytest

from jobs.compare.build import Wanted, compare_runs
from jobs.compare.page import write_files
from jobs.store.folder import DirectoryStore
from tests.jobs.compare.test_compare import HOSTILE, better
from tests.jobs.report.conftest import chromium, page
from tests.support.made_run import make_run, text_problem

__all__ = ["chromium", "page"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    problems = [text_problem(number, id=f"p{number} {HOSTILE}") for number in range(11)]
    a = make_run(DirectoryStore(folder / "a"), problems, 100, text=lambda *at: f"{at} {HOSTILE}<script>x=1</script>")
    b = make_run(DirectoryStore(folder / "b"), problems, 100, status=better)
    write_files(compare_runs(a, b, Wanted(margin=0.1, fail_below=0.0)), folder / "out")
    return folder / "out" / "compare.html"


@pytest.mark.browser
def test_it_fits_and_runs_nothing(page: object, place: Path) -> None:
    seen: list[str] = []
    page.on("console", lambda message: seen.append(message.text))
    page.on("request", lambda request: seen.append(request.url))
    page.goto(place.as_uri())
    for summary in page.query_selector_all("summary"):
        summary.click()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert seen == [place.as_uri()]
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert "<script>x=1</script>" in page.inner_text("details")


@pytest.mark.browser
def test_axe_finds_no_fault(chromium: object, place: Path) -> None:
    source = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme, bypass_csp=True)
        tab = context.new_page()
        tab.goto(place.as_uri())
        tab.evaluate(source)
        found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [(scheme, fault["id"], fault["impact"]) for fault in found] == []
        context.close()
