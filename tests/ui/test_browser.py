"""The page in a real browser: at phone and desktop width, by mouse and by keyboard alone, and nothing from outside."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from conftest import write_rows

pytest.importorskip("gradio", reason="the extra ui is not installed")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")]


@pytest.fixture(scope="module")
def address(tiny_bundle):
    """Where ``jointune ui`` shows the tiny bundle."""
    process = subprocess.Popen(
        [sys.executable, "-m", "jointune", "ui", tiny_bundle, "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        words = (word for line in process.stdout for word in line.split())
        yield next(word for word in words if word.startswith("http://127.0.0.1:"))
    finally:
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(20) == 0
        process.stdout.close()


@pytest.fixture(scope="module")
def chromium():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def page(request, chromium, address):
    """The page, opened; at its end nothing may have left the host, failed in the page or been wider than it."""
    width, height = SIZES[request.param]
    context = chromium.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
    page, requests, errors = context.new_page(), [], []
    page.on("request", lambda sent: requests.append(sent.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(address)
    page.on("filechooser", lambda _: None)  # from now on: catching them begins a moment after it is asked for
    page.set_default_timeout(15_000)
    page.get_by_label("Text").wait_for()
    yield page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []
    assert errors == []
    context.close()


def tab_to(page, says: str) -> None:
    """Press Tab until what has the focus says so."""
    named = "(e => `${e.getAttribute('aria-label') ?? ''} ${e.labels?.[0]?.innerText ?? ''} ${e.innerText}`)"
    for _ in range(30):
        page.keyboard.press("Tab")
        if says in page.evaluate(f"document.activeElement === document.body ? '' : {named}(document.activeElement)"):
            return
    raise AssertionError(f"no Tab leads to {says!r}")


def choose_by_key(page, says: str, file: Path) -> None:
    tab_to(page, says)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)
    page.wait_for_load_state("networkidle")


def test_a_post_by_keyboard_alone(page, posts_csv):
    tab_to(page, "Text")
    page.keyboard.type("good happy lunch")
    tab_to(page, "Judge this post")
    page.keyboard.press("Enter")
    page.get_by_text("No picture: judged by the text alone.").wait_for()
    assert page.get_by_text("confidence.").is_visible()
    choose_by_key(page, "Picture: choose a file", posts_csv.parent / "0.png")
    tab_to(page, "Judge this post")
    page.keyboard.press("Enter")
    page.get_by_text("No picture").wait_for(state="detached")
    assert page.get_by_text("Confidence in each label").is_visible()
    assert page.locator(".bars").get_by_text("positive").is_visible()


def test_an_example_by_keyboard_alone(page):
    tab_to(page, "Best parking job ever")
    page.keyboard.press("Enter")
    page.get_by_text("confidence.").wait_for()
    assert page.get_by_label("Text").input_value() == "Best parking job ever, I am amazing."


def test_a_table_by_keyboard_alone(page, posts_csv, tmp_path):
    with open(posts_csv, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:6]
    rows[2]["image"] = "none.png"
    table = write_rows(tmp_path / "some.csv", rows)
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as pictures:
        for row in rows[:2] + rows[3:]:
            pictures.write(posts_csv.parent / row["image"], row["image"])
    tab_to(page, "Many posts")
    page.keyboard.press("Enter")
    choose_by_key(page, "Table (CSV): choose a file", table)
    choose_by_key(page, "Pictures (zip), if there are any: choose a file", tmp_path / "pictures.zip")
    tab_to(page, "Score the table")
    page.keyboard.press("Enter")
    page.get_by_text("5 of 6 rows scored.").wait_for()
    assert page.get_by_text("some.csv row 3 (line 4): none.png: not in the zip file").is_visible()
    with page.expect_download() as download:
        page.locator("a[download='some.scored.csv']").focus()
        page.keyboard.press("Enter")
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        scored = list(csv.DictReader(file))
    assert [row["id"] for row in scored] == [row["id"] for row in rows if row["image"] != "none.png"]
    assert {row["prediction"] for row in scored} <= {"negative", "positive"}


def test_mistakes_are_said_plainly(page, tmp_path):
    page.get_by_role("button", name="Judge this post").click()
    page.get_by_text("there is nothing to judge yet").wait_for()
    (tmp_path / "bad.png").write_bytes(b"no picture")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "bad.png")
    page.wait_for_load_state("networkidle")
    page.get_by_role("button", name="Judge this post").click()
    page.get_by_text("not a picture in a known format").wait_for()
    page.get_by_role("tab", name="Many posts").click()
    page.get_by_role("button", name="Score the table").click()
    page.get_by_text("Choose a CSV file first.").wait_for()
    assert "Traceback" not in page.content()


def test_the_card_is_shown(page):
    page.get_by_role("tab", name="Model").click()
    page.get_by_role("heading", name="Intended use").wait_for()
