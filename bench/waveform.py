"""Waveforms: CPU and bytes of 3 axes at 25.6 kHz through log, head and flush, and of their charts.

python bench/waveform.py [FOLDER]; the folder decides which disk is measured. Data comes as
fast as it is taken, so that shares of a core are CPU-seconds over seconds of signal. Each
answer is compared with the samples, bit by bit or number by number.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import structlog
from _kit import emit, median_of

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.block_query import one_block
from penstock.historian.envelope import envelope, grid_of
from penstock.log import Log, LogSettings
from penstock.model import Batch, Block, Origin
from penstock.world import SystemClock, SystemDisk

SENDER, OWN = Origin(UUID(int=1), 1, 1), Origin(UUID(int=1), 0, 1)
RATE, AXES, SECONDS = 25_600, (1, 2, 3), 300
T0, SECOND_NS = 1_600_000_000_000_000_000, 1_000_000_000
SHARE_MAX, BYTES_MAX = 0.05, 1.5


def signal(axis: int, second: int) -> np.ndarray:
    """Two tones and noise of 300 counts (10.3 bits of entropy) of a 16 bit converter."""
    time_s = second + np.arange(RATE) / RATE
    tones = 3_000 * np.sin(2 * np.pi * 49.7 * time_s) + 800 * np.sin(2 * np.pi * 1_234 * time_s)
    noise = np.random.default_rng(1_000 * axis + second).normal(0, 300, RATE)
    return np.rint(tones + noise).astype("<i2")


def batches() -> list[Batch]:
    found = []
    for second in range(SECONDS):
        t0_ns = T0 + second * SECOND_NS
        blocks = [Block(axis, t0_ns, SECOND_NS / RATE, signal(axis, second)) for axis in AXES]
        found.append(Batch(SENDER, second + 1, (), tuple(blocks)))
    return found


async def one(folder: Path, given: list[Batch]) -> dict[str, float]:
    disk, clock = SystemDisk(), SystemClock()
    log = await Log.open(folder / "0", disk=disk, clock=clock, origin=OWN, settings=LogSettings())
    historian = Historian.open(disk, folder / "segments", HistorianSettings())
    worker = HistorianWorker(historian, log, clock)
    begin = time.process_time()
    for batch in given:
        await log.append_batch(batch)
        await worker.take_available()
    await worker.flush_now()
    used = time.process_time() - begin
    samples = SECONDS * RATE * len(AXES)
    numbers = historian.statistics()
    figures = {
        "cpu_s_per_million": used / samples * 1e6,
        "core_share": used / SECONDS,
        "bytes_per_sample": numbers["segment_bytes"] / samples,
        "segments": numbers["segments"],
    }
    figures |= check(historian, given)
    await worker.close(flush=False)
    await log.close()
    return figures


def check(historian: Historian, given: list[Batch]) -> dict[str, float]:
    """Every Block to the bit; charts of all and of a tenth of a second, with their CPU time."""
    snapshot = historian.pin(AXES)
    begin = time.process_time()
    for batch in given:
        for block in batch.blocks:
            found = one_block(snapshot, block.point, block.t0_ns)
            assert found.samples.tobytes() == block.samples.tobytes()
    read = time.process_time() - begin
    span = T0, T0 + SECONDS * SECOND_NS
    begin = time.process_time()
    wide = envelope(snapshot, 1, grid_of(*span, 100))
    wide_s = time.process_time() - begin
    begin = time.process_time()
    fine = envelope(snapshot, 1, grid_of(*span, 2_000))
    fine_s = time.process_time() - begin
    values = np.concatenate([batch.blocks[0].samples for batch in given])
    for pen in (wide, fine):
        assert (values.min(), values.max()) == (np.nanmin(pen.minimum), np.nanmax(pen.maximum))
        assert pen.rows == len(values)
    return {
        "read_cpu_s_per_million": read / (SECONDS * RATE * len(AXES)) * 1e6,
        "envelope_from_table_cpu_ms": wide_s * 1e3,
        "envelope_from_samples_cpu_ms": fine_s * 1e3,
    }


def main() -> int:
    parent = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    given = batches()

    def run() -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=parent) as name:
            figures = asyncio.run(one(Path(name), given))
        return {key: round(value, 4) for key, value in figures.items()}

    figures = median_of(run)
    bars = {"core_share": f"<= {SHARE_MAX}", "bytes_per_sample": f"<= {BYTES_MAX}"}
    reached = {
        "core_share": figures["core_share"] <= SHARE_MAX,
        "bytes_per_sample": figures["bytes_per_sample"] <= BYTES_MAX,
    }
    emit("waveform", {**figures, "bars": bars, "is_reached": reached})
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
