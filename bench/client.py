"""Client: what ten million samples cost from the disk of a node into a pandas frame.

./dev bench client [--days 116] [--keep FOLDER]

The routes of the history run in a process of their own on a Unix socket; the client asks
them as a user does. CPU seconds of both sides, median of three; every value is compared
with the generated rows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import numpy as np
import pandas as pd
import uvicorn
from _history import DAY_NS, DAY_S, T0, YEAR_POINT, build, day_of_year_point, opened
from _kit import cpu_s, run_parts, say
from fastapi import FastAPI

from penstock.client import History, Points
from penstock.client import Point as Described
from penstock.client.patience import Patience
from penstock.client.samples import Span, pages
from penstock.client.session import Session
from penstock.client.wire import Target, Wire, is_answering
from penstock.historian import HistorianWorker
from penstock.historian.samples.routes import routes
from penstock.log import Log, LogSettings
from penstock.model import Origin, Point, ValueKind
from penstock.security import routes as security
from penstock.security.principal import Grant, Principal
from penstock.world import SystemClock, SystemDisk

RUNS = 3
READY_S_MAX = 60.0
PAGE_ROWS = 262_144
POINT = UUID(int=YEAR_POINT)
Figures = dict[str, object]
BARS = {"client_cpu_s_per_million": "<= 0.2", "node_cpu_s_per_million": "<= 0.3"}


def serve(folder: Path, path: Path) -> None:
    """The routes, for a principal who may view everything."""
    point = Point(POINT, YEAR_POINT, "bench/level", "bench", "level", ValueKind.FLOAT)

    class Directory:
        def by_id(self, id_: UUID) -> Point | None:
            return point if id_ == POINT else None

    async def viewer(_: object) -> Principal:
        return Principal("user:1", "bench", "Bench", ("viewer",), frozenset({Grant("view", "")}))

    async def main() -> None:
        clock, origin = SystemClock(), Origin(UUID(int=2), 0, 1)
        with tempfile.TemporaryDirectory() as name:
            log = await Log.open(
                Path(name), disk=SystemDisk(), clock=clock, origin=origin, settings=LogSettings()
            )
            app = FastAPI()
            worker = HistorianWorker(opened(folder), log, clock)
            app.include_router(routes(worker, Directory()), prefix="/api/v1")
            config = uvicorn.Config(app, uds=str(path), log_level="warning")
            await uvicorn.Server(config).serve()

    security.current_principal = viewer
    asyncio.run(main())


def download(options: argparse.Namespace) -> Figures:
    """The client in this process; the node beside it."""
    path = options.folder.parent / "api.sock"
    command = [sys.executable, __file__, "--keep", str(options.folder.parent), "--serve", str(path)]
    node = subprocess.Popen(command)
    try:
        until = time.monotonic() + READY_S_MAX
        while not is_answering(path, 1):
            assert time.monotonic() < until
            assert node.poll() is None
            time.sleep(0.1)
        session = Session(Wire(Target(path=str(path))), "", "", Patience())
        point = Described(
            str(POINT), "bench/level", "level", "", "", "float", "", "", None, None, None, None,
            None, None, None, False, None, None, None, True, {},
        )  # fmt: skip
        span = Span(str(T0), str(T0 + options.days * DAY_NS))
        costs: list[tuple[float, float]] = []
        for _ in range(RUNS):
            ours, theirs = time.process_time(), cpu_s(node.pid)
            found = [*pages(session, [str(POINT)], span, PAGE_ROWS, lambda _: None)]
            frame = History(Points([point]), found, 0).pandas()
            costs.append((time.process_time() - ours, cpu_s(node.pid) - theirs))
        say(f"{len(frame)} samples")
        return _figures(costs, len(frame)) | _compared(frame, options.days)
    finally:
        node.kill()
        node.wait()


def _figures(costs: list[tuple[float, float]], rows: int) -> Figures:
    millions = rows / 1e6
    client = statistics.median(ours for ours, _ in costs)
    node = statistics.median(theirs for _, theirs in costs)
    return {
        "samples": rows,
        "client_cpu_s": round(client, 3),
        "client_cpu_s_per_million": round(client / millions, 4),
        "node_cpu_s": round(node, 3),
        "node_cpu_s_per_million": round(node / millions, 4),
    }


def _compared(frame: pd.DataFrame, days: int) -> Figures:
    """Every time and value against the generator."""
    times = frame["time"].astype("int64").to_numpy()
    values = frame["value"].to_numpy()
    assert days * DAY_S == len(times)
    for day in range(days):
        expected_times, expected_values = day_of_year_point(day)
        rows = slice(day * DAY_S, (day + 1) * DAY_S)
        order = np.argsort(expected_times, kind="stable")
        assert np.array_equal(times[rows], expected_times[order])
        assert np.array_equal(values[rows], expected_values[order])
    return {"is_equal": True}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=116)
    parser.add_argument("--keep", type=Path, help="Make the data here, or use it again.")
    parser.add_argument("--only", nargs="*", choices=["download"])
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.keep / "segments", options.serve)
        return 0
    with tempfile.TemporaryDirectory() as name:
        options.folder = (options.keep or Path(name)) / "segments"
        if not options.folder.exists():
            say(f"making {options.days} days of 1 Hz")
            options.folder.parent.mkdir(parents=True, exist_ok=True)
            build(options.folder, options.days, 1)
        return run_parts("client", {"download": download}, options, BARS)


if __name__ == "__main__":
    sys.exit(main())
