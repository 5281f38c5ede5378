"""A set point from the screen to the register: what is said is what the machine reads back.

The log of the machine decides what was on the wire.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from rig import SET_POINT_AT, SPEED_AT, STEPS_AT, Rig
from screen import log_in, open_page, value_on, wait_until

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STATE = "[data-testid=command-state]"
WRITE_REGISTERS = 16


@pytest.fixture(autouse=True)
def _owned(rig: Rig):
    """Nobody writes to a stranger's machine; and the next test finds this one as it was."""
    rig.assert_owned()
    yield
    rig.machine.ignores_writes = False
    rig.machine.obey()


def select(page, rig: Rig, text: str, name: str = "set-point") -> dict[str, Any]:
    """Open the dialog of a set point and ask for a value; the point as it was."""
    point = rig.point(name)
    log_in(page, rig.product, "operator")
    open_page(page, rig.product, f"/assets/Rig/Cell?point={point['id']}")
    page.get_by_test_id("command-open").click()
    page.get_by_test_id("command-value").fill(text)
    page.get_by_test_id("command-next").click()
    return point


def send(page, reason: str = "test of the set point") -> None:
    page.get_by_test_id("command-reason").fill(reason)
    page.get_by_test_id("command-send").click()


def test_a_set_point_is_confirmed_only_when_the_machine_reads_it_back(rig: Rig, page) -> None:
    """The machine takes the value at once and shows it later, as a slow valve does."""
    old = rig.machine.float_at(SET_POINT_AT)
    before = len(rig.machine.writes)
    rig.machine.holds_writes = True
    point = select(page, rig, "47.3")
    page.get_by_test_id("command-send").wait_for()
    assert before == len(rig.machine.writes)

    send(page)
    wait_until(page, lambda: len(rig.machine.writes) > before, "the write on the wire")
    early = page.locator(f"{STATE}[data-state=accepted]")
    assert "onfirmed" not in early.inner_text()
    assert round(old, 2) == value_on(page, point)
    rig.machine.obey()
    page.locator(f"{STATE}[data-state=confirmed]").wait_for()

    truth = rig.machine.float_at(SET_POINT_AT)
    assert round(truth, 5) == 47.3
    assert "Confirmed. The device reads back 47.3 %." in page.locator(STATE).inner_text()
    words = tuple(rig.machine.registers[SET_POINT_AT : SET_POINT_AT + 2])
    assert [(WRITE_REGISTERS, SET_POINT_AT, words)] == rig.machine.writes[before:]
    wait_until(page, lambda: value_on(page, point) == 47.3, "47.3 on screen")
    wait_until(page, lambda: truth == rig.point("set-point")["last"]["value"], "in the history")
    command = rig.anna.get("/commands", point_id=point["id"])["commands"][0]
    assert truth == command["result"]["read_back"]
    assert old == command["old_value"]


def test_what_the_device_cannot_hold_is_said_before_it_is_sent(rig: Rig, page) -> None:
    """The register has whole percents: 33 is sent, shown, asked for and confirmed, never 33.4."""
    point = select(page, rig, "33.4", "speed")

    said = page.get_by_test_id("command-rounded").inner_text()
    assert "The device cannot hold 33.4 %. It will hold 33.0 %." == said
    assert "33.0" in page.locator("dialog .nw").inner_text()
    assert "Send 33.0 %" == page.get_by_test_id("command-send").inner_text()
    send(page)
    state = page.locator(f"{STATE}[data-state=confirmed]")
    assert "Confirmed. The device reads back 33.0 %." in state.inner_text()
    assert 33 == rig.machine.registers[SPEED_AT]
    command = rig.anna.get("/commands", point_id=point["id"])["commands"][0]
    assert (33.4, 33.0, 33.0) == (
        command["value"],
        command["held"],
        command["result"]["read_back"],
    )


def test_what_the_device_holds_in_every_shown_digit_is_not_remarked(rig: Rig, page) -> None:
    """12.7 as float32 is 12.699999809, and nobody could tell them apart."""
    select(page, rig, "12.7")

    assert "Send 12.7 %" == page.get_by_test_id("command-send").inner_text()
    assert 0 == page.get_by_test_id("command-rounded").count()
    page.get_by_test_id("command-cancel").click()
    page.locator("dialog[open]").wait_for(state="detached")


def test_a_value_that_would_round_out_of_its_range_is_refused(rig: Rig, page, watch) -> None:
    """Allowed is up to 101 and the register has steps of 3: 100 is held as 99, 101 as 102."""
    watch.expect("422")
    before = len(rig.machine.writes)
    select(page, rig, "101", "steps")
    said = page.get_by_test_id("command-error").inner_text()
    assert "101 % is not sent: the device would round it to 102 %" in said
    assert "2.0 to 101.0 %" in said
    assert 0 == page.get_by_test_id("command-send").count()

    page.get_by_test_id("command-value").fill("100")
    page.get_by_test_id("command-next").click()
    assert "Send 99.0 %" == page.get_by_test_id("command-send").inner_text()
    page.get_by_test_id("command-cancel").click()
    page.locator("dialog[open]").wait_for(state="detached")
    assert before == len(rig.machine.writes)
    assert 0 == rig.machine.registers[STEPS_AT]


