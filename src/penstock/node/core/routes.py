"""HTTP of the node itself: the System page, and apply."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Awaitable, Sequence
from typing import Annotated, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from penstock.model import ConfigError, Refused
from penstock.node.core.apply import Applier, Prepared
from penstock.node.core.status import NodeStatus
from penstock.security import Entry, Principal, Security
from penstock.security.routes import requires

Engineer = Annotated[Principal, requires("configure")]


T = TypeVar("T")


class _View(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProblemView(_View):
    """A place to look at and what is wrong there."""

    place: str
    message: str


class ApplyView(_View):
    """What an apply did, or would do."""

    added: list[str]
    changed: list[str]
    renamed: list[tuple[str, str]]
    removed: list[str]
    points: int
    files: list[str]
    warnings: list[ProblemView]


def node_routes(status: NodeStatus, applier: Applier, security: Security) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["node"])

    @router.get("/system", dependencies=[requires("view", is_anywhere=True)])
    async def get_system() -> dict[str, object]:
        """Processes, flow, connections, disk and safeguards of this node."""
        return dict(status.document())

    @router.get("/apply", dependencies=[requires("configure")])
    async def plan_apply() -> ApplyView:
        """What an apply would change; nothing is changed."""
        prepared = await _checked(applier.plan())
        return _view(prepared, ())

    @router.post("/apply")
    async def post_apply(who: Engineer) -> ApplyView:
        """Make the running node as the plant folder says."""
        prepared, files = await _checked(applier.apply())
        status.configuration_problems = ()
        view = _view(prepared, files)
        new = {"added": len(view.added), "changed": len(view.changed), "removed": len(view.removed)}
        await security.audit.record(Entry(who.id, "configuration.apply", "plant", None, dict(new)))
        return view

    return router


async def _checked(work: Awaitable[T]) -> T:
    """A wrong plant folder is an answer with every problem, not a fault of the server."""
    try:
        return await work
    except ConfigError as error:
        problems = [{"path": item.place, "message": item.message} for item in error.problems]
        raise Refused("configuration_invalid", errors=problems) from error


def _view(prepared: Prepared, files: Sequence[str]) -> ApplyView:
    plan = prepared.registry
    return ApplyView(
        added=[point.path for point in plan.added],
        changed=[point.path for point in plan.changed],
        renamed=list(plan.renamed),
        removed=[point.path for point in plan.removed],
        points=len(plan.points),
        files=list(files),
        warnings=[
            ProblemView(place=item.place, message=item.message) for item in prepared.warnings
        ],
    )
