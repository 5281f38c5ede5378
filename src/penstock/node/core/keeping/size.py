"""Size as core knows it: measured by compute now and then, shared out by what points are."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.historian.retention import first_fitting
from penstock.historian.size import TOO_LITTLE, Forecast, Growth, Sizes, decode, forecast
from penstock.model import Refused
from penstock.model.point import NAME_BY_KIND
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.historian.retention import RetentionRule
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.core.keeping.known import KnownPoints
    from penstock.node.spool import Spool
    from penstock.world import Clock, Disk

    Document = dict[str, Json]

log = structlog.get_logger()

FRESH_NS = 600 * SECOND_NS
PERIOD_S = 3_600
SETTLE_S = 30
TIME_MAX_S = 600.0
POINTS_MAX = 100
SOON_DAYS = 30.0
DAY_NS = 86_400 * SECOND_NS


@dataclass(slots=True)
class Share:
    """Rows, bytes and bytes a day of some points."""

    rows: int = 0
    bytes: int = 0
    bytes_per_day: float = 0.0

    def add(self, rows: int, size: int, rate: float) -> None:
        """One more point."""
        self.rows += rows
        self.bytes += size
        self.bytes_per_day += rate


class SizeBook:
    """The last measurement; `log_room` says how many bytes the log may still grow."""

    def __init__(
        self,
        link: ComputeLink,
        known: KnownPoints,
        rules: Sequence[RetentionRule],
        log_room: Callable[[], int],
        disk: Disk,
        spool: Spool,
        clock: Clock,
    ) -> None:
        self._link = link
        self._known = known
        self._rules = rules
        self._log_room = log_room
        self._disk = disk
        self._spool = spool
        self._clock = clock
        self._measuring = asyncio.Lock()
        self._growths: list[Growth] = []
        self._measured_ns = 0
        self.sizes: Sizes | None = None
        self.made_ns = 0

    async def run(self) -> None:
        """Measure now and then, so that the System page can tell, for ever."""
        wait_s = SETTLE_S
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + wait_s * SECOND_NS)
            try:
                await self.measure()
                wait_s = PERIOD_S
            except Refused as refusal:
                log.info("size_not_measured", code=refusal.code)
                wait_s = SETTLE_S

    async def fresh(self) -> Sizes:
        """A measurement of the last minutes; an older one while compute is away."""
        async with self._measuring:
            is_old = self._clock.monotonic_ns() - self._measured_ns > FRESH_NS
            if self.sizes is None or is_old:
                try:
                    await self._measure()
                except Refused:
                    if self.sizes is None:
                        raise
        assert self.sizes is not None
        return self.sizes

    async def measure(self) -> None:
        """Measure anew. Refused as compute refuses."""
        async with self._measuring:
            await self._measure()

    def forecast(self) -> Forecast:
        """When the disk is full, by the last measurement and the space of now."""
        if self.sizes is None:
            return Forecast(TOO_LITTLE, None, None, 0)
        free = self._disk.free_bytes(self._spool.folder)
        return forecast(self._growths, max(0, free - self._log_room()), self.sizes.days)

    def summary(self) -> Document:
        """For the System page."""
        found = self.forecast()
        return {
            "state": found.state,
            "days_left": found.days_left,
            "bytes_per_day": found.bytes_per_day,
            "days": found.days,
        }

    def notices(self) -> list[Document]:
        """For the System page: the disk is full before somebody would look by himself."""
        left = self.forecast().days_left
        if left is None or left >= SOON_DAYS:
            return []
        return [{"code": "disk_full_soon", "severity": "warning", "params": {"days": int(left)}}]

    def shares(self, may: Callable[[Point], bool]) -> dict[str, dict[str, Share]]:
        """Of the points that somebody may view: by path, type, class of values, connector."""
        found: dict[str, dict[str, Share]] = {
            name: defaultdict(Share) for name in ("points", "types", "kinds", "connectors")
        }
        assert self.sizes is not None
        known = {point.handle: (point, type_) for point, type_ in self._known.all() if may(point)}
        sizes = self.sizes
        columns = (sizes.handle, sizes.rows, sizes.bytes, sizes.rates())
        for handle, *numbers in zip(*(column.tolist() for column in columns), strict=True):
            if handle not in known:
                continue
            point, type_ = known[handle]
            found["points"][point.path].add(*numbers)
            found["types"][type_ or ""].add(*numbers)
            found["kinds"][NAME_BY_KIND[point.kind]].add(*numbers)
            found["connectors"][point.connector or ""].add(*numbers)
        return found

    async def _measure(self) -> None:
        answer = await self._link.ask("size", {}, TIME_MAX_S)
        path = self._spool.folder / str(answer["file"])
        data = await asyncio.to_thread(self._disk.read, path)
        await asyncio.to_thread(self._disk.remove, path)
        self.sizes = decode(data)
        self._growths = await asyncio.to_thread(self._growth_of, self.sizes)
        self.made_ns, self._measured_ns = self._clock.now_ns(), self._clock.monotonic_ns()

    def _growth_of(self, sizes: Sizes) -> list[Growth]:
        """Points that are kept equally long, together."""
        keep: dict[int, int | None] = {}
        for point, type_ in self._known.all():
            number = first_fitting(self._rules, point, type_)
            keep_ns = None if number is None else self._rules[number].keep_ns
            keep[point.handle] = None if keep_ns is None else keep_ns // DAY_NS
        days = [keep.get(handle) for handle in sizes.handle.tolist()]
        rates = sizes.rates()
        found = []
        for age in dict.fromkeys(days):
            index = np.array([n for n, item in enumerate(days) if item == age])
            found.append(Growth(int(sizes.bytes[index].sum()), float(rates[index].sum()), age))
        return found
