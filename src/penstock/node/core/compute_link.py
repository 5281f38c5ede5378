"""Core's end of the link to compute: heavy work is asked for here, and here compute asks back.

Core needs none of it to take and show data: while compute is away, a question is
refused at once ("compute_away"), and one that is under way fails the same.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

from penstock.codec.link import LinkType
from penstock.model import NotConnected, Refused
from penstock.node.core.child_link import ChildLink
from penstock.node.question import answered, taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from penstock.link.downlink import LogDoor
    from penstock.link.session import Session
    from penstock.model.event import Json

    Document = dict[str, Json]

ASKED_MAX = 32


class ComputeLink(ChildLink):
    """The one compute process of this node; `answers` are the questions that it may ask core."""

    name = "compute"
    # Of low priority, and its threads may hold the interpreter: give it more time than the field.
    quiet_ticks_max = 20

    def __init__(
        self,
        log_door: LogDoor,
        handle_of: Callable[[UUID], int | None],
        *,
        node: UUID,
        settings: Document,
    ) -> None:
        super().__init__(log_door, handle_of, {"node": str(node), "settings": settings})
        self.answers: dict[str, Callable[[Document], Awaitable[Document]]] = {}
        self.on_down: list[Callable[[], None]] = []
        self._asked = 0
        self._asked_total = 0
        self._refused_total = 0

    async def ask(
        self, op: str, fields: Document, timeout_s: float = 30, job: str | None = None
    ) -> Document:
        """Let compute do `op` and answer; `job` (a UUID) names it for progress and `cancel`.

        Refused as compute refused it; "compute_away" when it is not there or goes away
        meanwhile, "too_slow" after `timeout_s`, "busy" beyond ASKED_MAX questions. Who
        stops waiting, for whatever reason, ends the work.
        """
        session = self._session
        if session is None:
            self._refused_total += 1
            raise Refused("compute_away")
        if self._asked >= ASKED_MAX:
            self._refused_total += 1
            raise Refused("busy")
        job = job or str(uuid4())
        self._asked += 1
        self._asked_total += 1
        is_over = False
        try:
            async with asyncio.timeout(timeout_s):
                answer = await session.query({"op": op, "job": job, "fields": fields}, None)
            is_over = True
        except TimeoutError as error:
            raise Refused("too_slow") from error
        except NotConnected as error:
            is_over = True
            raise Refused("compute_away", str(error)) from error
        finally:
            self._asked -= 1
            if not is_over:
                _cancel(session, job)
        return taken(answer)

    def cancel(self, job: str) -> None:
        """Ask compute to end a job; whoever asked for it gets Refused("cancelled")."""
        if self._session is not None:
            _cancel(self._session, job)

    @property
    def jobs(self) -> dict[str, Document]:
        """Progress of what compute is doing, by job id, as of its last heartbeat."""
        jobs = self.heartbeat.get("jobs", {})
        assert isinstance(jobs, dict)
        return {id_: job for id_, job in jobs.items() if isinstance(job, dict)}

    def statistics(self) -> dict[str, int]:
        """Counters for the System page."""
        return {
            "asked_total": self._asked_total,
            "refused_total": self._refused_total,
            "asked": self._asked,
            "jobs": len(self.jobs),
        }

    async def _answer(self, query: Document) -> Document:
        return await answered(self._dispatch(query))

    async def _dispatch(self, query: Document) -> Document:
        op, fields = str(query.get("op")), query.get("fields")
        answer = self.answers.get(op)
        if answer is None or not isinstance(fields, dict):
            raise Refused("bad_request", f"core has no answer to {op!r}")
        return await answer(fields)

    def _on_down(self) -> None:
        for hear in self.on_down:
            hear()


def _cancel(session: Session, job: str) -> None:
    session.send_json(LinkType.RECORD, {"op": "cancel", "job": job})
