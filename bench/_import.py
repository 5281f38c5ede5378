"""What importing costs: a file through the real compute process, link, log with fsync and head.

Time runs from the start of the check to the moment at which the history answers with the
last row; the look before it, which a person reads, is told apart. Prints one JSON object
when it is run by itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import duckdb
import orjson
from _kit import median_of, say

from penstock.historian import Historian, HistorianSettings, HistorianWorker
from penstock.log import Log, LogSettings
from penstock.model import Origin, ValueKind
from penstock.node.control import ENVIRONMENT, Control
from penstock.node.core.compute_link import ComputeLink
from penstock.node.settings import ComputeSettings
from penstock.world import SystemClock, SystemDisk

ROWS = 2_000_000
POINTS = 100
NODE = UUID(int=5)
PATHS = [f"plant/area/p{number}" for number in range(POINTS)]
IDS = [UUID(int=1_000 + number) for number in range(POINTS)]
OPTIONS: dict[str, Any] = {}
MEMORY_BYTES = 512 * 1024 * 1024


def write_file(path: Path, kind: str) -> None:
    """ROWS rows of POINTS points each second, the points in turn, as DuckDB writes them."""
    names = ", ".join(f"'{name}'" for name in PATHS)
    table = (
        f"SELECT make_timestamp_ns(1767225600000000000 + (i // {POINTS}) * 1000000000) AS time, "
        f"[{names}][1 + i % {POINTS}] AS path, round(50 + 20 * sin(i / 40000) + "
        f"hash(i) % 1000 / 1000, 3)::DOUBLE AS value, 'good' AS quality FROM range({ROWS}) t(i)"
    )
    if kind == "csv":
        text = "strftime(time, '%Y-%m-%dT%H:%M:%S.%nZ')"
        table = f"SELECT {text} AS time, * EXCLUDE time FROM ({table})"
    else:
        table = f"SELECT epoch_ns(time) AS time_ns, * EXCLUDE time FROM ({table})"
    options = "FORMAT csv" if kind == "csv" else "FORMAT parquet, COMPRESSION zstd"
    duckdb.sql(f"COPY ({table}) TO '{path}' ({options})")


class Node:
    """Core's half of an import in this process, and a real compute beside it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        ours, theirs = socket.socketpair()
        self.control = Control(ours, lambda _message, _fds: None, lambda: None)
        command = [sys.executable, "-m", "penstock.node.compute.main", str(home), str(NODE)]
        self.compute = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, ENVIRONMENT: str(theirs.fileno())},
        )
        theirs.close()

    async def run(self, kind: str) -> dict[str, float]:
        """Figures of one import."""
        clock, disk = SystemClock(), SystemDisk()
        log = await Log.open(
            self.home / "log",
            disk=disk,
            clock=clock,
            origin=Origin(NODE, 0, clock.now_ns()),
            settings=LogSettings(),
        )
        historian = Historian.open(disk, self.home / "segments", HistorianSettings())
        worker = HistorianWorker(historian, log, clock)
        handles = {id_: number + 1 for number, id_ in enumerate(IDS)}
        settings = ComputeSettings().for_compute()
        link = ComputeLink(log, handles.get, node=NODE, settings=settings)
        following = asyncio.create_task(worker.run())
        one, two = socket.socketpair()
        self.control.send({"op": "link", "peer": "core", "fds": 1}, (two.fileno(),))
        two.close()
        is_up = asyncio.Event()
        link.on_up.append(is_up.set)
        await link.connect(one)
        async with asyncio.timeout(60):
            await is_up.wait()
        figures = await self._imported(link, log, worker, kind)
        following.cancel()
        await link.close()
        await worker.close(flush=False)
        await log.close()
        return figures

    async def _imported(
        self, link: ComputeLink, log: Log, worker: HistorianWorker, kind: str
    ) -> dict[str, float]:
        id_ = str(uuid4())
        folder = self.home / "data" / "imports" / id_
        folder.mkdir(parents=True)
        write_file(folder / "source", kind)
        common: dict[str, Any] = {"import": id_, "memory_bytes": MEMORY_BYTES}
        began = time.perf_counter()
        looked = await link.ask("import_look", {**common, "options": OPTIONS, "zone": "UTC"}, 600)
        assert not looked["questions"], looked["questions"]
        look_s = time.perf_counter() - began
        names = [item["name"] for item in orjson.loads((folder / "names.json").read_bytes())]
        points = [[str(IDS[PATHS.index(n)]), int(ValueKind.FLOAT), n] for n in names]
        targets = {"points": points, "places": list(range(len(names)))}
        (folder / "targets.json").write_bytes(orjson.dumps(targets))
        began, own = time.perf_counter(), time.process_time()
        fields = {"settled": looked["settled"], "prepared": "b", "rows": ROWS, "replace": False}
        checked = await link.ask("import_check", {**common, **fields}, 600)
        check_s = time.perf_counter() - began
        assert (checked["samples"], checked["rejected"]) == (ROWS, {})
        fields = {"prepared": "b", "incarnation": 1, "after": 0, "rows": ROWS}
        await link.ask("import_send", {**common, **fields}, 600)
        await worker.wait_read(log.durable)
        took_s, core_s = time.perf_counter() - began, time.process_time() - own
        _check(worker, checked)
        return {
            "rows_per_s": ROWS / took_s,
            "check_s": check_s,
            "look_s": look_s,
            "core_cpu_s": core_s,
        }

    def end(self) -> float:
        """CPU-seconds of the compute process, with its start and the look."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.control.send({"op": "stop"})
        self.compute.wait(30)
        self.control.close()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _check(worker: HistorianWorker, checked: dict[str, Any]) -> None:
    """Every row is in the head, or in a segment that was flushed meanwhile."""
    rows = worker.historian.statistics()["rows_total"]
    assert rows == checked["samples"], (rows, checked)


async def _run(home: Path, kind: str) -> tuple[dict[str, float], float]:
    node = Node(home)
    try:
        return await node.run(kind), node.end()
    finally:
        if node.compute.poll() is None:
            node.compute.kill()


def once(kind: str) -> dict[str, float]:
    """One import in a fresh home."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "data").mkdir()
        figures, compute_s = asyncio.run(_run(home, kind))
    million = ROWS / 1e6
    prefix = "import" if kind == "csv" else "import_parquet"
    return {
        f"{prefix}_rows_per_s": round(figures["rows_per_s"]),
        f"{prefix}_check_s_per_million": round(figures["check_s"] / million, 3),
        f"{prefix}_look_s_per_million": round(figures["look_s"] / million, 3),
        f"{prefix}_core_cpu_s_per_million": round(figures["core_cpu_s"] / million, 3),
        f"{prefix}_compute_cpu_s_per_million": round(compute_s / million, 3),
    }


def imports(_options: object = None) -> dict[str, object]:
    """Medians of three imports of each format."""
    found: dict[str, object] = {}
    for kind in ("csv", "parquet"):
        say(f"importing {ROWS:,} rows of {kind}")
        found |= median_of(lambda kind=kind: once(kind))  # type: ignore[misc]
    return found


if __name__ == "__main__":
    print(json.dumps(imports()))
