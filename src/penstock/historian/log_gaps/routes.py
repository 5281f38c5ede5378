"""HTTP of gaps: what the log has lost, when that was received, and whether the history has it."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from penstock.historian.log_gaps.gap import Gap
from penstock.historian.log_gaps.store import PAGE_MAX
from penstock.historian.log_gaps.worker import GapProjector
from penstock.historian.request import Viewer, span_of


class GapView(BaseModel):
    """One gap; sequences and times are int64 as text."""

    cause: str
    scope: str
    first_sequence: str
    last_sequence: str
    from_ns: str
    to_ns: str
    lost: bool
    detail: dict[str, str | int | float | bool | None]


class GapsView(BaseModel):
    """Gaps that touch the span, oldest first; `is_cut` where there are more."""

    gaps: list[GapView]
    is_cut: bool


def gap_routes(projector: GapProjector) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])

    @router.get("/gaps")
    async def get_gaps(
        _who: Viewer, from_: Annotated[str, Query(alias="from")], to: str
    ) -> GapsView:
        """What the log has lost in a span of receive time; `lost`: history does not have it."""
        from_ns, to_ns = span_of(from_, to)
        found = await asyncio.to_thread(projector.between, from_ns, to_ns)
        return GapsView(gaps=[_view(gap) for gap in found], is_cut=len(found) == PAGE_MAX)

    return router


def _view(gap: Gap) -> GapView:
    return GapView(
        cause=gap.cause,
        scope=gap.scope,
        first_sequence=str(gap.first),
        last_sequence=str(gap.last),
        from_ns=str(gap.from_ns),
        to_ns=str(gap.to_ns),
        lost=gap.is_lost,
        detail={name: _plain(value) for name, value in gap.detail.items()},
    )


def _plain(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float) else str(value)
