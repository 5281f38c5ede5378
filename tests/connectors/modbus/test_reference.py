"""The page says all that the code knows: fields, types, orders and counters."""

from __future__ import annotations

import re
from pathlib import Path

from penstock.connectors.modbus import ModbusConfig, ModbusDevice, ModbusPoint
from penstock.connectors.modbus.encoding import ORDERS_BY_WIDTH, TYPE_BY_NAME

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "reference" / "connectors" / "modbus.md").read_text(encoding="utf-8")
SOURCES = [
    path.read_text("utf-8") for path in (ROOT / "src/penstock/connectors/modbus").glob("*.py")
]


def test_every_field_has_its_row() -> None:
    for model in (ModbusConfig, ModbusDevice, ModbusPoint):
        for name, field in model.model_fields.items():
            assert f"| `{name}` |" in PAGE
            assert str(field.description) in PAGE


def test_every_type_and_order_is_told() -> None:
    assert [] == [name for name in TYPE_BY_NAME if f"`{name}`" not in PAGE]
    assert [] == [order for order in ORDERS_BY_WIDTH[4] if f"`{order}`" not in PAGE]


def test_every_counter_is_told() -> None:
    counted = {name for text in SOURCES for name in re.findall(r'count\("(\w+)"\)', text)}
    learned = {"limits_learned", "cuts_learned"}

    assert [] == [name for name in sorted(counted | learned) if f"`{name}`" not in PAGE]
