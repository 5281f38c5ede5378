"""Values at the edge of their kinds from registers of a device to a program, through everything.

What the device says is in two registers or four; a program gets it from the running
product by the API, by SQL and by the live socket, exact or bad with the reason.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from machine import Machine, machine
from product import end_all, environment_in, start
from rig import write_rig
from screen import Person
from websockets.sync.client import connect

from penstock.model import Flag, Quality, TimeOrigin

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
HEADER = "asset,name,kind,address,type\n"
SMALLEST, LARGEST = 5e-324, 1.7976931348623157e308
FLOATS = {"negative-zero": -0.0, "smallest": SMALLEST, "largest": LARGEST}
NOT_FLOATS = {"nan": float("nan"), "infinity": float("inf"), "minus-infinity": float("-inf")}
INTS = {"beyond-float": 2**53 + 1, "lowest": -(2**63), "highest": 2**63 - 1}
UNSIGNED = {"all-ones": 2**64 - 1, "half": 2**63}
NOT_HELD = dict.fromkeys(NOT_FLOATS, Quality.BAD_SENSOR_FAILURE) | dict.fromkeys(
    UNSIGNED, Quality.BAD_DECODING
)
TEXTS = {"emoji": "Pumpe 😀 läuft", "nothing": ""}


@dataclass(frozen=True)
class Cell:
    """A point of the device: where it is, what it holds."""

    kind: str
    type: str
    data: bytes

    @property
    def words(self) -> tuple[int, ...]:
        return struct.unpack(f">{len(self.data) // 2}H", self.data)


def cells() -> dict[str, Cell]:
    floats = FLOATS | NOT_FLOATS
    found = {n: Cell("float", "float64", struct.pack(">d", v)) for n, v in floats.items()}
    found |= {n: Cell("int", "int64", struct.pack(">q", v)) for n, v in INTS.items()}
    found |= {n: Cell("int", "uint64", struct.pack(">Q", v)) for n, v in UNSIGNED.items()}
    texts = {n: text.encode().ljust(30, b"\0") for n, text in TEXTS.items()}
    return found | {n: Cell("text", "string:30", data) for n, data in texts.items()}


def load(owned: Machine) -> str:
    """Put the values into the registers; the point list that names them."""
    address, lines = 100, [HEADER]
    for name, cell in cells().items():
        owned.registers[address : address + len(cell.words)] = cell.words
        lines.append(f"Rig/Cell,{name},{cell.kind},holding {address},{cell.type}\n")
        address += len(cell.words)
    return "".join(lines)


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who looks at a running Penstock that reads the device."""
    folder = tmp_path_factory.mktemp("values")
    environment, home = environment_in(folder), folder / "home"
    with machine() as owned:
        write_rig(home, owned.port)
        (home / "plant" / "rules" / "limits.toml").unlink()
        (home / "plant" / "connectors" / "rig.csv").write_text(load(owned))
        command = [sys.executable, TESTS / "browser" / "people.py", home]
        subprocess.run(command, env=environment, check=True, timeout=60)
        product = start(home, environment, owned.port)
        try:
            with Person(product, "viewer") as person:
                wait_for(lambda: all(last(person, name) for name in cells()))
                yield person
        finally:
            product.stop()
            end_all(home, product.process)


def wait_for(condition: Any) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def last(viewer: Person, name: str) -> dict[str, Any] | None:
    """The newest sample once the device has answered."""
    found: dict[str, Any] | None = viewer.point(f"Rig/Cell/{name}")["last"]
    waiting = (None, int(Quality.BAD_WAITING_FOR_INITIAL_DATA))
    return None if found is None or found["quality"] in waiting else found


def bits(value: float) -> bytes:
    """So that -0.0 is not 0.0."""
    return struct.pack("<d", value)


def test_what_a_device_holds_is_exact_in_the_api(viewer: Person) -> None:
    floats = {name: last(viewer, name)["value"] for name in FLOATS}  # type: ignore[index]
    others = {name: last(viewer, name)["value"] for name in (*INTS, *TEXTS)}  # type: ignore[index]

    assert {n: bits(v) for n, v in FLOATS.items()} == {n: bits(v) for n, v in floats.items()}
    assert {n: str(v) for n, v in INTS.items()} | TEXTS == others


