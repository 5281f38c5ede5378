"""penstock.toml: how it is read. Each capability brings its own section; the node joins them.

Every field has a default; a missing or empty file is valid.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, TypeVar
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from penstock.model import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pathlib import Path

FILE_NAME = "penstock.toml"

SettingsT = TypeVar("SettingsT", bound=BaseModel)


class Section(BaseModel):
    """Base of a section: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlantSettings(Section):
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


class NodeSettings(Section):
    """This Penstock among others."""

    name: str = Field(
        "node", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="Name of the node."
    )


def load_settings(home: Path, model: type[SettingsT]) -> SettingsT:
    """Settings of `home` by `model`; ConfigError with every problem."""
    path = home / FILE_NAME
    try:
        document = tomllib.loads(path.read_text("utf-8-sig")) if path.exists() else {}
        return model.model_validate(document)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
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
