"""Entry point of core: `python -m penstock.node.core.main HOME`, by the supervisor."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from penstock.config.settings import load_settings
from penstock.model import ConfigError, Refused
from penstock.node.control import Control, Message
from penstock.node.core.core import Core
from penstock.node.core.parts import open_parts
from penstock.node.home import Home, lock, lock_holder
from penstock.node.logs import configure_logs
from penstock.node.loop import run
from penstock.node.settings import Settings
from penstock.security import setup_link

if TYPE_CHECKING:
    from penstock.node.core.parts import Parts
    from penstock.server.listen import Ports

log = structlog.get_logger()

EXIT_CONFIG = 2


class CoreProcess:
    """Core with its control channel."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._tasks: set[asyncio.Task[None]] = set()
        self.control = Control.inherited(self._on_message, core.stop)
        for link in core.links.values():
            link.on_lost = partial(self._on_link_lost, link.name)

    def on_ready(self, ports: Ports) -> None:
        """Everything listens: say where, to files and to the supervisor."""
        facts = ready_facts(self._core.parts, ports)
        path = self._core.parts.home.ports_file
        public = {key: value for key, value in facts.items() if key in ("http", "https", "unix")}
        try:
            self._core.parts.disk.write_whole(path, [json.dumps(public).encode() + b"\n"])
        except OSError as error:  # a full disk must not keep anybody from reading
            log.warning("ports_file_not_written", path=str(path), error=str(error))
        if self.control is not None:
            self.control.send({"op": "ready", "pid": os.getpid(), **facts})
            self.control.keep_alive()

    def _on_link_lost(self, peer: str) -> None:
        """Both ends may live and the link be gone (damaged bytes): only the supervisor has more."""
        if self.control is not None:
            self.control.send({"op": "link_lost", "peer": peer})

    def _on_message(self, message: Message, fds: list[int]) -> None:
        op = message.get("op")
        if op == "stop":
            self._core.stop()
        elif op == "link":
            sock = socket.socket(fileno=fds[0])
            link = self._core.links[str(message["peer"])]
            task = asyncio.get_running_loop().create_task(link.connect(sock))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif op == "processes":
            rows = message["rows"]
            assert isinstance(rows, list)
            self._core.status.processes = rows


def ready_facts(parts: Parts, ports: Ports) -> dict[str, str | None]:
    """Addresses, and a set-up link while nobody has set the node up."""
    return {
        "http": None if ports.http is None else str(ports.http),
        "https": None if ports.https is None else str(ports.https),
        "unix": None if ports.unix is None else str(ports.unix),
        "setup_link": _setup_link(parts, ports),
    }


def _setup_link(parts: Parts, ports: Ports) -> str | None:
    """None once somebody has set the node up; a full disk takes no token, but can be read."""
    if parts.security.is_set_up() or ports.http is None:
        return None
    try:
        return setup_link(ports.http.port, parts.security.issue_setup_token())
    except Refused as refusal:
        log.warning("setup_link_not_made", code=refusal.code)
        return None


async def serve(home: Home) -> None:
    """Open, run, close; the exit of the process follows."""
    settings = load_settings(home.root, Settings)
    parts = await open_parts(home, settings)
    core = Core(parts)
    process = CoreProcess(core)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, core.stop)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the terminal's Ctrl-C: supervisor's
    try:
        await core.run(process.on_ready)
    finally:
        await core.close()
        if process.control is not None:
            process.control.close()


def main() -> int:
    """Argument: the home folder. Exit 2: a human must edit something."""
    configure_logs("core")
    home = Home(Path(sys.argv[1]))
    held = lock(home, os.getppid())  # a person stops `penstock up`, not core
    if held is None:
        return _failed(f"{home.data} is in use by process {lock_holder(home)}. Stop it first.")
    try:
        run(serve(home))
    except ConfigError as error:
        return _failed(str(error))
    return 0


def _failed(detail: str) -> int:
    sys.stderr.write(detail + "\n")
    return EXIT_CONFIG


if __name__ == "__main__":
    sys.exit(main())
