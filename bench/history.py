"""History: CPU and bytes per sample through head and flush, and the time of each query.

python bench/history.py
"""

from __future__ import annotations

import functools
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import numpy as np
from _kit import emit, median_of, say

from penstock.historian import Historian, HistorianSettings
from penstock.historian.answer import trend
from penstock.historian.envelope import envelope, grid_of
from penstock.historian.query import raw
from penstock.model import Batch, Frame, Origin
from penstock.world import SystemDisk

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
T0 = 1_790_000_000 * SECOND_NS
ORIGIN = Origin(UUID(int=1), 0, 1)
# (points, seconds in a batch): one group commit of the log holds up to 32 Ki samples.
PLANTS = {"500_points": (500, 60), "5000_points": (5_000, 6), "20000_points": (20_000, 1)}
FLUSH_S = 600
POINTS_QUERIED = 100
HOURS_QUERIED = 6


class Plant:
    """Slow quantities with two decimals at 1 Hz; a device's points share a jittering time."""

    def __init__(self, points: int, seed: int = 7) -> None:
        self.points = np.arange(1, points + 1, dtype=np.uint32)
        self.random = np.random.default_rng(seed)
        self.value = self.random.uniform(10, 90, points)
        self.second = 0

    def batch(self, seconds: int) -> Batch:
        count = len(self.points)
        steps = self.random.normal(0, 0.05, (seconds, count)).cumsum(axis=0)
        values = self.value + steps
        self.value = values[-1]
        jitter = self.random.integers(0, 2_000, seconds) * 1_000
        times = T0 + (self.second + np.arange(seconds)) * SECOND_NS + jitter
        self.second += seconds
        rows = seconds * count
        frame = Frame(
            np.tile(self.points, seconds),
            np.repeat(times, count),
            np.round(values, 2).ravel(),
            np.full(rows, 192, np.uint8),
            np.zeros(rows, np.uint8),
        )
        return Batch(ORIGIN, self.second, (frame,))


def opened(folder: Path) -> Historian:
    return Historian.open(SystemDisk(), folder, HistorianSettings(head_rows_max=4_000_000))


def flushed(historian: Historian) -> None:
    historian.seal(1)
    historian.adopt(historian.write())


def ingest(points: int, seconds: int) -> dict[str, float]:
    """One second flush (the first finds out how many decimals there are)."""
    with tempfile.TemporaryDirectory() as name:
        historian, plant = opened(Path(name)), Plant(points)
        total_s = max(FLUSH_S // 5, 1_000_000 // points // 2)
        append_s = flush_s = 0.0
        for _ in range(2):
            batches = [plant.batch(seconds) for _ in range(total_s // seconds)]
            begin = time.process_time()
            for batch in batches:
                sequence = historian.sequence + 1
                historian.append(batch, sequence, sequence)
            append_s = time.process_time() - begin
            begin = time.process_time()
            flushed(historian)
            flush_s = time.process_time() - begin
        info = historian.pin([1]).segments[-1]
    millions = info.rows / 1e6
    return {
        "head_cpu_s_per_million": append_s / millions,
        "flush_cpu_s_per_million": flush_s / millions,
        "bytes_per_sample": info.file_bytes / info.rows,
        "rows_per_chunk": info.rows / info.chunks,
    }


def queried(folder: Path) -> Historian:
    """Six hours of 100 points in segments of ten minutes, and ten minutes in the head."""
    historian, plant = opened(folder), Plant(POINTS_QUERIED)
    for _ in range(HOURS_QUERIED * 6):
        for _ in range(FLUSH_S // 60):
            historian.append(plant.batch(60), historian.sequence + 1, 1)
        flushed(historian)
    for _ in range(FLUSH_S // 60):
        historian.append(plant.batch(60), historian.sequence + 1, 1)
    return historian


def median_ms(call: Callable[[], object], count: int = 30) -> float:
    call()
    times = []
    for _ in range(count):
        begin = time.perf_counter()
        call()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def queries() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        historian = queried(Path(name))
        end = T0 + HOURS_QUERIED * HOUR_NS
        pens = list(range(1, 9))
        handles = np.arange(1, POINTS_QUERIED + 1, dtype=np.uint32)
        bench = functools.partial(_trend_ms, historian, pens)
        return {
            "last_100_points_ms": median_ms(lambda: historian.last.rows(handles)),
            "live_changed_100_points_ms": median_ms(lambda: historian.last.changed(handles, 0)),
            "raw_1h_from_6_segments_ms": median_ms(
                lambda: raw(historian.pin([7]), 7, end - HOUR_NS, end, 10_000)
            ),
            "raw_10min_from_head_ms": median_ms(
                lambda: raw(historian.pin([7]), 7, end, end + HOUR_NS, 10_000)
            ),
            "envelope_6h_1600px_ms": median_ms(
                lambda: envelope(historian.pin([7]), 7, grid_of(T0, end, 1_600))
            ),
            "envelope_6h_20px_ms": median_ms(
                lambda: envelope(historian.pin([7]), 7, grid_of(T0, end, 20))
            ),
            "trend_8_pens_10min_raw_ms": bench(end, end + 600 * SECOND_NS, "auto"),
            "trend_8_pens_1h_1600px_ms": bench(end - HOUR_NS, end, "envelope"),
            "trend_8_pens_6h_1600px_ms": bench(T0, end, "envelope"),
        }


def _trend_ms(historian: Historian, pens: list[int], from_ns: int, to_ns: int, mode: str) -> float:
    return median_ms(
        lambda: trend(historian.pin(pens), pens, from_ns, to_ns, 1_600, mode)  # type: ignore[arg-type]
    )


def medians(call: Callable[[], dict[str, float]]) -> dict[str, float]:
    return {key: round(value, 4) for key, value in median_of(call).items()}


def main() -> None:
    figures: dict[str, object] = {}
    for name, (points, seconds) in PLANTS.items():
        say(f"ingest {name}")
        figures[f"ingest_{name}"] = medians(functools.partial(ingest, points, seconds))
    say("queries")
    figures["queries"] = medians(queries)
    figures["rss_peak_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    emit("history", figures)


if __name__ == "__main__":
    main()
