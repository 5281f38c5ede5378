"""HTTP of commands: select, send, cancel, resolve, look.

Whoever may not view a point learns nothing of its commands; whoever may view it
but not command it is refused by the desk, which audits what was tried.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, ConfigDict, Field

from penstock.commands.checks import TEXT_CHARACTERS_MAX
from penstock.commands.desk import CommandDesk
from penstock.commands.recent import RecentCommands
from penstock.commands.store import PAGE_MAX
from penstock.commands.views import CommandsView, CommandView, command_view
from penstock.model import Refused
from penstock.security.principal import Principal
from penstock.security.routes import requires

Viewer = Annotated[Principal, requires("view", is_anywhere=True)]
Key = Annotated[str | None, Header(alias="Idempotency-Key", max_length=64)]
Names = Callable[[], Mapping[str, str]]
REASON_CHARACTERS_MAX = 500


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


Reason = Annotated[str, Field(max_length=REASON_CHARACTERS_MAX)]


class SelectBody(_Body):
    """What is wanted; an int64 value may come as text."""

    point_id: Annotated[str, Field(min_length=36, max_length=36)]
    value: int | float | Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX)]
    reason: Reason | None = None


class SendBody(_Body):
    """Why."""

    reason: Reason = ""


class ResolveBody(_Body):
    """What was found at the machine."""

    note: Annotated[str, Field(min_length=3, max_length=REASON_CHARACTERS_MAX)]


def command_router(desk: CommandDesk, recent: RecentCommands, names: Names) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["commands"])
    _add_read_routes(router, recent, names)
    _add_select_and_send(router, desk, names)
    _add_cancel_and_resolve(router, desk, names)
    return router


def _add_read_routes(router: APIRouter, recent: RecentCommands, names: Names) -> None:
    @router.get("/commands")
    def get_commands(
        who: Viewer,
        point_id: UUID | None = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    ) -> CommandsView:
        """The newest commands, of one point if it is given."""
        found = recent.newest("" if point_id is None else str(point_id), PAGE_MAX)
        seen = [command for command in found if who.may("view", command.asset_path)]
        known = names()
        return CommandsView(commands=[command_view(command, known) for command in seen[:limit]])

    @router.get("/commands/{command_id}")
    def get_command(who: Viewer, command_id: UUID) -> CommandView:
        """One command with its history."""
        command = recent.find(str(command_id))
        if command is None or not who.may("view", command.asset_path):
            raise Refused("not_found", f"There is no command {command_id}.")
        return command_view(command, names())


def _add_select_and_send(router: APIRouter, desk: CommandDesk, names: Names) -> None:
    @router.post("/commands", status_code=HTTPStatus.CREATED)
    async def post_command(who: Viewer, body: SelectBody, key: Key = None) -> CommandView:
        """Select: checks everything and promises the point for a minute; sends nothing."""
        point = _uuid(body.point_id)
        command = await desk.select(who, point, body.value, body.reason or "", _key(key))
        return command_view(command, names())

    @router.post("/commands/{command_id}/send", status_code=HTTPStatus.ACCEPTED)
    async def post_send(
        who: Viewer, command_id: UUID, body: SendBody, key: Key = None
    ) -> CommandView:
        """Send what was selected; the answer comes by the live socket or by GET."""
        command = await desk.send(who, str(command_id), body.reason, _key(key))
        return command_view(command, names())


def _add_cancel_and_resolve(router: APIRouter, desk: CommandDesk, names: Names) -> None:
    @router.post("/commands/{command_id}/cancel")
    async def post_cancel(who: Viewer, command_id: UUID) -> CommandView:
        """Give up what was not sent."""
        return command_view(await desk.cancel(who, str(command_id)), names())

    @router.post("/commands/{command_id}/resolve")
    async def post_resolve(who: Viewer, command_id: UUID, body: ResolveBody) -> CommandView:
        """Say what was found at the machine after an unconfirmed command."""
        return command_view(await desk.resolve(who, str(command_id), body.note), names())


def _key(key: str | None) -> str:
    try:
        return str(UUID(key or ""))
    except ValueError:
        raise Refused("idempotency_key_needed") from None


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Refused("not_found", f"There is no point {text}.") from None
