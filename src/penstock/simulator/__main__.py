"""python -m penstock.simulator: the demonstration plant on 127.0.0.1:15020.

`--ready-fd` gets one line with the port once clients can connect, so that
nobody has to guess when the plant is there.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys

from penstock.simulator.server import PortInUse, serve

PORT = 15_020
PARENT_CHECK_S = 1.0


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 after a clean end, 1 when the port is taken."""
    parser = argparse.ArgumentParser(prog="python -m penstock.simulator", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=PORT, help="TCP port; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same values")
    parser.add_argument("--ready-fd", type=int, help="descriptor that gets the port when ready")
    parser.add_argument("--parent", type=int, help="end when the parent process is not this one")
    options = parser.parse_args()
    try:
        asyncio.run(_run(options))
    except PortInUse as error:
        sys.stderr.write(
            f"The simulator cannot listen on {error}: stop what uses the port, or give --port.\n"
        )
        return 1
    return 0


async def _run(options: argparse.Namespace) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def on_ready(port: int) -> None:
        if options.ready_fd is not None:
            os.write(options.ready_fd, f"{port}\n".encode())
            os.close(options.ready_fd)

    watch = None
    if options.parent is not None:
        watch = loop.create_task(_end_with(options.parent, stopped))
    await serve(options.host, options.port, options.seed, on_ready, stopped)
    if watch is not None:
        watch.cancel()


async def _end_with(parent: int, stopped: asyncio.Event) -> None:
    """A supervisor that was killed cannot say stop; its children get another parent."""
    while os.getppid() == parent:  # noqa: ASYNC110 - the kernel sets no event
        await asyncio.sleep(PARENT_CHECK_S)
    stopped.set()


if __name__ == "__main__":
    sys.exit(main())
