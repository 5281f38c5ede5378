"""A plant of one machine that the test owns, and the real Penstock that runs it."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from machine import OWNER_AT, Machine, machine
from people import CELL, ROLES
from product import Product, end_all, environment_in, start
from screen import WAIT_S, Person

TEMPERATURE_AT = 0
SET_POINT_AT = 10
FLOW_AT = 20
ANNEX_AT = 30
SPEED_AT = 40
STEPS_AT = 41

PLANT = '[plant]\nname = "Test Rig"\nzone = "UTC"\nlanguage = "en"\n'
ASSETS = """
[[assets]]
path = "Rig"
level = "enterprise"

[[assets]]
path = "Rig/Cell"
level = "area"

[[assets]]
path = "Rig/Annex"
level = "area"
"""
CONNECTOR = """
plugin = "modbus"
host = "127.0.0.1"
port = {port}
unit_id = 1
timeout_s = 2.0
rate_s = 1.0
"""
POINTS = f"""\
asset,name,label,kind,unit,low,high,command_low,command_high,decimals,address,type,writable,scale
Rig/Cell,temperature,Temperature,float,Cel,0,200,,,2,holding {TEMPERATURE_AT},float32,,
Rig/Cell,set-point,Set point,float,%,0,5000,0,5000,1,holding {SET_POINT_AT},float32,true,
Rig/Cell,flow,Flow,float,m3/h,0,100,,,1,holding {FLOW_AT},float32,,
Rig/Annex,pressure,Pressure,float,bar,0,100,,,1,holding {ANNEX_AT},float32,,
Rig/Cell,speed,Speed,float,%,0,100,0,100,1,holding {SPEED_AT},int16,true,1
Rig/Cell,steps,Steps,float,%,0,300,2,101,1,holding {STEPS_AT},int16,true,3
Rig/Cell,owner,Owner,int,,,,,,,holding {OWNER_AT},uint32,,
"""
RULES = """
[[rules]]
name = "Cell hot"
point = "Rig/Cell/temperature"
kind = "limit"
side = "high"
level = 80
hysteresis = 2
priority = 2
time_to_respond_s = 300
cause = { en = "The cell is hot.", de = "Die Zelle ist heiß." }
consequence = { en = "It trips at 90 °C.", de = "Sie schaltet bei 90 °C ab." }
response = { en = "Open the damper.", de = "Klappe öffnen." }

[[rules]]
name = "Annex pressure"
point = "Rig/Annex/pressure"
kind = "limit"
side = "high"
level = 50
hysteresis = 1
priority = 3
time_to_respond_s = 600
cause = { en = "Pressure is high.", de = "Druck ist hoch." }
consequence = { en = "The valve opens.", de = "Das Ventil öffnet." }
response = { en = "Close the feed.", de = "Zulauf schließen." }
"""


@dataclasses.dataclass
class Rig:
    """Penstock, its machine, and the people by role name."""

    product: Product
    machine: Machine
    people: dict[str, Person]

    @property
    def anna(self) -> Person:
        """The administrator, who only looks."""
        return self.people["administrator"]

    def assert_owned(self) -> None:
        """What Penstock reads is this test's machine; nothing is written before."""
        assert str(self.machine.owner) == self.anna.point("Rig/Cell/owner")["last"]["value"]

    def point(self, name: str) -> dict[str, Any]:
        return self.anna.point(f"Rig/Cell/{name}")

    def wait_read(self) -> None:
        """Each point has been read once; the first apply and the first reading take a moment."""
        until = time.monotonic() + WAIT_S
        for row in csv.DictReader(io.StringIO(POINTS)):
            path = f"{row['asset']}/{row['name']}"
            while (last := self.anna.point(path)["last"]) is None or last["value"] is None:
                assert time.monotonic() < until, f"no value of {path} after {WAIT_S} s"
                time.sleep(0.1)

    def restart(self) -> None:
        """Stop the whole product and start it again; the people log in anew."""
        for person in self.people.values():
            person.close()
        self.product.stop()
        self.product = start(self.product.home, self.product.environment, self.machine.port)
        self.people = {name: Person(self.product, name) for name in self.people}


@contextlib.contextmanager
def running_rig(folder: Path) -> Iterator[Rig]:
    """A home of its own below `folder`, with users named like their roles."""
    environment = environment_in(folder)
    with machine() as owned:
        owned.put_float(TEMPERATURE_AT, 20.5)
        owned.put_float(SET_POINT_AT, 10.0)
        owned.put_float(FLOW_AT, 33.0)
        owned.put_float(ANNEX_AT, 4.0)
        home = folder / "home"
        write_rig(home, owned.port)
        command = [sys.executable, Path(__file__).parent / "people.py", home]
        subprocess.run(command, env=environment, check=True, timeout=60)
        product = start(home, environment, owned.port)
        rig = Rig(product, owned, {})
        try:
            rig.people = {name: Person(product, name) for name in (*ROLES, CELL)}
            rig.wait_read()
            yield rig
        finally:
            for person in rig.people.values():
                person.close()
            rig.product.stop()
            end_all(home, rig.product.process)


def write_rig(home: Path, port: int) -> None:
    files = {
        "penstock.toml": PLANT,
        "plant/assets.toml": ASSETS,
        "plant/connectors/rig.toml": CONNECTOR.format(port=port),
        "plant/connectors/rig.csv": POINTS,
        "plant/rules/limits.toml": RULES,
    }
    home.mkdir(mode=0o700)
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
