"""Backups as core knows them: the last one, and that this home came from one.

`penstock backup` reads the files by itself and needs nothing of core; it only says
afterwards what it has made, so that the audit has it and the System page its age.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson
import structlog
from pydantic import ConfigDict, Field

from penstock.model import Refused
from penstock.registry.views import View
from penstock.security import Entry

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.model.event import Json
    from penstock.security import Security
    from penstock.world import Disk

log = structlog.get_logger()

FILE = "backup.json"
RESTORED = "restored.json"


class BackupView(View):
    """A backup that was made: all accepted log records up to `sequence` are in it."""

    model_config = ConfigDict(extra="forbid")

    made_ns: str = Field(pattern=r"^\d{1,19}$")
    sequence: str = Field(pattern=r"^\d{1,19}$")
    file_bytes: int = Field(ge=0)
    files: int = Field(ge=0)
    name: str = Field(max_length=255)
    has_keys: bool


class LastBackupView(View):
    """The last backup of this node, null when none was noted."""

    last: BackupView | None


class Backups:
    """What is noted in `data/backup.json`."""

    def __init__(self, disk: Disk, data: Path, security: Security) -> None:
        self._disk = disk
        self._data = data
        self._audit = security.audit

    def last(self) -> BackupView | None:
        """None when there is none, or its note is damaged."""
        try:
            return BackupView.model_validate_json(self._disk.read(self._data / FILE))
        except (FileNotFoundError, ValueError):
            return None

    async def note(self, who: str, made: BackupView) -> None:
        """Keep it and audit it; Refused("disk_full")."""
        document: dict[str, Json] = made.model_dump()
        try:
            data = orjson.dumps(document)
            await asyncio.to_thread(self._disk.write_whole, self._data / FILE, [data])
        except OSError as error:
            raise Refused("disk_full", str(error)) from error
        await self._audit.record(Entry(who, "backup.make", made.name, None, document))

    async def note_restored(self) -> None:
        """At a start: audit once that this home was made from a backup."""
        path = self._data / RESTORED
        try:
            document = orjson.loads(await asyncio.to_thread(self._disk.read, path))
            await self._audit.record(Entry("local", "backup.restore", "data", None, document))
            await asyncio.to_thread(self._disk.remove, path)
        except FileNotFoundError:
            return
        except (ValueError, OSError, Refused) as error:  # tried again at the next start
            log.warning("restore_not_audited", detail=str(error))
