"""What the doctor can see of the machine with the standard library: Python, disk, clock, modes."""

from __future__ import annotations

import importlib.machinery
import os
import platform
import shutil
import socket
import sqlite3
import stat
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import penstock
from penstock.cli.client import is_running
from penstock.cli.notice import Notice, fault, look, ok
from penstock.node.home import lock_holder

if TYPE_CHECKING:
    from penstock.node.home import Home

PYTHON_MIN = (3, 11)
FREE_FAULT_BYTES = 1_000_000_000
FREE_LOOK_BYTES = 10_000_000_000
SYNCS = 50
SYNC_BYTES = 4_096
SYNC_LOOK_MS = 25.0
SYNC_FAULT_MS = 500.0
CLOCK_YEAR_MIN = 2025
CLOCK_AHEAD_S = 2.0
OTHERS = stat.S_IRWXG | stat.S_IRWXO


def python() -> Notice:
    """The interpreter."""
    detail = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info < PYTHON_MIN:
        return fault("python", detail, "Install Python 3.11 or newer.")
    return ok("python", detail)


def kernels() -> Notice:
    """Compiled or plain; both are right, one is faster."""
    sources = sorted(Path(penstock.__file__).parent.rglob("*_kernel.py"))
    suffixes = importlib.machinery.EXTENSION_SUFFIXES
    compiled = [
        path for path in sources if any(path.with_suffix(suffix).exists() for suffix in suffixes)
    ]
    if not sources:
        return ok("kernels", "none in this version")
    if len(compiled) < len(sources):
        return look(
            "kernels",
            f"{len(sources) - len(compiled)} of {len(sources)} run as plain Python, slower",
            "Install a C compiler and the package anew, or use a wheel.",
        )
    return ok("kernels", f"{len(sources)} compiled")


def home_folder(home: Home) -> Notice:
    """There, ours, and closed to others."""
    if not home.root.is_dir():
        remedy = f"Start it once: `penstock up --home {home.root}`."
        return look("home", f"{home.root} is not there yet", remedy)
    if not os.access(home.root, os.W_OK):
        remedy = f"Run as the owner of {home.root}, or give it to yourself with chown."
        return fault("home", f"{home.root} cannot be written", remedy)
    mode = (home.data if home.data.is_dir() else home.root).stat().st_mode
    if home.data.is_dir() and mode & OTHERS:
        remedy = f"chmod 700 {home.data}"
        return look("home", f"{home.data} is open to other users", remedy)
    return ok("home", str(home.root))


def lock_state(home: Home) -> Notice:
    """Who has the data folder."""
    if is_running(home):
        return ok("running", f"yes, process {lock_holder(home)}")
    return ok("running", "no")


def free_disk(home: Home) -> Notice:
    """Room for the log to grow."""
    place = _nearest(home.data)
    usage = shutil.disk_usage(place)
    detail = f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free at {place}"
    remedy = "Free space, or lower log.log_bytes_max in penstock.toml."
    if usage.free < FREE_FAULT_BYTES:
        return fault("disk", detail, remedy)
    return look("disk", detail, remedy) if usage.free < FREE_LOOK_BYTES else ok("disk", detail)


def sync_time(home: Home) -> Notice:
    """How long the disk takes until 4 KiB are safe; every acknowledgement waits for that."""
    place = _nearest(home.data)
    if not os.access(place, os.W_OK):
        return look("sync", f"{place} cannot be written", "Run as the owner of the home.")
    times_ms = _sync_times_ms(place)
    p50, p99 = times_ms[len(times_ms) // 2], times_ms[-1]
    detail = f"p50 {p50:.2f} ms, p99 {p99:.2f} ms of {SYNCS} syncs at {place}"
    if p99 > SYNC_FAULT_MS:
        return fault("sync", detail, "Check the disk's health; put the home on a local SSD.")
    if p99 > SYNC_LOOK_MS:
        return look("sync", detail, "Expect late acknowledgements; an SSD with capacitors helps.")
    return ok("sync", detail)


def clock(home: Home) -> Notice:
    """A clock that went back would order history wrongly."""
    now_s = time.time()
    now = datetime.fromtimestamp(now_s, UTC)
    if now.year < CLOCK_YEAR_MIN:
        return fault("clock", f"says {now:%Y-%m-%d}", "Set the clock; run chrony or timesyncd.")
    newest_s = max((path.stat().st_mtime for path in _files(home.data)), default=0.0)
    if newest_s > now_s + CLOCK_AHEAD_S:
        detail = f"is {newest_s - now_s:.0f} s behind the newest file in {home.data}"
        return fault("clock", detail, "The clock went back: set it before Penstock starts.")
    return ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


def database(home: Home) -> Notice:
    """SQLite's own check of every page."""
    path = home.data / "state.db"
    if not path.is_file():
        return ok("database", "not there yet")
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        remedy = "Stop Penstock and restore data/state.db from a backup."
        return fault("database", f"{path}: {found}", remedy)
    return ok("database", f"{path.stat().st_size / 1e6:.1f} MB, intact")


def listening(addresses: dict[str, str], *, is_ours: bool) -> list[Notice]:
    """Whether each address answers (ours) or is free (a start would need it)."""
    notices = []
    for name, address in addresses.items():
        host, _, port = address.rpartition(":")
        if not port.isdecimal():
            continue
        if is_ours:
            notices.append(_answering(name, host.strip("[]"), int(port)))
        else:
            notices.append(_free(name, host.strip("[]"), int(port)))
    return notices


def _answering(name: str, host: str, port: int) -> Notice:
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared only
    try:
        socket.create_connection((target, port), timeout=2).close()
    except OSError as error:
        remedy = "See the log of core; a firewall on this machine may be in the way."
        return fault(name, f"{host}:{port} does not answer ({error.strerror or error})", remedy)
    return ok(name, f"{host}:{port} answers")


def _free(name: str, host: str, port: int) -> Notice:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            remedy = f"`ss -ltnp` shows who has it; or set server.{name} in penstock.toml."
            return fault(name, f"{host}:{port} cannot be used ({error.strerror})", remedy)
    return ok(name, f"{host}:{port} is free")


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []


def _sync_times_ms(folder: Path) -> list[float]:
    block = bytes(SYNC_BYTES)
    times_ms = []
    sync = getattr(os, "fdatasync", os.fsync)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(SYNCS):
            begin = time.perf_counter()
            os.write(file.fileno(), block)
            sync(file.fileno())
            times_ms.append((time.perf_counter() - begin) * 1e3)
    return sorted(times_ms)
