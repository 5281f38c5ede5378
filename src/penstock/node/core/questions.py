"""SQL, exports and imports joined to this node: its registry, its compute, its audit, its spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.historian.export.desk import ExportDesk
from penstock.historian.export.routes import ExportRoutes
from penstock.historian.imports.desk import ImportDesk
from penstock.historian.sql.answers import Answers
from penstock.historian.sql.desk import PointFile, SqlDesk

if TYPE_CHECKING:
    from penstock.node.core.compute_link import ComputeLink
    from penstock.node.core.parts import Parts
    from penstock.node.spool import Spool
    from penstock.registry import Snapshot


class Questions:
    """The desks of core for files: those that compute answers with, and those that it reads."""

    def __init__(self, parts: Parts, compute: ComputeLink, spool: Spool) -> None:
        def points() -> Snapshot:
            return parts.registry.snapshot

        record = parts.security.audit.record
        point_file = PointFile(parts.disk, spool.folder, points)
        settings = parts.settings.sql
        self.answers = Answers()
        self.sql = SqlDesk(compute, point_file, spool.folder, points, settings, record)
        desk = ExportDesk(compute, point_file, spool.folder, parts.clock, record, self.answers)
        pin = parts.historian.historian.pin
        self.exports = ExportRoutes(desk, pin, points, record, self.answers)
        self.imports = ImportDesk(
            compute,
            parts.disk,
            parts.home.data,
            parts.clock,
            points,
            parts.settings.imports,
            parts.settings.plant.zone,
            record,
        )

    async def run(self) -> None:
        """Go on with the imports that the last process left, for ever."""
        await self.imports.run()

    async def close(self) -> None:
        """End the exports that run, and leave the imports to the next process."""
        await self.exports.desk.close()
        await self.imports.close()
