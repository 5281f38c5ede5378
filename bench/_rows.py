"""Rows for the ingest bench: a plant of many kinds of signals, or a Parquet file, as column blocks.

`Rows.blocks()` gives (point u32, time_ns i64, value f64 or i64, quality u8) in the order of
arrival; every peer and Penstock itself take exactly these. The generator is a whole
process of its own, so that neither its time nor its memory is anybody's figure.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

SECOND_NS = 1_000_000_000
# In the past by any clock: a sample from ahead of its receipt is doubted.
T0 = 1_600_000_000 * SECOND_NS
DENSE_POINTS, IRREGULAR_POINTS = 1_000, 2_000
IRREGULAR_PERIOD_S = 2.0
SLICE_S = 200
# Sparkplug, JSON and most PLC stamp milliseconds; see `irregular`.
CLOCKS = (0, 1, 0, 2, 0)
NANOSECOND_CLOCKS = (2,)
GOOD, UNCERTAIN, BAD = 192, 64, 4
ROW = np.dtype([("point", "<u4"), ("time_ns", "<i8"), ("value", "<f8"), ("quality", "u1")])
INT_ROW = np.dtype([("point", "<u4"), ("time_ns", "<i8"), ("value", "<i8"), ("quality", "u1")])
Block = npt.NDArray[np.void]


@dataclass(frozen=True)
class Rows:
    """Where the rows lie, how many there are, and which points are counters (int64).

    `is_int`: all values are int64, and lie as such; then there are no counters beside them.
    """

    folder: Path
    count: int
    counters: npt.NDArray[np.uint32]
    source: str
    is_int: bool = False

    def blocks(self) -> Iterator[Block]:
        """Structured arrays with the fields of ROW or INT_ROW, in the order of arrival."""
        for path in sorted(self.folder.glob("*.rows")):
            yield np.fromfile(path, INT_ROW if self.is_int else ROW)

    def has_ints(self, block: Block) -> npt.NDArray[np.bool_]:
        """Which rows of a block are of points whose values are int64."""
        if self.is_int:
            return np.ones(len(block), bool)
        return np.isin(block["point"], self.counters)

    @classmethod
    def opened(cls, folder: Path) -> Rows:
        """What `prepared` wrote."""
        facts = json.loads((folder / "rows.json").read_text())
        counters = np.array(facts["counters"], np.uint32)
        return cls(folder, facts["count"], counters, facts["source"], facts["is_int"])


def prepared(
    folder: Path,
    rows: int,
    source: Path | None,
    seed: int,
    clocks: Sequence[int] = CLOCKS,
) -> Rows:
    """Write the rows with a process of its own; `clocks` are those of the irregular points."""
    mix = ",".join(map(str, clocks))
    command = [sys.executable, str(Path(__file__)), str(folder), str(rows), str(seed), mix]
    done = subprocess.run([*command, *([str(source)] if source else [])], check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return Rows.opened(folder)


# --- the generator


class Signals:
    """What the points measure: each is a walk, a noisy sensor, a set point, a state, a counter.

    The share of each follows what a water or process plant has; resolutions are those of
    transmitters and their converters, not of a random number generator.
    """

    # name: share of the points
    SHARES: ClassVar = {
        "analog_12_bit": 0.22,  # 4-20 mA through a 12 bit converter: counts x scale
        "analog_16_bit": 0.16,
        "temperature": 0.16,  # 0.1 degrees
        "two_decimals": 0.16,  # a device that rounds: pH, flow, power
        "float32": 0.10,  # a PLC's REAL: noise in all 24 bits
        "float64": 0.02,  # computed values: full mantissa
        "set_point": 0.06,
        "state": 0.06,
        "counter": 0.06,
    }

    def __init__(self, points: int, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        shares = np.array(list(self.SHARES.values()))
        names = np.arange(len(shares)).repeat(np.ceil(shares * points).astype(int))[:points]
        self.kind = self.random.permutation(np.resize(names, points))
        self.level = self.random.uniform(5, 95, points)
        self.span = 10.0 ** self.random.integers(1, 4, points)
        # Shares of the span: a random walk of 0.005 to 0.1 % a second, noise of 0.01 to 0.2 %.
        self.drift = 10.0 ** self.random.uniform(-4.3, -3.0, points)
        self.noise = 10.0 ** self.random.uniform(-4.0, -2.7, points)
        self.state = self.random.integers(0, 2, points).astype(float)
        self.total = self.random.integers(0, 10**9, points)
        self.rate = self.random.integers(1, 40, points)

    def index(self, name: str) -> int:
        return list(self.SHARES).index(name)

    def values(self, point: int, rows: int) -> npt.NDArray[np.float64]:
        """The next `rows` values of a point."""
        name = list(self.SHARES)[self.kind[point]]
        random = self.random
        if name == "counter":
            steps = random.poisson(self.rate[point], rows)
            counts = self.total[point] + np.cumsum(steps)
            self.total[point] = counts[-1] if rows else self.total[point]
            return counts.astype(np.float64)
        if name == "state":
            flips = np.cumsum(random.random(rows) < 0.004)
            values = (self.state[point] + flips) % 2
            self.state[point] = values[-1] if rows else self.state[point]
            return values
        if name == "set_point":
            moved = random.random(rows) < 0.001
            steps = np.where(moved, random.choice([-5.0, -1.0, -0.5, 0.5, 1.0, 5.0], rows), 0.0)
            values = np.round(self.level[point] + np.cumsum(steps), 1)
            self.level[point] = values[-1] if rows else self.level[point]
            return np.clip(values, 0, 100)
        return self._measured(name, point, rows)

    def _measured(self, name: str, point: int, rows: int) -> npt.NDArray[np.float64]:
        """A slow walk that is pulled back to the middle, plus the noise of the sensor."""
        random = self.random
        walk = np.cumsum(random.normal(0, 100 * self.drift[point], rows))
        level = self.level[point] + walk
        if rows:
            self.level[point] = float(np.clip(0.98 * (level[-1] - 50) + 50, 0, 100))
        percent = np.clip(level + random.normal(0, 100 * self.noise[point], rows), 0, 100)
        span = self.span[point]
        if name == "analog_12_bit":
            return np.round(percent / 100 * 4095) * (span / 4095)
        if name == "analog_16_bit":
            return np.round(percent / 100 * 27648) * (span / 27648)
        if name == "temperature":
            return np.round(percent, 1)
        if name == "two_decimals":
            return np.round(percent * span / 100, 2)
        if name == "float32":
            return (percent * span / 100).astype(np.float32).astype(np.float64)
        return percent * span / 100


def generate(folder: Path, rows: int, seed: int, clocks: Sequence[int]) -> None:
    """Half of the rows from points that are read every second, half from irregular ones."""
    random = np.random.default_rng(seed + 1)
    share = max(0.02, min(1.0, rows / 40_000_000))
    dense_points = max(10, round(DENSE_POINTS * share**0.5))
    irregular_points = 2 * dense_points
    signals = Signals(dense_points + irregular_points, seed)
    seconds = -(-rows // (2 * dense_points))
    clock = np.array(clocks)[np.arange(irregular_points) % len(clocks)]
    written = 0
    for number, begin in enumerate(range(0, seconds, SLICE_S)):
        length = min(SLICE_S, seconds - begin)
        parts = [dense(signals, point, begin, length) for point in range(dense_points)]
        parts += [
            irregular(signals, random, dense_points + place, int(clock[place]), begin, length)
            for place in range(irregular_points)
        ]
        block = np.concatenate(parts)
        block = block[np.argsort(block["time_ns"], kind="stable")]
        bad_spans(random, block)
        block.tofile(folder / f"{number:06d}.rows")
        written += len(block)
    handles = np.arange(1, len(signals.kind) + 1)
    counters = handles[signals.kind == signals.index("counter")]
    source = f"generator, seed {seed}, clocks {','.join(map(str, clocks))}"
    note(folder, written, counters.tolist(), source)


def dense(signals: Signals, point: int, begin: int, length: int) -> Block:
    """A controller's own samples: one a second on the second, shifted by its scan."""
    block = np.empty(length, ROW)
    block["point"] = point + 1
    scan_ns = point % 20 * 50_000_000
    block["time_ns"] = T0 + scan_ns + (begin + np.arange(length)) * SECOND_NS
    block["value"] = signals.values(point, length)
    block["quality"] = GOOD
    return block


