"""Peers of the ingest bench on the same rows: DuckDB, SQLite, VictoriaMetrics, InfluxDB.

Each run is a process of its own with a folder of its own. Two ways in are measured:
"bulk" is the peer's best for rows that lie there already, and is what the bars judge;
"groups" gives it the groups of 32 Ki rows that Penstock takes, one after the other.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from _kit import say
from _peer_kit import WAYS, Measured, Unproven, distinct
from _rows import Rows

NAMES = ("duckdb", "sqlite", "victoriametrics", "influxdb")
# Slow ones take the first rows only; their cost per row hardly depends on how many there are.
ROWS_MAX = {"sqlite": 4_000_000, "influxdb": 10_000_000}
PACKAGE_MISSING = 3


def measure(
    rows: Rows, ours: dict[str, float], only: Sequence[str] | None, runs: int, parent: Path
) -> dict[str, object]:
    """An object a peer with its ratios to `ours`, or "UNPROVEN" for one that cannot be had."""
    found: dict[str, object] = {}
    for name in NAMES:
        if only is not None and name not in only:
            found[name] = "UNPROVEN"
            continue
        try:
            found[name] = _peer(name, rows, ours, runs, parent)
        except Unproven as error:
            say(f"{name}: {error}")
            found[name] = "UNPROVEN"
    return found


def _peer(
    name: str, rows: Rows, ours: dict[str, float], runs: int, parent: Path
) -> dict[str, object]:
    limit = min(rows.count, ROWS_MAX.get(name, rows.count))
    module = _module(name)
    ways: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory(dir=parent, prefix="penstock-peer-") as folder:
        for way in WAYS:
            done = [_run(name, rows, Path(folder), limit, way) for _ in range(runs)]
            ways[way] = _figures(done, limit, ours) | {"drops": module.DROPS[way]}
            say(f"{name} {way}: {json.dumps(ways[way])}")
    facts: dict[str, object] = {"rows": limit, "runs": runs, "settings": module.SETTINGS}
    return {**ways["bulk"], **facts, "groups": ways["groups"]}


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"_peer_{name}")


def _run(name: str, rows: Rows, parent: Path, limit: int, way: str) -> Measured:
    """One run in a process of its own, below `parent`."""
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        command = [sys.executable, __file__, name, str(rows.folder), folder, str(limit), way]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode == PACKAGE_MISSING:
        raise Unproven(done.stdout.strip())
    assert done.returncode == 0, f"{name} ended with {done.returncode}"
    return Measured(**json.loads(done.stdout))


def _figures(done: list[Measured], limit: int, ours: dict[str, float]) -> dict[str, object]:
    """Medians per million or per row, and how many times ours."""
    millions = limit / 1e6
    cpu = statistics.median(sum(run.cpu_s.values()) for run in done) / millions
    size = statistics.median(run.stored_bytes for run in done) / limit
    parts = {
        f"{part}_cpu_s_per_million": round(
            statistics.median(run.cpu_s[part] for run in done) / millions, 4
        )
        for part in done[0].cpu_s
    }
    sender = statistics.median(run.sender_cpu_s for run in done) / millions
    return {
        "cpu_s_per_million": round(cpu, 4),
        **parts,
        "sender_cpu_s_per_million": round(sender, 4),
        "bytes_per_sample": round(size, 4),
        "ratio_cpu": round(cpu / ours["cpu_s_per_million"], 3),
        "ratio_bytes": round(size / ours["bytes_per_sample"], 3),
        "rows_stored": done[-1].rows_stored,
        "rows_left_out": done[-1].rows_left_out,
        "version": done[-1].version,
        **done[-1].facts,
    }


def one(name: str, rows: Rows, folder: Path, limit: int, way: str) -> int:
    """The process that is measured, or that watches the daemon that is."""
    try:
        found: Measured = _module(name).run(rows, folder, limit, way)
    except Unproven as error:
        print(error)
        return PACKAGE_MISSING
    expected = limit - found.rows_left_out
    if found.rows_stored != expected:
        kept = distinct(rows, limit, is_finite=found.rows_left_out > 0)
        assert found.rows_stored == kept, f"{found.rows_stored} of {expected} rows, {kept} distinct"
    print(json.dumps(dataclasses.asdict(found)))
    return 0


if __name__ == "__main__":
    peer, rows_folder, own_folder, count, chosen = sys.argv[1:]
    opened = Rows.opened(Path(rows_folder))
    sys.exit(one(peer, opened, Path(own_folder), int(count), chosen))
