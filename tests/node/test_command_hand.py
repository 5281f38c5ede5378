"""The hand on the wire: what is not surely meant is not written, and nothing is written twice."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from scripted import ORIGIN, document, point, settle, wait_for, wire

from penstock.commands.envelope import Envelope, seal
from penstock.link.uplink import Uplink
from penstock.model import ValueKind
from penstock.node.field import commands
from penstock.node.field.collector import Collector
from penstock.node.field.commands import CommandHand
from penstock.node.field.host import Host
from penstock.node.handles import HandleTable
from penstock.plugin import WriteOutcome
from penstock.testing import FakeClock
from penstock.testing.clock import START_NS
from penstock.testing.disk import FakeDisk

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
DATA = Path("/data")
S = 1_000_000_000
ENVELOPE = Envelope(
    id=str(UUID(int=55)), point=str(UUID(int=1)), kind=ValueKind.FLOAT, value=42.5, held=42.5,
    tolerance=0.25,
    author="user:olga", reason="more water", node="node", sequence=9, expires_ns=START_NS + 10 * S,
)  # fmt: skip


class Bench:
    """A hand with a host of one line, and what it has answered."""

    def __init__(self, disk: FakeDisk | None = None) -> None:
        self.clock = FakeClock()
        self.disk = disk or FakeDisk()
        uplink = Uplink(ORIGIN)
        self.host = Host(self.clock, Collector(uplink, linger_s=3600), uplink, HandleTable())
        self.hand = self.new_hand()
        self.answers: list[dict[str, Any]] = []

    def new_hand(self) -> CommandHand:
        """As after a restart of the process."""
        hand = CommandHand(self.host, self.clock, DATA, self.disk)
        hand.trust(UUID(int=9), KEY.public_key().public_bytes_raw())
        return hand

    async def start(self) -> None:
        points = point(1, writable="true", rate_s="600"), point(2)
        await self.host.apply({"connectors": [document(*points, address="a")]})
        self.host.start()
        await settle()

    async def give(self, data: bytes) -> list[str]:
        """Kinds of the answers until nothing happens any more (read-backs need time)."""
        begin = len(self.answers)
        self.hand.take(data, self.answers.append)
        async with asyncio.timeout(5):
            while self.hand._tasks:
                await asyncio.sleep(0.001)
                self.clock.advance(S // 10)
        return [answer["kind"] for answer in self.answers[begin:]]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    await made.start()
    yield made
    wire().gate.set()
    await made.host.close()


async def test_a_command_is_written_once_and_read_back(bench: Bench) -> None:
    assert ["accepted", "read_back"] == await bench.give(seal(ENVELOPE, KEY))

    assert [("write", "42.5")] == [item for item in wire().seen if item[0] == "write"]
    assert (42.5, ENVELOPE.id) == (bench.answers[-1]["value"], bench.answers[-1]["command"])


@pytest.mark.parametrize(
    ("envelope", "key", "detail"),
    [
        (ENVELOPE, OTHER, "envelope: signature"),
        (replace(ENVELOPE, expires_ns=START_NS), KEY, "envelope: expired"),
        (replace(ENVELOPE, value=50.5), KEY, "out of range"),
        (replace(ENVELOPE, value=-0.5), KEY, "out of range"),
        (replace(ENVELOPE, value=float("nan")), KEY, "envelope: form"),
        (replace(ENVELOPE, kind=ValueKind.INT, value=4, held=4), KEY, "wrong kind"),
        (replace(ENVELOPE, point=str(UUID(int=2))), KEY, "unknown point"),
        (replace(ENVELOPE, point=str(UUID(int=77))), KEY, "unknown point"),
    ],
)
async def test_what_is_not_surely_meant_writes_nothing(
    bench: Bench, envelope: Envelope, key: Ed25519PrivateKey, detail: str
) -> None:
    assert ["not_sent"] == await bench.give(seal(envelope, key))

    assert detail == bench.answers[-1]["detail"]
    assert 0 == wire().count("write")
    assert [] == bench.disk.list(DATA / "field")


async def test_a_replay_writes_nothing(bench: Bench) -> None:
    await bench.give(seal(ENVELOPE, KEY))

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))
    assert ["not_sent"] == await bench.give(seal(replace(ENVELOPE, value=1.0), KEY))
    assert 1 == wire().count("write")


@pytest.mark.parametrize("seed", range(5))
async def test_a_crash_between_disk_and_wire_never_repeats_a_write(bench: Bench, seed: int) -> None:
    """The power goes while the write hangs: the id is on disk already."""
    wire().gate.clear()
    bench.hand.take(seal(ENVELOPE, KEY), bench.answers.append)
    await wait_for(lambda: wire().count("write") == 1)
    bench.disk.power_cut(seed)

    bench.hand = bench.new_hand()

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))
    assert "envelope: used" == bench.answers[-1]["detail"]
    assert 1 == wire().count("write")


async def test_a_disk_that_refuses_the_id_keeps_the_write_back(bench: Bench) -> None:
    for call in range(1, 9):
        bench.disk.fail_at(call, OSError(errno.ENOSPC, "No space left on device"))

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))
    assert "its id: No space left on device" == bench.answers[-1]["detail"]
    assert 0 == wire().count("write")


async def test_a_write_that_hangs_is_unknown(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "WRITE_TIMEOUT_S", 0.02)
    wire().gate.clear()

    found = await bench.give(seal(ENVELOPE, KEY))

    assert "unknown" == found[0]
    assert 1 == wire().count("write")


async def test_a_write_whose_turn_never_came_was_not_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read holds the line; later the command must not be written after all."""
    monkeypatch.setattr(commands, "WRITE_TIMEOUT_S", 0.02)
    wire().gate.clear()
    bench.clock.advance(S)
    await settle()

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))

    wire().gate.set()
    await settle()
    assert 0 == wire().count("write")


async def test_a_line_that_is_down_was_not_sent(bench: Bench) -> None:
    wire().is_up = False
    bench.clock.advance(S)
    await settle()
    bench.clock.advance(S)
    await settle()

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))
    assert "a does not answer" == bench.answers[-1]["detail"]


@pytest.mark.parametrize(
    ("outcome", "kinds"),
    [
        (WriteOutcome.REFUSED, ["refused"]),
        (WriteOutcome.NOT_SENT, ["not_sent"]),
        (WriteOutcome.UNKNOWN, ["unknown", *["read_back"] * 8]),
    ],
)
async def test_the_devices_word_is_passed_on(
    bench: Bench, outcome: WriteOutcome, kinds: list[str]
) -> None:
    """After an unknown outcome it is looked at what the device holds, never written again."""
    wire().outcome = outcome

    assert kinds == await bench.give(seal(ENVELOPE, KEY))
    assert 1 == wire().count("write")


async def test_too_many_at_once_are_told_that_nothing_was_sent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "COMMANDS_MAX", 0)

    assert ["not_sent"] == await bench.give(seal(ENVELOPE, KEY))
    assert ENVELOPE.id == bench.answers[-1]["command"]


async def test_a_large_integer_travels_as_text(bench: Bench) -> None:
    wire().values[bench.host.writable_points()[UUID(int=1)].handle] = 2**53 + 1
    wire().outcome = WriteOutcome.UNKNOWN
    await bench.give(seal(ENVELOPE, KEY))

    assert (str(2**53 + 1), True) == (bench.answers[-1]["value"], bench.answers[-1]["is_int"])
