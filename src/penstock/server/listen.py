"""Listeners: plain HTTP on loopback, HTTPS elsewhere, a Unix socket for the command line.

Sockets are bound before anything slow begins, so that a busy port is said in
the first second. What a listener is called and where it really listens is
reported after it listens, never before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from penstock.model import ConfigError, ConfigProblem
from penstock.server.protocol import LocalProtocol, PenstockProtocol
from penstock.server.settings import Address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Generator

    from fastapi import FastAPI

    from penstock.server.settings import ServerSettings

UNIX_PATH_BYTES_MAX = 103
BACKLOG = 256


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the listeners really are, for `ports.json`; None is one that is switched off."""

    http: Address | None
    https: Address | None
    unix: Path | None


@dataclass(frozen=True, slots=True)
class Bound:
    """Sockets that are ours but do not listen yet."""

    http: tuple[socket.socket, ...] = ()
    https: tuple[socket.socket, ...] = ()
    unix: tuple[socket.socket, ...] = ()
    unix_path: Path | None = None

    @property
    def ports(self) -> Ports:
        """The addresses, with the ports the operating system chose."""
        return Ports(_address(self.http), _address(self.https), self.unix_path)

    def close(self) -> None:
        """Give the addresses back."""
        for opened in (*self.http, *self.https, *self.unix):
            opened.close()
        if self.unix_path is not None:
            self.unix_path.unlink(missing_ok=True)


def bind(settings: ServerSettings) -> Bound:
    """Bind all listeners or none; ConfigError says which address is taken or not allowed."""
    if settings.http is not None and not is_loopback(settings.http.host):
        raise ConfigError([_plaintext(settings.http)])
    with contextlib.ExitStack() as undo:
        http = _bind(settings.http, "http", undo)
        https = _bind(settings.https, "https", undo)
        unix = _bind_unix(settings.unix, undo)
        undo.pop_all()
        return Bound(http, https, unix, settings.unix)


def is_loopback(host: str) -> bool:
    """Whether everything that `host` resolves to is this machine only."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [str(item[4][0]) for item in found]
    return bool(addresses) and all(
        address == "::1" or address.startswith("127.") for address in addresses
    )


async def serve(
    app: FastAPI,
    bound: Bound,
    settings: ServerSettings,
    context: ssl.SSLContext | None,
    ready: Callable[[Ports], None],
    stop: asyncio.Event,
) -> None:
    """Serve until `stop`; then let requests finish, for `stop_timeout_s` at most."""
    assert context is not None or not bound.https, "HTTPS needs a certificate"
    servers = [
        _server(app, settings, PenstockProtocol, bound.http, None),
        _server(app, settings, PenstockProtocol, bound.https, context),
        _server(app, settings, LocalProtocol, bound.unix, None),
    ]
    running = [server for server in servers if server.sockets]
    try:
        async with asyncio.TaskGroup() as group:
            for server in running:
                group.create_task(server.run_until(stop))
            for server in running:
                await server.wait_started()
            ready(bound.ports)
    finally:
        bound.close()


class _Server(uvicorn.Server):
    """uvicorn without its signals and its ten wake-ups a second: the node owns both."""

    def __init__(self, config: uvicorn.Config, sockets: tuple[socket.socket, ...]) -> None:
        super().__init__(config)
        self.sockets = sockets
        self._stop = asyncio.Event()
        self._started = asyncio.Event()

    async def run_until(self, stop: asyncio.Event) -> None:
        self._stop = stop
        await self.serve(list(self.sockets))

    async def wait_started(self) -> None:
        await self._started.wait()

    async def main_loop(self) -> None:
        self._started.set()
        while not self._stop.is_set():
            await self.on_tick(0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stop.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _server(
    app: FastAPI,
    settings: ServerSettings,
    protocol: type[PenstockProtocol],
    sockets: tuple[socket.socket, ...],
    context: ssl.SSLContext | None,
) -> _Server:
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="websockets-sansio",
        ws_max_size=64 * 1024,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        # Nobody in front of us may say who the client is.
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        limit_concurrency=settings.connections_max,
        timeout_keep_alive=settings.idle_timeout_s,
        timeout_graceful_shutdown=settings.stop_timeout_s,
        ssl_context_factory=(lambda _config, _default: context) if context else None,
    )
    config.first_request_timeout_s = settings.first_request_timeout_s  # type: ignore[attr-defined]
    return _Server(config, sockets)


def _bind(
    address: Address | None, name: str, undo: contextlib.ExitStack
) -> tuple[socket.socket, ...]:
    if address is None:
        return ()
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    opened = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((address.host, address.port))
        # Listening at once is what makes a second start fail here and not later.
        opened.listen(BACKLOG)
    except OSError as error:
        raise ConfigError([_taken(address, name, error)]) from error
    opened.setblocking(False)
    return (opened,)


def _bind_unix(path: Path | None, undo: contextlib.ExitStack) -> tuple[socket.socket, ...]:
    """In a folder that only we may enter; a socket left by a crash is removed."""
    if path is None:
        return ()
    if len(str(path).encode()) > UNIX_PATH_BYTES_MAX:
        message = "is too long for a socket. Choose a shorter folder."
        raise ConfigError([ConfigProblem(str(path), message)])
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(path):
        path.unlink()
    opened = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        opened.bind(str(path))
        path.chmod(0o600)
        opened.listen(BACKLOG)
    except OSError as error:
        message = "is taken: another Penstock serves this folder. Stop it first."
        raise ConfigError([ConfigProblem(str(path), message)]) from error
    opened.setblocking(False)
    return (opened,)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(str(path)) == 0


def _address(sockets: tuple[socket.socket, ...]) -> Address | None:
    if not sockets:
        return None
    host, port = sockets[0].getsockname()[:2]
    return Address(host, port)


def _plaintext(address: Address) -> ConfigProblem:
    return ConfigProblem(
        "server.http",
        f"{address} is not a loopback address, and passwords would cross the network in clear. "
        "Use 127.0.0.1 there, and `https` for all other addresses.",
    )


def _taken(address: Address, name: str, error: OSError) -> ConfigProblem:
    return ConfigProblem(
        f"server.{name}",
        f"{address} cannot be used ({error.strerror}). Stop the program that has it "
        f"(`ss -ltnp` shows it), or set another address in penstock.toml.",
    )
