"""Communication loss of one device as a pure function: when it begins, when it ends.

It begins once, with one bad row per point, when the device has been silent for
`loss_after_ns`; a single missed answer or a reset connection is not a loss. It
ends with the first good sample.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

SECOND_NS = 1_000_000_000
LOSS_AFTER_NS_MIN = 2 * SECOND_NS
LOSS_AFTER_NS_MAX = 4 * SECOND_NS


class Change(Enum):
    """What the host has to write."""

    NONE = "none"
    LOST = "lost"
    BACK = "back"


@dataclass(frozen=True, slots=True)
class DeviceState:
    """`is_connected` is None until the device has answered or been given up once."""

    loss_after_ns: int
    is_connected: bool | None = None
    answered_ns: int | None = None
    failures: int = 0

    @property
    def loss_at_ns(self) -> int | None:
        """Monotonic time at which silence becomes a loss, None when it is one or was never up."""
        if not self.is_connected or self.answered_ns is None:
            return None
        return self.answered_ns + self.loss_after_ns


def default_loss_after_ns(period_ns: int) -> int:
    """Just beyond three periods (the screen says "stale" first), within 2 to 4 s."""
    wanted = 3 * period_ns + SECOND_NS // 2
    return min(max(wanted, LOSS_AFTER_NS_MIN), LOSS_AFTER_NS_MAX)


def on_answer(state: DeviceState, now_ns: int) -> tuple[DeviceState, Change]:
    """The device answered."""
    change = Change.NONE if state.is_connected else Change.BACK
    return replace(state, is_connected=True, answered_ns=now_ns, failures=0), change


def on_silence(state: DeviceState, now_ns: int) -> tuple[DeviceState, Change]:
    """An attempt failed."""
    state = replace(state, failures=state.failures + 1)
    return on_time(state, now_ns) if state.is_connected else _give_up(state)


def on_time(state: DeviceState, now_ns: int) -> tuple[DeviceState, Change]:
    """Time has passed; only a device that has failed since its last answer can be lost."""
    loss_at_ns = state.loss_at_ns
    if loss_at_ns is None or now_ns < loss_at_ns or state.failures == 0:
        return state, Change.NONE
    return replace(state, is_connected=False), Change.LOST


def _give_up(state: DeviceState) -> tuple[DeviceState, Change]:
    if state.is_connected is None:
        return replace(state, is_connected=False), Change.LOST
    return state, Change.NONE