def test_a_machine_that_ignores_the_write_is_never_called_a_success(rig: Rig, page) -> None:
    old = rig.machine.float_at(SET_POINT_AT)
    before = len(rig.machine.writes)
    rig.machine.ignores_writes = True
    point = select(page, rig, "61.5")
    page.evaluate(
        f"""() => {{ window.states = new Set(); setInterval(() => states.add(
        document.querySelector('{STATE}')?.dataset.state), 20); }}"""
    )

    send(page)
    page.locator(f"{STATE}[data-state=unconfirmed], {STATE}[data-state=failed]").wait_for()

    assert len(rig.machine.writes) == before + 1
    assert old == rig.machine.float_at(SET_POINT_AT)
    assert "confirmed" not in page.evaluate("[...states]")
    said = page.locator(STATE).inner_text()
    assert said.startswith(("Failed. 61.5 % was not set.", "Not confirmed."))
    assert "holds another value" in said
    assert round(old, 2) == value_on(page, point)


def test_a_viewer_is_refused_on_screen_and_on_the_wire(rig: Rig, page) -> None:
    before = len(rig.machine.writes)
    point = rig.point("set-point")
    log_in(page, rig.product, "viewer")
    open_page(page, rig.product, f"/assets/Rig/Cell?point={point['id']}")
    button = page.get_by_test_id("command-open")

    assert button.is_disabled()
    assert "role" in button.get_attribute("title")
    page.keyboard.press("s")
    assert 0 == page.get_by_test_id("command-value").count()

    body = {"point_id": point["id"], "value": 12.0}
    answer = rig.people["viewer"].ask("POST", "/commands", json=body)

    assert (403, "not_permitted") == (answer.status_code, answer.json()["code"])
    assert before == len(rig.machine.writes)
    assert is_audited(rig, "viewer", "not_permitted")


def test_out_of_range_is_refused_on_screen_and_on_the_wire(rig: Rig, page) -> None:
    before = len(rig.machine.writes)
    point = select(page, rig, "5000.5")

    assert "0.0 to 5\u202f000.0 %" in page.get_by_test_id("command-error").inner_text()
    assert 0 == page.get_by_test_id("command-send").count()

    body = {"point_id": point["id"], "value": 5000.5}
    answer = rig.people["operator"].ask("POST", "/commands", json=body)

    assert (422, "out_of_range") == (answer.status_code, answer.json()["code"])
    assert 5000.0 == answer.json()["params"]["high"]
    assert before == len(rig.machine.writes)
    assert is_audited(rig, "operator", "out_of_range")


def test_a_replay_writes_nothing_a_second_time(rig: Rig, page) -> None:
    """The same request again is answered again; another request for a sent command is refused."""
    operator, point = rig.people["operator"], rig.point("set-point")
    before = len(rig.machine.writes)
    headers = {"idempotency-key": str(uuid.uuid4())}
    wanted = {"point_id": point["id"], "value": 33.25}
    first = operator.ask("POST", "/commands", json=wanted, headers=headers)
    again = operator.ask("POST", "/commands", json=wanted, headers=headers)
    command = first.json()["id"]
    other = operator.ask("POST", "/commands", json={**wanted, "value": 5.0}, headers=headers)

    assert 201 == first.status_code
    assert command == again.json()["id"]
    assert other.status_code in {409, 422}

    path, body = f"/commands/{command}/send", {"reason": "replay test"}
    headers = {"idempotency-key": str(uuid.uuid4())}
    sent = [operator.ask("POST", path, json=body, headers=headers) for _ in range(3)]
    wait_until(page, lambda: operator.get(f"/commands/{command}")["state"] == "confirmed", "end")
    late = operator.ask("POST", path, json=body, headers=headers)
    stranger = operator.ask("POST", path, json=body)

    assert {202} == {answer.status_code for answer in sent}
    assert late.status_code in {200, 202, 409}
    assert stranger.status_code in {403, 409}
    assert len(rig.machine.writes) == before + 1
    assert is_audited(rig, "operator", stranger.json()["code"])


def is_audited(rig: Rig, name: str, code: str) -> bool:
    """Whether the audit has this refusal of this person among its newest entries."""
    entries = rig.people["auditor"].get("/audit")["entries"]
    return any(code in str(entry) and name in str(entry["principal"]) for entry in entries[:20])
