"""Pins: core keeps for compute what compute reads, and writes it what is only in memory.

A lease ends with its release, with the link, or when compute has not named it for
LEASE_S: a compute that died or forgot never keeps replaced files for ever.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import structlog

from penstock.historian.pinned import PinFiles, remove_pin, write_pin
from penstock.model import Refused
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    import numpy.typing as npt

    from penstock.historian import HistorianWorker
    from penstock.historian.holds import Hold
    from penstock.historian.query import Snapshot
    from penstock.model.event import Json
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.spool import Spool
    from penstock.world import Clock, Disk

    Document = dict[str, Json]

log = structlog.get_logger()

LEASE_S = 600
LOOK_S = 30
PINS_MAX = 16


@dataclass(slots=True)
class _Lease:
    hold: Hold | None
    files: PinFiles
    until_ns: int


class Pins:
    """Answers "pin" and "release" of compute."""

    def __init__(
        self, worker: HistorianWorker, link: ComputeLink, disk: Disk, spool: Spool, clock: Clock
    ) -> None:
        self._worker = worker
        self._link = link
        self._disk = disk
        self._spool = spool
        self._clock = clock
        self._leases: dict[str, _Lease] = {}
        self._writing = asyncio.Lock()
        self._ends: set[asyncio.Future[None]] = set()
        link.answers |= {"pin": self.pin, "release": self.release}
        link.on_down.append(self.end_all)

    async def pin(self, fields: Document) -> Document:
        """Keep a snapshot; `handles` (bitmap, base64, little bit order; null = all), `to_ns`.

        Refused("busy") beyond PINS_MAX; "disk_full" when the heads cannot be written.
        """
        if len(self._leases) >= PINS_MAX:
            raise Refused("busy")
        handles = self._handles(fields.get("handles"))
        to_ns = fields.get("to_ns")
        if to_ns is not None and not isinstance(to_ns, int):
            raise Refused("bad_request", "to_ns is a number or null")
        name = str(uuid4())
        self._spool.check_room()
        async with self._writing:
            writing = asyncio.ensure_future(self._write(name, handles, to_ns))
            try:
                version, sequence, lease = await asyncio.shield(writing)
            except asyncio.CancelledError:
                writing.add_done_callback(self._drop)
                raise
            except OSError as error:
                raise Refused("disk_full", str(error)) from error
        self._leases[name] = lease
        return {
            "pin": name,
            "manifest_version": version,
            "sequence": sequence,
            "manifest": lease.files.manifest,
            "heads": list(lease.files.heads),
        }

    async def release(self, fields: Document) -> Document:
        """End a lease; one that has ended is no fault."""
        lease = self._leases.pop(str(fields.get("pin")), None)
        if lease is not None:
            await self._end(lease)
        return {}

    def end_all(self) -> None:
        """Compute is gone, and with it everybody who reads."""
        leases, self._leases = [*self._leases.values()], {}
        for lease in leases:
            self._end_beside(lease)

    async def run(self) -> None:
        """End what nobody names any more, for ever."""
        while True:
            await self._clock.wait_until(self._clock.monotonic_ns() + LOOK_S * SECOND_NS)
            self.look()

    def look(self) -> None:
        """Renew what the last heartbeat names; end what is over."""
        now_ns = self._clock.monotonic_ns()
        for job in self._link.jobs.values():
            named = job.get("pins", [])
            assert isinstance(named, list)
            for name in named:
                if lease := self._leases.get(str(name)):
                    lease.until_ns = now_ns + LEASE_S * SECOND_NS
        for name, lease in [*self._leases.items()]:
            if lease.until_ns <= now_ns:
                log.warning("pin_expired", pin=name)
                del self._leases[name]
                self._end_beside(lease)

    def statistics(self) -> dict[str, int]:
        """For the System page."""
        return {"pins": len(self._leases)}

    async def _write(
        self, name: str, handles: npt.NDArray[np.uint32], to_ns: int | None
    ) -> tuple[int, int, _Lease]:
        version = self._worker.historian.manifest.version

        def write(snapshot: Snapshot) -> tuple[int, int, _Lease]:
            files = write_pin(self._disk, self._spool.folder, name, snapshot, version, to_ns)
            until_ns = self._clock.monotonic_ns() + LEASE_S * SECOND_NS
            return version, snapshot.sequence, _Lease(snapshot.hold, files, until_ns)

        return await self._worker.query(write, handles.tolist())

    def _handles(self, bitmap: Json) -> npt.NDArray[np.uint32]:
        if bitmap is None:
            return np.flatnonzero(self._worker.historian.last.kind).astype(np.uint32)
        try:
            data = base64.b64decode(str(bitmap), validate=True)
        except binascii.Error as error:
            raise Refused("bad_request", f"handles: {error}") from error
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return np.flatnonzero(bits).astype(np.uint32)

    def _drop(self, writing: asyncio.Future[tuple[int, int, _Lease]]) -> None:
        """Who asked is gone while the files were written."""
        if not writing.cancelled() and writing.exception() is None:
            self._end_beside(writing.result()[2])

    def _end_beside(self, lease: _Lease) -> None:
        task = asyncio.ensure_future(self._end(lease))
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)

    async def _end(self, lease: _Lease) -> None:
        if lease.hold is not None:
            lease.hold.release()
        await asyncio.to_thread(self._remove, lease.files)

    def _remove(self, files: PinFiles) -> None:
        try:
            remove_pin(self._disk, self._spool.folder, files.names)
        except OSError as error:
            log.warning("pin_not_removed", pin=files.manifest, detail=str(error))
        self._worker.historian.remove_replaced()
