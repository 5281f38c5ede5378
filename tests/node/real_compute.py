"""A real compute process for tests, with further operations that a test gives it as text."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

from penstock.node.control import ENVIRONMENT, Control
from penstock.node.core.compute_link import ComputeLink

START = "import sys; from penstock.node.compute.main import main; main()"


class RealCompute:
    """What the supervisor does for compute: a control channel, and links to core."""

    def __init__(self, home: Path, node: str, operations: str = "") -> None:
        ours, theirs = socket.socketpair()
        self.control = Control(ours, lambda _message, _fds: None, lambda: None)
        command = [sys.executable, "-c", operations + "\n" + START, str(home), node]
        self.process = subprocess.Popen(
            command,
            pass_fds=(theirs.fileno(),),
            env={**os.environ, ENVIRONMENT: str(theirs.fileno())},
        )
        theirs.close()

    async def link(self, core: ComputeLink) -> None:
        """A fresh link for both."""
        one, two = socket.socketpair()
        self.control.send({"op": "link", "peer": "core", "fds": 1}, (two.fileno(),))
        two.close()
        await core.connect(one)
        async with asyncio.timeout(30):
            await core._is_up.wait()

    def kill(self) -> None:
        """As the system does when memory ends."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """As the supervisor does; the exit code."""
        self.control.send({"op": "stop"})
        return self.process.wait(10)

    def close(self) -> None:
        """Whatever happened, nothing stays."""
        with contextlib.suppress(OSError):
            self.process.kill()
        self.process.wait()
        self.control.close()
