"""What the field process checks before it writes: the host keeps the state.

The host stores `UsedIds` durably before it acts on an envelope, so that a crash
between the two loses a command and never repeats one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from penstock.commands.command import EventKind, Value
from penstock.commands.envelope import Envelope, command_id, verify
from penstock.model.time import HOUR_NS
from penstock.plugin import WriteRequest

if TYPE_CHECKING:
    from penstock.model import Point

USED_IDS_MAX = 10_000
# A clock that steps back makes an expired envelope young again; its id is kept for longer.
USED_IDS_KEEP_NS = 24 * HOUR_NS


@dataclass(slots=True)
class UsedIds:
    """Ids of envelopes that were acted upon, with the time until which each must be known."""

    until_ns: dict[str, int] = field(default_factory=dict)

    def __contains__(self, command: object) -> bool:
        return command in self.until_ns

    def add(self, envelope: Envelope, now_ns: int) -> bool:
        """Note it; False when it is known or there is no room, and nothing may be written then."""
        if envelope.id in self.until_ns:
            return False
        if len(self.until_ns) >= USED_IDS_MAX:
            self.until_ns = {k: until for k, until in self.until_ns.items() if until > now_ns}
        if len(self.until_ns) >= USED_IDS_MAX:
            return False
        self.until_ns[envelope.id] = max(envelope.expires_ns, now_ns) + USED_IDS_KEEP_NS
        return True


@dataclass(frozen=True, slots=True)
class Decision:
    """`request` is to be written, `held` is then there; else `answer` and `detail` go back."""

    command: str
    request: WriteRequest | None = None
    held: Value = 0
    tolerance: float = 0.0
    answer: EventKind | None = None
    detail: str = ""


def decide(
    data: bytes,
    public_key: bytes,
    now_ns: int,
    used: UsedIds,
    points: Mapping[UUID, Point],
) -> Decision:
    """Check everything again here, where the wire begins; a yes also notes the id in `used`."""
    verdict = verify(data, public_key, now_ns, used)
    envelope = verdict.envelope
    if envelope is None:
        return _no(command_id(data) or "", f"envelope: {verdict.problem}")
    point = points.get(UUID(envelope.point))
    problem = "unknown point" if point is None else _wrong(envelope, point)
    if point is None or problem:
        return _no(envelope.id, problem)
    if not used.add(envelope, now_ns):
        return _no(envelope.id, "too many commands")
    request = WriteRequest(point.handle, envelope.value)
    return Decision(envelope.id, request, envelope.held, envelope.tolerance)


def _no(command: str, detail: str) -> Decision:
    return Decision(command, answer=EventKind.NOT_SENT, detail=detail)


def _wrong(envelope: Envelope, point: Point) -> str:
    if not point.writable:
        return "not writable"
    if envelope.kind is not point.kind:
        return "wrong kind"
    return "" if point.allows(envelope.value) else "out of range"
