"""Verification of all files: every night, or when asked; then repair; what came of it is kept.

The last result survives a restart (`data/verification.json`), and a night that the node
has slept through is made up for after its start.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, time, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4
from zoneinfo import ZoneInfo

import orjson
import structlog

from penstock.historian.verify import LOG
from penstock.model import Refused
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.settings import ComputeSettings
    from penstock.world import Clock, Disk

    Document = dict[str, Json]

log = structlog.get_logger()

FILE = "verification.json"
LOOK_S = 60
SETTLE_S = 600
TIME_MAX_S = 24 * 3_600.0
NUMBERS = (
    "began_ns", "ended_ns", "manifests", "segments", "chunks", "rows", "log_files",
    "log_records", "bytes", "damage_total", "quarantined",
)  # fmt: skip
# Refusals after which the next minute is as good; after any other, the next night is.
PASSING = frozenset({"compute_away", "busy", "conflict"})


class Verification:
    """Asks compute to verify and repair, and knows the last result."""

    def __init__(
        self,
        link: ComputeLink,
        disk: Disk,
        data: Path,
        clock: Clock,
        settings: ComputeSettings,
        zone: str,
    ) -> None:
        self._link = link
        self._disk = disk
        self._path = data / FILE
        self._clock = clock
        self._settings = settings
        self._zone = ZoneInfo(zone)
        self._since_ns = clock.now_ns()
        self._began_monotonic_ns = clock.monotonic_ns()
        self._tried_ns = 0
        self._job: str | None = None
        self._running: asyncio.Task[None] | None = None
        self.result: Document | None = None
        self._load()

    @property
    def job(self) -> str | None:
        """The job that runs, for its progress in GET /system; None while there is none."""
        return self._job

    async def run(self) -> None:
        """Verify when a night's time has passed, for ever."""
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + LOOK_S * SECOND_NS)
            if self.is_due():
                await self._try()

    def is_due(self) -> bool:
        """Has the time of day passed since the last verification (or the start)?"""
        if not self._settings.verify_at or self._job is not None:
            return False
        now_ns = self._clock.now_ns()
        up_ns = self._clock.monotonic_ns() - self._began_monotonic_ns
        wanted_ns = last_time_of_day(self._settings.verify_at, self._zone, now_ns)
        return max(self._began_ns(), self._tried_ns) < wanted_ns and up_ns >= SETTLE_S * SECOND_NS

    def start(self) -> str:
        """Verify beside; the job's id. Refused("conflict") while one runs, or "compute_away"."""
        if not self._link.is_connected:
            raise Refused("compute_away")
        if self._job is not None:
            raise Refused("conflict", "A verification is under way.")
        self._running = asyncio.ensure_future(self._try())
        self._job = str(uuid4())
        return self._job

    async def verify(self) -> Document:
        """Verify, repair what can be, keep the result; Refused as compute refuses."""
        if self._job is not None and self._running is not asyncio.current_task():
            raise Refused("conflict", "A verification is under way.")
        self._job = self._job or str(uuid4())
        fields: Document = {"mb_per_s": self._settings.verify_mb_per_s}
        try:
            result = await self._link.ask("verify", fields, TIME_MAX_S, self._job)
            result |= await self._repair(result)
        finally:
            self._job = None
        self.result = result
        await asyncio.to_thread(self._save)
        self._say(result)
        return result

    def summary(self) -> Document:
        """For the System page."""
        result = self.result or {}
        return {
            "job": self._job,
            "ended_ns": result.get("ended_ns"),
            "bytes": result.get("bytes", 0),
            "rows": result.get("rows", 0),
            "damaged": len(self.left()),
        }

    def document(self) -> Document:
        """The last result whole, and whether one runs."""
        if self.result is None:
            return {"job": self._job, "result": None}
        mended, why = self.result["mended"], self.result["left"]
        damage = self.result["damage"]
        assert isinstance(mended, list)
        assert isinstance(why, dict)
        assert isinstance(damage, list)
        rows: list[Json] = [
            {
                "place": item["place"],
                "what": item["what"],
                "detail": item["detail"],
                "mended": item["place"] in mended,
                "why_not": why.get(str(item["place"])),
                "point": item["point"],
                "first_ns": str(item["first_ns"]),
                "last_ns": str(item["last_ns"]),
            }
            for item in damage
            if isinstance(item, dict)
        ]
        numbers = {name: self.result[name] for name in NUMBERS}
        return {"job": self._job, "result": {**numbers, "damage": rows}}

    def notices(self) -> list[Document]:
        """For the System page: what was damaged and is not mended."""
        left = self.left()
        in_log = [place for place in left if place.startswith(LOG)]
        in_history = [place for place in left if not place.startswith(LOG)]
        return [
            {
                "code": code,
                "severity": "warning",
                "params": {"places": len(places), "place": places[0]},
            }
            for code, places in (("history_damaged", in_history), ("log_files_damaged", in_log))
            if places
        ]

    def left(self) -> list[str]:
        """Damaged places that stay, as of the last verification."""
        if self.result is None:
            return []
        damage, mended = self.result["damage"], self.result["mended"]
        assert isinstance(damage, list)
        assert isinstance(mended, list)
        places = [str(item["place"]) for item in damage if isinstance(item, dict)]
        return [place for place in places if place not in mended]

    async def close(self) -> None:
        """The node stops."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _try(self) -> None:
        try:
            await self.verify()
        except Refused as refusal:
            log.warning("verification_refused", code=refusal.code, detail=refusal.detail)
            if refusal.code not in PASSING:
                self._tried_ns = self._clock.now_ns()

    async def _repair(self, result: Document) -> Document:
        damage = result["damage"]
        assert isinstance(damage, list)
        mendable: list[Json] = [
            item for item in damage if isinstance(item, dict) and item["what"] != "log"
        ]
        nothing: Document = {"mended": [], "left": {}, "quarantined": []}
        if not mendable or not self._settings.repair:
            return nothing
        fields: Document = {"damage": mendable, "mb_per_s": self._settings.verify_mb_per_s}
        try:
            return await self._link.ask("repair", fields, TIME_MAX_S, self._job)
        except Refused as refusal:
            log.warning("repair_refused", code=refusal.code, detail=refusal.detail)
            return nothing

    def _say(self, result: Document) -> None:
        numbers = {name: result[name] for name in ("segments", "rows", "log_records", "bytes")}
        left = self.left()
        if left:
            log.error("history_damaged", places=left[:20], total=len(left), **numbers)
        else:
            log.info("history_verified", mended=result["mended"], **numbers)

    def _began_ns(self) -> int:
        if self.result is None:
            return self._since_ns
        return int(str(self.result["began_ns"]))

    def _load(self) -> None:
        try:
            document = orjson.loads(self._disk.read(self._path))
        except (FileNotFoundError, orjson.JSONDecodeError):
            return
        if isinstance(document, dict):
            self.result = document

    def _save(self) -> None:
        try:
            self._disk.write_whole(self._path, [orjson.dumps(self.result)])
        except OSError as error:  # the result is shown all the same, until the next start
            log.warning("verification_not_saved", detail=str(error))


def last_time_of_day(text: str, zone: ZoneInfo, now_ns: int) -> int:
    """The newest moment at or before `now_ns` at which the plant's clocks said HH:MM (UTC, ns)."""
    hour, minute = (int(part) for part in text.split(":"))
    now = datetime.fromtimestamp(now_ns // SECOND_NS, zone)
    for days in (0, 1, 2):
        day = now.date() - timedelta(days=days)
        moment = datetime.combine(day, time(hour, minute), zone)
        if moment.timestamp() * SECOND_NS <= now_ns:
            return int(moment.timestamp()) * SECOND_NS
    raise AssertionError("a day has at most 25 hours")
