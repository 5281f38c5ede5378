"""Compute's handlers without the process between: what core asks runs in a thread."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from local_job import LocalJob
from sql_kit import POINTS, Plant

from penstock.historian.export.desk import ExportDesk
from penstock.historian.export.handler import write_export_file
from penstock.historian.export.routes import ExportRoutes
from penstock.historian.export.routes import routes as export_routes
from penstock.historian.sql.answers import Answers
from penstock.historian.sql.config import SqlSettings
from penstock.historian.sql.desk import PointFile, SqlDesk
from penstock.historian.sql.handler import answer_sql
from penstock.historian.sql.routes import routes as sql_routes
from penstock.model import Refused
from penstock.registry import Snapshot
from penstock.security.audit import Entry
from penstock.security.principal import Grant, Principal
from penstock.testing import FakeClock
from penstock.world import SystemDisk

HANDLERS = {"sql": answer_sql, "export": write_export_file}
ANNA = Principal("user:anna", "anna", "Anna", (), frozenset({Grant("view", "plant")}))
OTTO = Principal("user:otto", "otto", "Otto", (), frozenset({Grant("view", "other")}))


class DirectCompute:
    def __init__(self, plant: Plant, data: Path) -> None:
        self.plant = plant
        self.data = data
        self.is_away = False
        self.jobs: dict[str, Any] = {}
        self.running: dict[str, LocalJob] = {}
        self.hold = asyncio.Event()
        self.hold.set()
        self.asked = asyncio.Event()

    async def ask(
        self, op: str, fields: dict[str, Any], timeout_s: float = 30, job: str | None = None
    ) -> dict[str, Any]:
        if self.is_away:
            raise Refused("compute_away")
        work = LocalJob(self.plant, self.data)
        self.running[str(job)] = work
        self.jobs[str(job)] = {"progress": work.progress}
        self.asked.set()
        await self.hold.wait()
        try:
            return await asyncio.to_thread(HANDLERS[op], work, fields)
        finally:
            self.jobs.pop(str(job), None)

    def cancel(self, job: str) -> None:
        if job in self.running:
            self.running[job].is_cancelled = True
        self.hold.set()


class Node:
    """Core's routes of SQL and exports; `who` asks next."""

    def __init__(self, plant: Plant, data: Path) -> None:
        self.plant = plant
        self.compute = DirectCompute(plant, data)
        self.spool = data / "spool"
        self.spool.mkdir(exist_ok=True)
        self.who = ANNA
        self.audited: list[Entry] = []
        self.clock = FakeClock()
        self.registry = Snapshot.of(1, (), POINTS)
        point_file = PointFile(SystemDisk(), self.spool, self._points)
        self.answers = Answers()
        self.desk = ExportDesk(
            self.compute, point_file, self.spool, self.clock, self.record, self.answers
        )
        sql = SqlDesk(
            self.compute, point_file, self.spool, self._points, SqlSettings(), self.record
        )
        self.app = FastAPI(telemetry={"tracing": False})
        self.app.include_router(sql_routes(sql, self.answers))
        shared = ExportRoutes(
            self.desk, plant.historian.pin, self._points, self.record, self.answers
        )
        self.app.include_router(export_routes(shared))
        self.app.add_exception_handler(Refused, _refused)

    async def principal(self, _connection: object) -> Principal:
        return self.who

    async def record(self, entry: Entry) -> str:
        self.audited.append(entry)
        return str(UUID(int=len(self.audited)))

    def _points(self) -> Snapshot:
        return self.registry

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.spool.iterdir())


async def _refused(_request: Request, refusal: Exception) -> JSONResponse:
    assert isinstance(refusal, Refused)
    body = {"code": refusal.code, "detail": refusal.detail}
    return JSONResponse(body, status_code=refusal.entry.status)
