"""HTTP of samples for programs: many points in one request, a page of Arrow at a time."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.query import Snapshot
from penstock.historian.request import (
    PointDirectory,
    Viewer,
    as_of,
    existing_point,
    seen,
    span_of,
)
from penstock.historian.samples.page import (
    LOOKS_MAX,
    POINTS_MAX,
    ROWS_MAX,
    Place,
    arrow_of,
    page_of,
)
from penstock.historian.sql.routes import files
from penstock.historian.sql.sink import MEDIA_TYPE
from penstock.historian.worker import HistorianWorker
from penstock.model import Refused

CURSOR, SEQUENCE, ROW_COUNT = "Penstock-Cursor", "Penstock-Sequence", "Penstock-Row-Count"


class SamplesRequest(BaseModel):
    """Samples of points with from <= time < to, as known at `as_of`."""

    model_config = ConfigDict(extra="forbid")

    points: list[UUID] = Field(min_length=1, max_length=POINTS_MAX)
    from_: str = Field(alias="from", description="RFC 3339, or nanoseconds since 1970.")
    to: str = Field(description="RFC 3339, or nanoseconds since 1970; not included.")
    limit: Annotated[int, Field(ge=1, le=ROWS_MAX)] = 262_144
    cursor: str = Field("", max_length=64, description="Of the page before; the first has none.")
    as_of: str = Field("", max_length=40, description="Log sequence, or RFC 3339 time of receipt.")


def routes(historian: HistorianWorker, directory: PointDirectory) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])
    content: dict[int | str, dict[str, Any]] = {200: {"content": files("arrow")}}

    @router.post("/samples", response_class=Response, responses=content)
    async def post_samples(principal: Viewer, request: SamplesRequest) -> Response:
        """Raw samples of many points as an Arrow stream, a page at a time."""
        span = span_of(request.from_, request.to)
        points = [existing_point(directory, principal, id_) for id_ in request.points]
        handles = [point.handle for point in points]
        place = _place(request.cursor, len(handles))
        known = as_of(historian.historian, request.as_of)
        looked_at = handles[place.point : place.point + LOOKS_MAX]
        answer = partial(
            _answer, known=known, handles=handles, span=span, limit=request.limit, place=place
        )
        return await historian.query(answer, sorted(set(looked_at)))

    return router


def _answer(
    snapshot: Snapshot,
    known: int | None,
    handles: list[int],
    span: tuple[int, int],
    limit: int,
    place: Place,
) -> Response:
    page = page_of(seen(snapshot, known), handles, span, limit, place)
    headers = {
        "Cache-Control": "no-store",
        SEQUENCE: str(page.sequence),
        ROW_COUNT: str(page.rows),
        CURSOR: "" if page.following is None else str(page.following),
    }
    return Response(arrow_of(page), media_type=MEDIA_TYPE["arrow"], headers=headers)


def _place(cursor: str, points: int) -> Place:
    if not cursor:
        return Place()
    try:
        return Place.parse(cursor, points)
    except ValueError as error:
        raise Refused("invalid_request", "The cursor is not one of ours.") from error