def irregular(
    signals: Signals,
    random: np.random.Generator,
    point: int,
    clock: int,
    begin: int,
    length: int,
) -> Block:
    """Sent when it changes enough: a whole number of scans apart, stamped by one of three clocks.

    0 a device that stamps milliseconds, 1 a server that stamps microseconds, 2 a gateway
    that stamps the nanosecond at which the answer came; each jitters as such clocks do.
    """
    scans = np.flatnonzero(random.random(length) < 1 / IRREGULAR_PERIOD_S) + begin
    exact = T0 + scans * SECOND_NS + point % 997 * 1_000_000
    if clock == 0:
        exact = exact + random.integers(-3, 4, len(scans)) * 1_000_000
    elif clock == 1:
        exact = exact + random.normal(0, 150, len(scans)).astype(np.int64) * 1_000
    else:
        exact = exact + random.normal(0, 30_000, len(scans)).astype(np.int64)
    block = np.empty(len(scans), ROW)
    block["point"] = point + 1
    block["time_ns"] = exact
    block["value"] = signals.values(point, len(scans))
    block["quality"] = GOOD
    return block


def bad_spans(random: np.random.Generator, block: Block) -> None:
    """Now and then a device is away for some seconds, or a sensor is doubtful."""
    points = np.unique(block["point"])
    for point in random.choice(points, max(1, len(points) // 50), replace=False):
        rows = np.flatnonzero(block["point"] == point)
        begin = int(random.integers(0, max(1, len(rows))))
        span = rows[begin : begin + int(random.integers(1, 30))]
        block["quality"][span] = random.choice([UNCERTAIN, BAD])


def note(
    folder: Path, count: int, counters: list[int], source: str, *, is_int: bool = False
) -> None:
    """What `Rows.opened` reads."""
    facts = {"count": count, "counters": counters, "source": source, "is_int": is_int}
    (folder / "rows.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    target, wanted, number, mix, *file = sys.argv[1:]
    if file:
        from _rows_file import from_parquet

        from_parquet(Path(target), Path(file[0]))
    else:
        generate(Path(target), int(wanted), int(number), [int(clock) for clock in mix.split(",")])
