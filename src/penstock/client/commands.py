"""Commands in the two steps of the desk: select, look, then send with a reason."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.client.document import document, rows, text, whole
from penstock.client.errors import TimedOut

if TYPE_CHECKING:
    from penstock.client.document import Document
    from penstock.client.session import Session

ENDS = frozenset({"confirmed", "rejected", "expired", "failed", "unconfirmed"})
POLL_S = 0.1
WAIT_S_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Command:
    """A command as the desk knew it when it was asked.

    `value` was asked for and `held` is what the device can hold of it; `failed_checks` are
    what a person should look at. Only "confirmed" means that the device has read it back.
    """

    id: str
    path: str
    state: str
    old_value: float | str | None
    value: float | str | None
    held: float | str | None
    unit: str
    failed_checks: tuple[str, ...]
    problem: str
    read_back: float | str | None
    _session: Session

    def send(self, reason: str, *, wait_s: float = WAIT_S_MAX) -> Command:
        """Send it and wait for its end, whatever that is: look at `state`.

        TimedOut after `wait_s`: nobody knows yet whether the machine has moved.
        """
        self._session.post(f"/commands/{self.id}/send", {"reason": reason})
        until = time.monotonic() + wait_s
        while True:
            command = self.refreshed()
            if command.state in ENDS:
                return command
            if time.monotonic() >= until:
                raise TimedOut(
                    f"The command to {self.path} is {command.state} after {wait_s:.0f} s; "
                    "look at the machine, or ask `refreshed()` later."
                )
            time.sleep(POLL_S)

    def cancel(self) -> Command:
        """Give up what was not sent."""
        return of(self._session.post(f"/commands/{self.id}/cancel"), self._session)

    def refreshed(self) -> Command:
        """As it is now."""
        return of(self._session.get(f"/commands/{self.id}"), self._session)


def select(session: Session, id_: str, value: float | str, reason: str) -> Command:
    """Promise the point for a minute; nothing is sent. Problem says why not."""
    body: Document = {"point_id": id_, "value": value, "reason": reason or None}
    return of(session.post("/commands", body), session)


def of(row: Document, session: Session) -> Command:
    """From JSON."""
    result = document(row.get("result") or {})
    return Command(
        text(row["id"]),
        text(row["point_path"]),
        text(row["state"]),
        _value(row["old_value"]),
        _value(row["value"]),
        _value(row["held"]),
        text(row["unit"]),
        tuple(text(check["key"]) for check in rows(row["checks"]) if not check["ok"]),
        text(result.get("problem")),
        _value(result.get("read_back")),
        session,
    )


def _value(cell: object) -> float | str | None:
    return cell if isinstance(cell, float | str) or cell is None else whole(cell)
