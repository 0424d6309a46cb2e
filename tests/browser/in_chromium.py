"""--serve in a real browser: the system's Chromium, headless. Not among the unit tests; .ci/run runs it by name.

pip install -e '.[test,browser]' && pytest tests/browser/in_chromium.py
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response, TimeoutError, expect, sync_playwright

sys.path.insert(0, os.fspath(Path(__file__).parent.parent))
from served import SECONDS, Served, serving

FLAGS = """--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync""".split()
# textual-serve keeps its terminal to itself; the first assignment to a property that it has gives it away.
CATCH = """Object.defineProperty(Object.prototype, "bufferedBytes", {
    configurable: true,
    set(value) {
        Object.defineProperty(this, "bufferedBytes", {value, writable: true});
        window.caught = this.terminal;
    },
});"""
SHOWN = """() => {
    const lines = window.caught.buffer.active;
    return [...Array(lines.length).keys()].map(i => lines.getLine(i).translateToString(true)).join("\\n");
}"""


@pytest.fixture
def served(own_folders: None) -> Iterator[Served]:
    with serving([sys.executable, "-m", "llamachat", "--serve", "--tools", "python", "--temperature", "0"]) as server:
        yield server


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "There is no Chromium here: apt-get install chromium"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield chromium
        chromium.close()


def wait_for(page: Page, words: str) -> None:
    try:
        page.wait_for_function(f"words => ({SHOWN})().includes(words)", arg=words, timeout=SECONDS * 1000)
    except TimeoutError as error:
        raise AssertionError(f"{words!r} does not come; there is\n{page.evaluate(SHOWN)}") from error


def test_a_question_is_answered_in_the_browser(served: Served, browser: Browser, tmp_path: Path):
    context = browser.new_context(viewport={"width": 1000, "height": 640})
    context.add_init_script(CATCH)
    page = context.new_page()
    wrong: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))

    assert status(page.goto(served.origin)) == 403
    assert status(page.goto(f"{served.origin}/?token=wrong")) == 403
    assert "open the address" in page.inner_text("body")
    wrong.clear()  # what the refusals are called in the console

    assert status(page.goto(f"{served.origin}/?token={served.token}")) == 200
    assert served.token not in page.url
    wait_for(page, "Ask anything")
    page.keyboard.type("What is 173 * 29 + 4?")
    page.keyboard.press("Enter")
    wait_for(page, "→ 5021")
    wait_for(page, "ctx")  # the reply is complete
    page.screenshot(path=os.environ.get("SCREENSHOT", os.fspath(tmp_path / "answered.png")))

    assert [
        url for url in asked if not url.startswith((served.origin, served.origin.replace("http", "ws"), "data:"))
    ] == []
    assert wrong == []
    assert page.evaluate("document.fonts.check('16px \"Roboto Mono\"')")

    served.process.terminate()
    expect(page.get_by_text("This chat has ended.")).to_be_visible(timeout=SECONDS * 1000)
    assert served.process.wait(SECONDS) == 0


def status(answer: Response | None) -> int:
    assert answer is not None
    return answer.status
