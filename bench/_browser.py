"""A headless Chromium for benches, and two watches in the page that say when something was seen.

The flags are those of tests/browser; times are `Date.now()` of the page, which is the
clock of this machine.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
VIEW = {"width": 1440, "height": 900}
# A line of a chart is a Path2D with several points; grid and axes are drawn without one.
WATCH_LINES = """
(() => {
  const counts = new WeakMap();
  const lineTo = Path2D.prototype.lineTo;
  Path2D.prototype.lineTo = function (...xy) {
    counts.set(this, (counts.get(this) ?? 0) + 1);
    return lineTo.apply(this, xy);
  };
  const stroke = CanvasRenderingContext2D.prototype.stroke;
  CanvasRenderingContext2D.prototype.stroke = function (...path) {
    if (window.benchLineMs === undefined && (counts.get(path[0]) ?? 0) >= 2) {
      window.benchLineMs = Date.now();
    }
    return stroke.apply(this, path);
  };
})();
"""
# Every text and state that the row of a point takes, with its time.
WATCH_POINT = """
(id) => {
  window.benchSeen = [];
  const row = () => document.querySelector(`[data-testid="point-value"][data-point="${id}"]`);
  const note = () => {
    const at = row();
    if (at === null) return;
    const text = (at.querySelector(".val")?.textContent ?? "").replaceAll(/[^0-9.-]/g, "");
    const seen = window.benchSeen;
    const last = seen[seen.length - 1];
    if (last?.text === text && last?.shown === at.dataset.shown) return;
    seen.push({ ms: Date.now(), text, shown: at.dataset.shown });
  };
  new MutationObserver(note).observe(document.body, {
    subtree: true, childList: true, characterData: true, attributes: true,
  });
  note();
}
"""


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
    """One Chromium."""
    program = shutil.which("chromium")
    assert program, "Chromium is not installed"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=program, chromium_sandbox=False, args=FLAGS
        )
        yield chromium
        chromium.close()


def new_page(chromium: Browser) -> Page:
    """A page of desktop size that watches its charts."""
    context = chromium.new_context(locale="en-GB", timezone_id="UTC", viewport=VIEW)
    context.add_init_script(WATCH_LINES)
    return context.new_page()


def set_up(page: Page, link: str) -> int:
    """Make the administrator in the form; the moment (ms) at which the answer was there."""
    page.goto(link)
    page.fill('input[name="username"]', "ada")
    page.fill('input[name="new-password"]', "correct horse battery staple")
    with page.expect_response(lambda answer: answer.url.endswith("/setup")) as answer:
        page.click('button[type="submit"]')
    assert answer.value.ok, f"set-up answered {answer.value.status}"
    return int(page.evaluate("Date.now()"))


def log_in(page: Page, url: str, name: str, password: str) -> None:
    """Through the form."""
    page.goto(f"{url}/login")
    page.fill('input[autocomplete="username"]', name)
    page.fill('input[type="password"]', password)
    page.click('button[type="submit"]')
    page.wait_for_selector("main, .page", state="attached")
