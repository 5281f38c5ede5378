"""What the server tests share: a running server, clients of it, and one router to try things on."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import httpx
from fastapi import APIRouter
from fastapi.websockets import WebSocket
from pydantic import BaseModel

from penstock.model import NotConnected, Refused
from penstock.security import PasswordSettings, Principal, Security, SecuritySettings, open_keys
from penstock.security.certificates import Certificates
from penstock.security.routes import public, requires
from penstock.security.wire import Facts, NodeFacts, PlantFacts
from penstock.server.app import Services, create_app
from penstock.server.listen import Ports, bind, serve
from penstock.server.settings import Address, ServerSettings
from penstock.state import State
from penstock.state.migrate import migrate
from penstock.testing import FakeClock
from penstock.world import SystemClock

PASSWORD = "correct horse battery"
CHEAP = SecuritySettings(passwords=PasswordSettings(memory_kib=8, time_cost=1))
ANY_PORT = Address("127.0.0.1", 0)


class Measured(BaseModel):
    """An answer with what JSON cannot say."""

    value: float
    rows: list[float]


def trial_router() -> APIRouter:
    """Routes that misbehave on purpose."""
    router = APIRouter()
    anybody = [public()]

    @router.get("/trial/nan", dependencies=anybody)
    async def get_nan() -> Measured:
        return Measured(value=float("nan"), rows=[float("inf"), 1.5])

    @router.get("/trial/nan-dict", dependencies=anybody, response_model=None)
    async def get_nan_dict() -> dict[str, object]:
        return {"value": float("nan"), "rows": [float("-inf"), 1.5]}

    @router.get("/trial/bug", dependencies=anybody)
    async def get_bug() -> None:
        raise ZeroDivisionError("secret-detail")

    @router.get("/trial/away", dependencies=anybody)
    async def get_away() -> None:
        raise NotConnected("The pump does not answer.")

    @router.get("/trial/refused", dependencies=anybody)
    async def get_refused() -> None:
        raise Refused("out_of_range", low=1, high=2)

    @router.get("/trial/slow", dependencies=anybody)
    async def get_slow() -> None:
        await asyncio.Event().wait()

    @router.post("/trial/body", dependencies=anybody)
    async def post_body(body: dict[str, str]) -> int:
        return len(body)

    @router.post("/trial/big/body", dependencies=anybody)
    async def post_big(body: dict[str, str]) -> int:
        return len(body)

    @router.get("/trial/whole")
    async def get_whole(who: Annotated[Principal, requires("configure")]) -> str:
        return who.id

    @router.websocket("/trial/live")
    async def live(
        socket: WebSocket, who: Annotated[Principal, requires("view", is_anywhere=True)]
    ) -> None:
        await socket.accept()
        await socket.send_text(who.name)
        await socket.close()

    return router


@dataclass(frozen=True)
class Running:
    """A server that runs now."""

    security: Security
    certificates: Certificates
    ports: Ports
    clock: FakeClock
    database: Path

    @property
    def url(self) -> str:
        return f"http://{self.ports.http}"

    @property
    def tls_url(self) -> str:
        assert self.ports.https is not None
        return f"https://localhost:{self.ports.https.port}"

    def client(self) -> httpx.AsyncClient:
        """Nobody yet."""
        return httpx.AsyncClient(base_url=f"{self.url}/api/v1", trust_env=False, timeout=10)

    @contextlib.asynccontextmanager
    async def set_up(self) -> AsyncIterator[httpx.AsyncClient]:
        """The first administrator, logged in, with the CSRF token in place."""
        token = await asyncio.to_thread(self.security.issue_setup_token)
        body = {"token": token, "name": "anna", "password": PASSWORD}
        async with self.client() as client:
            yield with_csrf(client, await client.post("/setup", json=body))

    async def set_up_only(self) -> None:
        """There is an administrator, but nobody is here."""
        async with self.set_up():
            pass

    @contextlib.asynccontextmanager
    async def log_in(self, name: str) -> AsyncIterator[httpx.AsyncClient]:
        """A client with a session of its own."""
        body = {"name": name, "password": PASSWORD}
        async with self.client() as client:
            yield with_csrf(client, await client.post("/session", json=body))


def with_csrf(client: httpx.AsyncClient, answer: httpx.Response) -> httpx.AsyncClient:
    assert answer.status_code == 200, answer.text
    client.headers["x-csrf-token"] = answer.json()["csrf"]
    return client


@contextlib.asynccontextmanager
async def running(
    folder: Path,
    settings: ServerSettings | None = None,
    routers: Sequence[APIRouter] = (),
    static: Path | None = None,
) -> AsyncIterator[Running]:
    """Start everything below `folder`, stop it at the end."""
    settings = settings or ServerSettings(http=ANY_PORT, https=ANY_PORT, unix=folder / "run" / "s")
    database = folder / "data" / "state.db"
    database.parent.mkdir(exist_ok=True)
    shutil.copyfile(migrated(), database)
    state, keys, clock = (
        State.open(f"sqlite:///{database}"),
        open_keys(folder / "keys"),
        FakeClock(),
    )
    security = Security(state, keys, CHEAP, clock)
    certificates = Certificates(keys.folder, settings.names, SystemClock())
    services = Services(security, facts, routers, settings, certificates.names, clock=clock)
    app = create_app(replace(services, static=static) if static else services)
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    bound = bind(settings)
    context = certificates.context() if settings.https else None
    task = asyncio.create_task(serve(app, bound, settings, context, ready.set_result, stop))
    try:
        ports = await asyncio.wait_for(ready, 10)
        yield Running(security, certificates, ports, clock, database)
    finally:
        stop.set()
        await task
        security.close()
        state.close()


@functools.cache
def migrated() -> Path:
    """An empty database with the newest schema, made once and copied."""
    path = Path(tempfile.mkdtemp()) / "state.db"
    migrate(f"sqlite:///{path}")
    return path


def facts(build: str) -> Facts:
    return Facts(
        version="0.1.0",
        ui_build=build,
        plant=PlantFacts(name="Works", simulated=True, zone="Europe/Berlin", language="en"),
        node=NodeFacts(id="00000000-0000-7000-8000-000000000001", name="node"),
    )
