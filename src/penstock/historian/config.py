"""Settings of the historian: `[historian]` in penstock.toml."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.retention import RULES_MAX, RetentionRule


class HistorianSettings(BaseModel):
    """When the newest samples leave memory, and what a query may cost."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    head_rows_max: int = Field(
        1_000_000,
        ge=1_000,
        le=4_000_000,
        description="Samples kept in memory before they are written to a segment (26 bytes each).",
    )
    head_text_bytes_max: int = Field(
        32 * 1024 * 1024,
        ge=1_048_576,
        le=1_073_741_824,
        description="Bytes of text values kept in memory before a segment is written.",
    )
    head_block_bytes_max: int = Field(
        32 * 1024 * 1024,
        ge=4_194_304,
        le=1_073_741_824,
        description="Bytes of waveform blocks kept in memory before a segment is written.",
    )
    flush_age_s: int = Field(
        600,
        ge=1,
        le=86_400,
        description="Seconds of received data in memory before a segment is written.",
    )
    compaction_segments_min: int = Field(
        16,
        ge=2,
        le=1_000,
        description="Flushed segments that are compacted into day files together.",
    )
    compaction_pause_s: int = Field(
        60, ge=1, le=86_400, description="Seconds from one compaction to the next, at least."
    )
    # Measured on two cores: with a second thread, appends wait for a core twice as long.
    query_threads: int = Field(
        1,
        ge=1,
        le=16,
        description=(
            "Queries that are answered at the same time; leave a core for the log, "
            "or appends wait for their acknowledgement."
        ),
    )
    table_bytes_max: int = Field(
        12 * 1024 * 1024,
        ge=1_048_576,
        le=1_073_741_824,
        description="Memory for the chunk tables of segments that queries have read.",
    )
    retention: tuple[RetentionRule, ...] = Field(
        (),
        max_length=RULES_MAX,
        strict=False,
        description="How long which points are kept: the section below. Without a rule, for ever.",
    )
    deletion_grace_h: float = Field(
        24.0,
        ge=0,
        le=8_760,
        description="Hours in which a deletion can be undone; its data is hidden meanwhile.",
    )
