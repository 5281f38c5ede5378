"""The stream itself: what nobody asked for must not hold up who waits for an answer."""

from __future__ import annotations

import asyncio

import pytest

from penstock.connectors.modbus.wire import STRAYS_MAX, connect
from penstock.model import NotConnected

STRAY = bytes.fromhex("777700000003018302")


async def test_a_device_that_talks_without_being_asked_is_left() -> None:
    """A flood of answers took the time of every other line of the process."""

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(12)
        writer.write(STRAY * (STRAYS_MAX + 1))
        writer.close()

    counts: dict[str, int] = {}
    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        wire = await connect("127.0.0.1", port, 1.0, lambda name: counts.update({name: 1}))
        _, answer = wire.send_nowait(1, bytes.fromhex("0300000001"))

        with pytest.raises(NotConnected, match="nobody asked for"):
            async with asyncio.timeout(5):
                await answer
    assert {"stray_answers": 1, "talkative": 1} == counts
    assert not wire.is_open
