"""One line at work: connect, poll on schedule, probe the dead, write what the desk allows.

A line has one worker, so that a connector never sees two calls at once. What a
device's silence means is decided in loss.py; here it is only carried out.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from penstock.model import NotConnected
from penstock.node.field.backoff import LINE_STEP_S_MAX, backoff_s
from penstock.node.field.loss import (
    Change,
    DeviceState,
    default_loss_after_ns,
    on_answer,
    on_silence,
    on_time,
)
from penstock.node.field.rows import connected_frame, count_good, lost_blocks, lost_frames
from penstock.node.field.schedule import Schedule
from penstock.plugin import ReadBack, WriteOutcome, WriteResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from penstock.link.uplink import Uplink
    from penstock.node.field.collector import Collector
    from penstock.node.field.configuration import ConnectorPlan
    from penstock.plugin import Connector, Line, PollGroup, WriteRequest
    from penstock.world import Clock

log = structlog.get_logger()

OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
# Far beyond a connector's own timeouts: only for one that hangs, which must not look alive.
CALL_TIMEOUT_S = 30.0
JOBS_MAX = 16
SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Device:
    """A device as the line sees it; `connected_handle` is its system point."""

    name: str
    points: tuple[int, ...]
    connected_handle: int
    state: DeviceState
    probe_at_ns: int = 0
    since_ns: int = 0
    answer_ms: float | None = None
    rows: int = 0
    good_rows: int = 0


@dataclass(slots=True)
class Job:
    """A write, or a read-back, that waits for its turn on the line.

    Nothing went over the wire while it is not `is_started`.
    """

    run: Callable[[Connector[Any]], Awaitable[WriteResult | ReadBack]]
    done: asyncio.Future[WriteResult | ReadBack]
    is_started: bool = False


class LineRunner:
    """Worker of one line."""

    def __init__(
        self,
        plan: ConnectorPlan,
        line: Line,
        *,
        clock: Clock,
        collector: Collector,
        uplink: Uplink,
        connected: Mapping[str, int],
    ) -> None:
        self.plan = plan
        self.line = line
        self._clock = clock
        self._collector = collector
        self._uplink = uplink
        self._connector = plan.connector(line, clock)
        self._kinds = {point.handle: point.kind for point in line.points}
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(maxsize=JOBS_MAX)
        self._wake = asyncio.Event()
        self._failures = 0
        self._started_ns = clock.monotonic_ns()
        self._jitter = random.Random(line.address)  # noqa: S311 - spreads load, no secret
        self.counters = {"polls": 0, "missed": 0, "stretched": 0, "requests": 0, "failures": 0}
        self.devices = self._devices(connected)
        self.groups: tuple[PollGroup, ...] = ()

    def _devices(self, connected: Mapping[str, int]) -> dict[str, Device]:
        groups = self._connector.groups()
        devices = {}
        for name in self.line.devices:
            periods = [group.period_ns for group in groups if group.device == name]
            loss = self.plan.loss_after_ns or default_loss_after_ns(min(periods, default=SECOND_NS))
            points = tuple(
                handle for group in groups if group.device == name for handle in group.points
            )
            devices[name] = Device(name, points, connected[name], DeviceState(loss))
        return devices

    def wanted_rows(self, device: str) -> int:
        """Rows that the schedule asked for since the start: what a loss left out counts too."""
        elapsed_ns = self._clock.monotonic_ns() - self._started_ns
        return sum(
            len(group.points) * (elapsed_ns // group.period_ns)
            for group in self._connector.groups()
            if group.device == device
        )

    async def run(self) -> None:
        """For ever: connect, poll, and after a loss try again."""
        try:
            while True:
                await self._connect_and_poll()
        finally:
            self._refuse_jobs()
            await self._close()

    def has_point(self, handle: int) -> bool:
        """Whether this line feeds the point."""
        return handle in self._kinds

    def statistics(self) -> dict[str, int]:
        """Counters of the schedule and those of the connector; the host's own win."""
        return {**self._connector.statistics(), **self.counters}

    def submit(self, job: Job) -> bool:
        """Queue a write or read-back; False when the queue is full."""
        if self._jobs.full():
            return False
        self._jobs.put_nowait(job)
        self._wake.set()
        return True

    def write_job(self, request: WriteRequest) -> Job:
        """A job that writes."""
        return self._job(lambda connector: connector.write(request))

    def read_back_job(self, handle: int) -> Job:
        """A job that reads one point back."""
        return self._job(lambda connector: connector.read_back(handle))

    def _job(self, run: Callable[[Connector[Any]], Awaitable[WriteResult | ReadBack]]) -> Job:
        return Job(run, asyncio.get_running_loop().create_future())

    async def _connect_and_poll(self) -> None:
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._connector.open()
            self._probe_now()
            await self._poll()
        except (NotConnected, TimeoutError) as error:
            await self._close()
            self._on_line_lost(error)
            await self._pause()

    def on_crash(self, error: BaseException | None) -> None:
        """A bug ended the worker: its devices are silent until one answers again."""
        self._on_line_lost(error)

    def say_connected(self) -> None:
        """What is known of each device, once more."""
        time_ns = self._clock.now_ns()
        for device in self.devices.values():
            if device.state.is_connected is not None:
                row = connected_frame(device.connected_handle, time_ns, device.state.is_connected)
                self._collector.add([row])

    def _probe_now(self) -> None:
        """The line is back: whether a device is, is asked at once and not after its back-off."""
        for device in self.devices.values():
            device.probe_at_ns = 0

    async def _close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connector.close()
        except TimeoutError:
            log.warning("connector_close_slow", connector=self.plan.name, line=self.line.address)

    async def _poll(self) -> None:
        self.groups = self._connector.groups()
        schedule = Schedule(self.groups, self._clock.monotonic_ns())
        while True:
            await self._run_jobs()
            await self._wait_turn(schedule)
            now_ns = self._clock.monotonic_ns()
            self._on_time(now_ns)
            if not schedule or schedule.next_ns > now_ns:
                continue
            if not self._uplink.has_room:
                self.counters["stretched"] += 1
                await self._wait_room()
            group = schedule.take(self._clock.monotonic_ns())
            self.counters["missed"] = self.counters["missed"] + schedule.missed
            schedule.missed = 0
            await self._serve(group)

    async def _serve(self, group: PollGroup) -> None:
        device = self.devices[group.device]
        if device.state.failures:
            now_ns = self._clock.monotonic_ns()
            if now_ns < device.probe_at_ns:
                return
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answers = await self._connector.probe(group.device)
            if not answers:
                self._on_silence(device)
                return
        await self._read(group, device)

    async def _read(self, group: PollGroup, device: Device) -> None:
        begin_ns = self._clock.monotonic_ns()
        async with asyncio.timeout(CALL_TIMEOUT_S):
            reading = await self._connector.read(group)
        now_ns = self._clock.monotonic_ns()
        self.counters["polls"] += 1
        self.counters["requests"] += reading.requests
        if reading.is_silent:
            self._on_silence(device)
            return
        self._failures = 0
        answer_ms = (now_ns - begin_ns) / 1e6
        old = device.answer_ms
        device.answer_ms = answer_ms if old is None else 0.9 * old + 0.1 * answer_ms
        device.state, change = on_answer(device.state, now_ns)
        if change is Change.BACK:
            self._say(device, is_connected=True)
        rows, good = count_good(reading.frames)
        device.rows += rows
        device.good_rows += good
        self._collector.add(reading.frames, reading.blocks)

    def _on_silence(self, device: Device) -> None:
        now_ns = self._clock.monotonic_ns()
        device.state, change = on_silence(device.state, now_ns)
        self.counters["failures"] += 1
        pause_s = backoff_s(device.state.failures, self._jitter)
        device.probe_at_ns = now_ns + int(pause_s * 1e9)
        if change is Change.LOST:
            self._say(device, is_connected=False)

    def _on_line_lost(self, error: BaseException | None) -> None:
        self._failures += 1
        if self._failures == 1:
            log.warning(
                "connector_lost",
                connector=self.plan.name,
                line=self.line.address,
                detail=str(error) or type(error).__name__,
            )
        for device in self.devices.values():
            self._on_silence(device)

    def _on_time(self, now_ns: int) -> None:
        for device in self.devices.values():
            device.state, change = on_time(device.state, now_ns)
            if change is Change.LOST:
                self._say(device, is_connected=False)

    def _say(self, device: Device, *, is_connected: bool) -> None:
        """Write the loss, one bad row per point, or the return of a device."""
        time_ns = self._clock.now_ns()
        device.since_ns = time_ns
        if is_connected:
            log.info("device_answers", connector=self.plan.name, device=device.name)
        else:
            log.warning("device_lost", connector=self.plan.name, device=device.name)
            device.answer_ms = None
            frames = lost_frames(device.points, self._kinds, time_ns)
            self._collector.add(frames, lost_blocks(device.points, self._kinds, time_ns))
        self._collector.add([connected_frame(device.connected_handle, time_ns, is_connected)])

    async def _pause(self) -> None:
        """Wait before the next attempt; losses are declared and jobs refused meanwhile."""
        pause_s = backoff_s(self._failures, self._jitter, LINE_STEP_S_MAX)
        until_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        while True:
            self._refuse_jobs()
            now_ns = self._clock.monotonic_ns()
            self._on_time(now_ns)
            if now_ns >= until_ns:
                return
            await self._wait(min([until_ns, *self._loss_deadlines()]))

    def _loss_deadlines(self) -> list[int]:
        return [
            at_ns
            for device in self.devices.values()
            if device.state.failures and (at_ns := device.state.loss_at_ns) is not None
        ]

    async def _wait_turn(self, schedule: Schedule) -> None:
        deadlines = self._loss_deadlines()
        if schedule:
            deadlines.append(schedule.next_ns)
        until_ns = min(deadlines, default=self._clock.monotonic_ns() + SECOND_NS)
        if until_ns > self._clock.monotonic_ns():
            await self._wait(until_ns)
        else:
            await asyncio.sleep(0)

    async def _wait_room(self) -> None:
        """Until the uplink takes more; a full log holds reading back, never a command."""
        while not self._uplink.has_room:
            await self._wait_or_job(self._uplink.wait_room())
            await self._run_jobs()

    async def _wait(self, until_ns: int) -> None:
        await self._wait_or_job(self._clock.wait_until(until_ns))

    async def _wait_or_job(self, event: Coroutine[Any, Any, None]) -> None:
        """Until the event, or until a job comes."""
        self._wake.clear()
        waiting = asyncio.ensure_future(event)
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            if self._jobs.empty():
                await asyncio.wait((waiting, wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            wake.cancel()

    async def _run_jobs(self) -> None:
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not job.done.done():
                await self._run_job(job)

    async def _run_job(self, job: Job) -> None:
        """Whatever ends a job after its begin leaves its outcome unknown."""
        job.is_started = True
        detail = f"{self.line.address} was lost on the way"
        result: WriteResult | ReadBack = WriteResult(WriteOutcome.UNKNOWN, detail)
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                result = await job.run(self._connector)
        finally:
            if not job.done.done():
                job.done.set_result(result)

    def _refuse_jobs(self) -> None:
        detail = f"{self.line.address} does not answer"
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not job.done.done():
                job.done.set_result(WriteResult(WriteOutcome.NOT_SENT, detail))
