"""Ingest: CPU and bytes per sample through log with fsync, head, flush and compaction.

./dev bench ingest [--input FILE.parquet] [--rows N] [--runs N] [--peers duckdb,sqlite]
                   [--jitter-rows N]

Each run is a process of its own that takes the rows as Batches of 32 Ki samples, as a
group commit of many senders makes them. Its clock is that of the rows, so that
compaction comes when it would come; at the end the days are over. The generator's clocks
are those of a plant (milliseconds of three in five irregular points); what it costs when all
of those stamp true nanoseconds is `bytes_per_sample_ns_jitter`, of a smaller run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import numpy as np
import structlog
from _kit import emit, memory_mb, say
from _rows import GOOD, NANOSECOND_CLOCKS, Block, Rows, prepared

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.historian.bulk import sections_of
from penstock.historian.compaction import compact_once, is_due
from penstock.historian.encode import DecimalHints
from penstock.historian.segment import ChunkTable, decode_table
from penstock.log import Log, LogSettings
from penstock.model import Batch, Frame, Origin, ValueKind
from penstock.world import SystemClock, SystemDisk

ROWS = 40_000_000
RUNS = 3
JITTER_ROWS = 8_000_000
BATCH_ROWS = 32_768
WAITING_MAX = 4
DAY_NS = 86_400 * 10**9
SENDER, OWN = Origin(UUID(int=1), 1, 1), Origin(UUID(int=1), 0, 1)
SECTIONS = ("time", "value", "quality", "flags", "sequence")
BARS = {"cpu_s_per_million": 0.42, "bytes_per_sample": 1.6}
PEER_BARS = {
    "duckdb": (2, 1.5),
    "sqlite": (8, 2),
    "victoriametrics": (3, 1.25),
    "influxdb": (10, 2),
}


class Timed(Historian):
    """A historian that knows what its parts cost: CPU-seconds of the thread they run in."""

    cpu_s: Counter[str]

    def append(self, batch: Batch, sequence: int, receive_ns: int) -> None:
        begin = time.thread_time()
        super().append(batch, sequence, receive_ns)
        self.cpu_s["head"] += time.thread_time() - begin  # type: ignore[assignment]

    def write(self):  # type: ignore[no-untyped-def]
        begin = time.thread_time()
        manifest = super().write()
        self.cpu_s["flush"] += time.thread_time() - begin  # type: ignore[assignment]
        return manifest


class Ingest:
    """One run: rows through a log and a historian in `folder`."""

    def __init__(self, rows: Rows, folder: Path) -> None:
        self.rows = rows
        self.folder = folder
        self.disk = SystemDisk()
        self.cpu_s: Counter[str] = Counter()
        self.newest_ns = 0
        self.hints = DecimalHints()
        self.pool = ThreadPoolExecutor(1, "compaction")
        self.compaction: asyncio.Task[bool] | None = None

    async def run(self) -> dict[str, object]:
        begin = time.process_time()
        self.log = await Log.open(
            self.folder / "log",
            disk=self.disk,
            clock=SystemClock(),
            origin=OWN,
            settings=LogSettings(),
        )
        span = self.log.first_sequence, self.log.durable
        self.historian = Timed.open(self.disk, self.folder / "segments", HistorianSettings(), span)
        self.historian.cpu_s = self.cpu_s  # type: ignore[attr-defined]
        self.worker = HistorianWorker(self.historian, self.log, SystemClock())
        task = asyncio.create_task(self.worker.run())
        await self.feed()
        log_bytes = self.log_bytes()
        await self.worker.wait_read(self.log.durable)
        await self.worker.flush_now()
        await self.finish()
        total = time.process_time() - begin - self.cpu_s.pop("sender")
        figures = self.figures(total, log_bytes)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.worker.close()
        await self.log.close()
        return figures

    async def feed(self) -> None:
        """Send, a few batches ahead of their fsync; compact meanwhile when it is due."""
        waiting: list[asyncio.Future[int]] = []
        for number, batch in enumerate(self.batches(), 1):
            while len(waiting) >= WAITING_MAX:
                await self.worker.wait_read(await waiting.pop(0))
            waiting.append(self.log.append_batch_nowait(batch))
            if number % 8 == 0:
                self.compact_if_due()
        for future in waiting:
            await future

    def batches(self) -> Iterator[Batch]:
        """What the senders do; their CPU is not counted."""
        sequence = 0
        mark = time.thread_time()
        for block in self.rows.blocks():
            for begin in range(0, len(block), BATCH_ROWS):
                part = block[begin : begin + BATCH_ROWS]
                sequence += 1
                batch = Batch(SENDER, sequence, tuple(self.frames(part)))
                self.newest_ns = max(self.newest_ns, int(part["time_ns"][-1]))
                self.cpu_s["sender"] += time.thread_time() - mark  # type: ignore[assignment]
                yield batch
                mark = time.thread_time()

    def frames(self, part: Block) -> Iterator[Frame]:
        is_int = self.rows.has_ints(part)
        for kind, chosen in ((ValueKind.FLOAT, part[~is_int]), (ValueKind.INT, part[is_int])):
            if len(chosen):
                value = np.ascontiguousarray(chosen["value"])
                yield Frame(
                    np.ascontiguousarray(chosen["point"]),
                    np.ascontiguousarray(chosen["time_ns"]),
                    value if kind is ValueKind.FLOAT else value.astype(np.int64, copy=False),
                    np.ascontiguousarray(chosen["quality"]),
                    np.zeros(len(chosen), np.uint8),
                )

    def log_bytes(self) -> float:
        """What the log has written; of files that it has given up, by their share of records."""
        kept = self.log.durable - self.log.first_sequence + 1
        return self.log.statistics()["file_bytes"] * self.log.durable / kept

    # --- compaction

    def compact_if_due(self) -> None:
        if self.compaction is not None and self.compaction.done():
            self.compaction.result()
            self.compaction = None
        manifest, settings = self.historian.manifest, self.historian.settings
        if self.compaction is None and is_due(manifest, settings, self.newest_ns):
            self.compaction = asyncio.create_task(self.compact(self.newest_ns))

    async def compact(self, now_ns: int, segments_min: int = 16) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, self._compact, now_ns, segments_min)

    def _compact(self, now_ns: int, segments_min: int) -> bool:
        begin = time.thread_time()
        proposal = compact_once(
            self.disk,
            self.folder / "segments",
            self.historian.manifest,
            HistorianSettings(compaction_segments_min=segments_min),
            self.hints,
            lambda _: None,
            lambda: False,
            now_ns=now_ns,
        )
        if proposal is not None:
            self.historian.swap(proposal)
        self.cpu_s["compaction"] += time.thread_time() - begin  # type: ignore[assignment]
        return proposal is not None

    async def finish(self) -> None:
        """Two days later: the rest is compacted, and each day becomes one file."""
        if self.compaction is not None:
            await self.compaction
        while await self.compact(self.newest_ns + 2 * DAY_NS, segments_min=2):
            pass
        self.historian.forget_replaced()

    # --- figures

    def figures(self, total: float, log_bytes: float) -> dict[str, object]:
        millions = self.rows.count / 1e6
        parts = {f"{name}_cpu_s_per_million": s / millions for name, s in self.cpu_s.items()}
        parts["log_cpu_s_per_million"] = (total - sum(self.cpu_s.values())) / millions
        folder = self.folder / "segments"
        stored = sum(path.stat().st_size for path in folder.iterdir())
        infos = self.historian.manifest.segments
        rows = sum(info.rows for info in infos)
        return {
            "cpu_s_per_million": total / millions,
            **parts,
            "bytes_per_sample": stored / self.rows.count,
            "log_bytes_per_sample": log_bytes / self.rows.count,
            "rows_stored": rows,
            "segments": len(infos),
            "rows_per_chunk": rows / sum(info.chunks for info in infos),
            **self.bytes_by_section(),
        }

    def bytes_by_section(self) -> dict[str, float]:
        """Bytes per sample of each column of the chunks, and of the tables."""
        total: Counter[str] = Counter()
        for info in self.historian.manifest.segments:
            data = self.disk.read(self.folder / "segments" / info.name)
            table: ChunkTable = decode_table(data[info.table_offset :], info.table_offset)
            sections, _ = sections_of(data, table.offset.astype(np.int64))
            for name, size in zip(SECTIONS, sections["bytes"].sum(axis=0).tolist(), strict=True):
                total[name] += size
            total["table"] += info.file_bytes - info.table_offset + 40 * info.chunks
        return {f"{name}_bytes": size / self.rows.count for name, size in total.items()}


def one(rows_folder: Path, folder: Path) -> None:
    """The process that is measured."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    print(json.dumps(asyncio.run(Ingest(Rows.opened(rows_folder), folder).run())))


