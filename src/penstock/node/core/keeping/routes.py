"""HTTP of keeping data, below /api/v1."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from penstock.historian.request import Viewer, time_of
from penstock.model import Point, Refused
from penstock.node.core.keeping.backups import Backups, BackupView, LastBackupView
from penstock.node.core.keeping.deletion import Deletion
from penstock.node.core.keeping.deletions import DeletionDesk
from penstock.node.core.keeping.known import KnownPoints
from penstock.node.core.keeping.retention import Retention
from penstock.node.core.keeping.size import Share, SizeBook
from penstock.node.core.views import GrowthView
from penstock.registry.views import View
from penstock.security import Principal
from penstock.security.routes import requires

SIZE_POINTS_MAX = 10_000
Administrator = Annotated[Principal, requires("administer")]


class RetentionRuleView(View):
    """A rule of penstock.toml, and what has gone by it."""

    words: str
    keep: str
    rows: int
    bytes: int


class RetentionView(View):
    """Rules in their order; `executed_ns` is the receive time up to which they were applied."""

    executed_ns: str | None
    is_paused: bool
    rules: list[RetentionRuleView]


class DeletedSpanView(View):
    """A span of a point that somebody has deleted; `undo_until_ns` null: it is final."""

    id: str
    from_ns: str
    to_ns: str
    deleted_ns: str
    undo_until_ns: str | None


class KeptView(View):
    """For how long a point is kept; what is not there because of that is no gap of the plant."""

    keep: str
    kept_since_ns: str | None
    deleted: list[DeletedSpanView]


class DeletionOrder(View):
    """What to delete: a point, or everything below an asset."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(min_length=1, max_length=1_000)
    from_: str = Field(alias="from", max_length=40)
    to: str = Field(max_length=40)
    reason: str = Field(max_length=500)


class DeletionConfirmation(View):
    """The phrase of the proposal, typed by a person."""

    model_config = ConfigDict(extra="forbid")

    phrase: str = Field(max_length=1_100)


class DeletionView(View):
    """A deletion. `phrase` confirms a proposal; `backup` may still hold the data, as may copies."""

    id: str
    state: Literal["proposed", "working", "hidden", "done", "cancelled", "failed"]
    by: str
    path: str
    points: int
    from_ns: str
    to_ns: str
    reason: str
    phrase: str
    rows: int
    bytes: int
    proposed_ns: str
    hidden_ns: str | None
    ends_ns: str | None
    detail: str
    backup: str | None


class DeletionsView(View):
    """Newest first."""

    deletions: list[DeletionView]


class ShareView(View):
    """What some points take; `name` is empty for points without type or connector."""

    name: str
    rows: int
    bytes: int
    bytes_per_day: float


class SizeView(View):
    """Of the points that one may view; `points` are the largest of `points_total`.

    `made_ns` is when it was measured; rates are of the last `days` whole days.
    """

    made_ns: str
    rows: int
    bytes: int
    growth: GrowthView
    points_total: int
    points: list[ShareView]
    types: list[ShareView]
    kinds: list[ShareView]
    connectors: list[ShareView]


def size_routes(book: SizeBook) -> APIRouter:
    """Bytes on disk, and when the disk is full."""
    router = APIRouter(tags=["node"])

    @router.get("/size")
    async def get_size(
        who: Viewer, limit: Annotated[int, Query(ge=1, le=SIZE_POINTS_MAX)] = 100
    ) -> SizeView:
        """What points, types, classes of values and connectors take on disk, largest first."""
        await book.fresh()
        found = await asyncio.to_thread(book.shares, lambda point: who.may("view", point.asset))
        shown = {name: _shares(shares) for name, shares in found.items()}
        return SizeView(
            made_ns=str(book.made_ns),
            rows=sum(item.rows for item in shown["kinds"]),
            bytes=sum(item.bytes for item in shown["kinds"]),
            growth=GrowthView.model_validate(book.summary()),
            points_total=len(shown["points"]),
            points=shown["points"][:limit],
            types=shown["types"],
            kinds=shown["kinds"],
            connectors=shown["connectors"],
        )

    return router


def _shares(shares: dict[str, Share]) -> list[ShareView]:
    found = [ShareView(name=name, **asdict(share)) for name, share in shares.items()]
    return sorted(found, key=lambda item: (-item.bytes, item.name))


