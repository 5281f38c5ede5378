"""Core's end of the link to the field process: configuration and commands down, states up.

The configuration outlives a session: a new field process gets it again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from penstock.codec.link import LinkType, decode_json
from penstock.link.session import CRASH
from penstock.model import ConfigError, ConfigProblem, NotConnected, Origin, Refused
from penstock.node.core.child_link import ChildLink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.codec.link import LinkHeader
    from penstock.link.downlink import LogDoor
    from penstock.model.event import Json

    Document = dict[str, Json]

log = structlog.get_logger()

PLAN_TIMEOUT_S = 30.0
_CRASHED = "A connector failed while it checked this configuration; the log names the place."


class FieldLink(ChildLink):
    """The one field process of this node."""

    name = "field"

    def __init__(
        self,
        log_door: LogDoor,
        handle_of: Callable[[UUID], int | None],
        *,
        node: UUID,
        public_key: bytes,
        on_change: Callable[[bool], None],
    ) -> None:
        super().__init__(log_door, handle_of, {"node": str(node), "public_key": public_key.hex()})
        self.on_command_state: Callable[[Document], None] = _nobody
        self.on_greeting: Callable[[Origin], Awaitable[None]] = _nothing_to_do
        self._on_change = on_change
        self._configuration: Document | None = None

    async def plan(self, configuration: Document) -> Document:
        """Let the field check a configuration; waits for a field process to come up.

        ConfigError when a connector crashes over it: what it said is the one hint to the place.
        """
        try:
            async with asyncio.timeout(PLAN_TIMEOUT_S):
                await self._is_up.wait()
        except TimeoutError as error:
            raise Refused("connector_away") from error
        session = self._session
        if session is None:
            raise Refused("connector_away")
        try:
            answer = await session.query(
                {"op": "plan", "configuration": configuration}, PLAN_TIMEOUT_S
            )
        except NotConnected as error:
            raise Refused("connector_away", str(error)) from error
        if CRASH in answer:
            raise ConfigError([ConfigProblem("plant", f"{_CRASHED} ({answer[CRASH]})")])
        return answer

    def configure(self, configuration: Document) -> None:
        """What the field is to run from now on, and after each of its restarts."""
        self._configuration = configuration
        if self._session is not None:
            self._session.send_json(LinkType.CONFIGURATION, configuration)

    def send_command(self, envelope: bytes) -> None:
        """Hand a signed command over; Refused("connector_away") without a field process."""
        if self._session is None:
            raise Refused("connector_away")
        self._session.send(LinkType.COMMAND, [envelope])

    async def _before_hello(self, greeting: Document) -> None:
        slot, incarnation = greeting["slot"], greeting["incarnation"]
        assert isinstance(slot, int)
        assert isinstance(incarnation, int)
        await self.on_greeting(Origin(UUID(str(greeting["node"])), slot, incarnation))

    def _on_frame(self, header: LinkHeader, payload: bytes) -> None:
        if header.type == LinkType.COMMAND_STATE:
            self.on_command_state(decode_json(payload))

    def _on_up(self) -> None:
        if self._configuration is not None:
            self.configure(self._configuration)
        self._on_change(True)

    def _on_down(self) -> None:
        self._on_change(False)


async def _nothing_to_do(_field: Origin) -> None:
    """No outage is to be marked (tests of the link alone)."""


def _nobody(document: Document) -> None:
    log.warning("command_state_without_desk", command=document.get("command"))
