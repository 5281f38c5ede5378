"""HTTP of exports: order, watch, fetch (also in parts) and remove; or all at once by GET /export.

Whoever orders sees exactly the points that they may view; a foreign point in the list
answers like one that does not exist.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.answer import csv_rows
from penstock.historian.export.desk import ExportDesk, Order, Ordered
from penstock.historian.export.files import FORMATS, csv_points
from penstock.historian.query import Snapshot as HistorySnapshot
from penstock.historian.request import Viewer, ids_of, span_of
from penstock.historian.sql.answers import Answers
from penstock.historian.sql.catalogue import Catalogue
from penstock.historian.sql.desk import Points, Record, visible
from penstock.historian.sql.routes import AnswerFile, files
from penstock.historian.sql.sink import MEDIA_TYPE, SUFFIX
from penstock.model import Point, Refused
from penstock.model.event import Json
from penstock.model.time import format_ns
from penstock.security.audit import Entry
from penstock.security.principal import Principal

Format = Literal["csv", "arrow", "parquet"]
POINTS_MAX = 100_000
WAIT_S = 25.0


class ExportRequest(BaseModel):
    """Points by identity, or by a path: a point, or all below an asset ("" = everything)."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    points: list[UUID] = Field(default_factory=list, max_length=POINTS_MAX)
    path: str | None = None
    from_: str = Field(alias="from", description="RFC 3339 or nanoseconds")
    to: str = Field(description="RFC 3339 or nanoseconds; not included")
    format: Format = "parquet"


class ExportView(BaseModel):
    """An export; `file_bytes` and `row_count` are there when `state` is done."""

    id: UUID
    state: Literal["running", "done", "failed", "cancelled"]
    format: Format
    points: int
    from_: str = Field(serialization_alias="from")
    to: str
    created: str
    rows_done: int | None
    rows_max: int | None
    row_count: int | None
    file_bytes: int | None
    sequence: str
    code: str
    detail: str


class ExportsView(BaseModel):
    """Newest first."""

    exports: list[ExportView]


class ExportRoutes:
    """What the routes share; `pin` gives a snapshot of the history of some handles."""

    def __init__(
        self,
        desk: ExportDesk,
        pin: Callable[[Sequence[int]], HistorySnapshot],
        points: Callable[[], Points],
        record: Record,
        answers: Answers,
    ) -> None:
        self.desk = desk
        self.answers = answers
        self.pin = pin
        self.points = points
        self.record = record

    def order(
        self,
        who: Principal,
        ids: Sequence[UUID],
        path: str | None,
        span: tuple[int, int],
        kind: str,
    ) -> Order:
        """The points that are meant; Refused("not_found") if one of them is not there."""
        if bool(ids) == (path is not None):
            raise Refused("invalid_request", "Name either points or a path.")
        seen = visible(self.points().points, who)
        if path is None:
            by_id = {point.id: point for point in seen}
            missing = next((id_ for id_ in ids if id_ not in by_id), None)
            if missing is not None:
                raise Refused("not_found", f"There is no point {missing}.")
            found = [by_id[id_] for id_ in dict.fromkeys(ids)]
        else:
            found = below(seen, path)
            if not found:
                raise Refused("not_found", f"There is no point at or below {path!r}.")
        if len(found) > POINTS_MAX:
            raise Refused("too_large", f"At most {POINTS_MAX} points at once.")
        return Order(sorted(found, key=lambda point: point.path), *span, kind)

    def check_granted(self, who: Principal, export: Ordered) -> None:
        """Grants may have been taken away since the order: then the file goes, too."""
        seen = {point.id for point in visible(self.points().points, who)}
        if any(point.id not in seen for point in export.order.points):
            self.desk.remove(export)
            raise Refused("not_found", "The file holds points that you may not view any more.")

    def view(self, export: Ordered) -> ExportView:
        """For JSON."""
        progress = self.desk.progress(export) if export.state == "running" else None
        file = export.file
        return ExportView.model_validate(
            {
                "id": export.id,
                "state": export.state,
                "format": export.order.kind,
                "points": len(export.order.points),
                "from_": format_ns(export.order.from_ns),
                "to": format_ns(export.order.to_ns),
                "created": format_ns(export.created_ns),
                "rows_done": export.row_count if progress is None else progress[0],
                "rows_max": None if progress is None else progress[1],
                "row_count": export.row_count,
                "file_bytes": file.stat().st_size if file and file.exists() else None,
                "sequence": export.sequence,
                "code": export.code,
                "detail": export.detail,
            }
        )

    async def csv(self, who: Principal, order: Order) -> StreamingResponse:
        """CSV straight from core: it needs no compute."""
        told: Json = {"points": len(order.points), "format": "csv"}
        await self.record(Entry(who.id, "history.export", "csv", None, told))
        snapshot = self.pin([point.handle for point in order.points])
        rows = csv_rows(
            snapshot, csv_points(Catalogue.of(order.points)), order.from_ns, order.to_ns
        )
        return StreamingResponse(rows, media_type=MEDIA_TYPE["csv"], headers=_named("csv"))