def measured(rows: Rows, parent: Path) -> dict[str, float]:
    """One run, and the most memory that it had at any time."""
    with tempfile.TemporaryDirectory(dir=parent) as name:
        command = [sys.executable, str(Path(__file__)), "--one", str(rows.folder), name]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        pss = 0.0
        while process.poll() is None:
            time.sleep(0.5)
            try:
                pss = max(pss, memory_mb(process.pid, "Pss"))
            except (OSError, AssertionError, ValueError):
                break
        output, _ = process.communicate()
        if process.returncode:
            raise SystemExit(f"a run ended with {process.returncode}")
    figures: dict[str, float] = json.loads(output)
    return {**figures, "pss_mb": pss}


def jitter(options: argparse.Namespace, parent: Path) -> dict[str, object]:
    """Bytes when every irregular point stamps nanoseconds, as nobody rounds them; one run."""
    count = min(options.rows, options.jitter_rows)
    if options.input is not None or not count:
        return {}
    say(f"{count} rows with the jitter of nanoseconds")
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        rows = prepared(Path(name), count, None, options.seed, NANOSECOND_CLOCKS)
        found = measured(rows, parent)
    return {
        "bytes_per_sample_ns_jitter": round(found["bytes_per_sample"], 4),
        "time_bytes_ns_jitter": round(found["time_bytes"], 4),
        "ns_jitter_rows": rows.count,
    }


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(float(np.median([run[key] for run in runs])), 4) for key in runs[0]}


