"""VictoriaMetrics: Prometheus remote write, samples of a series together, then a forced merge.

Remote write is its cheapest way in for a foreign program. JSON lines cost about as much;
the native import costs a third less, but takes only what another VictoriaMetrics exported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import cramjam
import numpy as np
import numpy.typing as npt
from _peer_kit import (
    Daemon,
    Loader,
    Measured,
    blocks_of,
    bytes_below,
    finite,
    package_version,
    program,
    sorted_by_point,
)
from _rows import Block, Rows

PACKAGE = "victoria-metrics"
PROGRAM = "victoria-metrics"
REQUEST_ROWS = 200_000
LOST = [
    "nanoseconds: times are cut to milliseconds",
    "quality and flags",
    "int64 (all is float64) and the last bits of values: decimals of about 15 digits",
    "fsync of each group: what was taken in the last seconds is lost in a power cut",
    "sequence of each row (as_of), corrections",
]
DROPS = {"bulk": LOST, "groups": LOST}
SETTINGS = {
    "way in": "POST /api/v1/write, snappy, each block by series, about 200 k rows a request",
    "retentionPeriod": "100y",
    "merge": "/internal/force_flush, /internal/force_merge, then idle for 6 s",
    "bytes": "data and indexdb folders after stop; its caches are left out",
}
SAMPLE = np.dtype([("head", "V3"), ("value", "<f8"), ("tag", "u1"), ("time", "u1", 6)])
QUERY = "/api/v1/query?query=sum(count_over_time(v%5B1000d%5D))&nocache=1&time="


def run(rows: Rows, folder: Path, limit: int, way: str) -> Measured:
    """CPU of the daemon from the first request until all is merged."""
    binary = program(PROGRAM, PACKAGE, folder.parent)
    with _daemon(binary, folder) as daemon:
        before, began = daemon.cpu_s(), time.process_time()
        loader = Loader(daemon, "/api/v1/write", {"Content-Encoding": "snappy"})
        newest_ms = 0
        left_out = 0
        for arrived in blocks_of(rows, limit, way):
            block = finite(arrived)
            left_out += len(arrived) - len(block)
            newest_ms = max(newest_ms, int(block["time_ns"].max()) // 1_000_000)
            for body in requests(block):
                loader.send(body)
        loader.close()
        daemon.ask("GET", "/internal/force_flush")
        daemon.wait_idle()
        loaded = daemon.cpu_s() - before
        sender = time.process_time() - began
        status, _ = daemon.ask("GET", "/internal/force_merge")
        assert status == 200, status
        daemon.wait_idle()
        total = daemon.cpu_s() - before
        count = _count(daemon, newest_ms)
    stored = bytes_below(folder / "store" / "data", folder / "store" / "indexdb")
    return Measured(
        {"load": loaded, "merge": total - loaded},
        sender,
        stored,
        count,
        package_version(PACKAGE, folder.parent),
        left_out,
        {"sent_bytes_per_sample": round(loader.sent_bytes / limit, 2)},
    )


def _daemon(binary: Path, folder: Path) -> AbstractContextManager[Daemon]:
    command = [str(binary), f"-storageDataPath={folder}/store", "-httpListenAddr=127.0.0.1:0"]
    command += ["-retentionPeriod=100y", "-loggerLevel=WARN", "-search.maxQueryDuration=10m"]
    return Daemon.running(command, folder, "/health")


def _count(daemon: Daemon, newest_ms: int) -> int:
    status, body = daemon.ask("GET", f"{QUERY}{newest_ms / 1000 + 1:.3f}")
    assert status == 200, body
    (found,) = json.loads(body)["data"]["result"]
    return int(found["value"][1])


# --- what the sender does


def requests(block: Block) -> Iterator[bytes]:
    """Remote write requests: one series a point, its samples in order of time."""
    ordered = sorted_by_point(block)
    samples = encoded(ordered)
    begins = np.flatnonzero(np.r_[True, np.diff(ordered["point"].astype(np.int64)) != 0]).tolist()
    parts: list[bytes] = []
    rows = 0
    for begin, end in zip(begins, [*begins[1:], len(ordered)], strict=True):
        parts.append(series(int(ordered["point"][begin]), samples[begin:end]))
        rows += end - begin
        if rows >= REQUEST_ROWS:
            yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))
            parts, rows = [], 0
    if parts:
        yield bytes(cramjam.snappy.compress_raw(b"".join(parts)))


def encoded(block: Block) -> npt.NDArray[np.void]:
    """prometheus.Sample as field 2 of a series: double value = 1, int64 milliseconds = 2."""
    samples = np.empty(len(block), SAMPLE)
    samples["head"] = np.void(b"\x12\x10\x09")
    samples["value"] = block["value"]
    samples["tag"] = 0x10
    time_ms = block["time_ns"] // 1_000_000
    is_six_bytes = (time_ms >= 1 << 35) & (time_ms < 1 << 42)
    assert is_six_bytes.all(), "a time before 1971 or after 2109"
    for place in range(6):
        more = 0x80 if place < 5 else 0
        samples["time"][:, place] = (time_ms >> 7 * place) & 0x7F | more
    return samples


def series(point: int, samples: npt.NDArray[np.void]) -> bytes:
    """prometheus.TimeSeries as field 1 of a request."""
    labels = _field(1, _field(1, b"__name__") + _field(2, b"v"))
    labels += _field(1, _field(1, b"p") + _field(2, b"%d" % point))
    return _field(1, labels + samples.tobytes())


def _field(number: int, content: bytes) -> bytes:
    size, head = len(content), bytearray([number << 3 | 2])
    while size >= 0x80:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + content
