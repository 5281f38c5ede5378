"""A job of compute without compute: pins as core writes them, questions to a real child."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

from sql_kit import VISIBLE, Plant

from penstock.historian.pinned import remove_pin, write_pin
from penstock.historian.sql.catalogue import Catalogue, bitmap_of, handles_of
from penstock.historian.sql.config import SqlSettings
from penstock.historian.sql.handler import answer_sql
from penstock.model import Refused
from penstock.world import SystemDisk


class Spool:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.is_short = False

    def new_path(self, suffix: str) -> Path:
        return self.folder / f"{uuid4()}{suffix}"

    def free_bytes(self) -> int:
        return 2**30

    def check_disk(self) -> None:
        if self.is_short:
            raise Refused("disk_full")


class LocalJob:
    """`data` is the folder above the historian's `segments`."""

    def __init__(self, plant: Plant, data: Path) -> None:
        self.plant = plant
        self.data = data
        self.pins: set[str] = set()
        self.is_cancelled = False
        self.asked: list[str] = []
        self.progress: dict[str, Any] = {}
        self._files: dict[str, tuple[str, ...]] = {}
        (data / "spool").mkdir(exist_ok=True)
        self.spool = Spool(data / "spool")

    def ask(self, op: str, fields: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(op)
        if op == "release":
            remove_pin(SystemDisk(), self.spool.folder, self._files.pop(fields["pin"]))
            return {}
        assert op == "pin"
        snapshot = self.plant.historian.pin(handles_of(fields["handles"]).tolist())
        name = str(uuid4())
        files = write_pin(SystemDisk(), self.spool.folder, name, snapshot, 1, fields["to_ns"])
        self._files[name] = files.names
        return {"pin": name, "manifest": files.manifest, "heads": list(files.heads)}

    def report(self, **progress: Any) -> None:
        self.progress |= progress

    def sql(
        self,
        sql: str,
        kind: str = "json",
        limit: int = 1_000,
        catalogue: Catalogue = VISIBLE,
        **settings: int,
    ) -> dict[str, Any]:
        (self.spool.folder / "points.json").write_bytes(Catalogue.encode(catalogue))
        fields = {
            "sql": sql,
            "format": kind,
            "limit": limit,
            "catalogue": "points.json",
            "handles": bitmap_of(catalogue.handle.tolist()),
            "settings": SqlSettings(**settings).model_dump(),
        }
        return answer_sql(self, fields)

    def left_over(self) -> list[str]:
        return sorted(p.name for p in self.spool.folder.iterdir() if p.name != "points.json")
