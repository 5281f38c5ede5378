"""HTTP of aggregates, of values at moments, and of gaps."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from functools import partial
from typing import Annotated
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Path, Query, Response

from penstock.historian.aggregate import Answer, aggregate
from penstock.historian.aggregate_answer import Asked, csv_of, json_of, json_values
from penstock.historian.aggregate_request import (
    AggregateAnswer,
    AggregateQuery,
    AggregateRequest,
    AtAnswer,
    AtRequest,
    AtView,
    GapsView,
    GapView,
    Interpolation,
    check_size,
    intervals_of,
    options_of,
)
from penstock.historian.answer import CsvPoint, quality_word
from penstock.historian.at import MOMENTS_MAX, Moments, values_at
from penstock.historian.gaps import GAPS_MAX, Gap, gaps_of
from penstock.historian.intervals import Intervals
from penstock.historian.query import Snapshot
from penstock.historian.request import (
    PointDirectory,
    Viewer,
    as_of,
    existing_point,
    seen,
    span_of,
    time_of,
    visible_point,
)
from penstock.historian.worker import HistorianWorker
from penstock.model import Point, Refused
from penstock.model.point import NAME_BY_KIND
from penstock.security.principal import Principal
from penstock.world import Clock

VALUES_MAX = 500_000


def aggregate_routes(
    historian: HistorianWorker, directory: PointDirectory, clock: Clock
) -> APIRouter:
    """Aggregates, values at moments, and gaps."""
    router = APIRouter()
    _add_aggregates(router, _Aggregates(historian, directory, clock))
    _add_at(router, historian, directory)
    _add_gaps(router, historian, directory)
    return router


class _Aggregates:
    """One request answered: who may see what, by which intervals, as of when."""

    def __init__(self, historian: HistorianWorker, directory: PointDirectory, clock: Clock) -> None:
        self._historian, self._directory, self._clock = historian, directory, clock

    async def as_json(self, principal: Principal, request: AggregateRequest) -> Response:
        """Points that the principal may not see are null."""
        directory = self._directory
        asked = [Asked(id_, visible_point(directory, principal, id_)) for id_ in request.points]
        points = [item.point for item in asked if item.point is not None]
        answers, intervals, sequence = await self._answer(request, points)
        body = json_of(asked, answers, intervals, sequence)
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def as_csv(self, principal: Principal, request: AggregateRequest) -> Response:
        """One point that the principal may not see refuses all."""
        points = [existing_point(self._directory, principal, id_) for id_ in request.points]
        answers, intervals, _ = await self._answer(request, points)
        asked = [CsvPoint(item.handle, item.path, item.unit, item.simulated) for item in points]
        return Response(
            b"".join(csv_of(asked, answers, intervals)),
            media_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": 'attachment; filename="penstock-aggregates.csv"'},
        )

    async def _answer(
        self, request: AggregateRequest, points: list[Point]
    ) -> tuple[dict[int, Answer], Intervals, int]:
        intervals = intervals_of(request)
        check_size(request, len(intervals))
        options = options_of(request, self._clock.now_ns())
        known = as_of(self._historian.historian, request.as_of)
        handles = sorted({point.handle for point in points})
        found, sequence = await self._historian.query(
            lambda snapshot: (
                aggregate(seen(snapshot, known), handles, intervals, request.aggregates, options),
                seen(snapshot, known).sequence,
            ),
            handles,
        )
        return {answer.handle: answer for answer in found}, intervals, sequence


def _add_aggregates(router: APIRouter, aggregates: _Aggregates) -> None:
    @router.post("/aggregate", response_model=AggregateAnswer)
    async def post_aggregate(principal: Viewer, request: AggregateRequest) -> Response:
        """Aggregates of many points by interval: docs/reference/aggregates.md."""
        return await aggregates.as_json(principal, request)

    @router.get("/aggregate", response_model=AggregateAnswer)
    async def get_aggregate(
        principal: Viewer, request: Annotated[AggregateQuery, Query()]
    ) -> Response:
        """The same, with lists separated by commas."""
        return await aggregates.as_json(principal, request.as_request())

    @router.get("/aggregate.csv", response_class=Response)
    async def get_aggregate_csv(
        principal: Viewer, request: Annotated[AggregateQuery, Query()]
    ) -> Response:
        """The same as CSV: a line a point, aggregate and interval."""
        return await aggregates.as_csv(principal, request.as_request())


async def _answer_at(
    historian: HistorianWorker, asked: list[Point | None], request: AtRequest
) -> AtAnswer:
    if len(asked) * len(request.times) > VALUES_MAX:
        raise Refused("too_large", f"At most {VALUES_MAX} values at once.")
    handles = sorted({point.handle for point in asked if point is not None})
    times = np.array([time_of(text) for text in request.times], np.int64)
    known = as_of(historian.historian, request.as_of)
    found, sequence = await historian.query(
        lambda snapshot: (
            values_at(
                seen(snapshot, known),
                handles,
                times,
                request.interpolation,
                treats_uncertain_as_bad=request.treat_uncertain_as_bad,
            ),
            seen(snapshot, known).sequence,
        ),
        handles,
    )
    return AtAnswer(
        sequence=str(sequence),
        time_ns=[str(time_ns) for time_ns in times.tolist()],
        points=[None if point is None else _at(point, found[point.handle]) for point in asked],
    )


def _add_at(router: APIRouter, historian: HistorianWorker, directory: PointDirectory) -> None:
    @router.post("/at")
    async def post_at(principal: Viewer, request: AtRequest) -> AtAnswer:
        """Values of many points at given moments."""
        asked = [visible_point(directory, principal, id_) for id_ in request.points]
        return await _answer_at(historian, asked, request)

    @router.get("/points/{point_id}/at")
    async def get_at(
        principal: Viewer,
        point_id: Annotated[UUID, Path()],
        times: str,
        interpolation: Interpolation = "previous",
        treat_uncertain_as_bad: bool = False,
        as_of: str = "",
    ) -> AtAnswer:
        """Values of one point at moments that are separated by commas."""
        point = existing_point(directory, principal, point_id)
        words = [word for word in times.split(",") if word]
        if not 0 < len(words) <= MOMENTS_MAX:
            raise Refused("invalid_request", f"Between 1 and {MOMENTS_MAX} moments.")
        request = AtRequest(
            points=[point_id],
            times=words,
            interpolation=interpolation,
            treat_uncertain_as_bad=treat_uncertain_as_bad,
            as_of=as_of[:40],
        )
        return await _answer_at(historian, [point], request)


def _at(point: Point, found: Moments) -> AtView:
    pairs = zip(found.time_ns.tolist(), found.has_sample.tolist(), strict=True)
    return AtView(
        id=point.id,
        kind=NAME_BY_KIND[point.kind],
        unit=point.unit,
        value=json_values(found.value, found.is_there),
        quality=found.quality.tolist(),
        info=found.info.tolist(),
        sample_ns=[str(time_ns) if is_there else None for time_ns, is_there in pairs],
    )


def _add_gaps(router: APIRouter, historian: HistorianWorker, directory: PointDirectory) -> None:
    @router.get("/points/{point_id}/gaps")
    async def get_gaps(
        principal: Viewer,
        point_id: Annotated[UUID, Path()],
        from_: Annotated[str, Query(alias="from")],
        to: str,
        limit: Annotated[int, Query(ge=1, le=GAPS_MAX)] = 1_000,
        as_of_: Annotated[str, Query(alias="as_of", max_length=40)] = "",
    ) -> GapsView:
        """Spans without a usable value, and why: the reason of the bad quality."""
        point = existing_point(directory, principal, point_id)
        from_ns, to_ns = span_of(from_, to)
        known = as_of(historian.historian, as_of_)
        found, sequence = await historian.query(
            partial(_gaps, known=known, handle=point.handle, span=(from_ns, to_ns), limit=limit),
            [point.handle],
        )
        return GapsView(
            point=point.id,
            sequence=str(sequence),
            gaps=[_gap(gap) for gap in found[:limit]],
            is_complete=len(found) <= limit,
        )


def _gaps(
    snapshot: Snapshot, known: int | None, handle: int, span: tuple[int, int], limit: int
) -> tuple[list[Gap], int]:
    view = seen(snapshot, known)
    return gaps_of(view, handle, *span, limit=limit + 1), view.sequence


def _gap(gap: Gap) -> GapView:
    return GapView(
        begin_ns=str(gap.begin_ns),
        end_ns=None if gap.end_ns is None else str(gap.end_ns),
        is_open=gap.is_open,
        began_before=gap.began_before,
        ends_behind=gap.ends_behind,
        quality=gap.quality,
        cause=quality_word(gap.quality),
    )
