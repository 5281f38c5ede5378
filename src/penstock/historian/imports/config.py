"""Settings of imports: `[imports]` in penstock.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

GIB = 1024 * 1024 * 1024


class ImportSettings(BaseModel):
    """What one import may take."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    file_bytes_max: int = Field(
        8 * GIB, ge=1024, le=1024 * GIB, description="Size of one file that is uploaded."
    )
    imports_max: int = Field(
        8, ge=1, le=1_000, description="Imports that are not finished; more are refused."
    )
    memory_bytes_max: int = Field(
        GIB // 2, ge=GIB // 8, le=64 * GIB, description="Memory for reading a file."
    )
