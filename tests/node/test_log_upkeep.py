"""A real compute process compresses what core's log keeps, and core goes on without it."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from real_compute import RealCompute

from penstock.log import Log, LogSettings
from penstock.log.compress import Compressed, compressed_of, document_of
from penstock.log.files import LogFile
from penstock.model import Batch, Origin
from penstock.node.core.compute_link import ComputeLink
from penstock.testing import frame
from penstock.world import SystemClock, SystemDisk

NODE = UUID(int=1)
SETTINGS = LogSettings(
    linger_ms=0, ballast_bytes=65_536, file_bytes_max=65_536, cache_bytes_max=0, compress_after_s=0
)


async def test_compute_compresses_and_core_adopts(tmp_path: Path) -> None:
    log = await Log.open(
        tmp_path / "data" / "log" / "0",
        disk=SystemDisk(),
        clock=SystemClock(),
        origin=Origin(NODE, 0, 1),
        settings=SETTINGS,
    )
    for number in range(1, 60):
        rows = list(range(100))
        columns = frame(1, rows, [float(row + number) for row in rows])
        await log.append_batch(Batch(Origin(NODE, 1, 1), number, (columns,)))
    core = ComputeLink(log, lambda _: None, node=NODE, settings={"spool_bytes_max": 1000})

    async def ask(file: LogFile, end: int) -> Compressed:
        return compressed_of(await core.ask("compress_log", document_of(file, end)))

    assert not await log.upkeep.step(ask), "compute is away"
    before = [item.sequence for item in log.read(0, 1_000)]
    compute = RealCompute(tmp_path, str(NODE))
    try:
        await compute.link(core)
        assert await log.upkeep.step(ask)
        assert [item.sequence for item in log.read(0, 1_000)] == before
        assert 1 == log.statistics()["compressed_files"]
        assert 0 == log.statistics()["compress_failures"]
    finally:
        await core.close()
        compute.close()
        await log.close()
