"""penstock.toml: settings of the node. Every field has a default; an empty file is valid."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from penstock.model import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "penstock.toml"
MIB = 1024 * 1024


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PlantSettings(_Section):
    """What the plant is called and where it stands."""

    name: str = Field("Plant", max_length=120, description="Name shown on every page.")
    zone: str = Field("UTC", description="IANA time zone of the plant, such as Europe/Berlin.")
    language: str = Field("en", pattern="^(en|de)$", description="Language of new users.")

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"no IANA time zone {zone!r}; for example Europe/Berlin") from error
        return zone


class NodeSettings(_Section):
    """This Penstock among others."""

    name: str = Field(
        "node", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="Name of the node."
    )


class ServerSettings(_Section):
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


class LogSettings(_Section):
    """The durable log."""

    bytes_max: int = Field(
        20 * 1024 * MIB, ge=256 * MIB, description="The log refuses new data above this size."
    )
    linger_ms: float = Field(2.0, ge=0, le=100, description="Gather a group for this long.")
    free_bytes_min: int = Field(
        64 * MIB, ge=0, description="Refuse new data when the disk has less free space."
    )


class HistorianSettings(_Section):
    """Head and segments."""

    head_rows: int = Field(
        4_000_000, ge=10_000, le=16_000_000, description="Samples held in memory at most."
    )
    flush_after_s: int = Field(600, ge=5, le=86_400, description="Flush the head at this age.")


class Settings(_Section):
    """All of penstock.toml."""

    plant: PlantSettings = PlantSettings()
    node: NodeSettings = NodeSettings()
    server: ServerSettings = ServerSettings()
    log: LogSettings = LogSettings()
    historian: HistorianSettings = HistorianSettings()


def load_settings(home: Path) -> Settings:
    """Settings of `home`; ConfigError with every problem."""
    path = home / FILE_NAME
    if not path.exists():
        return Settings()
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        return Settings.model_validate(document)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([ConfigProblem(FILE_NAME, str(error))]) from error
    except ValidationError as error:
        raise ConfigError(problems_of(error, FILE_NAME)) from error


def problems_of(error: ValidationError, place: str) -> list[ConfigProblem]:
    """One problem per pydantic error, with the dotted key behind the file."""
    return [
        ConfigProblem(
            f"{place}: {'.'.join(str(part) for part in item['loc'])}" if item["loc"] else place,
            item["msg"].removeprefix("Value error, "),
        )
        for item in error.errors(include_url=False)
    ]
