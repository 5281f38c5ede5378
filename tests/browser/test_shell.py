"""The built shell renders under the strict CSP without a word of complaint.

Served by a bare file server, so that a fault here is a fault of the build.
"""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from screen import wait_until

STATIC = Path(__file__).resolve().parents[2] / "src" / "penstock" / "server" / "static"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files under the policy of the real server; unknown paths are the shell's business."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", CSP)
        super().end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Silent: pytest shows what matters."""


@pytest.fixture
def address() -> Iterator[str]:
    if not (STATIC / "index.html").is_file():
        pytest.skip("The web app is not built: ./dev setup, without PENSTOCK_NO_UI")
    handler = functools.partial(Handler, directory=str(STATIC))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_the_built_page_asks_for_nothing_inline(address: str) -> None:
    html = (STATIC / "index.html").read_text(encoding="utf-8")

    assert "<style" not in html
    assert "<script>" not in html
    assert "://" not in html


def test_the_shell_renders_under_the_strict_policy(address: str, page, watch) -> None:
    watch.expect("Failed to load resource|WebSocket")  # there is no API behind this server
    page.goto(address)

    page.locator("#app > *").first.wait_for(state="attached")
    assert "Penstock" in page.title()
    assert [] == watch.csp_violations
    assert [] == watch.foreign_requests


def test_the_watch_notices_a_forbidden_style_and_a_foreign_request(
    address: str, page, watch
) -> None:
    """Without this the two lists above could be empty because nobody looks."""
    watch.expect(".*")
    page.goto(address)

    page.evaluate(
        'document.body.innerHTML += \'<img src="http://other.example/x"><p style="top:0">\''
    )
    wait_until(page, lambda: len(watch.csp_violations) >= 2, "both complaints")

    assert 2 == len(watch.csp_violations)
