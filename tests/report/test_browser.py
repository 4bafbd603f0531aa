"""The page in a real browser: charts, the question browser, themes, and that nothing leaves the machine."""

import io
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from recipe.zppo.report import serve
from recipe.zppo.report.page import page as html
from recipe.zppo.report.payload import report
from recipe.zppo.run.event_log import EventLog
from recipe.zppo.run.folder import RunFolder
from tests.view.synthetic_run import write_run

from .conftest import HOSTILE, MARKUP, plain

sync_api = pytest.importorskip("playwright.sync_api", reason="the browser is driven by the package playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")

PAINTED = """canvas => {
    const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(Array.from({length: pixels.length / 4}, (_, i) => pixels.slice(4 * i, 4 * i + 4).join())).size;
}"""
"""How many colours there are on a canvas."""


class Opened:
    """A page, with all that it complained about and asked for."""

    def __init__(self, browser, address: str, **options):
        self.page = browser.new_page(**{"viewport": {"width": 1300, "height": 900}, **options})
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.set_default_timeout(20_000)
        self.page.goto(address)
        self.page.wait_for_selector("#footer:not(:empty)")

    def draw_all(self) -> None:
        self.page.evaluate("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))")

    def count(self) -> str:
        return self.page.inner_text("#questions .count")

    def chosen(self) -> str:
        return self.page.get_attribute("#questions li[aria-selected=true]", "data-id")


@pytest.fixture(scope="module")
def browser() -> Iterator:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """Opens the report of some runs from disk; at the end nothing was complained of, and nobody asked."""
    pages: list[Opened] = []

    def open_report(*runs: Path, fragment: str = "", **options) -> Opened:
        file = tmp_path / "report.html"
        file.write_text(html(report(list(map(RunFolder, runs)))), encoding="utf-8")
        pages.append(Opened(browser, f"file://{file}{fragment}", **options))
        return pages[-1]

    yield open_report
    for each in pages:
        assert each.complaints == []
        assert all(url.startswith(("file:", "data:")) for url in each.requests), each.requests
        each.page.close()


def test_every_chart_is_drawn(opened, finished: Path):
    page = opened(finished)
    charts = report([RunFolder(finished)])["runs"][0]["charts"]
    page.draw_all()
    canvases = page.page.query_selector_all("figure canvas")
    assert len(canvases) == len(charts) > 12
    assert [title.inner_text() for title in page.page.query_selector_all("figure h3")] == [c["title"] for c in charts]
    assert all(canvas.evaluate(PAINTED) > 10 for canvas in canvases)
    page.page.click("figure >> nth=0 >> summary")
    assert "20.3%" in page.page.inner_text("figure >> nth=0 >> table")


def test_search_filters_order_and_keys(opened, finished: Path):
    page, run = opened(finished), report([RunFolder(finished)])["runs"][0]
    keyboard, total = page.page.keyboard, len(run["questions"])
    assert page.count() == f"{total} of {total} questions"
    keyboard.press("/")
    keyboard.type("q3-")
    third = [row for row in run["questions"] if "q3-" in row["id"]]
    assert page.count() == f"{len(third)} of {total} questions" and third
    keyboard.press("ArrowDown")
    first = page.chosen()
    keyboard.press("ArrowDown")
    assert first.startswith("q3-") and page.chosen().startswith("q3-") and page.chosen() != first
    keyboard.press("Enter")
    page.page.wait_for_selector("details.draw[open]")
    assert page.page.evaluate("document.activeElement.className") == "life"
    keyboard.press("Escape")
    assert page.page.evaluate("document.activeElement.className") == "list"
    page.page.fill("#questions input", "")
    page.page.select_option("select[aria-label=fate]", "=graduated")
    assert set(page.page.locator("#questions li .fate").all_inner_texts()) == {"graduated"}
    assert page.count() == f"{sum(row['fate'] == 'graduated' for row in run['questions'])} of {total} questions"
    page.page.select_option("select[aria-label=fate]", "")
    for order, key in {
        "most visits": lambda row: -row["visits"],
        "least accurate at entry": lambda row: row["entry"],
    }.items():
        page.page.select_option("select[aria-label=order]", order)
        top = page.page.get_attribute("#questions li >> nth=0", "data-id")
        (row,) = [row for row in run["questions"] if row["id"] == top]
        assert key(row) == min(map(key, run["questions"]))
    page.page.fill("#questions input", "of no question")
    assert page.count() == f"0 of {total} questions"


def test_a_link_leads_to_a_question_as_the_student_saw_it(opened, finished: Path):
    bcq = next(
        event for event in plain(finished / "events.jsonl") if event["type"] == "rolled_out" and event["kind"] == "bcq"
    )
    line = next(
        line
        for file in sorted((finished / "rollouts").iterdir())
        for line in plain(file)
        if line["kind"] == "bcq" and line["prompt_id"] == bcq["prompt_id"]
    )
    page = opened(finished, fragment=f"#question={bcq['prompt_id']}").page
    page.wait_for_selector("details.draw[open]")
    draw = page.locator("details.draw", has_text=f"Step {line['built_in_step']} ·")
    if draw.get_attribute("open") is None:
        draw.locator("summary >> nth=0").click()
    group = draw.locator("details.group", has_text="BCQ:")
    if group.get_attribute("open") is None:
        group.locator("summary >> nth=0").click()
    right = [candidate["correct"] for candidate in line["candidates"]]
    marks = ["candidate right" if correct else "candidate wrong" for correct in right]
    assert group.locator(".candidate").evaluate_all("all => all.map(each => each.className)") == marks
    said = group.locator(".response").evaluate_all("all => all.map(each => each.className)")
    assert said == [f"response {'right' if each['reward'] else 'wrong'}" for each in line["responses"]]
    follows = [each for each in group.locator(".response").all_inner_texts() if "gives the answer of candidate" in each]
    assert len(follows) == len(said)
    prompt = "".join(group.locator(".prompt pre").all_inner_texts())
    assert "One is correct and another is wrong" in prompt and "FIRST think about the reasoning process" in prompt


