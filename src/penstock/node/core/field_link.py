"""Core's end of the link to the field process.

A session comes and goes with the field process; the configuration and the
answers of the last heartbeat outlive it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from penstock import __version__
from penstock.codec.layout import Damaged
from penstock.codec.link import LinkType, decode_json
from penstock.link.downlink import Downlink
from penstock.link.session import CRASH, Session
from penstock.model import ConfigError, ConfigProblem, NotConnected, Refused

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from uuid import UUID

    from penstock.codec.link import LinkHeader
    from penstock.link.downlink import LogDoor
    from penstock.model.event import Json

    Document = dict[str, Json]

log = structlog.get_logger()

PLAN_TIMEOUT_S = 30.0
# The field process sends a heartbeat each second.
TICK_S = 1.0
QUIET_TICKS_MAX = 5
_CRASHED = "A connector failed while it checked this configuration; the log names the place."


class FieldLink:
    """The one field process of this node."""

    def __init__(
        self,
        log_door: LogDoor,
        handle_of: Callable[[UUID], int | None],
        *,
        node: UUID,
        public_key: bytes,
        on_change: Callable[[bool], None],
    ) -> None:
        self._log_door = log_door
        self._handle_of = handle_of
        self._hello: Document = {
            "node": str(node),
            "public_key": public_key.hex(),
            "version": __version__,
        }
        self.on_command_state: Callable[[Document], None] = _nobody
        self._on_change = on_change
        self._session: Session | None = None
        self._configuration: Document | None = None
        self.on_lost: Callable[[], None] = lambda: None
        self._serving: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._is_up = asyncio.Event()
        self.heartbeat: Document = {}
        self.counters: dict[str, int] = {}
        self._frames = 0

    @property
    def is_connected(self) -> bool:
        """Whether a field process is on the link."""
        return self._is_up.is_set()

    async def connect(self, sock: socket.socket) -> None:
        """Serve a fresh link; the one before, if any, is given up."""
        async with self._turn:
            await self.close()
            session = await Session.over(sock)
            self._serving = asyncio.get_running_loop().create_task(self._serve(session))

    async def close(self) -> None:
        """End the session; it is not lost then."""
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cancel()
            await asyncio.wait([serving], timeout=1.0)

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

    async def _serve(self, session: Session) -> None:
        downlink = Downlink(session, self._log_door, self._handle_of)
        self.counters = downlink.counters
        watch = asyncio.get_running_loop().create_task(self._watch(session))
        try:
            async for header, payload in session.frames():
                self._frames += 1
                self._on_frame(session, downlink, header, payload)
        except (NotConnected, Damaged) as error:
            log.warning("link_lost", detail=str(error))
        finally:
            watch.cancel()
            was_up = self._is_up.is_set()
            self._session = None
            self._is_up.clear()
            self.heartbeat = {}
            if was_up:
                self._on_change(False)
            downlink.close()
            if self._serving is asyncio.current_task():
                self.on_lost()
            await session.close()

    async def _watch(self, session: Session) -> None:
        """A field process that lives and says nothing is as good as gone: end the session.

        Ticks are counted and not time, so that after a pause of this process all that
        has arrived meanwhile is read before anybody is called silent.
        """
        quiet, heard = 0, self._frames
        while quiet < QUIET_TICKS_MAX:
            await asyncio.sleep(TICK_S)
            is_quiet = self._session is session and self._frames == heard
            quiet, heard = quiet + 1 if is_quiet else 0, self._frames
        log.warning("field_silent", seconds=QUIET_TICKS_MAX * TICK_S)
        session.abort()

    def _on_frame(
        self, session: Session, downlink: Downlink, header: LinkHeader, payload: bytes
    ) -> None:
        if header.type == LinkType.BATCH:
            downlink.on_batch(payload)
        elif header.type == LinkType.DICTIONARY:
            downlink.on_dictionary(payload)
        elif header.type == LinkType.HELLO:
            self._on_hello(session, downlink)
        elif header.type == LinkType.HEARTBEAT:
            self.heartbeat = decode_json(payload)
        elif header.type == LinkType.COMMAND_STATE:
            self.on_command_state(decode_json(payload))

    def _on_hello(self, session: Session, downlink: Downlink) -> None:
        session.send_json(LinkType.HELLO, {**self._hello, "credit": downlink.open()})
        self._session = session
        if self._configuration is not None:
            session.send_json(LinkType.CONFIGURATION, self._configuration)
        self._is_up.set()
        self._on_change(True)


def _nobody(document: Document) -> None:
    log.warning("command_state_without_desk", command=document.get("command"))