def below(points: Sequence[Point], path: str) -> list[Point]:
    """The point at the path, and all points of the subtree there."""
    wanted = path.strip("/")
    return [
        point
        for point in points
        if not wanted or point.path == wanted or point.path.startswith(wanted + "/")
    ]


def routes(shared: ExportRoutes) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])
    _add_orders(router, shared)
    _add_files(router, shared)
    return router


def _add_orders(router: APIRouter, shared: ExportRoutes) -> None:
    @router.post("/exports", status_code=202)
    async def post_export(principal: Viewer, request: ExportRequest) -> ExportView:
        """Order an export of samples; it is written in the background."""
        span = span_of(request.from_, request.to)
        order = shared.order(principal, request.points, request.path, span, request.format)
        return shared.view(await shared.desk.begin(principal, order))

    @router.get("/exports")
    async def get_exports(principal: Viewer) -> ExportsView:
        """Own exports of the last hour, newest first."""
        return ExportsView(exports=[shared.view(one) for one in shared.desk.all_of(principal)])

    @router.get("/exports/{export_id}")
    async def get_export(principal: Viewer, export_id: UUID) -> ExportView:
        """How far an export is."""
        return shared.view(shared.desk.find(principal, export_id))

    @router.delete("/exports/{export_id}", status_code=204)
    async def delete_export(principal: Viewer, export_id: UUID) -> None:
        """End an export, and remove its file."""
        shared.desk.remove(shared.desk.find(principal, export_id))


def _add_files(router: APIRouter, shared: ExportRoutes) -> None:
    content: dict[int | str, dict[str, Any]] = {200: {"content": files(*FORMATS)}}

    @router.get("/exports/{export_id}/file", response_class=FileResponse, responses=content)
    async def get_file(principal: Viewer, export_id: UUID) -> FileResponse:
        """The finished file; `Range` fetches the rest of a download that broke off."""
        export = shared.desk.find(principal, export_id)
        path = await shared.desk.file_of(export)
        shared.check_granted(principal, export)
        kind = export.order.kind
        return AnswerFile(shared.answers, path, MEDIA_TYPE[kind], _named(kind), is_kept=True)

    @router.get("/export", response_class=StreamingResponse, responses=content)
    async def get_now(
        principal: Viewer,
        from_: Annotated[str, Query(alias="from")],
        to: str,
        points: str = "",
        path: str | None = None,
        format: Format = "csv",  # noqa: A002 - the name of the parameter
    ) -> Response:
        """Samples as a file in one request; for what takes longer than 25 s there is /exports."""
        ids = ids_of(points, POINTS_MAX)
        order = shared.order(principal, ids, path, span_of(from_, to), format)
        if format == "csv":
            return await shared.csv(principal, order)
        export = await shared.desk.begin(principal, order)
        try:
            await shared.desk.file_of(export, wait_s=WAIT_S)
            file = shared.desk.take(export)
        finally:
            shared.desk.remove(export)
        headers = _named(format) | {"Penstock-Sequence": export.sequence}
        return AnswerFile(shared.answers, file, MEDIA_TYPE[format], headers)


def _named(kind: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="penstock{SUFFIX[kind]}"'}
