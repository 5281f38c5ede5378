"""InfluxDB 1.x: line protocol in the order of series, shards compacted by its own settings.

Nanoseconds are kept, and counters are integer fields, for which it has the better encoding.
Lines in order of series and time are its cheapest input, and
plain bodies on the loopback are cheaper for it than compressed ones.
"""

from __future__ import annotations

import json
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

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
)
from _rows import Block, Rows

PACKAGE = "influxdb"
PROGRAM = "influxd"
REQUEST_ROWS = 10_000
LOST = [
    "quality and flags",
    "sequence of each row (as_of), corrections",
]
DROPS = {"bulk": LOST, "groups": LOST}
SETTINGS = {
    "way in": "POST /write, one connection, 10,000 lines a request sorted by series, no gzip",
    "index": "inmem, one tag of few digits; field v (float), of counters i (integer)",
    "wal-fsync-delay": "0s (fsync before each answer)",
    "cache": "4 GB, a snapshot at 256 MB",
    "compaction": "full as soon as a shard is cold for 5 s, then idle for 6 s",
    "monitor": "off",
    "bytes": "TSM files; the index of series (32 MB set aside) is left out",
}
CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "inmem"
  query-log-enabled = false
  cache-max-memory-size = 4294967296
  cache-snapshot-memory-size = 268435456
  cache-snapshot-write-cold-duration = "5s"
  compact-full-write-cold-duration = "5s"
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:0"
  log-enabled = false
  max-row-limit = 0
[ifql]
  enabled = false
[continuous_queries]
  enabled = false
[logging]
  level = "warn"
"""


def run(rows: Rows, folder: Path, limit: int, way: str) -> Measured:
    """CPU of the daemon from the first request until its shards are compacted."""
    binary = program(PROGRAM, PACKAGE, folder.parent)
    with _daemon(binary, folder) as daemon:
        _query(daemon, "POST", "CREATE DATABASE b WITH DURATION INF SHARD DURATION 7d NAME r")
        before, began = daemon.cpu_s(), time.process_time()
        loader = Loader(daemon, "/write?db=b&precision=ns", {})
        left_out = 0
        for arrived in blocks_of(rows, limit, way):
            block = finite(arrived)
            left_out += len(arrived) - len(block)
            for body in requests(block, rows.has_ints(block)):
                loader.send(body)
        loader.close()
        sender, loaded = time.process_time() - began, daemon.cpu_s() - before
        daemon.wait_idle(is_over=lambda: _is_compacted(folder))
        total = daemon.cpu_s() - before
        counts = _query(daemon, "GET", "SELECT count(v), count(i) FROM b.r.v")["values"][0][1:]
    return Measured(
        {"load": loaded, "compaction": total - loaded},
        sender,
        sum(path.stat().st_size for path in (folder / "data").rglob("*.tsm")),
        sum(number or 0 for number in counts),
        package_version(PACKAGE, folder.parent),
        left_out,
        {"sent_bytes_per_sample": round(loader.sent_bytes / limit, 2)},
    )


def _daemon(binary: Path, folder: Path) -> AbstractContextManager[Daemon]:
    (folder / "influxdb.conf").write_text(CONFIG.format(folder=folder))
    command = [str(binary), "-config", str(folder / "influxdb.conf")]
    return Daemon.running(command, folder, "/ping")


def _query(daemon: Daemon, method: str, text: str) -> dict[str, list[list[int]]]:
    status, body = daemon.ask(method, f"/query?db=b&q={urllib.parse.quote(text)}")
    (result,) = json.loads(body)["results"]
    assert status == 200, body
    assert "error" not in result, result
    found: dict[str, list[list[int]]] = result.get("series", [{}])[0]
    return found


def _is_compacted(folder: Path) -> bool:
    """Nothing in the WAL, and files of one generation only in each shard."""
    if bytes_below(folder / "wal"):
        return False
    shards = {path.parent for path in (folder / "data").rglob("*.tsm")}
    return bool(shards) and all(
        len({path.name.split("-")[0] for path in shard.glob("*.tsm")}) == 1 for shard in shards
    )


def requests(block: Block, is_int: npt.NDArray[np.bool_]) -> Iterator[bytes]:
    """Line protocol: `v,p=12 v=1.25 1790000000000000000`, floats as short as they are exact.

    A counter is `v,p=13 i=42i 1790000000000000000`: a field has one type for all its series.
    """
    order = np.argsort(block["point"], kind="stable")
    ordered, is_int = block[order], is_int[order]
    for begin in range(0, len(ordered), REQUEST_ROWS):
        part = ordered[begin : begin + REQUEST_ROWS]
        chosen = is_int[begin : begin + REQUEST_ROWS].tolist()
        columns = part["point"].tolist(), part["value"].tolist(), part["time_ns"].tolist(), chosen
        lines = [
            f"v,p={point} i={int(value)}i {at}" if counts else f"v,p={point} v={value!r} {at}"
            for point, value, at, counts in zip(*columns, strict=True)
        ]
        yield "\n".join(lines).encode()
