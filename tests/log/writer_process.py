"""A bare process that appends to a log and writes a line for each acknowledgement.

Run as `python writer_process.py FOLDER FIRST_A FIRST_B WINDOW`; it ends when it is killed,
or after COUNT batches when a fifth argument says so.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from partition import NODE, OWN, batch

from penstock.log import Log, LogSettings
from penstock.model import Origin
from penstock.world import SystemClock, SystemDisk

SETTINGS = LogSettings(
    linger_ms=0.5, file_bytes_max=256 * 1024, ballast_bytes=65_536, cache_bytes_max=65_536
)


async def send(log: Log, slot: int, number: int) -> None:
    rows = 1 + number % 40
    sequence = await log.append_batch(batch(number, Origin(NODE, slot, 1), rows))
    os.write(1, f"{slot} {number} {sequence}\n".encode())


async def main() -> None:
    folder, first_a, first_b, window = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    count = int(sys.argv[5]) if len(sys.argv) > 5 else 10**9
    log = await Log.open(
        folder, disk=SystemDisk(), clock=SystemClock(), origin=OWN, settings=SETTINGS
    )
    for step in range(0, count, window):
        span = range(step, step + window)
        await asyncio.gather(*(send(log, 1, first_a + number) for number in span))
        await asyncio.gather(*(send(log, 2, first_b + number) for number in span))
    await log.close()


if __name__ == "__main__":
    asyncio.run(main())
