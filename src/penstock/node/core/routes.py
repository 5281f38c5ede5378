"""HTTP of the node: all routers joined, the System page, and apply."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar
from uuid import UUID

from fastapi import APIRouter

from penstock.alarms.routes import alarm_router
from penstock.commands.routes import command_router
from penstock.historian.aggregate_routes import aggregate_routes
from penstock.historian.block_routes import block_routes
from penstock.historian.export.routes import routes as export_routes
from penstock.historian.imports.routes import import_routes
from penstock.historian.log_gaps.routes import gap_routes
from penstock.historian.routes import routes as historian_routes
from penstock.historian.samples.routes import routes as samples_routes
from penstock.historian.sql.routes import routes as sql_routes
from penstock.historian.views import last_of
from penstock.model import ConfigError, Refused
from penstock.node.core.apply import Applier, Prepared
from penstock.node.core.apply_audit import changes_of
from penstock.node.core.keeping.routes import (
    backup_routes,
    deletion_routes,
    retention_routes,
    size_routes,
)
from penstock.node.core.limits import limits_of
from penstock.node.core.status import NodeStatus
from penstock.node.core.verification import Verification
from penstock.node.core.views import SystemView, VerificationStartedView, VerificationView
from penstock.registry.routes import routes as registry_routes
from penstock.registry.views import View
from penstock.rules.rule import Rule
from penstock.security import Entry, Principal, Security
from penstock.security.routes import requires
from penstock.server.app import PenstockApp, Services, create_app
from penstock.server.live_routes import live_routes

if TYPE_CHECKING:
    from penstock.node.core.core import Core

Engineer = Annotated[Principal, requires("configure")]


T = TypeVar("T")


class ProblemView(View):
    """A place to look at and what is wrong there."""

    place: str
    message: str


class ApplyView(View):
    """What an apply did, or would do."""

    added: list[str]
    changed: list[str]
    renamed: list[tuple[str, str]]
    removed: list[str]
    points: int
    rules_added: list[str]
    rules_changed: list[str]
    rules_removed: list[str]
    rules: int
    files: list[str]
    warnings: list[ProblemView]


def build_app(core: "Core") -> PenstockApp:
    """The HTTP application of a core process; historian first: `/points/last` is no point."""
    parts = core.parts
    names = parts.security.principal_names
    routers = (
        historian_routes(parts.historian, parts.registry, parts.clock, core.gaps.lost_spans),
        aggregate_routes(parts.historian, parts.registry, parts.clock),
        block_routes(parts.historian, parts.registry),
        samples_routes(parts.historian, parts.registry),
        sql_routes(core.questions.sql, core.questions.answers),
        export_routes(core.questions.exports),
        import_routes(core.questions.imports),
        registry_routes(
            lambda: parts.registry.snapshot,
            lambda id_: limits_of(core.rule_worker.rules, id_),
            lambda point: last_of(parts.historian.historian.last, point),
        ),
        alarm_router(core.alarm_answers, core.alarm_desk, parts.clock),
        command_router(core.commands.desk, core.commands.recent, names),
        node_routes(core.status, core.applier, parts.security, lambda: core.rule_worker.rules),
        verification_routes(core.verification, parts.security),
        gap_routes(core.gaps),
        backup_routes(core.keeper.backups),
        size_routes(core.keeper.size),
        retention_routes(core.keeper.retention, core.keeper.deletions, core.keeper.known),
        deletion_routes(core.keeper.deletions, core.keeper.known, core.keeper.backups),
        live_routes(core.hub, parts.security),
    )
    return create_app(
        Services(
            security=parts.security,
            facts=core.facts,
            routers=routers,
            settings=parts.listen,
            host_names=parts.certificates.names,
            clock=parts.clock,
        )
    )


def node_routes(
    status: NodeStatus,
    applier: Applier,
    security: Security,
    rules: Callable[[], Sequence[Rule]],
) -> APIRouter:
    """Routes below /api/v1; `rules` are those that run."""
    router = APIRouter(tags=["node"])

    @router.get("/system", dependencies=[requires("view", is_anywhere=True)])
    async def get_system() -> SystemView:
        """Processes, flow, connections, disk and safeguards of this node."""
        return status.view()

    @router.get("/apply", dependencies=[requires("configure")])
    async def plan_apply() -> ApplyView:
        """What an apply would change; nothing is changed."""
        prepared = await _checked(applier.plan())
        return _view(prepared, (), rules())

    @router.post("/apply")
    async def post_apply(who: Engineer) -> ApplyView:
        """Make the running node as the plant folder says."""
        before = rules()
        prepared, files = await _checked(applier.apply())
        status.configuration_problems = ()
        old, new = changes_of(applier.replaced, prepared)
        await security.audit.record(Entry(who.id, "configuration.apply", "plant", old or None, new))
        return _view(prepared, files, before)

    return router


def verification_routes(verification: Verification, security: Security) -> APIRouter:
    """Routes below /api/v1 about the bytes on disk."""
    router = APIRouter(tags=["node"])

    @router.get("/verification", dependencies=[requires("view", is_anywhere=True)])
    async def get_verification() -> VerificationView:
        """The last verification of all files: what was read, each damage and what became of it."""
        return VerificationView.model_validate(verification.document())

    @router.post("/verification", status_code=202)
    async def post_verification(who: Engineer) -> VerificationStartedView:
        """Verify now; what is damaged is rebuilt where the log still has it."""
        job = verification.start()
        await security.audit.record(Entry(who.id, "verification.start", "data", None, {"job": job}))
        return VerificationStartedView(job=job)

    return router


async def _checked(work: Awaitable[T]) -> T:
    """A wrong plant folder is an answer with every problem, not a fault of the server."""
    try:
        return await work
    except ConfigError as error:
        problems = [{"path": item.place, "message": item.message} for item in error.problems]
        raise Refused("configuration_invalid", errors=problems) from error


def _view(prepared: Prepared, files: Sequence[str], before: Sequence[Rule]) -> ApplyView:
    plan = prepared.registry
    paths = {point.id: point.path for point in (*plan.removed, *plan.points)}
    old = {rule.id: rule for rule in before}
    new = {rule.id: rule for rule in prepared.rules.rules}

    def named(ids: Iterable[UUID], among: dict[UUID, Rule]) -> list[str]:
        found = [among[id_] for id_ in ids]
        return sorted(f"{paths.get(rule.point, '(no point)')}: {rule.name}" for rule in found)

    return ApplyView(
        added=[point.path for point in plan.added],
        changed=[point.path for point in plan.changed],
        renamed=list(plan.renamed),
        removed=[point.path for point in plan.removed],
        points=len(plan.points),
        rules_added=named(new.keys() - old.keys(), new),
        rules_changed=named((id_ for id_ in new.keys() & old.keys() if new[id_] != old[id_]), new),
        rules_removed=named(old.keys() - new.keys(), old),
        rules=len(new),
        files=list(files),
        warnings=[
            ProblemView(place=item.place, message=item.message) for item in prepared.warnings
        ],
    )
