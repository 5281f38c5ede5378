"""SQL and exports joined to this node: its registry, its compute, its audit, its spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.historian.export.desk import ExportDesk
from penstock.historian.export.routes import ExportRoutes
from penstock.historian.sql.desk import PointFile, SqlDesk

if TYPE_CHECKING:
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.core.parts import Parts
    from penstock.node.spool import Spool
    from penstock.registry import Snapshot


class Questions:
    """The two desks of core for what compute answers with a file."""

    def __init__(self, parts: Parts, compute: ComputeLink, spool: Spool) -> None:
        def points() -> Snapshot:
            return parts.registry.snapshot

        record = parts.security.audit.record
        point_file = PointFile(parts.disk, spool.folder, points)
        settings = parts.settings.sql
        self.sql = SqlDesk(compute, point_file, spool.folder, points, settings, record)
        desk = ExportDesk(compute, point_file, spool.folder, parts.clock, record)
        self.exports = ExportRoutes(desk, parts.historian.historian.pin, points, record)

    async def close(self) -> None:
        """End the exports that run."""
        await self.exports.desk.close()
