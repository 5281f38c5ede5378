"""Every page of the app by name, each in the state in which a person sees most of it."""

from __future__ import annotations

from playwright.sync_api import Page
from product import Product
from screen import log_in, open_page, set_language

PAGES = (
    "login", "overview", "trend", "alarms", "history", "assets", "faceplate", "command",
    "confirm", "system", "nowhere",
)  # fmt: skip
SET_POINT = "Lakeside Water/Booster/P-301/pressure-setpoint"
PENS = ("flow", "speed", "discharge-pressure")


def open_named(page: Page, product: Product, name: str, language: str = "en") -> None:
    """Logged in as a person who may do everything, except on the page to log in."""
    if name == "login":
        page.goto("about:blank")  # the page before may still ask something with its cookie
        page.context.clear_cookies()
        page.goto(f"{product.url}/login")
        page.locator("input[name=username]").wait_for()
        return
    log_in(page, product, "administrator")
    set_language(page, product, language)
    ask = page.context.request
    asset = SET_POINT.rsplit("/", 1)[0]
    found = ask.get(f"{product.url}/api/v1/points?asset_path={asset}").json()["points"]
    points = {point["name"]: point for point in found}
    point = points[SET_POINT.rsplit("/", 1)[1]]
    pens = ",".join(points[pen]["id"] for pen in PENS)
    faceplate = f"/assets/{asset}?point={point['id']}"
    paths = {
        "overview": "/",
        "trend": f"/trend?points={pens}&range=15m",
        "alarms": "/alarms",
        "history": "/alarms?tab=history",
        "assets": f"/assets/{asset}",
        "system": "/system",
        "nowhere": "/nowhere",
    }
    open_page(page, product, paths.get(name, faceplate))
    if name in {"faceplate", "command", "confirm"}:
        page.get_by_test_id("command-open").wait_for()
    if name in {"command", "confirm"}:
        page.get_by_test_id("command-open").click()
        page.get_by_test_id("command-value").wait_for()
    if name == "confirm":
        give_up_selections(page, product, point["id"])
        page.get_by_test_id("command-value").fill("7")
        page.get_by_test_id("command-next").click()
        page.get_by_test_id("command-reason").wait_for()


def give_up_selections(page: Page, product: Product, point: str) -> None:
    """What an earlier page selected keeps the point busy for a minute."""
    api, ask = f"{product.url}/api/v1", page.context.request
    token = ask.get(f"{api}/session").json()["csrf"]
    for command in ask.get(f"{api}/commands?point_id={point}").json()["commands"]:
        if command["state"] == "selected":
            ask.post(f"{api}/commands/{command['id']}/cancel", headers={"x-csrf-token": token})
