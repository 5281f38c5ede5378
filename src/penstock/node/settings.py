"""All of penstock.toml: the sections of the capabilities joined."""

from __future__ import annotations

from pydantic import Field

from penstock.commands.config import DeskSettings
from penstock.config.settings import NodeSettings, PlantSettings, Section
from penstock.historian.config import HistorianSettings
from penstock.historian.imports.config import ImportSettings
from penstock.historian.sql.config import SqlSettings
from penstock.log.config import LogSettings
from penstock.model.event import Json


class ListenSettings(Section):
    """Where the web app and the API listen."""

    http: str = Field(
        "127.0.0.1:8080", description="Plaintext address; loopback only. Empty: none."
    )
    https: str = Field("127.0.0.1:8443", description="TLS address. Empty: none.")
    names: tuple[str, ...] = Field(
        (), description="Further host names under which browsers reach this node."
    )
    certificate: str = Field("", description="Path of the customer's certificate chain (PEM).")
    key: str = Field("", description="Path of that certificate's private key (PEM).")


class ComputeSettings(Section):
    """What heavy work may take: queries over much history, upkeep of the files, transfers."""

    spool_bytes_max: int = Field(
        2 * 1024 * 1024 * 1024,
        ge=16 * 1024 * 1024,
        description="Space in data/spool for large results that are being fetched.",
    )

    verify_at: str = Field(
        "02:30",
        pattern=r"^(([01]\d|2[0-3]):[0-5]\d)?$",
        description="Time of the plant's day at which all files are verified. Empty: never.",
    )
    verify_mb_per_s: float = Field(
        20.0, ge=0.1, le=10_000, description="Megabytes that a verification reads in a second."
    )
    repair: bool = Field(
        True, description="Rebuild what a verification finds damaged, where the log still has it."
    )

    def for_compute(self) -> dict[str, Json]:
        """As JSON for the process that it is about."""
        return self.model_dump(mode="json")


class Settings(Section):
    """Every section has defaults; an empty file is valid."""

    plant: PlantSettings = PlantSettings()
    node: NodeSettings = NodeSettings()
    server: ListenSettings = ListenSettings()
    log: LogSettings = LogSettings()
    historian: HistorianSettings = HistorianSettings()
    commands: DeskSettings = DeskSettings()
    compute: ComputeSettings = ComputeSettings()
    sql: SqlSettings = SqlSettings()
    imports: ImportSettings = ImportSettings()
