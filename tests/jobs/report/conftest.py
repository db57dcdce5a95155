"""Fixtures of tests of the page: one drawing process, and tabs of a real Chromium."""

import shutil
from collections.abc import Iterator

import pytest

from jobs.report.chart_process import ChartProcess

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def process() -> Iterator[ChartProcess]:
    with ChartProcess() as made:
        yield made


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module", params=["light", "dark", "phone"])
def page(request: pytest.FixtureRequest, chromium: object) -> Iterator[object]:
    """A tab for all tests of its kind: each further one would be a process of its own."""
    width = 375 if request.param == "phone" else 1100
    scheme = "dark" if request.param == "dark" else "light"
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield context.new_page()
    context.close()
