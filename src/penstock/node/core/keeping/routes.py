"""HTTP of keeping data, below /api/v1."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
from typing import Annotated

from fastapi import APIRouter

from penstock.node.core.keeping.backups import Backups, BackupView, LastBackupView
from penstock.security import Principal
from penstock.security.routes import requires

Administrator = Annotated[Principal, requires("administer")]


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
