"""HTTP of imports: upload a file, answer what is asked, start, watch, end.

The one body that may be large is that of POST /imports; it goes to the disk as it comes.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.imports.desk import ImportDesk
from penstock.historian.imports.options import Options, Proposal, Question
from penstock.historian.imports.record import ImportRecord
from penstock.model import Refused
from penstock.model.time import format_ns
from penstock.security.principal import Principal
from penstock.security.routes import requires

Importer = Annotated[Principal, requires("configure", is_anywhere=True)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=64)]
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file as it is: CSV or Parquet.",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class StartRequest(BaseModel):
    """How to start."""

    model_config = ConfigDict(extra="forbid")

    dry_run: bool = Field(False, description="Check all rows and send nothing.")


class OpenName(BaseModel):
    """A name that is no point, or whose unit is not its point's; `near` are paths like it."""

    name: str
    rows: int
    unit: str
    point: str
    point_unit: str
    near: list[str]


class PreviewView(BaseModel):
    """The first rows as they stand in the file."""

    columns: list[str] = []
    rows: list[list[str]] = []


class RejectView(BaseModel):
    """A row that does not fit; of a wide file one cell of it."""

    row: int = Field(description="Line of the file; of Parquet the number of the row from 1.")
    column: str
    text: str
    reason: str


class PointCountView(BaseModel):
    """What came for one point."""

    id: UUID
    path: str
    count: int
    first: str
    last: str


class ImportView(BaseModel):
    """An import. `questions` must be answered before it can start."""

    id: UUID
    name: str
    file_bytes: int
    created: str
    state: Literal[
        "looking", "open", "ready", "checking", "checked", "rejected", "sending", "done", "failed",
        "cancelled",
    ]  # fmt: skip
    options: Options
    questions: list[Question]
    proposals: list[Proposal]
    preview: PreviewView
    names: dict[str, int] = Field(description="How many names are matched, skipped, unknown.")
    open_names: list[OpenName] = Field(description="At most 1,000.")
    rows: int | None = Field(description="Rows of the file.")
    samples: int | None = Field(description="Samples that the check has found.")
    empty: int | None = Field(description="Cells without a value: no samples.")
    repeated: int | None = Field(
        description="Samples that repeat one before them; the history keeps one."
    )
    rejected: dict[str, int] = Field(description="Rows that do not fit, by reason.")
    rows_done: int | None
    rows_max: int | None
    since: str | None = Field(description="When the step under way began.")
    code: str
    detail: str


class ImportDetailView(ImportView):
    """An import with the points and the rejects of its check."""

    points: list[PointCountView] = Field(description="At most 10,000.")
    rejects: list[RejectView] = Field(description="The first 1,000.")


class ImportsView(BaseModel):
    """Newest first."""

    imports: list[ImportView]


def import_routes(desk: ImportDesk) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])
    _add_begin(router, desk)
    _add_steps(router, desk)
    return router


def _add_begin(router: APIRouter, desk: ImportDesk) -> None:
    @router.post("/imports", status_code=201, openapi_extra=_BODY)
    async def post_import(
        who: Importer,
        request: Request,
        name: Annotated[str, Query(min_length=1, max_length=255)],
        key: Key = None,
    ) -> ImportView:
        """Upload a file of history; it is looked at, and nothing is imported yet."""
        if not key:
            raise Refused("idempotency_key_needed")
        return _view(desk, await desk.begin(who, name, key, request.stream()))

    @router.get("/imports")
    async def get_imports(who: Importer) -> ImportsView:
        """Own imports; all of them for who may configure the whole plant."""
        return ImportsView(imports=[_view(desk, one) for one in desk.all_of(who)])


def _add_steps(router: APIRouter, desk: ImportDesk) -> None:
    @router.get("/imports/{import_id}")
    async def get_import(who: Importer, import_id: UUID) -> ImportDetailView:
        """How far an import is, what it asks, and what its check has found."""
        one = desk.find(who, import_id)
        return _detail_view(desk, one, await desk.details(one))

    @router.put("/imports/{import_id}/options")
    async def put_options(who: Importer, import_id: UUID, options: Options) -> ImportView:
        """Answer what is asked, or say otherwise; all options at once. A new look follows."""
        return _view(desk, await desk.answer(who, import_id, options))

    @router.post("/imports/{import_id}/start", status_code=202)
    async def post_start(who: Importer, import_id: UUID, request: StartRequest) -> ImportView:
        """Check every row, then import; one that was ended goes on where it was."""
        return _view(desk, await desk.start(who, import_id, is_dry_run=request.dry_run))

    @router.delete("/imports/{import_id}", status_code=204)
    async def delete_import(who: Importer, import_id: UUID) -> None:
        """End an import that is at work; else forget it. Samples that were sent stay."""
        await desk.remove(who, import_id)


def _fields(desk: ImportDesk, one: ImportRecord) -> dict[str, Any]:
    progress = desk.progress(one) if one.state in {"looking", "checking", "sending"} else {}
    since = progress.get("since_ns")
    checked = one.checked
    return {
        "id": one.id,
        "name": one.name,
        "file_bytes": one.file_bytes,
        "created": format_ns(one.created_ns),
        "state": one.state,
        "options": one.options,
        "questions": one.questions if one.state == "open" else [],
        "proposals": one.look.get("proposals", []),
        "preview": one.look.get("preview", {}),
        "names": one.names,
        "open_names": one.open_names,
        "rows": checked.get("rows", one.look.get("rows")),
        "samples": checked.get("samples"),
        "empty": checked.get("empty"),
        "repeated": checked.get("repeated"),
        "rejected": checked.get("rejected", {}),
        "rows_done": progress.get("done"),
        "rows_max": progress.get("total"),
        "since": format_ns(int(str(since))) if since else None,
        "code": one.code,
        "detail": one.detail,
    }


def _view(desk: ImportDesk, one: ImportRecord) -> ImportView:
    return ImportView.model_validate(_fields(desk, one))


def _detail_view(desk: ImportDesk, one: ImportRecord, details: dict[str, Any]) -> ImportDetailView:
    points = [
        {
            "id": item["id"],
            "path": item["path"],
            "count": item["count"],
            "first": format_ns(item["first_ns"]) if item["count"] else "",
            "last": format_ns(item["last_ns"]) if item["count"] else "",
        }
        for item in details.get("points", ())
    ]
    rejects = details.get("rejects", [])
    return ImportDetailView.model_validate(
        {**_fields(desk, one), "points": points, "rejects": rejects}
    )
