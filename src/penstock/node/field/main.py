"""Entry point of the field process: `python -m penstock.node.field.main`, by the supervisor."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from uuid import UUID

from penstock.link.uplink import Uplink
from penstock.model import Origin
from penstock.node.control import Control, Message
from penstock.node.field.service import FieldService
from penstock.node.logs import configure_logs
from penstock.node.loop import run
from penstock.world import SystemClock

SLOT = 1


async def serve(data: Path, node: UUID) -> None:
    """Until the supervisor says stop, or goes away."""
    clock = SystemClock()
    service = FieldService(clock, Uplink(Origin(node, SLOT, clock.now_ns())), data)
    stop = asyncio.Event()
    tasks: set[asyncio.Task[None]] = set()

    def on_message(message: Message, fds: list[int]) -> None:
        if message.get("op") == "link":
            sock = socket.socket(fileno=fds[0])
            task = asyncio.get_running_loop().create_task(service.connect(sock))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        elif message.get("op") == "stop":
            stop.set()

    control = Control.inherited(on_message, stop.set)
    assert control is not None, "the field process is started by the supervisor"
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's Ctrl-C: supervisor's
    control.send({"op": "ready", "pid": os.getpid()})
    control.keep_alive()
    await stop.wait()
    await service.drain()
    control.close()


def main() -> None:
    """Arguments: data folder, node UUID."""
    configure_logs("field")
    run(serve(Path(sys.argv[1]), UUID(sys.argv[2])))


if __name__ == "__main__":
    main()
