"""No acknowledgement before the sync that covers it: on a disk that holds back, and in a trace."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
from counting_server import CountingServer
from slow_disk import HeldDisk
from whole import FIELD_SLOT, Whole

from penstock.codec.dictionary import DictionaryEntry, encode_dictionary
from penstock.codec.layout import Damaged
from penstock.codec.link import HEADER_BYTES as LINK_HEADER_BYTES
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit, decode_frame_header
from penstock.codec.record import HEADER_BYTES, RecordKind, decode_header
from penstock.link.downlink import Downlink
from penstock.link.session import Session
from penstock.link.uplink import Uplink
from penstock.log import Log, LogSettings, LogTail
from penstock.model import Origin, ValueKind
from penstock.testing import frame
from penstock.world import SystemClock

NODE, POINT = UUID(int=1), UUID(int=101)
BATCHES = 200


class Wire:
    """Both ends of a link over a socketpair; `seen` are the frames that the sender got."""

    def __init__(self, uplink: Uplink) -> None:
        self.uplink = uplink
        self.seen: list[LinkType] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self, log: Log) -> None:
        ours, theirs = socket.socketpair()
        receiver, sender = await Session.over(theirs), await Session.over(ours)
        downlink = Downlink(receiver, log, lambda _id: 1)
        self._sessions = (receiver, sender)
        self._tasks = [
            asyncio.create_task(self._receive(receiver, downlink)),
            asyncio.create_task(self._send(sender)),
        ]
        entry = DictionaryEntry(1, POINT, ValueKind.FLOAT, "w/p")
        sender.send(LinkType.DICTIONARY, [encode_dictionary([entry])])
        self.uplink.attach(sender, downlink.open())

    async def _receive(self, session: Session, downlink: Downlink) -> None:
        async for header, payload in session.frames():
            if header.type == LinkType.BATCH:
                downlink.on_batch(payload)
            elif header.type == LinkType.DICTIONARY:
                downlink.on_dictionary(payload)

    async def _send(self, session: Session) -> None:
        async for header, payload in session.frames():
            self.seen.append(header.type)
            if header.type == LinkType.ACKNOWLEDGE:
                self.uplink.on_acknowledge(decode_acknowledge(payload))
            elif header.type == LinkType.CREDIT:
                self.uplink.on_credit(decode_credit(payload))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        for session in self._sessions:
            await session.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    found = Wire(Uplink(Origin(NODE, FIELD_SLOT, 7)))
    yield found
    await found.close()


async def test_a_disk_that_holds_back_its_sync_gets_no_acknowledgement_out(
    tmp_path: Path, wire: Wire
) -> None:
    """0 acknowledgements meanwhile, and all of them afterwards."""
    disk, folder = HeldDisk(), tmp_path / "log" / "0"
    settings = LogSettings(ballast_bytes=65_536)
    log = await Log.open(
        folder, disk=disk, clock=SystemClock(), origin=Origin(NODE, 0, 1), settings=settings
    )
    tail = LogTail(folder)
    before = tail.durable
    await wire.connect(log)
    disk.released.clear()
    for number in range(BATCHES):
        wire.uplink.put([frame(1, number, [float(number)])])
        if number % 20 == 0:
            await asyncio.sleep(0.01)

    await asyncio.sleep(0.5)
    assert [] == wire.seen
    assert before == tail.durable
    assert BATCHES == wire.uplink.statistics()["pending_batches"]

    disk.released.set()
    async with asyncio.timeout(10):
        await wire.uplink.wait_acknowledged()
    assert BATCHES == wire.seen.count(LinkType.ACKNOWLEDGE)
    assert before + BATCHES == tail.durable
    tail.close()
    await log.close()


# --- the real core process, as the kernel sees it

BEGUN = re.compile(r"^(\d+)\s+(\w+)\(")
RESUMED = re.compile(r"^(\d+)\s+<\.\.\. (\w+) resumed>.*= (-?\d+)")
BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
CALLS = "write,writev,sendto,sendmsg,fdatasync"


def bytes_of(line: str) -> bytes:
    return b"".join(bytes.fromhex(part.replace("\\x", "")) for part in BYTES.findall(line))


def appended(data: bytes) -> set[tuple[int, int]]:
    """(incarnation, sequence) of the field's batches that a write puts into the log."""
    found, at = set(), data.find(b"PREC")
    while at >= 0:
        try:
            header = decode_header(data[at : at + HEADER_BYTES])
        except Damaged:
            header = None
        if header and header.kind == RecordKind.BATCH and header.origin.slot == FIELD_SLOT:
            found.add((header.origin.incarnation, header.origin_sequence))
        at = data.find(b"PREC", at + 4)
    return found


