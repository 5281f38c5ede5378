"""The link over a real socketpair: everything arrives once and in order, whatever dies."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator

import pytest
import uvloop
from both_ends import (
    ORIGIN,
    Link,
    MemoryLog,
    Receiver,
    dictionary,
    put,
    wait_for,
)

from penstock.codec.dictionary import encode_dictionary
from penstock.codec.interval_set import IntervalSet
from penstock.codec.link import (
    LinkType,
    RangeAcknowledge,
    encode_batch_payload,
    encode_frame,
)
from penstock.link import downlink
from penstock.link.session import CRASH, Session
from penstock.link.uplink import Uplink
from penstock.model import Batch, NotConnected, Origin
from penstock.testing import frame


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
async def uplink() -> Uplink:
    return Uplink(ORIGIN)


@pytest.fixture
async def link(uplink: Uplink, log: MemoryLog) -> AsyncIterator[Link]:
    link = await Link.up(uplink, log)
    yield link
    await link.cut()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full log is asked again at once."""
    monkeypatch.setattr(downlink, "RETRY_S", 0.001)


async def test_everything_arrives_once_and_in_order(
    link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    for value in range(1, 201):
        put(uplink, value)
    await uplink.wait_acknowledged()

    assert list(range(1, 201)) == log.sequences
    assert [float(v) for v in range(1, 201)] == [b.frames[0].value[0] for b in log.batches]
    assert {ORIGIN} == {batch.origin for batch in log.batches}
    assert (200, 0, 0) == (
        uplink.counters["acknowledged"],
        uplink.counters["resent"],
        uplink.statistics()["pending_bytes"],
    )


async def test_handles_are_translated_and_unknown_points_counted(
    link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    uplink.put([frame([1, 3, 2, 3], 5, [1.0, 2.0, 3.0, 4.0])])
    await uplink.wait_acknowledged()

    found = log.batches[0].frames[0]
    assert ([11, 22], [1.0, 3.0]) == (found.point.tolist(), found.value.tolist())
    assert 2 == link.receiver.downlink.counters["unknown_rows"]


async def test_a_batch_of_unknown_points_only_is_acknowledged_too(
    link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    """It would be sent for ever otherwise."""
    put(uplink, 1, handle=3)
    await uplink.wait_acknowledged()

    assert [()] == [batch.frames for batch in log.batches]


async def test_a_point_can_be_named_later(link: Link, uplink: Uplink, log: MemoryLog) -> None:
    receiver = link.receiver.downlink
    receiver.on_dictionary(encode_dictionary([]))
    receiver.on_dictionary(encode_dictionary(dictionary(2)))
    put(uplink, 1, handle=2)
    put(uplink, 2, handle=1)
    await uplink.wait_acknowledged()

    assert [22, 11] == [int(batch.frames[0].point[0]) for batch in log.batches]


async def test_a_handle_that_nobody_named_ends_the_session(link: Link, uplink: Uplink) -> None:
    put(uplink, 1, handle=4)
    await wait_for(link.receiver.task.done)

    assert "no dictionary has named" in link.receiver.end


async def test_nothing_is_acknowledged_before_it_is_durable(
    link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    log.is_held = True
    put(uplink, 1)
    await wait_for(lambda: link.receiver.downlink.counters["batches"] == 1)
    assert 1 == uplink.statistics()["pending_batches"]

    log.sync()
    await uplink.wait_acknowledged()

    assert [1] == log.sequences


async def test_a_receiver_that_dies_before_the_acknowledgement_knows_the_resend(
    uplink: Uplink, log: MemoryLog
) -> None:
    first = await Link.up(uplink, log)
    log.is_held = True
    put(uplink, 1)
    await wait_for(lambda: first.receiver.downlink.counters["batches"] == 1)
    first.receiver.session._writer.transport.abort()
    log.sync()
    await first.cut()
    log.is_held = False

    second = await Link.up(uplink, log)
    await uplink.wait_acknowledged()
    await second.cut()

    assert [1] == log.sequences
    assert (1, 1) == (log.duplicates, uplink.counters["resent"])


async def test_no_credit_stops_and_credit_resumes(uplink: Uplink, log: MemoryLog) -> None:
    link = await Link.up(uplink, log, credit=0)
    put(uplink, 1)
    put(uplink, 2)
    sizes = [item.size for item in uplink._pending]
    assert 2 == len(uplink._unsent)

    uplink.on_credit(sizes[0])
    await wait_for(lambda: len(log.sequences) == 1)

    # The receiver grants more once the first is durable; a lower total is an old message.
    uplink.on_credit(0)
    await uplink.wait_acknowledged()
    await link.cut()
    assert [1, 2] == log.sequences


async def test_credit_follows_what_is_durable(uplink: Uplink, log: MemoryLog) -> None:
    """The sender may be one window ahead of the sync, never more."""
    link = await Link.up(uplink, log, credit=0)
    log.is_held = True
    for value in range(1, 11):
        put(uplink, value)
    size = uplink._pending[0].size
    uplink.on_credit(3 * size)
    await wait_for(lambda: link.receiver.downlink.counters["batches"] == 3)

    assert 7 == len(uplink._unsent)

    log.is_held = False
    log.sync()
    await uplink.wait_acknowledged()
    await link.cut()
    assert list(range(1, 11)) == log.sequences


async def test_a_full_window_makes_the_sender_wait(log: MemoryLog) -> None:
    uplink = Uplink(ORIGIN, window_bytes_max=1)
    await uplink.wait_room()
    put(uplink, 1)
    waiting = asyncio.ensure_future(uplink.wait_room())
    await asyncio.sleep(0)
    assert not uplink.has_room
    assert not waiting.done()

    link = await Link.up(uplink, log)
    await waiting
    await link.cut()

    assert uplink.has_room
    assert [1] == log.sequences


async def test_a_damaged_frame_ends_the_session_and_the_next_one_resends(
    uplink: Uplink, log: MemoryLog
) -> None:
    first = await Link.up(uplink, log)
    await wait_for(lambda: len(first.receiver.downlink._translation) > 0)
    uplink.detach()
    sequence = put(uplink, 1)
    payload = encode_batch_payload(Batch(ORIGIN, sequence, (frame(1, 1, [1.0]),)))
    bad = bytearray(b"".join(bytes(part) for part in encode_frame(LinkType.BATCH, payload, 1)))
    bad[-9] ^= 1
    first.sender.session._writer.write(bytes(bad))
    await wait_for(first.receiver.task.done)
    await first.cut()
    assert "wrong checksum" in first.receiver.end
    assert [] == log.sequences

    second = await Link.up(uplink, log)
    await uplink.wait_acknowledged()
    await second.cut()

    assert [1] == log.sequences


async def test_a_full_log_is_asked_again_and_nothing_is_lost(
    impatient: None, link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    log.is_full = True
    for value in range(1, 6):
        put(uplink, value)
    await wait_for(lambda: link.receiver.downlink.counters["refused"] > 2)
    assert [] == log.sequences

    log.is_full = False
    await uplink.wait_acknowledged()

    assert [1, 2, 3, 4, 5] == log.sequences


async def test_a_batch_that_the_disk_refused_is_written_later(
    impatient: None, link: Link, uplink: Uplink, log: MemoryLog
) -> None:
    log.is_held = True
    put(uplink, 1)
    await wait_for(lambda: link.receiver.downlink.counters["batches"] == 1)
    log.refuse()
    log.is_held = False
    put(uplink, 2)
    await uplink.wait_acknowledged()

    assert [1, 2] == sorted(log.sequences)


async def test_an_acknowledgement_out_of_order_frees_its_own_batch_only(uplink: Uplink) -> None:
    for value in range(1, 6):
        put(uplink, value)
    size = uplink._pending[0].size

    uplink.on_acknowledge(RangeAcknowledge(ORIGIN, 2, 3))
    uplink.on_acknowledge(RangeAcknowledge(ORIGIN, 2, 3))
    uplink.on_acknowledge(RangeAcknowledge(Origin(ORIGIN.node, 9, 9), 1, 5))

    assert [1, 4, 5] == [item.sequence for item in uplink._pending]
    assert 3 * size == uplink.statistics()["pending_bytes"]
    assert 2 == uplink.counters["acknowledged"]


async def _disturbed(seed: int) -> tuple[list[int], int]:
    """Cut, hold, sync and put at random; the sequences in the log, and what is still pending."""
    rng = random.Random(seed)
    uplink, log = Uplink(ORIGIN), MemoryLog()
    link = await Link.up(uplink, log)
    values = 0
    for _ in range(rng.randint(5, 30)):
        act = rng.random()
        if act < 0.5:
            for _ in range(rng.randint(1, 4)):
                values += 1
                put(uplink, values)
        elif act < 0.65:
            await link.cut()
            link = await Link.up(uplink, log, rng.choice([None, 0, 400]))
        elif act < 0.75:
            (link.sender if rng.random() < 0.5 else link.receiver).session._writer.close()
        elif act < 0.85:
            log.is_held = not log.is_held
        else:
            log.sync()
        for _ in range(rng.randint(0, 3)):
            await asyncio.sleep(0)
    await link.cut()
    log.is_held = False
    log.sync()
    link = await Link.up(uplink, log)
    async with asyncio.timeout(5):
        await uplink.wait_acknowledged()
    await link.cut()
    assert values == uplink.counters["batches"]
    return log.sequences, values


@pytest.mark.slow
async def test_no_schedule_of_disconnects_loses_or_doubles_a_batch() -> None:
    for seed in range(250):
        sequences, values = await _disturbed(seed)

        assert list(range(1, values + 1)) == sorted(sequences), f"seed {seed}"


# --- sessions


async def pair() -> tuple[Session, Session]:
    one, two = socket.socketpair()
    return await Session.over(one), await Session.over(two)


async def test_a_question_gets_its_own_answer() -> None:
    one, two = await pair()

    async def serve() -> None:
        async for _, payload in two.frames():
            two.answer(payload, echo)

    async def echo(query: dict[str, object]) -> dict[str, object]:
        await asyncio.sleep(0.01 if query["n"] == 1 else 0)
        return query

    async def listen() -> None:
        async for _ in one.frames():
            raise AssertionError("an answer is not for the caller of frames")

    tasks = [asyncio.ensure_future(serve()), asyncio.ensure_future(listen())]

    answers = await asyncio.gather(*(one.query({"n": n}) for n in (1, 2, 3)))

    assert [{"n": 1}, {"n": 2}, {"n": 3}] == answers
    await one.close()
    await two.close()
    await asyncio.wait(tasks)


async def test_a_handler_that_crashes_says_so_to_who_asked() -> None:
    one, two = await pair()

    async def serve() -> None:
        async for _, payload in two.frames():
            two.answer(payload, crash)

    async def crash(_query: dict[str, object]) -> dict[str, object]:
        raise ValueError("nobody expected this")

    async def listen() -> None:
        async for _ in one.frames():
            pass

    tasks = [asyncio.ensure_future(serve()), asyncio.ensure_future(listen())]

    assert {CRASH: "ValueError: nobody expected this"} == await one.query({"n": 1})
    await one.close()
    await two.close()
    await asyncio.wait(tasks)


async def test_what_the_other_end_does_not_read_is_told() -> None:
    one, two = await pair()
    assert 0 == one.waiting_bytes

    one.send(LinkType.HEARTBEAT, [bytes(2 * 1024 * 1024)])

    assert one.waiting_bytes > 1024 * 1024
    one.abort()
    await two.close()


async def test_a_question_ends_with_the_link() -> None:
    one, two = await pair()
    asking = asyncio.ensure_future(one.query({"n": 1}))
    await asyncio.sleep(0)
    await two.close()

    with contextlib.suppress(NotConnected):
        assert [] == [item async for item in one.frames()]
    with pytest.raises(NotConnected, match="link was lost"):
        await asking
    await one.close()


async def test_nobody_answers_in_time() -> None:
    one, two = await pair()

    with pytest.raises(NotConnected, match="no answer within"):
        await one.query({"n": 1}, timeout_s=0.01)
    await one.close()
    await two.close()


async def test_a_frame_may_come_in_any_pieces() -> None:
    one, two = await pair()
    data = b"".join(bytes(part) for part in encode_frame(LinkType.HEARTBEAT, [b'{"a": 1}'], 1))
    frames = two.frames()
    for byte in data:
        one._writer.write(bytes([byte]))
        await asyncio.sleep(0)

    header, payload = await anext(frames)

    assert (LinkType.HEARTBEAT, b'{"a": 1}') == (header.type, payload)
    await one.close()
    await two.close()
    assert [] == [item async for item in frames]


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_to_send_after_the_end_is_harmless(new_loop: object) -> None:
    """A line flushes a batch between the loss of the socket and the word of it."""

    async def lost() -> int:
        one, two = await pair()
        await one.close()
        for _ in range(10):
            one.send(LinkType.HEARTBEAT, [b"{}"])
        uplink = Uplink(ORIGIN)
        uplink.attach(one, 1000)
        put(uplink, 1)
        await two.close()
        return uplink.statistics()["pending_batches"]

    with asyncio.Runner(loop_factory=new_loop) as runner:  # type: ignore[arg-type]
        assert 1 == runner.run(lost())


async def test_a_receiver_remembers_over_its_own_restart(uplink: Uplink) -> None:
    """A checkpoint of the log carries the set on."""
    one, two = MemoryLog(), MemoryLog()
    link = await Link.up(uplink, one)
    put(uplink, 1)
    await wait_for(lambda: one.sequences == [1])
    await link.cut()
    two.received = IntervalSet(one.received.intervals())

    link = await Link.up(uplink, two)
    put(uplink, 2)
    await uplink.wait_acknowledged()
    await link.cut()

    assert [2] == two.sequences
    assert isinstance(link.receiver, Receiver)


# --- batches with a number of their own


async def test_numbered_batches_keep_their_origin_and_are_taken_once(
    uplink: Uplink, log: MemoryLog
) -> None:
    """An import is sent by one process and again by the next: the receiver takes it once."""
    other = Origin(ORIGIN.node, 3, 99)
    numbered = [Batch(other, number, (frame([1], [number], [1.5]),)) for number in (1, 2, 3)]
    first = await Link.up(uplink, log)
    put(uplink, 1)
    await uplink.wait_acknowledged()
    for batch in numbered:
        uplink.put_numbered(batch)
    await uplink.wait_acknowledged()
    await first.cut()
    again = Uplink(Origin(ORIGIN.node, ORIGIN.slot, 8))
    second = await Link.up(again, log)
    for batch in numbered:
        again.put_numbered(batch)
    await again.wait_acknowledged()
    await second.cut()

    assert [(99, 1), (99, 2), (99, 3)] == [
        (batch.origin.incarnation, batch.sequence) for batch in log.batches if batch.origin == other
    ]
    assert 3 == log.duplicates
    assert 0 == again.statistics()["pending_bytes"]
