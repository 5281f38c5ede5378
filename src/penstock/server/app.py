"""The HTTP application: routers of the capabilities inside the guards, checked before it starts.

A router may hold WebSocket routes as well; they declare their permission and
pass the guards like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute, APIWebSocketRoute, RouteContext, iter_route_contexts

from penstock.security import Security
from penstock.security.access import Access
from penstock.security.routes import AccessCheck, requires, security_router
from penstock.security.wire import Facts
from penstock.server import problems
from penstock.server.answers import NanSafeResponse
from penstock.server.contract import openapi_document
from penstock.server.guards import HeaderGuard, HostGuard, OriginGuard, StageGuard
from penstock.server.limits import BodyLimit, RateLimit, TimeLimit
from penstock.server.settings import ServerSettings
from penstock.server.static import StaticFiles
from penstock.world import Clock, SystemClock

if TYPE_CHECKING:
    from fastapi.dependencies.models import Dependant
    from starlette.types import ASGIApp

PREFIX = "/api/v1"
STATIC = Path(__file__).parent / "static"


@dataclass(frozen=True, slots=True)
class Services:
    """What the node injects; `facts` receives the build of the web app that is served.

    `host_names` are all names in the certificate; an address that the client
    really reached is accepted without being listed.
    """

    security: Security
    facts: Callable[[str], Facts]
    routers: Sequence[APIRouter] = ()
    settings: ServerSettings = field(default_factory=ServerSettings)
    host_names: Sequence[str] = ("localhost", "127.0.0.1", "::1")
    static: Path = STATIC
    clock: Clock = field(default_factory=SystemClock)


class PenstockApp(FastAPI):
    """FastAPI with the guards outside everything, so that a 500 carries their headers too."""

    services: Services
    _rate: RateLimit | None = None

    def build_middleware_stack(self) -> ASGIApp:
        """Called once, at the first request."""
        services, settings = self.services, self.services.settings
        app: ASGIApp = super().build_middleware_stack()
        app = OriginGuard(app)
        app = TimeLimit(app, settings)
        app = BodyLimit(app, settings)
        app = StageGuard(app, services.security.is_set_up)
        app = HostGuard(app, (*services.host_names, *settings.names))
        self._rate = RateLimit(app, settings, services.clock)
        return HeaderGuard(self._rate)

    def statistics(self) -> dict[str, int]:
        """What the guards refused, and the back-off after wrong passwords."""
        refused = self._rate.refused if self._rate else 0
        return {"requests_refused": refused, **self.services.security.statistics()}


def create_app(services: Services) -> PenstockApp:
    """The application; an AssertionError names each route that declares no permission."""
    app = PenstockApp(
        title="Penstock",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        max_body_size=None,
        telemetry={"tracing": False},
    )
    app.services = services
    app.state.security = services.security
    static = StaticFiles(services.static)
    _include(app, services, static)
    problems.install(app)
    app.router.default = static
    assert_all_declared(app)
    return app


def accesses(app: FastAPI) -> Iterator[tuple[str, frozenset[str], Access | None]]:
    """Path, methods and declared access of every route; the method of a WebSocket is "WS"."""
    for context in iter_route_contexts(app.routes):
        methods = frozenset(context.methods or ({"WS"} if _is_socket(context) else ()))
        yield str(context.path), methods, _access(context)


def assert_all_declared(app: FastAPI) -> None:
    """Deny by default begins here: a route that says nothing stops the start."""
    forgotten = [
        f"{'/'.join(sorted(methods))} {path}"
        for path, methods, access in accesses(app)
        if access is None
    ]
    assert not forgotten, f"routes without a permission: {', '.join(sorted(forgotten))}"


def _include(app: FastAPI, services: Services, static: StaticFiles) -> None:
    own = security_router(services.security, lambda: services.facts(static.ui_build))
    for router in (own, *services.routers, _openapi_router(app)):
        _make_nan_safe(router)
        app.include_router(router, prefix=PREFIX)


def _make_nan_safe(router: APIRouter) -> None:
    """Routes with an answer model keep pydantic's direct way, which is safe and faster."""
    for context in iter_route_contexts(router.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.response_field is None:
            route.response_class = NanSafeResponse


def _openapi_router(app: FastAPI) -> APIRouter:
    router = APIRouter()
    cache: list[dict[str, object]] = []

    @router.get(
        "/openapi.json",
        dependencies=[requires("view", is_anywhere=True)],
        include_in_schema=False,
    )
    async def get_openapi_document() -> JSONResponse:
        """The contract, as OpenAPI 3.1."""
        if not cache:
            cache.append(openapi_document(app, accesses(app)))
        return JSONResponse(cache[0])

    return router


def _is_socket(context: RouteContext) -> bool:
    return isinstance(context.original_route, APIWebSocketRoute)


def _access(context: RouteContext) -> Access | None:
    """The declared access; of several (router and route) the one on the route, which comes last."""
    if not isinstance(context.original_route, APIRoute | APIWebSocketRoute):
        return None
    dependant: Dependant = context.dependant
    found = [check.access for check in _checks(dependant)]
    return found[-1] if found else None


def _checks(dependant: Dependant) -> Iterator[AccessCheck]:
    for dependency in dependant.dependencies:
        if isinstance(dependency.call, AccessCheck):
            yield dependency.call
        yield from _checks(dependency)
