"""The Modbus TCP connector: what the host calls, in the order in which it calls it."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Literal

from penstock.connectors.modbus.anchor import Anchor
from penstock.connectors.modbus.config import ModbusConfig, ModbusPoint
from penstock.connectors.modbus.layout import DeviceMemory, span_of
from penstock.connectors.modbus.planner import GroupPlan, group_points, make_plan, memory_of
from penstock.connectors.modbus.points import ModbusValue, compile_point, ratio
from penstock.connectors.modbus.reader import GroupReader, is_silence, span_pdu
from penstock.connectors.modbus.session import Session
from penstock.connectors.modbus.wire import Outcome
from penstock.connectors.modbus.write import write_pdu, write_result
from penstock.model import NotConnected, Quality, TextColumn
from penstock.plugin import Connector, ReadBack, Resolution, WriteOutcome, WriteResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.connectors.modbus.config import ModbusDevice
    from penstock.plugin import (
        ConnectorContext,
        Line,
        Plan,
        PluginConfig,
        PointBinding,
        PollGroup,
        Reading,
        WriteRequest,
    )


class Modbus(Connector[ModbusConfig]):
    """Modbus TCP master of one host and port, with the units behind it."""

    name: ClassVar[str] = "modbus"
    title: ClassVar[str] = "Modbus TCP"
    Config: ClassVar[type[PluginConfig]] = ModbusConfig
    PointConfig: ClassVar[type[PluginConfig]] = ModbusPoint

    @classmethod
    def plan(cls, name: str, config: ModbusConfig, points: Sequence[PointBinding]) -> Plan:
        """One line for each host and port; all problems of all rows at once."""
        return make_plan(name, config, points)

    @classmethod
    def resolution(cls, point: PointBinding) -> Resolution:
        """An integer register holds whole counts, each worth its scale."""
        settings = point.settings
        assert isinstance(settings, ModbusPoint)
        factor, divisor = ratio(settings.scale)
        name = settings.type.strip().lower()
        if name == "float32":
            return Resolution("float32", factor, divisor, settings.offset)
        raw: Literal["float64", "count"] = "float64" if name == "float64" else "count"
        return Resolution(raw, factor, divisor, settings.offset)

    def __init__(self, config: ModbusConfig, line: Line, context: ConnectorContext) -> None:
        super().__init__(config, line, context)
        first = self._devices[line.devices[0]]
        self._session = Session(
            first.host, first.port, config.timeout_s, config.connect_timeout_s, context
        )
        self._readers: dict[str, GroupReader] = {}
        self._memory: dict[str, DeviceMemory] = {}

    def groups(self) -> tuple[PollGroup, ...]:
        """One group for each device and rate."""
        return tuple(plan.group for plan in self._plans)

    async def open(self) -> None:
        """Connect; what was learned about the devices is kept."""
        await self._session.open()

    async def read(self, group: PollGroup) -> Reading:
        """All requests of the group, one decode; silent when its unit does not answer."""
        reader = self._readers.get(group.name)
        if reader is None:
            plan = next(plan for plan in self._plans if plan.group.name == group.name)
            reader = self._readers[group.name] = self._reader(plan.points, group.device)
        return await reader.read(self._anchor)

    async def probe(self, device: str) -> bool:
        """One request for the device's first point; any answer of the unit counts."""
        point = next(point for point in self._values if point.device == device)
        answer = await self._session.ask(
            self._devices[device].unit_id, span_pdu(span_of([point], [0]))
        )
        if answer.outcome is Outcome.SILENT:
            await self._session.replace()
        return not is_silence(answer)

    async def write(self, request: WriteRequest) -> WriteResult:
        """Write one point; a time-out is UNKNOWN and is never repeated."""
        point = self._value_by_handle[request.handle]
        unit = self._devices[point.device].unit_id
        if not point.writable or not point.address.table.is_writable or unit == 0:
            return WriteResult(WriteOutcome.NOT_SENT, f"{point.address} is not to be written")
        try:
            pdu = write_pdu(point, request.value)
        except ValueError as error:
            return WriteResult(WriteOutcome.NOT_SENT, str(error))
        try:
            pending = self._session.start(unit, pdu)
        except NotConnected as error:
            return WriteResult(WriteOutcome.NOT_SENT, str(error))
        self.context.count("writes")
        try:
            answer = await self._session.finish(pending)
        except NotConnected as error:
            return WriteResult(WriteOutcome.UNKNOWN, f"sent; then the line was lost ({error})")
        if answer.outcome is Outcome.SILENT:
            with contextlib.suppress(NotConnected):  # so that a read-back can tell what happened
                await self._session.replace()
        return write_result(pdu, answer)

    async def read_back(self, handle: int) -> ReadBack:
        """This point by its own request, decoded by the code that decodes all others."""
        point = self._value_by_handle[handle]
        device = self._devices[point.device]
        fresh = memory_of(self.config, device)  # a refused point rests in its group, not here
        reader = GroupReader([point], device.unit_id, fresh, 1, self._session, self.context)
        now_ns = self._anchor.utc_ns(self.context.clock.monotonic_ns())
        try:
            reading = await reader.read(self._anchor)
        except NotConnected as error:
            return ReadBack(None, Quality.BAD_NO_COMMUNICATION, now_ns, str(error))
        if reading.is_silent:
            return ReadBack(None, Quality.BAD_NO_COMMUNICATION, now_ns, reading.detail)
        frame = reading.frames[0]
        quality = Quality(int(frame.quality[0]))
        value: float | int | str | None = None
        if quality >= Quality.UNCERTAIN:
            column = frame.value
            value = column.to_list()[0] if isinstance(column, TextColumn) else column[0].item()
        return ReadBack(value, quality, int(frame.time_ns[0]), reading.detail)

    async def close(self) -> None:
        """Close the connection at once; there is no session to end at a Modbus device."""
        self._session.close()

    @cached_property
    def _devices(self) -> dict[str, ModbusDevice]:
        return self.config.device_by_name(self.line.devices[0])

    @cached_property
    def _values(self) -> tuple[ModbusValue, ...]:
        compiled = (compile_point(point, self.config, self._devices) for point in self.line.points)
        return tuple(value for value, _ in compiled if value is not None)

    @cached_property
    def _value_by_handle(self) -> dict[int, ModbusValue]:
        return {value.handle: value for value in self._values}

    @cached_property
    def _plans(self) -> tuple[GroupPlan, ...]:
        return group_points(self._values, self.config, self._devices)

    @cached_property
    def _anchor(self) -> Anchor:
        return Anchor(self.context.clock)

    def _reader(self, points: Sequence[ModbusValue], name: str) -> GroupReader:
        device = self._devices[name]
        memory = self._memory.setdefault(name, memory_of(self.config, device))
        pipeline_max = device.pipeline_max or self.config.pipeline_max
        return GroupReader(
            points, device.unit_id, memory, pipeline_max, self._session, self.context
        )