def test_what_no_point_can_hold_has_no_value_and_a_reason(viewer: Person) -> None:
    for name, reason in NOT_HELD.items():
        found = last(viewer, name)

        assert found is not None
        assert (None, reason) == (found["value"], found["quality"]), name


def test_sql_of_the_running_product_is_exact(viewer: Person) -> None:
    sql = (
        "SELECT name, any_value(value), any_value(value_int), any_value(value_text) FROM samples "
        "WHERE quality = 'good' GROUP BY name"
    )

    answer = viewer.ask("POST", "/sql", json={"sql": sql})

    assert 200 == answer.status_code, answer.text
    rows = {row[0]: row[1:] for row in answer.json()["rows"]}
    assert {n: bits(v) for n, v in FLOATS.items()} == {n: bits(rows[n][0]) for n in FLOATS}
    assert {n: str(v) for n, v in INTS.items()} == {n: rows[n][1] for n in INTS}
    assert {n: TEXTS[n] for n in TEXTS} == {n: rows[n][2] for n in TEXTS}
    assert not set(NOT_HELD) & set(rows)


def test_sql_says_why_there_is_no_value(viewer: Person) -> None:
    sql = (
        "SELECT DISTINCT name, quality, value, value_int FROM samples "
        "WHERE quality IN ('bad_decoding', 'bad_sensor_failure')"
    )

    answer = viewer.ask("POST", "/sql", json={"sql": sql})

    assert 200 == answer.status_code, answer.text
    expected = {(name, reason.name.lower(), None, None) for name, reason in NOT_HELD.items()}
    assert expected == {tuple(row) for row in answer.json()["rows"]}


def test_the_live_socket_of_the_running_product_is_exact(viewer: Person) -> None:
    """Read here by the layout that docs/reference/formats/live-frame.md gives."""
    names = [*FLOATS, *INTS, *UNSIGNED]
    points = [viewer.point(f"Rig/Cell/{name}")["id"] for name in names]
    url = str(viewer._client.base_url).replace("http", "ws", 1).rstrip("/") + "/live"
    found: dict[str, bytes] = {}
    reasons: dict[str, tuple[int, int]] = {}
    with connect(url, additional_headers={"Cookie": viewer.cookie}) as socket:
        socket.send(json.dumps({"op": "sub", "sid": 1, "points": points, "hz": 10}))
        while len(found) < len(names):
            message = socket.recv(timeout=30)
            assert isinstance(message, bytes)
            if message[0] == 1:
                found |= values_of(message, names)
                reasons |= reasons_of(message, names)

    expected = {n: bits(v) for n, v in FLOATS.items()}
    expected |= {n: struct.pack("<q", v) for n, v in INTS.items()}
    expected |= dict.fromkeys(UNSIGNED, bytes(8))
    assert expected == found
    no_value = (int(Quality.BAD_DECODING), int(TimeOrigin.RECEIPT | Flag.NO_VALUE))
    assert dict.fromkeys(UNSIGNED, no_value) == {name: reasons[name] for name in UNSIGNED}


def reasons_of(message: bytes, names: list[str]) -> dict[str, tuple[int, int]]:
    """Quality and flags by the name of the point."""
    (rows,) = struct.unpack_from("<I", message, 24)
    index = np.frombuffer(message, "<u4", rows, 32 + 12 * rows).tolist()
    at = 32 + 16 * rows
    return {
        names[place]: (message[at + row], message[at + rows + row])
        for row, place in enumerate(index)
    }


def values_of(message: bytes, names: list[str]) -> dict[str, bytes]:
    """The eight bytes of each value by the name of its point."""
    (rows,) = struct.unpack_from("<I", message, 24)
    index = np.frombuffer(message, "<u4", rows, 32 + 12 * rows).tolist()
    return {names[place]: message[32 + 8 * row : 40 + 8 * row] for row, place in enumerate(index)}
