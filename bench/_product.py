"""A whole Penstock under measurement: started as a user does, weighed from /proc, its log read.

What the tests know about starting and ending the product is used from there.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from _kit import cpu_s, memory_mb

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from product import PENSTOCK, STOP_S_MAX, end_all, environment_in, read_line

from penstock.cli.client import Client
from penstock.codec.record import RecordKind
from penstock.log.tail import LogTail
from penstock.model import Batch
from penstock.node.home import Home

COLUMNS = ["asset", "name", "kind", "low", "high", "device", "address", "type"]
ASSET = "Bench"


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of every device: its name, register and type."""

    name: str
    address: int
    type: str = "uint16"
    kind: str = "int"
    low: float | None = None
    high: float | None = None


@dataclass
class Node:
    """A running product; `started_s` is perf_counter at the start of its first process."""

    home: Home
    process: subprocess.Popen[str]
    started_s: float
    ready: dict[str, str | None]

    @property
    def client(self) -> Client:
        """The API as the owner of the data folder."""
        return Client(self.home)

    def pids(self) -> dict[str, int]:
        """Living processes by name; the simulator is none of the product's."""
        found = {"supervisor": self.process.pid}
        for pid, parent, line in _processes():
            if parent != self.process.pid:
                continue
            for name in ("core", "field", "compute", "simulator"):
                if f"penstock.node.{name}.main" in line or f"penstock.{name} " in line:
                    found[name] = pid
        return found

    def cpu(self) -> dict[str, float]:
        """CPU-seconds so far of each process of the product."""
        return {name: cpu_s(pid) for name, pid in self.pids().items() if name != "simulator"}

    def memory(self, kind: str) -> dict[str, float]:
        """Pss or Rss of each process in MB."""
        return {name: round(memory_mb(pid, kind), 1) for name, pid in self.pids().items()}

    def wait_points(self, paths: Sequence[str], timeout_s: float = 120.0) -> list[str]:
        """Ids of points, once the configuration has been applied."""
        found: dict[str, str] = {}

        def are_there() -> bool:
            found.update(self.points())
            return all(path in found for path in paths)

        self.wait_for(are_there, f"point {paths[0]}", timeout_s, 0.1)
        return [found[path] for path in paths]

    def points(self) -> dict[str, str]:
        """Point ids by path."""
        found: dict[str, str] = {}
        cursor: str | None = ""
        while cursor is not None:
            page = self.client.get("/points", {"limit": "1000", "cursor": cursor})
            found |= {row["path"]: row["id"] for row in page["points"]}
            cursor = page["cursor"]
        return found

    def last(self, ids: Sequence[str]) -> list[dict[str, object] | None]:
        """Newest samples."""
        values = self.client.get("/points/last", {"ids": ",".join(ids)})["values"]
        assert isinstance(values, list)
        return values

    def wait_for(
        self, reached: Callable[[], bool], what: str, timeout_s: float = 60.0, every_s: float = 0.02
    ) -> float:
        """Seconds until `reached`."""
        begin = time.perf_counter()
        while not reached():
            assert time.perf_counter() - begin < timeout_s, f"no {what} within {timeout_s:.0f} s"
            time.sleep(every_s)
        return time.perf_counter() - begin

    def stop(self) -> None:
        """A drained stop, or the hard way."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_S_MAX)
        end_all(self.home.root, self.process)


def _processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent, command line) of every process."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            yield int(folder.name), parent, line


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **more: str) -> Iterator[Node]:
    """`penstock up` with a home below `folder`, once everything listens; stopped at the end."""
    environment = {**environment_in(folder), **more}
    os.environ["XDG_RUNTIME_DIR"] = environment["XDG_RUNTIME_DIR"]  # where the local socket lies
    home = Home(folder / "home")
    reader, writer = os.pipe()
    command = [*PENSTOCK, "up", *arguments, "--http", "127.0.0.1:0", "--https", "127.0.0.1:0"]
    command += ["--ready-fd", str(writer), "--home", str(home.root)]
    begin = time.perf_counter()
    with (folder / "up.txt").open("w") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=(writer,),
            text=True,
        )
    os.close(writer)
    node = Node(home, process, begin, {})
    try:
        node.ready = json.loads(read_line(reader, process))
        yield node
    finally:
        os.close(reader)
        node.stop()


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder of its own, on the disk that $TMPDIR names."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        yield Path(name)


def write_plant(
    place: Path, ports: Sequence[int], cells: Sequence[Cell], rate_s: float, node: str = ""
) -> None:
    """A home whose plant reads `cells` of every server; device d01, d02 … is port 1, 2 …

    `node` are further tables of penstock.toml.
    """
    plant = place / "home" / "plant"
    (plant / "connectors").mkdir(parents=True)
    (plant / "rules").mkdir()
    head = '[plant]\nname = "Bench"\nzone = "UTC"\nlanguage = "en"\n'
    (place / "home" / "penstock.toml").write_text(head + node)
    names = [device(number) for number in range(len(ports))]
    assets = [f'[[assets]]\npath = "{ASSET}"\nlevel = "enterprise"\n']
    assets += [f'[[assets]]\npath = "{ASSET}/{name}"\nlevel = "area"\n' for name in names]
    (plant / "assets.toml").write_text("\n".join(assets))
    lines = ['plugin = "modbus"', f"rate_s = {rate_s}"]
    for name, port in zip(names, ports, strict=True):
        lines.append(f'[devices.{name}]\nhost = "127.0.0.1"\nport = {port}')
    (plant / "connectors" / "bench.toml").write_text("\n".join(lines) + "\n")
    with (plant / "connectors" / "bench.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for name in names:
            for cell in cells:
                row = [f"{ASSET}/{name}", cell.name, cell.kind, cell.low, cell.high, name]
                writer.writerow([*row, f"holding {cell.address}", cell.type])


def device(number: int) -> str:
    """Name of the device at port `number`."""
    return f"d{number + 1:02}"


def write_rules(place: Path, points: Sequence[str], level: int) -> None:
    """One high limit for each point."""
    words = 'cause = "The bench did it."\nconsequence = "It is measured."\nresponse = "Wait."\n'
    rules = [
        f'[[rules]]\nname = "high"\npoint = "{point}"\nkind = "limit"\nside = "high"\n'
        f"level = {level}\nhysteresis = 0\non_delay_s = 0\noff_delay_s = 0\npriority = 2\n"
        f"latched = false\ntime_to_respond_s = 600\n{words}"
        for point in points
    ]
    (place / "home" / "plant" / "rules" / "bench.toml").write_text("\n".join(rules))


@dataclass(frozen=True, slots=True)
class Rows:
    """Samples of the log in its order, and the paths of their points."""

    path: dict[int, str]
    point: npt.NDArray[np.uint32]
    time_ns: npt.NDArray[np.int64]
    quality: npt.NDArray[np.uint8]

    def between(self, from_ns: int, to_ns: int) -> Rows:
        """Those with from <= time < to."""
        at = (self.time_ns >= from_ns) & (self.time_ns < to_ns)
        return Rows(self.path, self.point[at], self.time_ns[at], self.quality[at])

    def of(self, path: str) -> Rows:
        """Those of one point."""
        handle = next(handle for handle, name in self.path.items() if name == path)
        at = self.point == handle
        return Rows(self.path, self.point[at], self.time_ns[at], self.quality[at])

    def __len__(self) -> int:
        return len(self.point)


def log_rows(home: Home) -> Rows:
    """Every sample that is durable in the log."""
    tail = LogTail(home.log)
    paths: dict[int, str] = {}
    columns: list[tuple[npt.NDArray[np.generic], ...]] = []
    after = 0
    while records := tail.read(after):
        after = records[-1].sequence
        for record in records:
            if record.kind == RecordKind.DICTIONARY:
                paths |= {entry.handle: entry.path for entry in record.payload}
            elif isinstance(record.payload, Batch):
                columns += [(f.point, f.time_ns, f.quality) for f in record.payload.frames]
    tail.close()
    point, time_ns, quality = (
        np.concatenate([row[column] for row in columns]) if columns else np.zeros(0)
        for column in range(3)
    )
    return Rows(paths, point, time_ns, quality)
