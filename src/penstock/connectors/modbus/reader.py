"""Reading one group: all requests, then what was refused by halves, then one decode.

A refused request is halved within the same cycle until the guilty point or the
device's limit is found, so that good points are good again before the cycle ends.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from penstock.connectors.modbus.decode import NumberDecoder, decoders
from penstock.connectors.modbus.layout import plan_spans, split_span
from penstock.connectors.modbus.wire import Answer, Outcome
from penstock.model import Quality
from penstock.plugin import Reading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from penstock.connectors.modbus.anchor import Anchor
    from penstock.connectors.modbus.layout import DeviceMemory, Span
    from penstock.connectors.modbus.points import ModbusValue
    from penstock.connectors.modbus.session import Session
    from penstock.connectors.modbus.wire import Pending
    from penstock.plugin import ConnectorContext

BUSY_WAIT_NS = 200_000_000
REFUSED_RETRY_NS = 60_000_000_000
SPLITS_MAX = 512
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE, ACKNOWLEDGE, BUSY = 1, 2, 3, 5, 6
GATEWAY_CODES = (0x0A, 0x0B)
QUALITY_BY_CODE = {
    ILLEGAL_FUNCTION: Quality.BAD_CONFIGURATION,
    ILLEGAL_ADDRESS: Quality.BAD_CONFIGURATION,
    ILLEGAL_VALUE: Quality.BAD_CONFIGURATION,
    ACKNOWLEDGE: Quality.BAD_NOT_AVAILABLE,
    BUSY: Quality.BAD_NOT_AVAILABLE,
}
NAME_BY_CODE = {
    1: "function not supported",
    2: "address refused",
    3: "value or count refused",
    4: "device failure",
    5: "acknowledge, still working",
    6: "busy",
    0x0A: "gateway path not available",
    0x0B: "gateway target does not answer",
}


def describe(code: int) -> str:
    """An exception code in words."""
    return f"exception {code} ({NAME_BY_CODE.get(code, 'not in the standard')})"


def is_silence(answer: Answer) -> bool:
    """The unit did not answer, whether we or its gateway waited in vain."""
    return answer.outcome is Outcome.SILENT or answer.code in GATEWAY_CODES


def span_pdu(span: Span) -> bytes:
    """The request of a span: function code, address, count."""
    head = bytes([span.table.read_function])
    return head + span.begin.to_bytes(2, "big") + span.count.to_bytes(2, "big")


@dataclass(slots=True)
class _Cycle:
    """One read: by position, the quality and the monotonic time of each answer."""

    quality: npt.NDArray[np.uint8]
    time_ns: npt.NDArray[np.int64]
    requests: int = 0
    splits: int = 0
    silence: Answer | None = None
    refused: list[tuple[int, Span, Answer]] = field(default_factory=list)
    detail: str = ""


class GroupReader:
    """Points of one device that are read together."""

    def __init__(
        self,
        points: Sequence[ModbusValue],
        unit: int,
        memory: DeviceMemory,
        pipeline_max: int,
        session: Session,
        context: ConnectorContext,
    ) -> None:
        self._points = tuple(points)
        self._unit = unit
        self._memory = memory
        self._pipeline_max = pipeline_max
        self._session = session
        self._context = context
        self._version = -1

    async def read(self, anchor: Anchor) -> Reading:
        """Frames of all points; silent when the unit did not answer; NotConnected."""
        if self._version != self._memory.version:
            self._plan()
        rows = len(self._points)
        cycle = _Cycle(np.full(rows, Quality.GOOD, np.uint8), np.zeros(rows, np.int64))
        anchor.refresh()
        await self._ask_all(cycle)
        for top, span, answer in cycle.refused:
            if cycle.silence is None:
                await self._refine(cycle, top, span, answer)
        if cycle.silence is not None:
            return await self._silent(cycle)
        time_ns = cycle.time_ns + anchor.utc_ns(0)
        frames = [decoder.decode(self._array, cycle.quality, time_ns) for decoder in self._decoders]
        self._note_large()
        return Reading(tuple(frames), requests=cycle.requests, detail=cycle.detail)

    def _note_large(self) -> None:
        for decoder in self._decoders:
            if isinstance(decoder, NumberDecoder) and decoder.too_large:
                self._context.count("too_large", decoder.too_large)

    def _plan(self) -> None:
        self._version = self._memory.version
        self._spans = plan_spans(self._points, self._memory)
        self._pdus = [span_pdu(span) for span in self._spans]
        self._index = [np.asarray(span.points, np.intp) for span in self._spans]
        ends = np.cumsum([span.byte_count for span in self._spans]).tolist()
        self._slots = [0, *ends[:-1]]
        self._bytes = bytearray(ends[-1] if ends else 0)
        self._array = np.frombuffer(self._bytes, np.uint8)
        self._decoders = decoders(self._points, self._spans, self._slots)

    async def _ask_all(self, cycle: _Cycle) -> None:
        window: deque[tuple[int, Pending]] = deque()
        now_ns = self._context.clock.monotonic_ns()
        for top, span in enumerate(self._spans):
            if self._is_resting(span, now_ns):
                self._mark(cycle, self._index[top], Quality.BAD_CONFIGURATION, now_ns)
                continue
            if len(window) >= self._pipeline_max:
                await self._take(cycle, *window.popleft())
                if cycle.silence is not None:
                    return
            window.append((top, self._session.start(self._unit, self._pdus[top])))
            cycle.requests += 1
        while window and cycle.silence is None:
            await self._take(cycle, *window.popleft())

    async def _take(self, cycle: _Cycle, top: int, pending: Pending) -> None:
        answer = await self._session.finish(pending)
        span = self._spans[top]
        if self._is_whole(span, answer):
            slot = self._slots[top]
            self._bytes[slot : slot + span.byte_count] = answer.payload[1:]
            cycle.time_ns[self._index[top]] = answer.time_ns
            self._memory.note_success(span)
            if self._memory.alone:
                self._note_answered(span)
        elif is_silence(answer):
            cycle.silence = answer
        else:
            cycle.refused.append((top, span, answer))

    @staticmethod
    def _is_whole(span: Span, answer: Answer) -> bool:
        count = span.byte_count
        payload = answer.payload
        return answer.outcome is Outcome.DATA and len(payload) == count + 1 and payload[0] == count

    async def _refine(self, cycle: _Cycle, top: int, span: Span, answer: Answer) -> bool:
        """Find out which part of a refused span is to blame; True when all of it was read."""
        if answer.code in (ACKNOWLEDGE, BUSY):
            clock = self._context.clock
            await clock.wait_until(clock.monotonic_ns() + BUSY_WAIT_NS)
            answer = await self._ask_part(cycle, top, span)
            if cycle.silence is not None or self._is_whole(span, answer):
                return cycle.silence is None
        self._context.count("exceptions")
        halves = split_span(self._points, span)
        is_splittable = answer.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE)
        if not is_splittable or halves is None or cycle.splits >= SPLITS_MAX:
            self._give_up(cycle, span, answer)
            return False
        cycle.splits += 1
        self._context.count("splits")
        left = await self._read_part(cycle, top, halves[0])
        right = cycle.silence is None and await self._read_part(cycle, top, halves[1])
        if left and right:
            self._context.count(self._memory.note_split(span, halves[2], answer.code))
        return False

    async def _read_part(self, cycle: _Cycle, top: int, span: Span) -> bool:
        answer = await self._ask_part(cycle, top, span)
        if cycle.silence is not None:
            return False
        if self._is_whole(span, answer):
            return True
        return await self._refine(cycle, top, span, answer)

    async def _ask_part(self, cycle: _Cycle, top: int, span: Span) -> Answer:
        cycle.requests += 1
        answer = await self._session.ask(self._unit, span_pdu(span))
        if is_silence(answer):
            cycle.silence = answer
        elif self._is_whole(span, answer):
            self._store_part(top, span, answer.payload[1:])
            cycle.time_ns[list(span.points)] = answer.time_ns
            self._memory.note_success(span)
            self._note_answered(span)
        return answer

    def _store_part(self, top: int, span: Span, data: bytes) -> None:
        whole, slot = self._spans[top], self._slots[top]
        distance = span.begin - whole.begin
        if not whole.table.is_bits:
            begin = slot + 2 * distance
            self._bytes[begin : begin + len(data)] = data
            return
        end = slot + whole.byte_count
        mask = ((1 << span.count) - 1) << distance
        bits = int.from_bytes(self._bytes[slot:end], "little") & ~mask
        bits |= (int.from_bytes(data, "little") << distance) & mask
        self._bytes[slot:end] = bits.to_bytes(whole.byte_count, "little")

    def _give_up(self, cycle: _Cycle, span: Span, answer: Answer) -> None:
        now_ns = self._context.clock.monotonic_ns()
        if answer.outcome is Outcome.MALFORMED or answer.outcome is Outcome.DATA:
            quality, cycle.detail = Quality.BAD_DECODING, "an answer has the wrong length"
        else:
            quality = QUALITY_BY_CODE.get(answer.code, Quality.BAD_DEVICE_FAILURE)
            place = self._points[span.points[0]].address
            cycle.detail = f"{describe(answer.code)} at {place}"
        self._mark(cycle, np.asarray(span.points, np.intp), quality, now_ns)
        if answer.code in (ILLEGAL_ADDRESS, ILLEGAL_VALUE):
            for i in span.points:
                self._memory.note_refused(self._points[i].handle, now_ns + REFUSED_RETRY_NS)

    def _mark(
        self, cycle: _Cycle, index: npt.NDArray[np.intp], quality: Quality, time_ns: int
    ) -> None:
        cycle.quality[index] = quality
        cycle.time_ns[index] = time_ns

    def _is_resting(self, span: Span, now_ns: int) -> bool:
        alone = self._memory.alone
        if not alone:
            return False
        return all(alone.get(self._points[i].handle, 0) > now_ns for i in span.points)

    def _note_answered(self, span: Span) -> None:
        for i in span.points:
            self._memory.note_answered(self._points[i].handle)

    async def _silent(self, cycle: _Cycle) -> Reading:
        assert cycle.silence is not None
        if cycle.silence.outcome is Outcome.SILENT:
            await self._session.replace()
            detail = f"unit {self._unit} does not answer"
        else:
            detail = f"unit {self._unit}: {describe(cycle.silence.code)}"
        return Reading(is_silent=True, requests=cycle.requests, detail=detail)