def peer_names(text: str) -> list[str]:
    """Names by commas; none of them is none."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in PEER_BARS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {unknown[0]}; there are {', '.join(PEER_BARS)}")
    return names


def verdicts(ours: dict[str, float], others: dict[str, object]) -> dict[str, bool]:
    reached = {name: ours[name] <= bar for name, bar in BARS.items()}
    for name, (cpu, size) in PEER_BARS.items():
        peer = others.get(name)
        is_measured = isinstance(peer, dict)
        reached[f"{name}_ratio_cpu"] = is_measured and peer["ratio_cpu"] >= cpu
        reached[f"{name}_ratio_bytes"] = is_measured and peer["ratio_bytes"] >= size
    return reached


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--input", type=Path, help="Parquet: point, time_ns, value, quality")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of the generator")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="decides which disk is measured")
    parser.add_argument("--peers", type=peer_names, help="by commas; all if not given")
    parser.add_argument("--jitter-rows", type=int, default=JITTER_ROWS, help="0: leave it out")
    parser.add_argument("--one", nargs=2, type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one)
        return 0
    from _peers import measure  # noqa: PLC0415 - no memory of the process that is measured

    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        say("rows")
        rows = prepared(Path(name), options.rows, options.input, options.seed)
        runs = []
        for number in range(options.runs):
            runs.append(measured(rows, options.folder or Path(tempfile.gettempdir())))
            say(f"run {number + 1} of {options.runs}: {json.dumps(runs[-1])}")
        ours = median(runs)
        parent = options.folder or Path(tempfile.gettempdir())
        others = measure(rows, ours, options.peers, options.runs, parent)
    further = jitter(options, parent)
    reached = verdicts(ours, others)
    facts = {"rows": rows.count, "source": rows.source, "good": GOOD, "cores": os.cpu_count()}
    judged = {"bars": BARS, "peer_bars": PEER_BARS, "is_reached": reached}
    emit("ingest", {**facts, **ours, **further, **others, **judged})
    return 0 if all(reached.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
