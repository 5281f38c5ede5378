"""People at the screen: logged in by cookie, and what tests look for on pages."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx
from people import PASSWORD
from playwright.sync_api import Locator, Page
from product import Product

# A wait ends as soon as it can; this is only when a slow and busy machine has to give up.
WAIT_S = 30.0


class Person:
    """A user over HTTP, without a browser; named like the role."""

    def __init__(self, product: Product, name: str) -> None:
        self._client = httpx.Client(base_url=f"{product.url}/api/v1", trust_env=False, timeout=30)
        answer = self._client.post("/session", json={"name": name, "password": PASSWORD})
        assert 200 == answer.status_code, answer.text
        self._client.headers["x-csrf-token"] = answer.json()["csrf"]

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """With a fresh idempotency key unless one is given."""
        headers = {"idempotency-key": str(uuid.uuid4()), **options.pop("headers", {})}
        return self._client.request(method, path, headers=headers, **options)

    def get(self, path: str, /, **params: Any) -> Any:
        answer = self.ask("GET", path, params=params)
        assert 200 == answer.status_code, answer.text
        return answer.json()

    def point(self, path: str) -> dict[str, Any]:
        """With its last value; core knows its points only after its first apply."""
        until = time.monotonic() + WAIT_S
        while not (found := self.get("/points", path=path)["points"]):
            assert time.monotonic() < until, f"no point {path} after {WAIT_S} s"
            time.sleep(0.1)
        assert 1 == len(found), path
        last = self.get("/points/last", ids=found[0]["id"])["values"][0]
        return {**found[0], "last": last}

    def samples(self, point: dict[str, Any], **params: Any) -> dict[str, Any]:
        span = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z", **params}
        return self.get(f"/points/{point['id']}/samples", **span)

    def __enter__(self) -> Person:
        return self

    def __exit__(self, *_: object) -> None:
        """Closes also where a set-up fails: a later test would be told of the open socket."""
        self.close()

    @property
    def cookie(self) -> str:
        """As a header, for a WebSocket."""
        return f"penstock_session={self._client.cookies['penstock_session']}"

    def close(self) -> None:
        self._client.close()


# Live can be said before the page's own file has come; until then `main` is busy as well.
BUSY = "main [aria-busy=true], main [data-loading=true]"
DRAWN = f"!!document.querySelector('main *') && !document.querySelector('{BUSY}')"


def log_in(page: Page, product: Product, name: str) -> None:
    """The cookie of a session, as the login form leaves it."""
    body = {"name": name, "password": PASSWORD}
    answer = page.context.request.post(f"{product.url}/api/v1/session", data=body)
    assert 200 == answer.status, answer.text()


def set_language(page: Page, product: Product, language: str) -> None:
    """Of the person who is logged in; the page shows it from its next load."""
    api, ask = f"{product.url}/api/v1/session", page.context.request
    token = ask.get(api).json()["csrf"]
    answer = ask.patch(api, data={"language": language}, headers={"x-csrf-token": token})
    assert 200 == answer.status, answer.text()


def open_page(page: Page, product: Product, path: str) -> None:
    """Go there and wait until the page is drawn and live."""
    page.goto(product.url + path)
    wait_live(page)
    # Not wait_for_function: it evaluates a string in the page, which the policy forbids.
    wait_until(page, lambda: page.evaluate(DRAWN), f"{path} drawn")


def wait_live(page: Page, timeout_s: float = WAIT_S) -> None:
    """The ink bar says that data flows."""
    page.locator(".conn.live").wait_for(timeout=timeout_s * 1000)


def place_of(page: Page, point: dict[str, Any]) -> Locator:
    """Where a point's value stands; how it is shown is in `data-shown`."""
    return page.locator(f"[data-testid=point-value][data-point='{point['id']}']").first


def value_on(page: Page, point: dict[str, Any]) -> float | None:
    """The number that a person reads there, None where there is none."""
    found = place_of(page, point).locator(".val")
    return number(found.inner_text()) if found.count() == 1 else None


def wait_until(
    page: Page, condition: Callable[[], object], what: str, timeout_s: float = WAIT_S
) -> Any:
    """The first true answer; the page keeps its events meanwhile."""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        if found := condition():
            return found
        page.wait_for_timeout(50)
    raise AssertionError(f"after {timeout_s} s not yet: {what}")


def number(text: str) -> float:
    """The first number of an English text."""
    plain = re.sub(r"[\s\u202f]", "", text).replace("\N{MINUS SIGN}", "-")
    found = re.search(r"-?\d+(\.\d+)?", plain)
    assert found, text
    return float(found[0])