def test_text_from_models_is_text(opened, hostile: Path):
    page = opened(hostile).page
    page.click("#questions li >> nth=0")
    page.wait_for_selector("details.draw[open]")
    for closed in ("details.draw:not([open]) > summary", "details.group:not([open]) > summary"):
        while page.locator(closed).count():
            page.locator(closed).first.click()
    text = page.locator(".response pre").first
    assert text.inner_text().startswith(MARKUP[:60]) and len(text.inner_text()) < 1_300
    page.locator(".response .more").first.click()
    shown = text.inner_text()
    assert "<!--<script> nul" in shown and shown.endswith("the end") and len(shown) < 9_000 < len(HOSTILE)
    assert text.get_attribute("dir") == "auto"
    assert page.evaluate("window.owned") is None
    assert page.locator("img[src=x]").count() == page.locator("main b").count() == 0


def test_a_question_shows_its_images(opened, finished: Path, tmp_path: Path):
    run, image = Path(shutil.copytree(finished, tmp_path / "seen")), io.BytesIO()
    Image.new("RGB", (900, 300), "red").save(image, "PNG")
    pd.DataFrame([{"images": [{"bytes": image.getvalue(), "path": None}]}]).to_parquet(tmp_path / "data.parquet")
    seen = {"media": ["image"], "place": f"{tmp_path / 'data.parquet'} row 0"}
    events = plain(run / "events.jsonl")
    hard = next(event["prompt_id"] for event in events if event["type"] == "admitted")
    for event in events:
        if event["type"] == "rolled_out" and event["prompt_id"] == hard:
            event |= seen
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    page = opened(run, fragment=f"#question={hard}").page
    page.wait_for_selector(".pictures img")
    assert page.evaluate("document.querySelector('.pictures img').decode().then(() => 1)") == 1
    assert page.evaluate("document.querySelector('.pictures img').naturalWidth") == 320


@pytest.mark.parametrize("name", ["empty", "one_step", "crashed", "resumed", "distilled"])
def test_every_kind_of_run_opens(opened, name: str, request: pytest.FixtureRequest):
    run = request.getfixturevalue(name)
    page = opened(run)
    page.draw_all()
    content = report([RunFolder(run)])["runs"][0]
    assert content["story"][0] in page.page.inner_text("#head")
    assert page.page.locator(".number").count() == 10
    warned = [f"{each['name']}: {each['seen']}. {each['remedy']}." for each in content["warnings"]]
    assert page.page.locator("#head .warning").all_inner_texts() == warned
    assert ("teacher failing" in "".join(warned)) == (name in ("crashed", "resumed"))
    assert all(canvas.evaluate(PAINTED) > 5 for canvas in page.page.query_selector_all("figure canvas"))
    if name == "empty":
        assert "No question was hard yet" in page.page.inner_text("#questions")


def test_themes_and_widths(opened, finished: Path, crashed: Path):
    backgrounds = {}
    for theme, width in (("light", 1300), ("dark", 390)):
        page = opened(finished, crashed, color_scheme=theme, viewport={"width": width, "height": 844}).page
        backgrounds[theme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert "7 of 40" in page.inner_text("#compared") and page.locator("#compared canvas").count() > 2
        page.select_option("#run", "1")
        assert "Stopped: 7 of 40" in page.inner_text("#head")
        page.click("#questions li >> nth=0")
        page.wait_for_selector("details.draw[open]")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.click("text=← all questions")
    assert page.is_visible("#questions .list")
    page.click("#theme")
    page.click("#theme")
    assert (
        page.evaluate("getComputedStyle(document.body).backgroundColor") == backgrounds["light"] != backgrounds["dark"]
    )


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A run of two steps, and the address of its report."""
    monkeypatch.setattr(serve, "EVERY_S", 0.3)
    run = write_run(tmp_path / "run", steps=2, total_steps=9, new=6, replayed=2)
    with serve.bound(serve.Live([RunFolder(run)]), 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield run, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_a_served_page_shows_what_comes(browser, served: tuple[Path, str]):
    run, here = served
    page = Opened(browser, here)
    page.page.click("#questions li >> nth=0")
    page.page.wait_for_selector("details.draw[open] .response")
    before = page.chosen()
    page.page.click("details.group:not([open]) > summary >> nth=0")
    opened = page.page.locator(".life details[open]").count()
    log = EventLog(str(run / "events.jsonl"))
    log.resume(2)
    log.log({"zppo/accuracy/new": 0.5}, 3)
    log.finish()
    page.page.wait_for_selector("text=3 of 9")
    assert page.chosen() == before, "what is read stays open"
    assert page.page.locator(".life details[open]").count() == opened
    assert page.page.evaluate("document.activeElement.tagName") == "SUMMARY"
    assert page.page.locator(".life > .back").count() == 1
    assert page.complaints == [] and all(url.startswith((here, "data:")) for url in page.requests)
    page.page.close()
