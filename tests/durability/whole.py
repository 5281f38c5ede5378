"""The whole product beside a device that counts, and the oracle that compares the two.

Real processes, sockets and files. Nothing in the product knows that it is tested:
what was accepted is derived from the log's durable watermark, which another process
may read, and from the answers that the device has kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import signal
import socket
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import product as kit
from counting_server import POINTS, SETPOINT, CountingServer

from penstock.log import LogRecord, LogTail, RecordKind
from penstock.model import Batch, Event

GOOD = 192
FIELD_SLOT = 1
ASSET = "Works/Line"
COUNTER, WAVE = f"{ASSET}/n0", f"{ASSET}/wave"
HEADER = "id,asset,name,kind,address,type,rate_s,writable,command_low,command_high\n"
RULE = """
[[rules]]
name = "Wave high"
point = "Works/Line/wave"
kind = "limit"
side = "high"
level = 50
hysteresis = 0
on_delay_s = 0
off_delay_s = 0
priority = 3
latched = false
time_to_respond_s = 3600
cause = { en = "The wave is high." }
consequence = { en = "None." }
response = { en = "Wait." }
"""
WAIT_S_MAX = 90.0  # a machine that does ten other things at once


def wait_until(is_true: Callable[[], Any], what: str, limit_s: float = WAIT_S_MAX) -> Any:
    """The first true answer; connection errors of a restarting core count as no."""
    until = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(OSError, http.client.HTTPException, Unanswered, AssertionError):
            if answer := is_true():
                return answer
        assert time.monotonic() < until, f"waited {limit_s:.0f} s in vain until {what}"
        time.sleep(0.05)


class Unanswered(Exception):
    """An HTTP status that is not 2xx."""


class _Local(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=20)
        self._place = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._place)


@dataclasses.dataclass(frozen=True)
class Stored:
    """One sample, as log or history has it."""

    time_ns: int
    value: int
    quality: int


class Whole:
    """One home with its device; it can be killed, stopped and started again."""

    def __init__(
        self, folder: Path, server: CountingServer, *, settings: str = "", rate_s: float = 0.02
    ) -> None:
        self.folder = folder
        self.server = server
        self.home = folder / "home"
        self.environment = kit.environment_in(folder)
        self.starts: list[int] = []
        self.running: kit.Product | None = None
        if not self.home.exists():
            self.home.mkdir(mode=0o700)
        self._write_plant(settings, rate_s)

    def _write_plant(self, settings: str, rate_s: float) -> None:
        connectors, rules = self.home / "plant" / "connectors", self.home / "plant" / "rules"
        connectors.mkdir(parents=True, exist_ok=True)
        rules.mkdir(exist_ok=True)
        (self.home / "penstock.toml").write_text('[plant]\nname = "Works"\n' + settings)
        (connectors / "plc.toml").write_text(
            f'plugin = "modbus"\nhost = "127.0.0.1"\nport = {self.server.port}\n'
            f"rate_s = {rate_s}\ntimeout_s = 2.0\n"
        )
        names = [*(f"n{number}" for number in range(POINTS - 1)), "wave"]
        rows = [
            f",{ASSET},{name},int,holding {2 * at},uint32,,,,\n" for at, name in enumerate(names)
        ]
        rows.append(f",{ASSET},setpoint,int,holding {SETPOINT},uint32,0.5,true,0,1000000\n")
        (connectors / "plc.csv").write_text(HEADER + "".join(rows))
        (rules / "limits.toml").write_text(RULE)

    # --- life and death

    def start(self) -> None:
        """Until everything listens."""
        self.running = kit.start(self.home, self.environment, self.server.port)
        kit.STARTED.append(self.running)

    def wait_flowing(self) -> None:
        """Until a value that was sent from now on is the newest in history."""
        since = self.server.count
        wait_until(lambda: self.last_number() > since, "new values arrive")

    def pid(self, name: str) -> int:
        assert self.running is not None
        return self.running.pid(name)

    def kill(self, *names: str) -> None:
        """SIGKILL at once to each."""
        for pid in [self.pid(name) for name in names]:
            os.kill(pid, signal.SIGKILL)

    def kill_tree(self) -> None:
        """The machine's view of a power cut, with the page cache kept."""
        assert self.running is not None
        pids = [self.running.process.pid, *(pid for pid, _ in kit.processes_of(self.home))]
        for pid in dict.fromkeys(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        kit.end_all(self.home, self.running.process)

    def stop(self) -> int:
        assert self.running is not None
        return self.running.stop()

    def end(self) -> None:
        """Whatever happened, nothing outlives the test."""
        if self.running is not None:
            kit.end_all(self.home, self.running.process)

    def said(self) -> str:
        """All that its processes have logged."""
        path = self.home / "logs" / "penstock.log"
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    # --- asking

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The local socket, as `local:<user>`."""
        unix = json.loads((self.home / "data" / "ports.json").read_text())["unix"]
        connection = _Local(unix)
        headers = {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body)
        try:
            connection.request(method, f"/api/v1{path}", data, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Unanswered(f"{method} {path}: {answer.status} {content[:300]!r}")
        return json.loads(content)

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def points(self) -> dict[str, str]:
        """Ids of the plant's own points by path."""
        found, cursor = {}, ""
        while True:
            page = self.get(f"/points?limit=500&cursor={cursor}" if cursor else "/points?limit=500")
            found |= {row["path"]: row["id"] for row in page["points"]}
            cursor = page.get("cursor")
            if not cursor:
                return {path: id_ for path, id_ in found.items() if path.startswith(ASSET)}

    def last(self, path: str) -> dict[str, Any] | None:
        ids = self.points()
        if path not in ids:
            return None
        (value,) = self.get(f"/points/last?ids={ids[path]}")["values"]
        return value

    def last_number(self) -> int:
        """Newest good number in history; 0 for none."""
        row = self.last(COUNTER)
        return int(row["value"]) if row and row["quality"] == GOOD else 0

    def history(self, path: str, to_ns: int) -> list[Stored]:
        """All samples before `to_ns`, by the product's own query."""
        id_, cursor, found = self.points()[path], "", list[Stored]()
        while True:
            page = self.get(f"/points/{id_}/samples?from=0&to={to_ns}&cursor={cursor}")
            for time_ns, value, quality in zip(
                page["time_ns"], page["value"], page["quality"], strict=True
            ):
                found.append(Stored(int(time_ns), int(value or 0), quality))
            cursor = page["cursor"]
            if not cursor:
                return found

    def journal(self) -> list[dict[str, Any]]:
        """Alarm events, oldest first."""
        found, cursor = list[dict[str, Any]](), ""
        while True:
            page = self.get(f"/alarms/journal?cursor={cursor}")
            found += page["events"]
            cursor = page["cursor"]
            if not cursor:
                return found[::-1]

    def notices(self) -> set[str]:
        """Codes of what the System page wants somebody to look at."""
        return {item["code"] for item in self.get("/system")["notices"]}


def digest(record: LogRecord) -> int:
    """One number that says what the record holds."""
    payload = record.payload
    if not isinstance(payload, Batch):
        return zlib.crc32(repr((record.kind, payload)).encode())
    found = zlib.crc32(repr((payload.origin, payload.sequence)).encode())
    for frame in payload.frames:
        for column in (frame.point, frame.time_ns, frame.value, frame.quality, frame.flags):
            data = column.tobytes() if hasattr(column, "tobytes") else repr(column).encode()
            found = zlib.crc32(data, found)
    return found


class Witness:
    """Reads the log from outside: what its watermark has called durable must stay."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "data" / "log" / "0"
        self.seen: dict[int, int] = {}
        self.torn: list[int] = []

    def note(self) -> int:
        """Take in what is durable now; the number of records."""
        for record in records_of(self._folder, after=max(self.seen, default=0)):
            self.seen[record.sequence] = digest(record)
        return len(self.seen)

    def lost(self) -> list[int]:
        """Sequences that were durable once and are not there, or are something else."""
        now = {record.sequence: digest(record) for record in records_of(self._folder)}
        return [number for number, was in self.seen.items() if now.get(number) != was]


def records_of(folder: Path, after: int = 0, *, is_damaged: bool = False) -> Iterator[LogRecord]:
    """All durable records, read by another process than the one that writes."""
    tail = LogTail(folder)
    try:
        while records := tail.read(after):
            yield from records
            after = records[-1].sequence
        assert is_damaged or 0 == tail.statistics()["holes"]
    finally:
        tail.close()


@dataclasses.dataclass
class Found:
    """What the log holds, by point and by batch."""

    samples: dict[str, list[Stored]]
    batches: list[tuple[int, int, int]]
    events: list[Event]
    sequences: list[int]


def read_log(home: Path, to_ns: int) -> Found:
    """The log as its files say; samples of the plant before `to_ns`, by path."""
    found, paths = Found({}, [], [], []), dict[int, str]()
    for record in records_of(home / "data" / "log" / "0"):
        found.sequences.append(record.sequence)
        payload = record.payload
        if record.kind == RecordKind.DICTIONARY:
            paths |= {entry.handle: entry.path for entry in payload}
        elif isinstance(payload, Event) and payload.type.startswith("alarm."):
            found.events.append(payload)
        elif isinstance(payload, Batch):
            origin = payload.origin
            found.batches.append((origin.slot, origin.incarnation, payload.sequence))
            for frame in payload.frames:
                for row in range(len(frame)):
                    time_ns = int(frame.time_ns[row])
                    if time_ns < to_ns:
                        stored = Stored(time_ns, int(frame.value[row]), int(frame.quality[row]))
                        found.samples.setdefault(paths[int(frame.point[row])], []).append(stored)
    return found
