"""The controller's memory: which register holds which point, read from the plant's own list.

The list that Penstock reads is the one the simulator serves, so the two cannot
drift apart; the encoding is written with struct and shares nothing with the product.
"""

from __future__ import annotations

import csv
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.simulator.signals import ROOT, commands, signals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.simulator.waterworks import Waterworks

LIST = Path(__file__).with_name("plant") / "connectors" / "lakeside.csv"
COIL, DISCRETE, INPUT, HOLDING = 0, 1, 3, 4
_FORMATS = {"int16": ">h", "uint16": ">H", "uint32": ">I", "int64": ">q", "float32": ">f"}


@dataclass(frozen=True, slots=True)
class Cell:
    """One point in memory; `low` and `high` bound what may be written."""

    path: str
    table: int
    begin: int
    type: str
    is_word_swapped: bool
    scale: float
    low: float
    high: float

    @property
    def registers(self) -> int:
        """Width in registers, or in bits for coils and discrete inputs."""
        if self.type == "bool":
            return 1
        if self.type.startswith("string:"):
            return int(self.type[7:]) // 2
        return struct.calcsize(_FORMATS[self.type]) // 2

    def encode(self, value: float | str) -> tuple[int, ...]:
        """Registers (or one bit) of a value; numbers are clamped to their type as a PLC does."""
        if self.type == "bool":
            return (int(bool(value)),)
        if isinstance(value, str):
            data = value.encode("ascii").ljust(2 * self.registers, b"\0")
        elif self.type == "float32":
            data = struct.pack(">f", value)
        else:
            data = struct.pack(_FORMATS[self.type], self._clamped(round(value / self.scale)))
        words = struct.unpack(f">{len(data) // 2}H", data)
        return words[::-1] if self.is_word_swapped else words

    def decode(self, words: tuple[int, ...]) -> float:
        """Engineering value of registers that were written."""
        if self.type == "bool":
            return float(words[0])
        words = words[::-1] if self.is_word_swapped else words
        data = struct.pack(f">{len(words)}H", *words)
        return float(struct.unpack(_FORMATS[self.type], data)[0]) * self.scale

    def _clamped(self, raw: int) -> int:
        bits = 16 * self.registers
        low, high = (0, 1 << bits) if self.type[0] == "u" else (-1 << bits - 1, 1 << bits - 1)
        return min(max(raw, low), high - 1)


class Memory:
    """All cells of the works; `refresh` copies the process image, `write` acts on the plant."""

    def __init__(self, works: Waterworks, cells: tuple[Cell, ...]) -> None:
        self._works = works
        self._cells = cells
        self._commands = commands(works)
        self.tables: dict[int, list[int]] = {
            table: [0] * max(cell.begin + cell.registers for cell in cells if cell.table == table)
            for table in (COIL, DISCRETE, INPUT, HOLDING)
        }
        self.refresh()

    def refresh(self) -> None:
        """Write the plant's state into all tables, as a controller does once a scan."""
        values = signals(self._works)
        for cell in self._cells:
            words = cell.encode(values[cell.path])
            self.tables[cell.table][cell.begin : cell.begin + len(words)] = words

    def write(self, table: int, address: int, words: list[int]) -> bool:
        """Take what a client wrote; False when a value is out of range and nothing was taken."""
        image = list(self.tables[table])
        image[address : address + len(words)] = words
        actions: list[tuple[Callable[[float], None], float]] = []
        for cell in self._cells:
            is_hit = cell.begin < address + len(words) and address < cell.begin + cell.registers
            if cell.table != table or not is_hit:
                continue
            value = cell.decode(tuple(image[cell.begin : cell.begin + cell.registers]))
            if not (math.isfinite(value) and cell.low - 1e-6 <= value <= cell.high + 1e-6):
                return False
            actions.append((self._commands[cell.path], value))
        for action, value in actions:
            action(value)
        self.refresh()
        return True


def read_cells(path: Path = LIST) -> tuple[Cell, ...]:
    """Cells of the point list; it uses five-digit references only."""
    with path.open(encoding="utf-8", newline="") as file:
        return tuple(_cell(row) for row in csv.DictReader(file))


def _cell(row: Mapping[str, str]) -> Cell:
    asset = row["asset"].removeprefix(ROOT).lstrip("/")
    return Cell(
        path=f"{asset}/{row['name']}",
        table=int(row["address"][0]),
        begin=int(row["address"][1:]) - 1,
        type=row["type"],
        is_word_swapped=row["order"] == "CDAB",
        scale=float(row["scale"] or 1.0),
        low=float(row["command_low"] or 0.0),
        high=float(row["command_high"] or 0.0),
    )
