"""RecentCommands: what the desk knows without asking the disk, over what is projected.

The projection may be behind the log by some milliseconds; what is kept here is
not. Open commands stay for ever, ended ones until there are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from penstock.commands.store import CommandStore, sent_ns
from penstock.model.time import MINUTE_NS

if TYPE_CHECKING:
    from penstock.commands.command import Command
    from penstock.state import State

ENDED_MAX = 1_000
REQUESTS_MAX = 10_000
SENT_MAX = 10_000


class RecentCommands:
    """Reads for the desk and the routes; only the desk puts."""

    def __init__(self, state: State, store: CommandStore | None = None) -> None:
        self._state = state
        self._store = store or CommandStore()
        self._open: dict[str, Command] = {}
        self._ended: OrderedDict[str, Command] = OrderedDict()
        self._requests: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        self._sent: dict[str, list[int]] = {}

    def load(self, now_ns: int) -> None:
        """What is open, and what was sent within the last minute."""
        with self._state.read() as connection:
            self._open = {command.id: command for command in self._store.open(connection)}
            for point, time_ns in self._store.sent_since(connection, now_ns - MINUTE_NS):
                self._sent.setdefault(point, []).append(time_ns)

    def put(self, command: Command, request: tuple[str, str, str] | None) -> None:
        """A durable transition, and the request that asked for it."""
        before = self.find(command.id)
        if sent_ns(command) and (before is None or not sent_ns(before)):
            self._note_sent(command)
        if command.is_open:
            self._open[command.id] = command
        else:
            self._open.pop(command.id, None)
            self._ended[command.id] = command
        while len(self._ended) > ENDED_MAX:
            self._ended.popitem(last=False)
        if request is not None:
            principal, key, digest = request
            self._requests[principal, key] = digest, command.id
        while len(self._requests) > REQUESTS_MAX:
            self._requests.popitem(last=False)

    def open(self) -> list[Command]:
        """Commands that keep their point busy."""
        return list(self._open.values())

    def busy(self, point: str) -> Command | None:
        """The command that keeps this point busy."""
        return next((command for command in self._open.values() if command.point == point), None)

    def find(self, command: str) -> Command | None:
        """One command, in its newest revision."""
        known = self._open.get(command) or self._ended.get(command)
        if known is not None:
            return known
        with self._state.read() as connection:
            return self._store.find(connection, command)

    def newest(self, point: str, limit: int) -> list[Command]:
        """The newest first, of one point if one is given."""
        with self._state.read() as connection:
            found = {c.id: c for c in self._store.newest(connection, point, limit)}
        for command in (*self._ended.values(), *self._open.values()):
            if not point or command.point == point:
                found[command.id] = command
        ordered = sorted(found.values(), key=lambda c: (c.created_ns, c.id), reverse=True)
        return ordered[:limit]

    def request(self, principal: str, key: str) -> tuple[str, str] | None:
        """(digest, command) that an Idempotency-Key was used for."""
        known = self._requests.get((principal, key))
        if known is not None:
            return known
        with self._state.read() as connection:
            return self._store.request(connection, principal, key)

    def sent_ns(self, point: str) -> list[int]:
        """When this point was written lately, for the rate limit."""
        return self._sent.get(point, [])

    def _note_sent(self, command: Command) -> None:
        time_ns = sent_ns(command)
        if len(self._sent) >= SENT_MAX:
            recent = {p: t for p, t in self._sent.items() if t[-1] > time_ns - MINUTE_NS}
            self._sent = recent
        times = [time for time in self.sent_ns(command.point) if time > time_ns - MINUTE_NS]
        self._sent[command.point] = [*times, time_ns]
