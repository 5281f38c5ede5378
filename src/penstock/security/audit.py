"""Audit: every change with old and new value, chained by hash and signed by the node's key.

A chain shows what was altered, removed or put in between, but not that its end
was cut off; so the newest hash is also kept beside the keys (`audit.head`).
People appear by id, so that erasing a name does not break the chain.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import func, insert, select

from penstock.model.event import EVENT_BYTES_MAX
from penstock.model.identity import new_id
from penstock.security.tables import audit
from penstock.state import DEFAULT_TENANT
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from penstock.model.event import Json
    from penstock.security.keys import NodeKeys
    from penstock.state import State
    from penstock.world import Clock, Disk

GENESIS = "0" * 64
PAGE_MAX = 500
_CHECK_ROWS = 1_000
_SIGNED = (
    "tenant", "number", "id", "time_ns", "principal", "action", "object", "old", "new",
    "outcome", "key",
)  # fmt: skip

Row = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be recorded: who did what to which object, and how it ended."""

    principal: str
    action: str
    object: str = ""
    old: Json = None
    new: Json = None
    outcome: str = "ok"


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as it is stored."""

    number: int
    id: str
    time_ns: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class ChainStatus:
    """Result of a check; `broken_at` is the number of the first entry that does not fit."""

    entries: int
    broken_at: int | None = None
    head: str = GENESIS

    @property
    def is_unbroken(self) -> bool:
        """Whether nothing was altered, removed, inserted or cut off."""
        return self.broken_at is None


class Audit:
    """The chain of one tenant; `append` belongs into the same work as the change it records."""

    def __init__(
        self,
        state: State,
        keys: NodeKeys,
        clock: Clock,
        disk: Disk | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> None:
        self._state = state
        self._keys = keys
        self._clock = clock
        self._disk = disk or SystemDisk()
        self._tenant = tenant
        self._status = ChainStatus(0)

    def append(self, connection: Connection, entry: Entry) -> str:
        """Add one entry in the caller's transaction; its id."""
        query = select(audit.c.number, audit.c.hash).where(audit.c.tenant == self._tenant)
        last = connection.execute(query.order_by(audit.c.number.desc()).limit(1)).first()
        now_ns = self._clock.now_ns()
        row: Row = {
            "tenant": self._tenant,
            "number": 1 if last is None else last.number + 1,
            "id": str(new_id(now_ns)),
            "time_ns": now_ns,
            "principal": entry.principal,
            "action": entry.action,
            "object": entry.object,
            "old": _bounded(entry.old),
            "new": _bounded(entry.new),
            "outcome": entry.outcome,
            "key": self._keys.fingerprint,
        }
        digest = _hash(GENESIS if last is None else last.hash, row)
        signature = self._keys.sign(bytes.fromhex(digest)).hex()
        connection.execute(insert(audit).values({**row, "hash": digest, "signature": signature}))
        return str(row["id"])

    async def record(self, entry: Entry) -> str:
        """An entry without a change, for example a refused login."""
        return await self._state.write(lambda connection: self.append(connection, entry))

    def page(self, before: int | None, limit: int) -> list[Record]:
        """Newest first, from below number `before`."""
        assert 1 <= limit <= PAGE_MAX
        query = select(audit).where(audit.c.tenant == self._tenant)
        if before is not None:
            query = query.where(audit.c.number < before)
        with self._state.read() as connection:
            rows = connection.execute(query.order_by(audit.c.number.desc()).limit(limit))
            return [_record(dict(row)) for row in rows.mappings()]

    def status(self) -> ChainStatus:
        """Result of the last `check`, with today's count of entries."""
        query = select(func.count()).where(audit.c.tenant == self._tenant)
        with self._state.read() as connection:
            entries = int(connection.scalar(query) or 0)
        return ChainStatus(entries, self._status.broken_at, self._status.head)

    async def check(self, is_whole: bool = True) -> ChainStatus:
        """Verify in a thread, from the last checked entry unless `is_whole`.

        The result is what `status` reports from now on; what was found broken
        stays so until a whole check finds otherwise.
        """
        last = ChainStatus(0) if is_whole else self._status
        if last.is_unbroken:
            self._status = await asyncio.to_thread(self.verify, last)
        return self._status

    def verify(self, checked: ChainStatus | None = None) -> ChainStatus:
        """Walk the chain behind what is `checked`; anchor its head if it holds."""
        head, number = (checked.head, checked.entries) if checked else (GENESIS, 0)
        anchor_number, anchor_head = self._read_anchor()
        while rows := self._rows_after(number):
            for row in rows:
                if row["number"] != number + 1 or not self._fits(head, row):
                    return ChainStatus(number, number + 1, head)
                head, number = str(row["hash"]), number + 1
                if number == anchor_number and head != anchor_head:
                    return ChainStatus(number, number, head)
        if number < anchor_number:
            return ChainStatus(number, number + 1, head)
        if number > anchor_number:
            self._write_anchor(number, head)
        return ChainStatus(number, None, head)

    def _fits(self, previous: str, row: Row) -> bool:
        if row["key"] != self._keys.fingerprint or row["hash"] != _hash(previous, row):
            return False
        try:
            signature = bytes.fromhex(str(row["signature"]))
        except ValueError:
            return False
        return self._keys.verify(signature, bytes.fromhex(str(row["hash"])))

    def _rows_after(self, number: int) -> list[Row]:
        query = (
            select(audit)
            .where(audit.c.tenant == self._tenant, audit.c.number > number)
            .order_by(audit.c.number)
            .limit(_CHECK_ROWS)
        )
        with self._state.read() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def _read_anchor(self) -> tuple[int, str]:
        path = self._keys.folder / "audit.head"
        if not path.is_file():
            return 0, GENESIS
        number, _, head = self._disk.read(path).decode().strip().partition(" ")
        return int(number), head

    def _write_anchor(self, number: int, head: str) -> None:
        self._disk.write_whole(self._keys.folder / "audit.head", [f"{number} {head}\n".encode()])


def _hash(previous: str, row: Row) -> str:
    text = json.dumps([row[name] for name in _SIGNED], ensure_ascii=True)
    return hashlib.sha256(bytes.fromhex(previous) + text.encode()).hexdigest()


def _bounded(value: Json) -> str:
    """JSON with sorted keys; what is larger than an event may be leaves its hash."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    data = text.encode()
    if len(data) <= EVENT_BYTES_MAX:
        return text
    return json.dumps({"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()})


def _record(row: Row) -> Record:
    entry = Entry(
        principal=str(row["principal"]),
        action=str(row["action"]),
        object=str(row["object"]),
        old=json.loads(str(row["old"])),
        new=json.loads(str(row["new"])),
        outcome=str(row["outcome"]),
    )
    return Record(int(row["number"]), str(row["id"]), int(row["time_ns"]), entry)
