"""Processes that run SQL, as compute sees them: asked line by line, ended by force when late.

A process that answered is kept for the next query (starting one costs 0.2 s of CPU); one
that was refused by force, or died, is replaced. It ends by itself when idle.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import orjson
import structlog

from penstock.model import Refused

Document = dict[str, Any]

MODULE = "penstock.historian.sql.child"
LOOK_S = 0.1
GRACE_S = 5
"""How long a child may overrun its own time limit before it is ended."""
IDLE_MAX = 2
PROGRESS = b'{"progress":'

_log = structlog.get_logger(__name__)
_idle: list[Process] = []
_lock = threading.Lock()


class Process:
    """One child; for one thread at a time."""

    def __init__(self, memory_bytes: int, file_bytes: int) -> None:
        self.limits = (memory_bytes, file_bytes)
        self._said = b""
        self._child = subprocess.Popen(  # noqa: S603 - our own module and three numbers
            [sys.executable, "-m", MODULE, *map(str, (*self.limits, os.getpid()))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            cwd="/",
        )

    @property
    def is_alive(self) -> bool:
        """Whether it can be asked."""
        return self._child.poll() is None

    def ask(
        self,
        question: Document,
        timeout_s: float,
        is_cancelled: Callable[[], bool],
        report: Callable[..., None] = lambda **_progress: None,
    ) -> Document:
        """Its answer; Refused as it refused. After a refusal of ours the child is ended.

        `report` hears what the child says on its way.
        """
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(orjson.dumps(question) + b"\n")
            self._child.stdin.flush()
            line = self._line(timeout_s, is_cancelled)
            while line.startswith(PROGRESS):
                report(**orjson.loads(line)["progress"])
                line = self._line(timeout_s, is_cancelled)
        except BrokenPipeError:
            line = b""
        except Refused:
            self.end()
            raise
        if not line:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(GRACE_S)
            self.end()
            if self._child.returncode == 1:
                raise RuntimeError("the SQL process ended by a fault of its own; see the log")
            raise Refused(
                "sql_too_large",
                "The query ended its process: it needed more memory than memory_bytes_max allows.",
            )
        document: Document = orjson.loads(line)
        if "refused" in document:
            raise Refused(*document["refused"])
        answer: Document = document["answer"]
        return answer

    def end(self) -> None:
        """Now, whatever it does."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what it did not read, nobody needs
                    pipe.close()

    def _line(self, timeout_s: float, is_cancelled: Callable[[], bool]) -> bytes:
        """The next line; empty when the child has ended."""
        pipe = self._child.stdout
        assert pipe is not None
        until = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self._said:
                if is_cancelled():
                    raise Refused("cancelled")
                if time.monotonic() > until:
                    _log.warning("sql_ended", after_s=timeout_s)
                    raise Refused("too_slow", f"The query was ended after {timeout_s:.0f} s.")
                if selector.select(LOOK_S):
                    part = os.read(pipe.fileno(), 1 << 16)
                    if not part:
                        return b""
                    self._said += part
        line, _, self._said = self._said.partition(b"\n")
        return line


def borrow(memory_bytes: int, file_bytes: int) -> Process:
    """A process with these limits: one that is idle, else a new one."""
    with _lock:
        kept, _idle[:] = _idle[:], []
        found = None
        for process in kept:
            is_fit = process.is_alive and process.limits == (memory_bytes, file_bytes)
            if is_fit and found is None:
                found = process
            elif is_fit:
                _idle.append(process)
            else:
                process.end()
    return found or Process(memory_bytes, file_bytes)


def give_back(process: Process) -> None:
    """Keep it for the next query."""
    with _lock:
        if process.is_alive and len(_idle) < IDLE_MAX:
            _idle.append(process)
            return
    process.end()


def end_all() -> None:
    """End the idle ones."""
    with _lock:
        kept, _idle[:] = _idle[:], []
    for process in kept:
        process.end()


def _environment() -> dict[str, str]:
    """Only what Python needs: a query has no use for anybody's variables."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
    # One malloc arena: each further one reserves address space, which is limited.
    own = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    return {**kept, **own}
