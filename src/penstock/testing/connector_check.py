"""check_connector(): what every connector must keep, whatever its protocol.

It runs against a real counterpart that answers, and it never writes unless the
caller hands in writes, for only the caller knows that the counterpart is a test's own.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.model import Flag, Frame, NotConnected, Quality, TextColumn, TimeOrigin, ValueKind
from penstock.plugin import ConnectorContext, WriteOutcome, WriteRequest
from penstock.world import SystemClock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.plugin import Connector, Line, PluginConfig, PointBinding, PollGroup, Reading

CLOSE_S_MAX = 1.0
CANCEL_S_MAX = 1.0
CLOCK_SLACK_NS = 5_000_000_000


async def check_connector(
    connector: type[Connector[Any]],
    config: PluginConfig,
    points: Sequence[PointBinding],
    writes: Sequence[WriteRequest] = (),
) -> None:
    """Assert the contract of penstock.plugin; every line of the plan must be reachable."""
    check_description(connector)
    lines = check_plan(connector, config, points)
    for line in lines:
        await _check_line(connector, config, line)
    for line in lines:
        for request in writes:
            if request.handle in {point.handle for point in line.points}:
                await _check_write(connector(config, line, _context()), request)


def check_description(connector: type[Connector[Any]]) -> None:
    """Name, title, and a sentence for each field: form, docs and check come from them."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", connector.name), connector.name
    assert connector.title
    for model in (connector.Config, connector.PointConfig):
        assert model.model_config.get("extra") == "forbid"
        for name, field in model.model_fields.items():
            text = (field.description or "").strip()
            assert text, f"{model.__name__}.{name} has no description"
            assert text.endswith((".", ";")) or len(text) > 20, f"{model.__name__}.{name}: {text}"


def check_plan(
    connector: type[Connector[Any]], config: PluginConfig, points: Sequence[PointBinding]
) -> tuple[Line, ...]:
    """A plan is a pure function; it places each point on exactly one line."""
    plan = connector.plan("checked", config, points)
    errors = [str(problem) for problem in plan.problems if not problem.is_warning]
    assert errors == [], errors
    assert plan == connector.plan("checked", config, points)
    handles = [point.handle for line in plan.lines for point in line.points]
    assert sorted(point.handle for point in points) == sorted(handles)
    names = [line.name for line in plan.lines]
    assert len(set(names)) == len(names)
    assert all(line.devices and line.address for line in plan.lines)
    return plan.lines


def check_groups(line: Line, groups: Sequence[PollGroup]) -> None:
    """Groups cover each point of the line exactly once, and name its devices."""
    handles = [handle for group in groups for handle in group.points]
    assert sorted(point.handle for point in line.points) == sorted(handles)
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        assert group.device in line.devices
        assert group.period_ns > 0
        assert group.requests >= 1


def check_reading(
    reading: Reading, group: PollGroup, kinds: dict[int, ValueKind], span_ns: tuple[int, int]
) -> None:
    """Every point of the group once, in frames of its kind, with time, quality and flags."""
    assert not reading.is_silent, reading.detail
    assert [frame.kind for frame in reading.frames] == sorted(
        {frame.kind for frame in reading.frames}
    )
    handles = [handle for frame in reading.frames for handle in frame.point.tolist()]
    assert sorted(group.points) == sorted(handles)
    known = {int(quality) for quality in Quality}
    for frame in reading.frames:
        assert frame.point.dtype == np.uint32
        assert frame.time_ns.dtype == np.int64
        assert all(kinds[handle] is frame.kind for handle in frame.point.tolist())
        assert set(frame.quality.tolist()) <= known
        _check_no_value(frame)
        is_receipt = (frame.flags & 3) == TimeOrigin.RECEIPT
        times = frame.time_ns[is_receipt]
        assert ((times >= span_ns[0] - CLOCK_SLACK_NS) & (times <= span_ns[1])).all()


def _check_no_value(frame: Frame) -> None:
    """A bad row has no value, says so, and holds the stated filler, never the last value."""
    has_none = (frame.flags & Flag.NO_VALUE) != 0
    assert (has_none == (frame.quality < Quality.UNCERTAIN)).all()
    if isinstance(frame.value, TextColumn):
        empty = (frame.value.offset[1:] == frame.value.offset[:-1])[has_none]
        assert empty.all()
    elif frame.value.dtype == np.float64:
        assert np.isnan(frame.value[has_none]).all()
        assert np.isfinite(frame.value[~has_none]).all()
    else:
        assert (frame.value[has_none] == 0).all()


async def _check_line(connector: type[Connector[Any]], config: PluginConfig, line: Line) -> None:
    kinds = {point.handle: point.kind for point in line.points}
    made = connector(config, line, _context())
    await _check_closed(made)
    await made.open()
    try:
        groups = made.groups()
        check_groups(line, groups)
        for group in groups:
            await _check_read(made, group, kinds)
        for device in line.devices:
            if any(group.device == device for group in groups):
                assert await made.probe(device)
        await _check_cancel(made, groups[0])
    finally:
        await _close(made)
    await _close(made)
    await _check_closed(made)
    await made.open()
    await _check_read(made, made.groups()[0], kinds)
    await _close(made)


async def _check_read(
    connector: Connector[Any], group: PollGroup, kinds: dict[int, ValueKind]
) -> None:
    clock = connector.context.clock
    times = []
    for _ in range(2):
        before_ns = clock.now_ns()
        reading = await connector.read(group)
        check_reading(reading, group, kinds, (before_ns, clock.now_ns()))
        times.append(max((int(frame.time_ns.max()) for frame in reading.frames), default=0))
    assert times == sorted(times)


async def _check_closed(connector: Connector[Any]) -> None:
    """Without a connection a read says NotConnected, which is what makes the host open."""
    groups = connector.groups()
    try:
        await connector.read(groups[0])
    except NotConnected:
        return
    raise AssertionError("read without open did not raise NotConnected")


async def _check_cancel(connector: Connector[Any], group: PollGroup) -> None:
    task = asyncio.create_task(connector.read(group))
    await asyncio.sleep(0)
    began = time.monotonic()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert time.monotonic() - began < CANCEL_S_MAX


async def _check_write(connector: Connector[Any], request: WriteRequest) -> None:
    refused = await connector.write(request)
    assert refused.outcome is WriteOutcome.NOT_SENT, "a write without a connection was sent"
    await connector.open()
    try:
        result = await connector.write(request)
        assert result.outcome is WriteOutcome.ACCEPTED, result.detail
        back = await connector.read_back(request.handle)
        assert back.quality >= Quality.UNCERTAIN
        assert back.value == request.value, f"wrote {request.value!r}, read {back.value!r}"
    finally:
        await _close(connector)


async def _close(connector: Connector[Any]) -> None:
    began = time.monotonic()
    await connector.close()
    assert time.monotonic() - began < CLOSE_S_MAX


def _context() -> ConnectorContext:
    return ConnectorContext(SystemClock())