def backup_routes(backups: Backups) -> APIRouter:
    """The last backup."""
    router = APIRouter(tags=["node"])

    @router.get("/backups", dependencies=[requires("view", is_anywhere=True)])
    async def get_backups() -> LastBackupView:
        """The last backup that was made of this node."""
        return LastBackupView(last=await asyncio.to_thread(backups.last))

    @router.post("/backups", status_code=204)
    async def post_backup(who: Administrator, body: BackupView) -> None:
        """Note a backup that was made with `penstock backup`; it is audited."""
        await backups.note(who.id, body)

    return router


def retention_routes(
    retention: Retention, deletions: DeletionDesk, known: KnownPoints
) -> APIRouter:
    """What is kept for how long."""
    router = APIRouter(tags=["history"])

    @router.get("/retention", dependencies=[requires("view", is_anywhere=True)])
    async def get_retention() -> RetentionView:
        """The rules of retention and what has gone by each."""
        return RetentionView.model_validate(retention.document())

    @router.get("/points/{point_id}/kept")
    async def get_kept(point_id: UUID, who: Viewer) -> KeptView:
        """For how long the point is kept, since when it is, and spans that were deleted."""
        found = known.visible(who, point_id)
        if found is None:
            raise Refused("not_found", f"There is no point {point_id}.")
        keep, since_ns = retention.kept(*found)
        return KeptView(
            keep=keep,
            kept_since_ns=None if since_ns is None else str(since_ns),
            deleted=[_span(item) for item in deletions.of_point(point_id)],
        )

    return router


def deletion_routes(desk: DeletionDesk, known: KnownPoints, backups: Backups) -> APIRouter:
    """Deleting by hand: proposed, confirmed, undone."""
    router = APIRouter(tags=["history"])

    async def view(items: Sequence[Deletion]) -> list[DeletionView]:
        last = await asyncio.to_thread(backups.last)
        return [_view(item, last) for item in items]

    @router.get("/deletions")
    async def get_deletions(_who: Administrator) -> DeletionsView:
        """Deletions by hand, newest first."""
        return DeletionsView(deletions=await view(desk.all()))

    @router.post("/deletions", status_code=201)
    async def post_deletion(who: Administrator, body: DeletionOrder) -> DeletionView:
        """Propose a deletion; nothing is changed. It lasts 10 minutes."""
        points: list[Point] = known.below(body.path)
        span = time_of(body.from_), time_of(body.to)
        made = desk.propose(who.id, body.path, points, *span, body.reason)
        return (await view([made]))[0]

    @router.post("/deletions/{deletion_id}/confirm", status_code=202)
    async def confirm_deletion(
        deletion_id: str, who: Administrator, body: DeletionConfirmation
    ) -> DeletionView:
        """Delete: the data is hidden within moments, and final when the grace is over."""
        return (await view([await desk.confirm(who.id, deletion_id, body.phrase)]))[0]

    @router.delete("/deletions/{deletion_id}")
    async def cancel_deletion(deletion_id: str, who: Administrator) -> DeletionView:
        """Forget a proposal, or show hidden data again as it was."""
        return (await view([await desk.cancel(who.id, deletion_id)]))[0]

    return router


def _view(item: Deletion, last: BackupView | None) -> DeletionView:
    return DeletionView(
        id=item.id,
        state=item.state,
        by=item.by,
        path=item.path,
        points=len(item.points),
        from_ns=str(item.from_ns),
        to_ns=str(item.to_ns),
        reason=item.reason,
        phrase=item.phrase,
        rows=item.rows,
        bytes=item.bytes,
        proposed_ns=str(item.proposed_ns),
        hidden_ns=str(item.hidden_ns) if item.hidden_ns else None,
        ends_ns=str(item.ends_ns) if item.ends_ns else None,
        detail=item.detail,
        backup=None if last is None else last.name,
    )


def _span(item: Deletion) -> DeletedSpanView:
    return DeletedSpanView(
        id=item.id,
        from_ns=str(item.from_ns),
        to_ns=str(item.to_ns),
        deleted_ns=str(item.hidden_ns),
        undo_until_ns=str(item.ends_ns) if item.state == "hidden" else None,
    )
