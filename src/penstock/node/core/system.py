"""What the System page shows: processes, flow, connections, disk, safeguards.

Numbers come from each object's statistics(); nothing is measured twice and
nothing is kept but what a rate needs.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.log import ReaderHandle
    from penstock.model.event import Json
    from penstock.node.core.sampler import Sampler

    Document = dict[str, Json]

MEMORY_LIMIT_MB = {"core": 200, "field": 100, "compute": 400, "simulator": 60, "supervisor": 40}
SLOW_ANSWER_MS = 500.0
WINDOW_S = 10.0
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """Memory of one process, read from /proc."""

    pss_mb: float | None
    rss_mb: float


def read_process(pid: int) -> ProcessFacts | None:
    """None when the process is gone or /proc is not there (macOS)."""
    folder = Path(f"/proc/{pid}")
    try:
        resident = int((folder / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return None
    return ProcessFacts(_pss_mb(folder), resident * _PAGE / 1e6)


def read_cpu_s(pid: int) -> float | None:
    """User and system CPU-seconds of a process, None when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS
    except (OSError, IndexError):
        return None


def _pss_mb(folder: Path) -> float | None:
    with contextlib.suppress(OSError):
        for line in (folder / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def cpu_counters(rows: Sequence[Mapping[str, Json]]) -> dict[str, float]:
    """CPU-seconds of the living processes, for the sampler."""
    found = {}
    for row in rows:
        pid = row.get("pid")
        cpu_s = read_cpu_s(pid) if isinstance(pid, int) else None
        if cpu_s is not None:
            found[f"cpu {pid}"] = cpu_s
    return found


def process_rows(
    rows: Sequence[Mapping[str, Json]], sampler: Sampler, now_s: float
) -> list[Document]:
    """The supervisor's table with CPU and memory."""
    return [_process_row(row, sampler, now_s) for row in rows]


def _process_row(row: Mapping[str, Json], sampler: Sampler, now_s: float) -> Document:
    name, pid = str(row["name"]), row.get("pid")
    facts = read_process(pid) if isinstance(pid, int) else None
    started = row.get("up_since")
    share = sampler.rate(f"cpu {pid}", WINDOW_S)
    return {
        "name": name,
        "pid": pid,
        "state": "running" if facts is not None else "restarting",
        "up_s": now_s - float(started) if isinstance(started, int | float) else None,
        "cpu_pct": None if share is None else 100 * share,
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


def job_rows(jobs: Mapping[str, Mapping[str, Json]]) -> list[Json]:
    """What compute works at, oldest first."""
    return [
        {
            "id": id_,
            "op": job["op"],
            "state": job["state"],
            "since_ns": job["since_ns"],
            "progress": job["progress"],
        }
        for id_, job in sorted(jobs.items(), key=lambda item: int(str(item[1]["since_ns"])))
    ]


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
    *,
    is_log_full: bool,
    audit_ok: bool,
    log_gaps: int,
) -> list[Document]:
    """What somebody should look at, worst first."""
    found: list[Document] = []
    if is_log_full:
        found.append(_notice("log_full", "warning", {}))
    if not audit_ok:
        found.append(_notice("audit_broken", "warning", {}))
    if log_gaps:
        found.append(_notice("log_damaged", "warning", {"gaps": log_gaps}))
    free, total = disk["free_bytes"], disk["total_bytes"]
    assert isinstance(free, int)
    assert isinstance(total, int)
    if free < 0.05 * total:
        found.append(_notice("disk_low", "warning", {"free_bytes": free}))
    found += [
        _notice(f"process_{row['state']}", "warning", {"name": row["name"]})
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


def log_notices(readers: Sequence[ReaderHandle], *, is_paused: bool) -> list[Document]:
    """What limits and poisoned records took from readers, and a clock that jumped."""
    found = [_notice("retention_paused", "warning", {})] if is_paused else []
    for reader in readers:
        who: Document = {"reader": reader.name, "owner": reader.owner}
        if reader.dropped:
            found.append(_notice("reader_dropped", "warning", who | {"records": reader.dropped}))
        if reader.poisoned:
            found.append(_notice("reader_poisoned", "warning", who | {"records": reader.poisoned}))
    return found


def _notice(code: str, severity: str, params: Document) -> Document:
    return {"code": code, "severity": severity, "params": params}
