"""Settings of SQL: `[sql]` in penstock.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class SqlSettings(BaseModel):
    """What one SQL query may cost; one that needs more is refused and says which bound helps."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    rows_read_max: int = Field(
        50_000_000,
        ge=1_000,
        le=10_000_000_000,
        description="Samples that one query may read.",
    )
    rows_max: int = Field(
        1_000_000, ge=1, le=100_000_000, description="Rows of one answer; the rest is cut and said."
    )
    answer_bytes_max: int = Field(
        256 * MIB, ge=MIB, le=64 * 1024 * MIB, description="Size of one answer."
    )
    memory_bytes_max: int = Field(
        512 * MIB,
        ge=128 * MIB,
        le=64 * 1024 * MIB,
        description="Memory for sorting, grouping and joining of one query.",
    )
    time_s_max: int = Field(
        20, ge=1, le=600, description="Seconds after which a query is ended; below 30 for browsers."
    )
