"""HTTP of history: trends, samples, newest values and CSV, cut to what the principal may view.

A point outside the principal's subtrees answers exactly like one that does not
exist, so that nobody can find out which points there are.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Callable, Sequence
from typing import Annotated, Literal
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from penstock.codec.trend import MEDIA_TYPE
from penstock.historian.answer import CSV_POINTS_MAX, PENS_MAX, CsvPoint, cells, csv_rows, trend
from penstock.historian.block_query import newest_rms
from penstock.historian.columns import Columns
from penstock.historian.envelope import PX_MAX
from penstock.historian.file_name import attachment, csv_name
from penstock.historian.query import SAMPLES_MAX, Snapshot, raw
from penstock.historian.request import (
    PointDirectory,
    Viewer,
    as_of,
    cursor_of,
    existing_point,
    ids_of,
    seen,
    span_of,
    visible_point,
)
from penstock.historian.views import JsonValue, LastView, json_value, last_view, newest_view
from penstock.historian.worker import HistorianWorker
from penstock.model import Point, ValueKind
from penstock.model.point import NAME_BY_KIND
from penstock.model.time import TIME_NS_MAX
from penstock.world import Clock

LAST_MAX = 10_000
PAST_MAX = 1_000
AsOf = Annotated[str, Query(alias="as_of", max_length=40)]
PX_MIN = 10


class TrendRequest(BaseModel):
    """What a chart asks for: up to 16 points over a span of so many pixels."""

    model_config = ConfigDict(extra="forbid")

    points: list[UUID] = Field(min_length=1, max_length=PENS_MAX)
    from_ns: str = Field(pattern=r"^-?\d{1,19}$")
    to_ns: str = Field(pattern=r"^-?\d{1,19}$")
    px: int = Field(ge=PX_MIN, le=PX_MAX)
    mode: Literal["envelope", "raw", "auto"] = "auto"
    as_of: str = Field("", max_length=40, description="Log sequence, or RFC 3339 time of receipt.")


class SamplesView(BaseModel):
    """A page of samples, bit-equal: integers are decimal strings, no value is null."""

    point: UUID
    kind: str
    unit: str
    time_ns: list[str]
    value: list[JsonValue]
    quality: list[int]
    flags: list[int]
    cursor: str | None


class LastAnswer(BaseModel):
    """Newest samples in the order of the request; null where there is none."""

    server_time_ns: str
    values: list[LastView | None]


LostSpans = Callable[[int, int], Sequence[tuple[int, int]]]


def routes(
    historian: HistorianWorker,
    directory: PointDirectory,
    clock: Clock,
    lost_spans: LostSpans = lambda _from_ns, _to_ns: (),
) -> APIRouter:
    """Must be included before the registry's router, whose /points/{id} would take /points/last.

    `lost_spans`: where the log has lost what nobody else has; a trend is broken there.
    """
    router = APIRouter()
    _add_trends(router, historian, directory, lost_spans)
    _add_last(router, historian, directory, clock)
    _add_samples(router, historian, directory)
    return router


def _add_trends(
    router: APIRouter,
    historian: HistorianWorker,
    directory: PointDirectory,
    lost_spans: LostSpans,
) -> None:
    @router.post("/trend", response_class=Response)
    async def post_trend(principal: Viewer, request: TrendRequest) -> Response:
        """Columns for a chart: docs/reference/formats/trend.md."""
        from_ns, to_ns = span_of(request.from_ns, request.to_ns)
        points = [visible_point(directory, principal, id_) for id_ in request.points]
        handles = [None if point is None else point.handle for point in points]
        known = as_of(historian.historian, request.as_of)
        answer = await historian.query(
            lambda snapshot: trend(
                seen(snapshot, known),
                handles,
                from_ns,
                to_ns,
                request.px,
                request.mode,
                lost_spans(from_ns, to_ns),
            ),
            [handle for handle in handles if handle is not None],
        )
        return Response(answer, media_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})

    @router.get("/trend.csv", response_class=StreamingResponse)
    async def get_csv(
        principal: Viewer,
        points: str,
        from_: Annotated[str, Query(alias="from")],
        to: str,
        as_of_: AsOf = "",
    ) -> StreamingResponse:
        """All samples of the points as CSV, streamed, one point behind the other."""
        from_ns, to_ns = span_of(from_, to)
        wanted = [
            existing_point(directory, principal, id_) for id_ in ids_of(points, CSV_POINTS_MAX)
        ]
        asked = [
            CsvPoint(point.handle, point.path, point.unit, point.simulated) for point in wanted
        ]
        known = as_of(historian.historian, as_of_)
        snapshot = seen(historian.historian.pin([point.handle for point in wanted]), known)
        return StreamingResponse(
            csv_rows(snapshot, asked, from_ns, to_ns),
            media_type="text/csv; charset=utf-8",
            headers=attachment(csv_name([point.path for point in wanted], from_ns, to_ns)),
        )


def _add_last(
    router: APIRouter, historian: HistorianWorker, directory: PointDirectory, clock: Clock
) -> None:
    @router.get("/points/last")
    async def get_last(principal: Viewer, ids: str, as_of_: AsOf = "") -> LastAnswer:
        """Newest samples of up to 10,000 points (1,000 with `as_of`)."""
        sequence = as_of(historian.historian, as_of_)
        most = LAST_MAX if sequence is None else PAST_MAX
        wanted = [visible_point(directory, principal, id_) for id_ in ids_of(ids, most)]
        known = [point for point in wanted if point is not None]
        if sequence is not None:
            past = await _past(historian, known, sequence)
            values = [None if point is None else past[point.id] for point in wanted]
            return LastAnswer(server_time_ns=str(clock.now_ns()), values=values)
        rows = historian.historian.last.rows(np.array([point.handle for point in known], np.uint32))
        found = {point.id: last_view(point, rows, row) for row, point in enumerate(known)}
        return LastAnswer(
            server_time_ns=str(clock.now_ns()),
            values=[None if point is None else found[point.id] for point in wanted],
        )


async def _past(
    historian: HistorianWorker, points: Sequence[Point], sequence: int
) -> dict[UUID, LastView | None]:
    """Newest samples as they were known then: read from history, a point at a time."""

    def newest(snapshot: Snapshot) -> dict[UUID, LastView | None]:
        then = snapshot.at_sequence(sequence)
        return {point.id: newest_view(point, _newest(then, point)) for point in points}

    return await historian.query(newest, [point.handle for point in points])


def _newest(then: Snapshot, point: Point) -> Columns:
    if point.kind is ValueKind.WAVEFORM:
        return newest_rms(then, point.handle)
    return then.newest_before(point.handle, TIME_NS_MAX)


def _add_samples(router: APIRouter, historian: HistorianWorker, directory: PointDirectory) -> None:
    @router.get("/points/{point_id}/samples")
    async def get_samples(
        principal: Viewer,
        point_id: Annotated[UUID, Path()],
        from_: Annotated[str, Query(alias="from")],
        to: str,
        limit: Annotated[int, Query(ge=1, le=SAMPLES_MAX)] = 10_000,
        cursor: str = "",
        as_of_: AsOf = "",
    ) -> SamplesView:
        """Raw samples with from <= time < to, a page at a time."""
        point = existing_point(directory, principal, point_id)
        from_ns, to_ns = span_of(from_, to)
        after = cursor_of(cursor)
        known = as_of(historian.historian, as_of_)
        rows, following = await historian.query(
            lambda snapshot: raw(seen(snapshot, known), point.handle, from_ns, to_ns, limit, after),
            [point.handle],
        )
        return SamplesView(
            point=point.id,
            kind=NAME_BY_KIND[point.kind],
            unit=point.unit,
            time_ns=[str(time_ns) for time_ns in rows.time_ns.tolist()],
            value=[json_value(item) for item in cells(rows)],
            quality=rows.quality.tolist(),
            flags=rows.flags.tolist(),
            cursor=None if following is None else str(following),
        )
