"""What the peers of the ingest bench share: rows up to a limit, daemons, their CPU and their bytes.

A peer's CPU is that of all its threads and processes from the first row until nothing
works in the background any more. What only a sender does (reading the rows, writing
them as text or protobuf) is told apart and is nobody's figure, as it is with Penstock.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from _kit import cpu_s
from _rows import Block, Rows

WAYS = ("bulk", "groups")
BULK_ROWS = 2_000_000
GROUP_ROWS = 32_768
READY_S_MAX = 60.0
IDLE_S_MAX = 900.0
IDLE_SHARE = 0.03
IDLE_ROUNDS = 6
REST_ROUNDS = 60


class Unproven(Exception):
    """The peer cannot be had on this machine; the text says what to do."""


@dataclass
class Measured:
    """One run of a peer; `cpu_s` by part, all of which count.

    `rows_left_out` are those whose value (NaN, infinity) the peer cannot take.
    """

    cpu_s: dict[str, float]
    sender_cpu_s: float
    stored_bytes: int
    rows_stored: int
    version: str
    rows_left_out: int = 0
    facts: dict[str, object] = field(default_factory=dict)


def limited(rows: Rows, limit: int) -> Iterator[Block]:
    """The first `limit` rows in the order of arrival, in blocks as they lie in the files."""
    left = limit
    for block in rows.blocks():
        if left <= 0:
            return
        yield block[:left]
        left -= len(block)


def large(rows: Rows, limit: int, size: int) -> Iterator[Block]:
    """The same in blocks of at least `size` rows, but for the last."""
    parts: list[Block] = []
    count = 0
    for block in limited(rows, limit):
        parts.append(block)
        count += len(block)
        if count >= size:
            yield np.concatenate(parts)
            parts, count = [], 0
    if parts:
        yield np.concatenate(parts)


def blocks_of(rows: Rows, limit: int, way: str) -> Iterator[Block]:
    """What is given to a peer at once: "bulk" 2 M rows, "groups" what Penstock gets as a Batch."""
    if way == "bulk":
        yield from large(rows, limit, BULK_ROWS)
        return
    for block in limited(rows, limit):
        for begin in range(0, len(block), GROUP_ROWS):
            yield block[begin : begin + GROUP_ROWS]


def sorted_by_point(block: Block) -> Block:
    """Stable, so the times of a point stay in order."""
    return block[np.argsort(block["point"], kind="stable")]


def finite(block: Block) -> Block:
    """Rows that a peer without NaN and infinity can take."""
    return block[np.isfinite(block["value"])]


def distinct(rows: Rows, limit: int, *, is_finite: bool) -> int:
    """Rows that differ in point or time; a peer with a key keeps only these."""
    blocks = (finite(block) if is_finite else block for block in limited(rows, limit))
    seen = [np.ascontiguousarray(block[["point", "time_ns"]]) for block in blocks]
    return len(np.unique(np.concatenate(seen)))


def bytes_below(*folders: Path) -> int:
    """Bytes of all files, as their sizes say."""
    return sum(
        path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file()
    )


# --- programs that come from Debian


def program(name: str, package: str, folder: Path) -> Path:
    """The program on this machine, or out of its Debian package, unpacked below `folder`.

    The package is not installed: nothing of the machine changes, no service starts.
    """
    found = shutil.which(name)
    if found:
        return Path(found)
    target = folder / "debian"
    target.mkdir(exist_ok=True)
    ready = next(target.glob(f"usr/*bin/{name}"), None)
    if ready is None:
        _unpack(package, target)
        ready = next(target.glob(f"usr/*bin/{name}"), None)
    if ready is None:
        raise Unproven(f"{name} is not here: apt-get install {package}")
    return ready


def _unpack(package: str, target: Path) -> None:
    try:
        subprocess.run(["apt-get", "download", "-qq", package], cwd=target, check=True)
        for archive in target.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(target)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unproven(f"apt-get install {package} ({error})") from error


def package_version(package: str, folder: Path) -> str:
    """Version of the Debian package, installed or unpacked below `folder`."""
    command = ["dpkg-query", "-W", "-f", "${Version}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return done.stdout
    archives = sorted((folder / "debian").glob(f"{package}_*.deb"))
    return archives[0].name.split("_")[1] if archives else "unknown"


# --- daemons


class Daemon:
    """A server on 127.0.0.1 at a port that it has bound itself; it never outlives `running`."""

    def __init__(self, command: list[str], folder: Path) -> None:
        with_us = shutil.which("setpriv")
        if with_us is not None:
            # Then the kernel ends it even when this process is killed.
            command = [with_us, "--pdeathsig", "KILL", *command]
        self._output = (folder / "output.txt").open("wb")
        self._process = subprocess.Popen(
            command, cwd=folder, stdout=self._output, stderr=self._output, start_new_session=True
        )
        self.pid = self._process.pid
        self.folder = folder
        self.port = 0

    @classmethod
    @contextlib.contextmanager
    def running(cls, command: list[str], folder: Path, ready_path: str) -> Iterator[Daemon]:
        """Started and answering `ready_path`; killed at the end whatever happens."""
        daemon = cls(command, folder)
        try:
            daemon._wait_ready(ready_path)
            yield daemon
        finally:
            daemon.stop()

    def _wait_ready(self, path: str) -> None:
        until = time.monotonic() + READY_S_MAX
        while time.monotonic() < until:
            if self._process.poll() is not None:
                break
            for port in listening(self.pid):
                self.port = port
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if self.ask("GET", path)[0] < 300:
                        return
            time.sleep(0.1)
        said = (self.folder / "output.txt").read_text("utf-8", "replace")
        raise AssertionError(f"did not start:\n{said[-2000:]}")

    def connection(self) -> http.client.HTTPConnection:
        """A fresh one; a loader keeps it."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        """Status and body of one request."""
        link = self.connection()
        try:
            link.request(method, path, body, dict(headers or {}))
            answer = link.getresponse()
            return answer.status, answer.read()
        finally:
            link.close()

    def cpu_s(self) -> float:
        """CPU-seconds until now, all threads."""
        return cpu_s(self.pid)

    def wait_idle(self, is_over: Callable[[], bool] = lambda: True) -> None:
        """Until `is_over` and less than 3 % of a core for six seconds: nothing is merged any more.

        A peer that never gets to `is_over` by itself is taken as it is after a minute of rest.
        """
        quiet, before = 0, self.cpu_s()
        until = time.monotonic() + IDLE_S_MAX
        while quiet < IDLE_ROUNDS or not (is_over() or quiet > REST_ROUNDS):
            assert time.monotonic() < until, "it does not come to rest"
            time.sleep(1)
            now = self.cpu_s()
            quiet = quiet + 1 if now - before < IDLE_SHARE else 0
            before = now

    def stop(self) -> None:
        """SIGTERM, so that it writes what it holds; SIGKILL when that takes too long."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(120)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._output.close()


class Loader:
    """One kept connection that posts bodies one after the other and refuses to lose one."""

    def __init__(self, daemon: Daemon, path: str, headers: Mapping[str, str]) -> None:
        self._link = daemon.connection()
        self._path, self._headers = path, dict(headers)
        self.sent_bytes = 0

    def send(self, body: bytes) -> None:
        self._link.request("POST", self._path, body, self._headers)
        answer = self._link.getresponse()
        text = answer.read()
        assert answer.status in (200, 204), (answer.status, text[:500])
        self.sent_bytes += len(body)

    def close(self) -> None:
        self._link.close()


def listening(pid: int) -> list[int]:
    """Ports of 127.0.0.1 and of all addresses at which a process listens."""
    sockets = set()
    for item in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(str(item.readlink()))
    found = []
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                found.append(int(fields[1].rpartition(":")[2], 16))
    return found
