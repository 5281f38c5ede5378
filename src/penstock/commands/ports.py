"""What the desk needs of the world around it, in one place, given by the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.plugin import Resolution

if TYPE_CHECKING:
    from penstock.commands.checks import LastValue
    from penstock.commands.envelope import Signer
    from penstock.model import Point
    from penstock.registry import Snapshot
    from penstock.security.audit import Entry


def no_resolution(_point: Point) -> Resolution:
    """Nothing is known of the device's counts: a float must come back to nine digits."""
    return Resolution()


@dataclass(frozen=True, slots=True)
class DeskPorts:
    """`send(envelope)` hands over to the field process, or raises NotConnected.

    NotConnected means that nothing at all went out. `last_value` is what the point
    holds as far as we know; `resolution` is what its device can hold; `node` is
    this node's identity.
    """

    registry: Callable[[], Snapshot]
    last_value: Callable[[Point], LastValue | None]
    send: Callable[[bytes], None]
    audit: Callable[[Entry], Awaitable[object]]
    signer: Signer
    node: str
    resolution: Callable[[Point], Resolution] = no_resolution
