"""Starts, watches and restarts the processes of a node; makes their links; touches no data.

It imports nothing but the standard library, so that the one process that must
never die is small and has little to die of. A child that dies comes back; the
others go on and get a fresh end of the link.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from penstock.node.control import ENVIRONMENT, Control, Message
from penstock.node.processes import RESTART_S_MIN, ProcessSpec, restart_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

LOG_BYTES_MAX = 10 * 1024 * 1024
LOG_FILES = 10
LINE_BYTES_MAX = 64 * 1024
STOP_S = {"field": 5.0, "compute": 3.0, "core": 8.0, "simulator": 1.0}
# Who sends to core ends first, together; core drains what they have sent.
STOP_ORDER = (("field", "compute"), ("core",), ("simulator",))
EXIT_CONFIG = 2
EXIT_FAULT = 1
FIRST_STARTS_MAX = 3
WATCH_S = 0.1
SILENT_S_MAX = 30.0
RELINK_S = 1.0
LOWEST_PRIORITY = 19


@dataclass(slots=True)
class Child:
    """A process of the table and what became of it."""

    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    control: Control | None = None
    started: float = 0.0
    restarts: int = 0
    pause_s: float = RESTART_S_MIN / 2
    last_exit: int | None = None
    alive_at: float | None = None
    reader: int | None = None
    buffer: bytes = b""
    facts: Message = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """One node's process tree."""

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        logs: Path,
        on_ready: Callable[[Message], None],
        say: Callable[[str], None],
        silent_s_max: float = SILENT_S_MAX,
    ) -> None:
        self._silent_s_max = silent_s_max
        self._started = self._watched_at = time.monotonic()
        self._children = {spec.name: Child(spec) for spec in specs}
        self._on_ready = on_ready
        self._say = say
        self._is_ready = False
        self._stop = asyncio.Event()
        self._exit_code = 0
        self._log = _open_log(logs)

    async def run(self) -> int:
        """Until a signal; the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        for child in self._children.values():
            self._start(child)
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(WATCH_S):
                    await self._stop.wait()
            self._watch()
        await self._shut_down()
        return self._exit_code

    def _start(self, child: Child) -> None:
        with contextlib.ExitStack() as theirs, contextlib.ExitStack() as on_failure:
            ours, control = socket.socketpair()
            theirs.callback(control.close)
            on_failure.callback(ours.close)
            reader, writer = os.pipe()
            theirs.callback(os.close, writer)
            on_failure.callback(os.close, reader)
            child.process = _spawn(child.spec, control.fileno(), writer)
            on_failure.pop_all()
        child.started = time.monotonic()
        child.alive_at = None
        self._read_log(child, reader)
        if child.spec.has_control:
            child.control = Control(
                ours, lambda message, _fds: self._on_message(child, message), lambda: None
            )
        else:
            ours.close()
        self._make_links(child)
        self._tell_core()

    def _make_links(self, child: Child) -> None:
        """A fresh link for every pair of which this child is one end."""
        core = self._children.get("core")
        if core is None or core.control is None:
            return
        if child is core:
            for other in self._children.values():
                if other.spec.links_to_core and other.is_alive:
                    _link(core, other)
        elif child.spec.links_to_core:
            _link(core, child)

    def _watch(self) -> None:
        now, before = time.monotonic(), self._watched_at
        self._watched_at = now
        if now - before > self._silent_s_max / 2:  # it was we who slept: give everybody new time
            for child in self._children.values():
                child.alive_at = None if child.alive_at is None else now
        for child in self._children.values():
            if child.process is None:
                continue
            if not child.is_alive:
                self._on_exit(child)
            elif child.alive_at is not None and now - child.alive_at > self._silent_s_max:
                self._say(f"{child.spec.name} hangs: silent for {now - child.alive_at:.0f} s.")
                child.alive_at = None
                child.process.kill()

    def _on_exit(self, child: Child) -> None:
        assert child.process is not None
        child.last_exit = child.process.returncode
        child.process = None
        if child.control is not None:
            child.control.close()
            child.control = None
        if child.last_exit == EXIT_CONFIG and child.spec.name == "core":
            self._exit_code = EXIT_CONFIG
            self._stop.set()
            return
        if child.spec.name == "core" and not self._is_ready and child.restarts >= FIRST_STARTS_MAX:
            self._say(f"core did not come up in {FIRST_STARTS_MAX + 1} attempts; see the log.")
            self._exit_code = EXIT_FAULT
            self._stop.set()
            return
        child.pause_s = restart_after_s(time.monotonic() - child.started, child.pause_s)
        child.restarts += 1
        name, pause_s = child.spec.name, child.pause_s
        self._say(f"{name} ended with {child.last_exit}; it starts again in {pause_s:.1f} s.")
        self._tell_core()
        asyncio.get_running_loop().call_later(pause_s, self._restart, child)

    def _restart(self, child: Child) -> None:
        if self._stop.is_set() or child.process is not None:
            return
        try:
            self._start(child)
        except OSError as error:  # no memory, no descriptors: that may be over soon
            child.pause_s = restart_after_s(0.0, child.pause_s)
            self._say(
                f"{child.spec.name} cannot be started ({error.strerror}); "
                f"next attempt in {child.pause_s:.1f} s."
            )
            asyncio.get_running_loop().call_later(child.pause_s, self._restart, child)

    def _on_message(self, child: Child, message: Message) -> None:
        if message.get("op") == "alive":
            child.alive_at = time.monotonic()
        elif message.get("op") == "ready":
            child.facts = message
            if child.spec.name == "core" and not self._is_ready:
                self._is_ready = True
                self._on_ready(message)
            self._tell_core()
        elif message.get("op") == "link_lost":
            other = self._children.get(str(message.get("peer")))
            if other is not None:
                loop = asyncio.get_running_loop()
                loop.call_later(RELINK_S, self._relink, other, other.started)
        elif message.get("op") == "failed":
            self._say(str(message.get("detail")))

    def _relink(self, child: Child, started: float) -> None:
        """A fresh link for two that live; one that has died gets its own at its start."""
        if not self._stop.is_set() and child.is_alive and child.started == started:
            self._make_links(child)

    def _tell_core(self) -> None:
        core = self._children.get("core")
        if core is None or core.control is None:
            return
        rows = [
            {
                "name": child.spec.name,
                "pid": child.process.pid if child.process is not None else None,
                "restarts": child.restarts,
                "last_exit": child.last_exit,
                "up_since": child.started,
            }
            for child in self._children.values()
        ]
        rows.append(
            {
                "name": "supervisor",
                "pid": os.getpid(),
                "restarts": 0,
                "last_exit": None,
                "up_since": self._started,
            }
        )
        core.control.send({"op": "processes", "rows": rows})

    async def _shut_down(self) -> None:
        for names in STOP_ORDER:
            running = [child for name, child in self._children.items() if name in names]
            ends = [self._end(child) for child in running if child.process is not None]
            await asyncio.gather(*ends)
        for child in self._children.values():
            while child.reader is not None and self._on_log(child, child.reader):
                continue  # the last words say why it ended
        for handler in self._log.handlers:
            handler.close()

    async def _end(self, child: Child) -> None:
        process, limit_s = child.process, STOP_S[child.spec.name]
        assert process is not None
        if child.control is not None:
            child.control.send({"op": "stop"})
        else:
            process.terminate()
        try:
            await asyncio.to_thread(process.wait, limit_s)
        except subprocess.TimeoutExpired:
            self._say(f"{child.spec.name} did not stop within {limit_s:.0f} s and was ended.")
            process.kill()
            process.wait()

    def _read_log(self, child: Child, reader: int) -> None:
        os.set_blocking(reader, False)
        child.reader = reader
        asyncio.get_running_loop().add_reader(reader, self._on_log, child, reader)

    def _on_log(self, child: Child, reader: int) -> bool:
        """Log what the child has said; False when there is nothing more for now."""
        try:
            data = os.read(reader, LINE_BYTES_MAX)
        except BlockingIOError:
            return False
        if not data:
            asyncio.get_running_loop().remove_reader(reader)
            os.close(reader)
            child.reader = None if child.reader == reader else child.reader
        *lines, child.buffer = (child.buffer + data).split(b"\n")
        if len(child.buffer) > LINE_BYTES_MAX or (child.buffer and not data):
            lines, child.buffer = [*lines, child.buffer], b""
        for line in lines:
            self._log.info("%s", line.decode("utf-8", "replace"))
        return bool(data)


def _spawn(spec: ProcessSpec, control: int, output: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    if spec.has_control:
        environment[ENVIRONMENT] = str(control)
    process = subprocess.Popen(  # noqa: S603 - our own modules
        spec.command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(control,) if spec.has_control else (),
        env=environment,
        start_new_session=True,
    )
    if spec.nice:
        with contextlib.suppress(OSError):  # it may have ended already
            priority = min(LOWEST_PRIORITY, os.nice(0) + spec.nice)
            os.setpriority(os.PRIO_PROCESS, process.pid, priority)
    return process


def _link(core: Child, other: Child) -> None:
    assert core.control is not None
    if other.control is None:
        return
    one, two = socket.socketpair()
    core.control.send({"op": "link", "peer": other.spec.name, "fds": 1}, (one.fileno(),))
    other.control.send({"op": "link", "peer": "core", "fds": 1}, (two.fileno(),))
    one.close()
    two.close()


def _open_log(folder: Path) -> logging.Logger:
    folder.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(
        folder / "penstock.log", maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES - 1
    )
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("penstock.children")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
    return logger
