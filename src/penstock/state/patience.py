"""For work that follows the log: while a full disk refuses it, it waits and is tried again.

Such work must not end its process: reading goes on meanwhile, and after a restart
it would only be refused once more. Work that a person asked for is refused instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import structlog

from penstock.model import Refused
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.world import Clock

T = TypeVar("T")
TRANSIENT = frozenset({"disk_full", "log_full", "busy"})
RETRY_NS = SECOND_NS

log = structlog.get_logger(__name__)


async def patiently(work: Callable[[], Awaitable[T]], clock: Clock, name: str) -> T:
    """Result of `work`, which must be able to begin again; `name` says in the log who waits."""
    is_waiting = False
    while True:
        try:
            result = await work()
        except Refused as refusal:
            if refusal.code not in TRANSIENT:
                raise
            if not is_waiting:
                log.warning("work_waits", work=name, code=refusal.code)
            is_waiting = True
            await clock.wait_until(clock.monotonic_ns() + RETRY_NS)
        else:
            if is_waiting:
                log.info("work_goes_on", work=name)
            return result
