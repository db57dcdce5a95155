"""The page: its content, hostile text that stays text, and its behaviour in a real Chromium."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jobs.report.build import build_report
from jobs.report.chart_process import ChartProcess
from jobs.report.page import write_report
from jobs.report.samples import BrowserSample
from sampling.errors import BadInput
from sampling.judged_by import collect_rules
from tests.support.made_cells import FACTS, LARGE, SMALL, cell, drawn, two_models

HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=2><!--<script>\u2028{{7*7}}"


def samples() -> list[BrowserSample]:
    return [
        BrowserSample(model, "gsm8k", f"p{p}", i, "pass" if i == 7 else "fail", f"needle-{p}-{i} {HOSTILE}",
                      reason=HOSTILE, answer="72", tokens=40, finish_reason="stop")
        for model in (SMALL, LARGE) for p in range(12) for i in range(30)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, process: ChartProcess) -> Path:
    out = tmp_path_factory.mktemp("report")
    rules = collect_rules([("math", {"pattern": f"({HOSTILE})"})], {"math": "math/5"})
    report = build_report(two_models(problems=12, n=300), FACTS, run=HOSTILE, provenance={HOSTILE: HOSTILE},
                          notes=[HOSTILE], judged_by={(model, "gsm8k"): rules for model in (SMALL, LARGE)})  # fmt: skip
    write_report(report, samples(), out, process, {("gsm8k", "p0"): f"How many? {HOSTILE}"})
    return out


def test_it_writes_every_file(folder: Path) -> None:
    charts = ("coverage", "coverage-tokens", "coverage-flops", "coverage-dollars", "selection", "problems")
    pictures = {f"{name}.{kind}" for name in charts for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == {"report.html", "report.json", "report.md"} | pictures
    assert (folder / "coverage.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    ElementTree.parse(folder / "coverage.svg")
    assert json.loads((folder / "report.json").read_text())["cells"][0]["model"] == SMALL


def test_the_policy_allows_only_the_pages_own_script_and_style(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    allowed = policy[1].replace("&#39;", "'")
    assert allowed.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in allowed
    for tag in ("script", "style"):
        (source,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in allowed
    assert not re.search(
        r"\son\w+=|javascript:|\sstyle=|<link|\ssrc=", re.sub(r"<script.*?</script>", "", _markup(page))
    )


def _markup(page: str) -> str:
    """Returns the tags of the page without their text and attribute values."""
    return re.sub(r">[^<]*<", "><", re.sub(r'="[^"]*"', "=x", page))


def test_hostile_text_is_nowhere_as_it_is(folder: Path) -> None:
    page = (folder / "report.html").read_text("utf-8")
    assert "window.hacked=1</script" not in page and "<img" not in page and "<!--<script" not in page
    assert page.count("<script") == 3 and "49" not in re.findall(r"Troop report ·(.*?)</p>", page, re.DOTALL)[0]


def test_a_hostile_model_name_does_not_leave_its_picture(tmp_path: Path, process: ChartProcess) -> None:
    name = "x</text></svg><script>window.hacked=1</script>\"'&"
    page = write_report(build_report([drawn(name, 1, 3, problems=6, n=30)], {}), [], tmp_path, process).read_text(
        "utf-8"
    )
    assert page.count("<script") == 3 and "window.hacked=1</script" not in page
    ElementTree.parse(tmp_path / "coverage.svg")


def test_a_page_says_how_each_task_was_judged(folder: Path, tmp_path: Path, process: ChartProcess) -> None:
    page = (folder / "report.html").read_text("utf-8")
    assert page.index('id="task-1"') < page.index("Judged by math/5, extraction kind, pattern ") < page.index("<h3>")
    undecided = cell([0], [0], faults=[1])
    report = build_report([undecided], {}, judged_by={(SMALL, "gsm8k"): collect_rules([("lean", {})])})
    page = write_report(report, [], tmp_path, process).read_text("utf-8")
    assert "Judged by lean, time limit 60 s." in page


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [cell([0, 0], [0, 0], faults=[1, 1])],
        [cell([1], [1])],
        [cell([20], [3])],
        [cell([20] * 7, [0] * 7), cell([4] * 7, [2] * 7, model=LARGE)],
        [cell([20] * 7, [9] * 7, task="a"), cell([30] * 7, [9] * 7, task="b")],
    ],
    ids=["empty", "nothing decided", "one sample", "one problem", "zero successes", "two tasks"],
)
def test_thin_runs_have_a_page_too(cells: list, tmp_path: Path, process: ChartProcess) -> None:
    report = build_report(cells, FACTS)
    page = write_report(report, [], tmp_path, process).read_text("utf-8")
    assert all(line.split(":")[0] in page for line in report.limits)
    assert (tmp_path / "coverage.png").exists() == any(c.coverage for c in report.cells)


def test_each_further_task_has_a_picture_of_its_own(tmp_path: Path, process: ChartProcess) -> None:
    write_report(build_report([cell([9], [3], task="a"), cell([9], [3], task="../b")], {}), [], tmp_path, process)
    names = {"coverage.png", "problems.png", "coverage-2.png", "problems-2.png"}
    assert {path.name for path in tmp_path.glob("*.png")} == names


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path: Path, process: ChartProcess) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="cannot be written there"):
        write_report(build_report([], {}), [], tmp_path / "file" / "out", process)


def test_a_page_warns_of_mixed_versions_before_anything_else(tmp_path: Path, process: ChartProcess) -> None:
    mixed = [replace(each, version=version) for each, version in zip(two_models(60, 8), ("v1", "v2"), strict=True)]
    report = build_report(mixed, FACTS)
    page = write_report(report, [], tmp_path, process).read_text("utf-8")
    assert page.index("judged by different versions of the verifiers") < page.index('id="task-1"')
    assert "judged by different versions" in (tmp_path / "report.md").read_text("utf-8")


@dataclass
class Seen:
    """An open page, with its console messages and its requests."""

    page: object
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def seen(page: object, folder: Path) -> Iterator[Seen]:
    """Loads the page anew, and sees to it that it says and asks for nothing."""
    found = Seen(page)
    listeners = {
        "console": lambda message: found.console.append(message.text),
        "pageerror": lambda error: found.console.append(str(error)),
        "request": lambda asked: found.requests.append(asked.url),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.goto((folder / "report.html").as_uri())
    page.locator("#list li").first.wait_for()
    yield found
    assert found.console == [] and len(found.requests) == 1
    assert page.evaluate("window.hacked") is None
    for event, listener in listeners.items():
        page.remove_listener(event, listener)


@pytest.mark.browser
def test_it_fits_the_screen_and_its_charts_have_words(seen: Seen) -> None:
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    words = seen.page.locator(".chart [role=img]:visible").first.get_attribute("aria-label")
    assert words.startswith("Coverage against samples: small-0.5B rises from .")
    ink, ground = seen.page.evaluate("[getComputedStyle(document.querySelector('.chart svg text')).fill,"
                                     " getComputedStyle(document.body).backgroundColor]")  # fmt: skip
    assert ink != ground and ink.startswith("rgb") and "0, 0, 0" not in ink


@pytest.mark.browser
def test_names_that_never_end_do_not_widen_a_phone(chromium: object, tmp_path: Path, process: ChartProcess) -> None:
    name = "lab/" + "a-name-that-never-ends-" * 8 + "x" * 90
    rules = {(name, "t" * 90): collect_rules([("math", {"pattern": "x" * 90})])}
    cells = [cell([9] * 6, [1] * 6, model=name, task="t" * 90), cell([9] * 6, [1] * 6)]
    report = build_report(cells, {}, run="r" * 90, judged_by=rules)
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto(write_report(report, [], tmp_path, process).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.close()


@pytest.mark.browser
def test_the_axis_switches_by_keyboard(seen: Seen) -> None:
    page = seen.page
    page.locator("input[value=samples]").focus()
    for axis in ("tokens", "flops", "dollars"):
        page.keyboard.press("ArrowRight")
        assert page.locator(f"[data-axis={axis}]").is_visible()
        assert page.locator("[data-axis]:visible").count() == 1
    assert "dollars per problem" in page.locator("[data-axis=dollars]").inner_text()


@pytest.mark.browser
def test_the_browser_finds_a_sample_and_shows_it_as_text(seen: Seen) -> None:
    page = seen.page
    assert page.locator("#found").inner_text() == "60 samples, 1 to 20 shown"
    page.get_by_role("button", name="Next").click()
    assert page.locator("#found").inner_text() == "60 samples, 21 to 40 shown"
    page.locator("#problem").select_option(label="all")
    search(page, "needle-11-7 ", "2 samples, 1 to 2 shown")
    page.locator("#list summary").first.click()
    assert HOSTILE in page.locator("#list pre").first.evaluate("node => node.textContent")
    assert HOSTILE in page.locator("#list .why").first.evaluate("node => node.textContent")
    page.locator("#status").select_option("fail")
    assert page.locator("#found").inner_text() == "No sample matches."
    page.locator("#status").select_option("")
    search(page, "#29", "24 samples, 1 to 20 shown")


def search(page: object, words: str, found: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.get_by_text(found, exact=True).wait_for()


@pytest.mark.browser
def test_the_list_of_samples_is_one_stop_and_arrow_keys_move_in_it(seen: Seen) -> None:
    page = seen.page
    page.locator("#list summary").first.focus()
    focused = "document.activeElement.innerText.match(/#\\d+/)[0]"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "#1"
    page.keyboard.press("ArrowRight")
    assert page.locator("#list details[open]").count() == 1
    page.keyboard.press("ArrowLeft")
    assert page.locator("#list details[open]").count() == 0
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "#20" and page.locator("#list summary[tabindex='0']").count() == 1
    page.keyboard.press("ArrowUp")
    assert page.evaluate(focused) == "#19"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "next"


@pytest.mark.browser
def test_the_strip_names_a_problem_and_opens_its_samples(seen: Seen) -> None:
    page = seen.page
    strip = page.locator(".heat svg:visible")
    strip.hover(position={"x": 3, "y": 3})
    said = page.locator(".heat output").inner_text()
    assert re.fullmatch(r"p\d+: small-0.5B \d+ of 300; large-7B \d+ of 300 passed", said)
    strip.click(position={"x": 3, "y": 3})
    assert page.locator("#problem option:checked").inner_text() == said.split(":")[0]
    assert page.locator("#prompt").is_hidden() == (said.split(":")[0] != "p0")


@pytest.mark.browser
def test_the_strip_is_a_slider_for_the_keyboard(seen: Seen) -> None:
    page = seen.page
    slider = page.get_by_role("slider")
    slider.focus()
    texts = [slider.get_attribute("aria-valuetext")]
    for key in ("ArrowRight", "End"):
        page.keyboard.press(key)
        texts.append(slider.get_attribute("aria-valuetext"))
    assert len(set(texts)) == 3 and slider.get_attribute("aria-valuenow") == "12"
    assert page.locator(".mark").is_visible() and page.locator(".heat output").inner_text() == texts[-1]
    page.keyboard.press("Enter")
    assert page.locator("#problem option:checked").inner_text() == texts[-1].split(":")[0]


@pytest.mark.browser
def test_every_chart_has_words_and_a_table(seen: Seen) -> None:
    figures = seen.page.locator("figure")
    for i in range(figures.count()):
        figure = figures.nth(i)
        assert figure.locator("[aria-label]").first.get_attribute("aria-label").strip()
        table = figure.locator("xpath=following-sibling::details[1]")
        table.locator("summary").click()
        assert table.locator("table tbody tr").first.is_visible()
    assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
