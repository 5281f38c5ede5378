"""Retention as core runs it: once a day of the log's receive time, counted by rule.

It stands still while the log does not believe the clock (`retention_paused` on the System
page): a machine that wakes up in the year 2041 must not delete fifteen years.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import numpy as np
import orjson
import structlog

from penstock.historian.erase import Part
from penstock.historian.retention import DAY_NS, expiries, first_fitting, kept_since
from penstock.model import Event, Refused
from penstock.model.identity import new_id
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from penstock.historian.retention import Expiry, RetentionRule
    from penstock.log.receive_time import ReceiveTime
    from penstock.model import Point
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.world import Clock, Disk

    Document = dict[str, Json]
    Known = Callable[[], list[tuple[Point, str | None]]]

log = structlog.get_logger()

FILE = "retention.json"
LOOK_S = 60
TIME_MAX_S = 6 * 3_600.0
# Expiries are not about a log record: everything that is old goes.
UNTIL = 2**63 - 1


class Retention:
    """Asks compute to drop what has expired; knows what has gone by which rule.

    `known` gives every point that has ever been, with the type of its asset.
    """

    def __init__(
        self,
        rules: Sequence[RetentionRule],
        known: Known,
        link: ComputeLink,
        time: ReceiveTime,
        append: Callable[[Event], object],
        disk: Disk,
        data: Path,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._known = known
        self._link = link
        self._time = time
        self._append = append
        self._disk = disk
        self._path = data / FILE
        self._clock = clock
        self._is_waiting = False
        self.executed_ns = 0
        self.gone: dict[str, dict[str, int]] = {}
        self._load()

    async def run(self) -> None:
        """Look once a minute, for ever."""
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + LOOK_S * SECOND_NS)
            if self.is_due():
                await self.step()

    def is_due(self) -> bool:
        """Has a day of receive time begun since the last run, by a clock that is believed?"""
        if self._time.is_paused or all(rule.keep_ns is None for rule in self._rules):
            return False
        return self._time.now_ns // DAY_NS > self.executed_ns // DAY_NS

    async def step(self) -> bool:
        """Drop what has expired now; False when compute could not do it (later)."""
        now_ns = self._time.now_ns
        expired = await asyncio.to_thread(expiries, self._rules, self._known(), now_ns)
        if expired:
            parts = [Part(np.array(e.handles, np.uint32), 0, e.before_ns) for e in expired]
            fields: Document = {
                "parts": [part.to_document() for part in parts],
                "until": str(UNTIL),
                "deletion": None,
            }
            try:
                answer = await self._link.ask("erase", fields, TIME_MAX_S)
            except Refused as refusal:
                self._on_refusal(refusal)
                return False
            self._count(expired, answer)
        self._is_waiting = False
        self.executed_ns = now_ns
        await asyncio.to_thread(self._save)
        return True

    def kept(self, point: Point, asset_type: str | None) -> tuple[str, int | None]:
        """(age by the rule that counts, time before which its samples are gone or None)."""
        number = first_fitting(self._rules, point, asset_type)
        if number is None:
            return "forever", None
        rule = self._rules[number]
        if rule.keep_ns is None or not self.executed_ns:
            return rule.keep, None
        return rule.keep, kept_since(rule.keep_ns, self.executed_ns)

    def document(self) -> Document:
        """Rules in their order, and what has gone by each."""
        nothing = {"rows": 0, "bytes": 0}
        return {
            "executed_ns": str(self.executed_ns) if self.executed_ns else None,
            "is_paused": self._time.is_paused,
            "rules": [
                {"words": rule.words, "keep": rule.keep, **self.gone.get(rule.words, nothing)}
                for rule in self._rules
            ],
        }

    def statistics(self) -> dict[str, int]:
        """For the System page."""
        return {
            "rows_total": sum(item["rows"] for item in self.gone.values()),
            "bytes_total": sum(item["bytes"] for item in self.gone.values()),
        }

    def _count(self, expired: Sequence[Expiry], answer: Document) -> None:
        rows, freed = answer["rows"], answer["freed_bytes"]
        assert isinstance(rows, list)
        assert isinstance(freed, list)
        for item, count, size in zip(expired, rows, freed, strict=True):
            words, number = self._rules[item.rule].words, int(str(count))
            if not number:
                continue
            here = self.gone.setdefault(words, {"rows": 0, "bytes": 0})
            here["rows"] += number
            here["bytes"] += int(str(size))
            data: Document = {
                "rule": words,
                "rows": number,
                "bytes": int(str(size)),
                "before_ns": str(item.before_ns),
            }
            log.info("history_expired", **data)
            now_ns = self._clock.now_ns()
            self._append(Event(str(new_id(now_ns)), "history.expired", now_ns, data=data))

    def _on_refusal(self, refusal: Refused) -> None:
        """Said once; data only stays longer meanwhile."""
        if not self._is_waiting:
            self._is_waiting = True
            log.warning("retention_waits", code=refusal.code, detail=refusal.detail)

    def _load(self) -> None:
        try:
            document = orjson.loads(self._disk.read(self._path))
            self.executed_ns = int(document["executed_ns"])
            self.gone = {
                str(words): {"rows": int(item["rows"]), "bytes": int(item["bytes"])}
                for words, item in document["gone"].items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return

    def _save(self) -> None:
        document = {"executed_ns": str(self.executed_ns), "gone": self.gone}
        try:
            self._disk.write_whole(self._path, [orjson.dumps(document)])
        except OSError as error:  # counted again after the next start at worst
            log.warning("retention_not_saved", detail=str(error))
