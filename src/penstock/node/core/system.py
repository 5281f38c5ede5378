"""What the System page shows: processes, flow, connections, disk, safeguards.

Numbers come from each object's statistics(); nothing is measured twice and
nothing is kept but what a rate needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.model.event import Json

    Document = dict[str, Json]

MEMORY_LIMIT_MB = {"core": 200, "field": 100, "simulator": 60, "supervisor": 40}
SLOW_ANSWER_MS = 500.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """CPU seconds and memory of one process, read from /proc."""

    cpu_s: float
    pss_mb: float | None
    rss_mb: float


def read_process(pid: int) -> ProcessFacts | None:
    """None when the process is gone or /proc is not there (macOS)."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        resident = int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    cpu_s = (int(fields[11]) + int(fields[12])) / _TICKS
    return ProcessFacts(cpu_s, _pss_mb(folder), resident * _PAGE / 1e6)


def _pss_mb(folder: Path) -> float | None:
    with contextlib.suppress(OSError):
        for line in (folder / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


@dataclass(slots=True)
class Rates:
    """Turns counters into rates between two looks."""

    _before: dict[str, tuple[float, float]] = field(default_factory=dict)

    def rate(self, name: str, count: float, now_s: float) -> float:
        """Per second since the look before; 0 at the first."""
        before = self._before.get(name)
        self._before[name] = (count, now_s)
        if before is None or now_s <= before[1]:
            return 0.0
        return max(0.0, (count - before[0]) / (now_s - before[1]))


def process_rows(rows: Sequence[Mapping[str, Json]], rates: Rates, now_s: float) -> list[Document]:
    """The supervisor's table with CPU and memory."""
    return [_process_row(row, rates, now_s) for row in rows]


def _process_row(row: Mapping[str, Json], rates: Rates, now_s: float) -> Document:
    name, pid = str(row["name"]), row.get("pid")
    facts = read_process(pid) if isinstance(pid, int) else None
    started = row.get("up_since")
    return {
        "name": name,
        "pid": pid,
        "state": "running" if facts is not None else "restarting",
        "up_s": now_s - float(started) if isinstance(started, int | float) else None,
        "cpu_pct": 100 * rates.rate(f"cpu {pid}", facts.cpu_s, now_s) if facts else None,
        "pss_mb": facts.pss_mb if facts else None,
        "rss_mb": facts.rss_mb if facts else None,
        "memory_limit_mb": MEMORY_LIMIT_MB.get(name, 200),
        "restarts": row.get("restarts", 0),
        "last_exit": row.get("last_exit"),
    }


def connection_rows(heartbeat: Mapping[str, Json]) -> list[Document]:
    """One row a device, from the field process's last heartbeat."""
    devices = heartbeat.get("devices", [])
    assert isinstance(devices, list)
    return [_connection_row(device) for device in devices if isinstance(device, dict)]


def _connection_row(device: Document) -> Document:
    answer_ms, rows = device["answer_ms"], device["rows"]
    good, counters = device["good_rows"], device["counters"]
    assert isinstance(counters, dict)
    is_connected = device["is_connected"]
    state = "lost" if is_connected is False else "good"
    if state == "good" and isinstance(answer_ms, int | float) and answer_ms > SLOW_ANSWER_MS:
        state = "slow"
    has_rows = isinstance(rows, int) and isinstance(good, int) and rows > 0
    return {
        "name": device["connector"],
        "kind": device["plugin"],
        "device": device["device"],
        "address": device["address"],
        "points": device["points"],
        "answer_ms": answer_ms,
        "good_pct": 100.0 * good / rows if has_rows else None,  # type: ignore[operator]
        "state": "off" if is_connected is None else state,
        "since_ns": str(device["since_ns"]),
        "unprotected": not device["is_protected"],
        "missed": counters["missed"],
        "stretched": counters["stretched"],
        "counters": counters,
    }


def disk_row(data: Path, log_bytes: int, segment_bytes: int) -> Document:
    """Space of the data folder's file system."""
    usage = shutil.disk_usage(data)
    return {
        "path": str(data),
        "total_bytes": usage.total,
        "free_bytes": usage.free,
        "data_bytes": log_bytes + segment_bytes,
        "log_bytes": log_bytes,
        "segments_bytes": segment_bytes,
    }


def notices(
    processes: Sequence[Document],
    connections: Sequence[Document],
    disk: Document,
    is_log_full: bool,
    audit_ok: bool,
) -> list[Document]:
    """What somebody should look at, worst first."""
    found: list[Document] = []
    if is_log_full:
        found.append(_notice("log_full", "warning", {}))
    if not audit_ok:
        found.append(_notice("audit_broken", "warning", {}))
    free, total = disk["free_bytes"], disk["total_bytes"]
    assert isinstance(free, int)
    assert isinstance(total, int)
    if free < 0.05 * total:
        found.append(_notice("disk_low", "warning", {"free_bytes": free}))
    found += [
        _notice("process_restarting", "warning", {"name": row["name"]})
        for row in processes
        if row["state"] != "running"
    ]
    found += [
        _notice(
            f"connection_{row['state']}",
            "warning" if row["state"] == "lost" else "note",
            {"name": row["name"], "device": row["device"]},
        )
        for row in connections
        if row["state"] in ("lost", "slow")
    ]
    return found


def _notice(code: str, severity: str, params: Document) -> Document:
    return {"code": code, "severity": severity, "params": params}