def acknowledged(data: bytes) -> set[tuple[int, int]]:
    """(incarnation, sequence) of the batches that a write to a socket acknowledges."""
    found, at = set[tuple[int, int]](), data.find(b"PLNK")
    while at >= 0:
        header = decode_frame_header(data[at : at + LINK_HEADER_BYTES])
        begin = at + LINK_HEADER_BYTES
        if header.type == LinkType.ACKNOWLEDGE:
            item = decode_acknowledge(data[begin : begin + header.payload_bytes])
            numbers = range(item.first, item.last + 1)
            found |= {(item.origin.incarnation, number) for number in numbers}
        at = data.find(b"PLNK", begin + header.payload_bytes)
    return found


def judge(lines: list[str]) -> tuple[int, int, int]:
    """(acknowledged, not covered, syncs) of a trace, call by call in the kernel's order."""
    written, durable = set[tuple[int, int]](), set[tuple[int, int]]()
    syncing = dict[str, set[tuple[int, int]]]()
    told, uncovered, syncs = 0, 0, 0
    for line in lines:
        begun, resumed = BEGUN.match(line), RESUMED.match(line)
        if begun and begun[2] == "fdatasync":
            syncing[begun[1]] = set(written)
        is_synced = line.rstrip().endswith("= 0")
        done = resumed[1] if resumed and resumed[2] == "fdatasync" else None
        if begun and begun[2] == "fdatasync" and "unfinished" not in line:
            done = begun[1]
        if done is not None and is_synced:
            durable |= syncing.pop(done)
            syncs += 1
        if begun and begun[2] != "fdatasync":
            data = bytes_of(line)
            written |= appended(data)
            acknowledges = acknowledged(data)
            told += len(acknowledges)
            uncovered += len(acknowledges - durable)
    return told, uncovered, syncs


@pytest.mark.long
@pytest.mark.timeout(300)
def test_each_acknowledgement_of_the_real_core_follows_the_sync_that_covers_it(
    whole: Callable[..., Whole], server: CountingServer, tmp_path: Path
) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    product = whole()
    product.start()
    product.wait_flowing()
    trace = tmp_path / "trace.txt"
    core = product.pid("core")
    command = ["strace", "-f", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", str(trace)]
    tracer = subprocess.Popen([*command, "-p", str(core)], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    first = tracer.stderr.readline()
    if "attached" not in first:
        pytest.skip(f"strace may not look: {first}")
    server.wait_answers(200)
    os.kill(tracer.pid, signal.SIGINT)
    tracer.communicate(timeout=30)
    lines = trace.read_text().splitlines()
    # What was written before the tracer came cannot be judged: begin at the first append.
    begin = next(at for at, line in enumerate(lines) if appended(bytes_of(line)))
    oldest = min(appended(bytes_of(lines[begin])))
    lines = [line for line in lines[begin:] if not is_older(line, oldest)]
    told, uncovered, syncs = judge(lines)
    assert 100 < told
    assert 20 < syncs
    assert 0 == uncovered
    without = judge([line for line in lines if "fdatasync" not in line])
    assert (told, told, 0) == without, "the judge is blind"
    assert 0 == product.stop()


def is_older(line: str, oldest: tuple[int, int]) -> bool:
    """Does it acknowledge only what was appended before the trace began?"""
    found = acknowledged(bytes_of(line))
    return bool(found) and max(found) < oldest
