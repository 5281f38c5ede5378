"""The independent C server of the tests as a load for benches, with values that wander."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from _product import folder

SOURCE = Path(__file__).resolve().parents[1] / "tests" / "peers" / "modbus_server.c"
UNIT = 1


class CServer:
    """One libmodbus server; the registers wander while `Wanderer` runs."""

    def __init__(self, program: Path, number: int) -> None:
        self.process = subprocess.Popen(
            [str(program), str(number + 1)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self) -> None:
        """End it, also when it was stopped by a signal."""
        self.process.kill()
        self.process.wait()


class Wanderer(threading.Thread):
    """Writes other values into every server once a second, as a process does."""

    def __init__(self, servers: Sequence[CServer], blocks: int) -> None:
        super().__init__(daemon=True)
        self._sockets = [socket.create_connection(("127.0.0.1", item.port)) for item in servers]
        self._blocks = blocks
        self._end = threading.Event()
        self.writes = 0
        self._random = np.random.default_rng(7)

    def run(self) -> None:
        while not self._end.wait(1.0):
            for connection in self._sockets:
                for block in range(self._blocks):
                    self._write(connection, block)

    def _write(self, connection: socket.socket, block: int) -> None:
        """123 registers are the most that one write may hold; the last two stay as they are."""
        if block % 2:
            values = self._random.normal(50, 5, 61).astype(">f4").tobytes()
        else:
            values = self._random.integers(0, 60_000, 122).astype(">u2").tobytes()
        count = len(values) // 2
        pdu = struct.pack(">BHHB", 16, 125 * block, count, 2 * count) + values
        connection.sendall(struct.pack(">HHHB", 1, 0, len(pdu) + 1, UNIT) + pdu)
        self.writes += connection.recv(64)[7] == 16

    def __enter__(self) -> Wanderer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self.join()
        for connection in self._sockets:
            connection.close()


@contextlib.contextmanager
def c_servers(count: int) -> Iterator[list[CServer]]:
    """Compiled anew each time; needs gcc and libmodbus-dev."""
    assert shutil.which("gcc"), "gcc is not installed"
    servers: list[CServer] = []
    with folder() as place:
        program = place / "modbus_server"
        flags = ["-I/usr/include/modbus", "-O2", "-o", str(program)]
        subprocess.run(["gcc", str(SOURCE), *flags, "-lmodbus"], check=True)
        try:
            for number in range(count):
                servers.append(CServer(program, number))  # noqa: PERF401 - what runs must be ended
            yield servers
        finally:
            for server in servers:
                server.stop()
