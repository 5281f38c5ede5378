"""Settings of the command desk: how long, how often, how well explained."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from penstock.model.time import SECOND_NS


class DeskSettings(BaseModel):
    """How long a command may take, how often one is sent, how well it is explained."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    select_s: float = Field(
        60.0, ge=5, le=600, description="A selected command expires after this long, in s."
    )
    sent_timeout_s: float = Field(
        10.0, ge=1, le=120, description="Without a read-back after this long, it ends; in s."
    )
    lease_s: float = Field(
        5.0, ge=1, le=60, description="The field process may write within this long, in s."
    )
    rate_per_minute_max: int = Field(
        6, ge=1, le=600, description="Commands sent to one point within a minute."
    )
    reason_characters_min: int = Field(
        3, ge=1, le=100, description="Shortest reason for sending, in characters."
    )

    @property
    def select_ns(self) -> int:
        """`select_s` in ns."""
        return round(self.select_s * SECOND_NS)

    @property
    def sent_timeout_ns(self) -> int:
        """`sent_timeout_s` in ns."""
        return round(self.sent_timeout_s * SECOND_NS)

    @property
    def lease_ns(self) -> int:
        """`lease_s` in ns, never longer than the answer is waited for."""
        return round(min(self.lease_s, self.sent_timeout_s) * SECOND_NS)
