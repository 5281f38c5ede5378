"""Settings of the log; every limit of it has its name here."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

MIB = 1024 * 1024


class LogSettings(BaseModel):
    """Limits and timing of the log of one node."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    linger_ms: float = Field(
        2.0, ge=0, le=1000, description="How long a group waits for company before it is synced."
    )
    group_rows_max: int = Field(
        32_768, ge=1, description="Samples that end the wait of a group at once."
    )
    group_bytes_max: int = Field(
        16 * MIB, ge=1, description="Bytes of one group; a larger batch is a group by itself."
    )
    credit_bytes_max: int = Field(
        32 * MIB, ge=1, description="Bytes of batches that may wait for their sync."
    )
    small_credit_bytes_max: int = Field(
        4 * MIB, ge=1, description="Bytes of events and other small records that may wait."
    )
    file_bytes_max: int = Field(
        64 * MIB, ge=4096, le=64 * MIB, description="Size at which the next log file begins."
    )
    log_bytes_keep: int = Field(
        1024 * MIB, ge=0, description="Bytes that stay even when every reader is done with them."
    )
    log_bytes_max: int = Field(
        8192 * MIB, ge=4096, description="Size of the log at which new data is refused."
    )
    origin_silent_days_max: int = Field(
        30,
        ge=1,
        description="Days after which an earlier start of a sender that is silent is forgotten.",
    )
    compress: bool = Field(
        True, description="Rewrite files compressed that are sealed and still kept."
    )
    compress_after_s: float = Field(
        600.0, ge=0, description="Age of a sealed log file at which it is rewritten compressed."
    )
    cache_bytes_max: int = Field(
        16 * MIB, ge=0, description="Newest records kept in memory for readers that keep up."
    )
    ballast_bytes: int = Field(
        16 * MIB, ge=0, description="Space set aside, released for small records on a full disk."
    )
