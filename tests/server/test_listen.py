"""Listeners: TLS by our own authority, no plaintext off loopback, a busy port in one sentence."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import ssl
import time
import warnings
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from running import ANY_PORT, PASSWORD, Running, running, trial_router

from penstock.model import ConfigError
from penstock.security.certificates import Certificates
from penstock.server.guards import StageGuard
from penstock.server.listen import bind, is_loopback
from penstock.server.protocol import peer_uid
from penstock.server.settings import Address, ServerSettings
from penstock.testing import FakeClock

NOTHING = ServerSettings(http=None, https=None)


def trusting(server: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.certificates.authority))


async def test_tls_is_trusted_through_the_authority(server: Running) -> None:
    async with httpx.AsyncClient(verify=trusting(server)) as client:
        answer = await client.get(f"{server.tls_url}/api/v1/session")

    assert answer.status_code == 200


async def test_tls_is_not_trusted_without_it(server: Running) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await client.get(f"{server.tls_url}/api/v1/session")


async def test_tls_cookie_cannot_be_planted(server: Running) -> None:
    await server.set_up_only()
    body = {"name": "anna", "password": PASSWORD}
    async with httpx.AsyncClient(verify=trusting(server)) as client:
        answer = await client.post(f"{server.tls_url}/api/v1/session", json=body)
        users = await client.get(f"{server.tls_url}/api/v1/users")

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-penstock_session=")
    assert "Secure" in cookie.split("; ")
    assert users.status_code == 200


async def test_hsts_is_sent_for_real_names_only(tmp_path: Path) -> None:
    """For localhost it would make the browser refuse plain HTTP on every port of localhost."""
    settings = ServerSettings(http=None, https=ANY_PORT, names=("plant.example",))
    async with (
        running(tmp_path, settings) as server,
        httpx.AsyncClient(verify=trusting(server)) as client,
    ):
        url = f"{server.tls_url}/api/v1/session"
        local = await client.get(url)
        named = await client.get(url, headers={"host": "plant.example"})

    assert "strict-transport-security" not in local.headers
    assert named.headers["strict-transport-security"] == "max-age=31536000"


async def test_old_tls_and_plaintext_are_refused_on_the_tls_port(server: Running) -> None:
    assert server.ports.https is not None
    old = trusting(server)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    port = server.ports.https.port

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("127.0.0.1", port, ssl=old, server_hostname="localhost")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()

    assert not answer.startswith(b"HTTP/")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_plaintext_off_loopback_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="in clear"):
        bind(replace(NOTHING, http=Address(host, 0)))


def test_loopback() -> None:
    assert is_loopback("127.0.0.1")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("no such host.invalid")


def test_busy_port_is_one_sentence_with_the_remedy() -> None:
    first = bind(replace(NOTHING, http=ANY_PORT))
    assert first.ports.http is not None

    with pytest.raises(ConfigError) as caught:
        bind(replace(NOTHING, http=first.ports.http))

    assert str(first.ports.http) in str(caught.value)
    first.close()
    assert "Address already in use" in str(caught.value)
    assert "penstock.toml" in str(caught.value)


def test_failed_bind_gives_the_others_back() -> None:
    taken = bind(replace(NOTHING, https=ANY_PORT))
    assert taken.ports.https is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    with pytest.raises(ConfigError):
        bind(ServerSettings(http=Address("127.0.0.1", port), https=taken.ports.https))

    again = bind(replace(NOTHING, http=Address("127.0.0.1", port)))
    again.close()
    taken.close()


def test_socket_folder_is_private_and_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "run" / "s"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    bound = bind(replace(NOTHING, unix=path))

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match="another Penstock"):
        bind(replace(NOTHING, unix=path))
    bound.close()
    assert not path.exists()


def test_too_long_a_socket_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"):
        bind(replace(NOTHING, unix=tmp_path / ("x" * 100)))


def test_kernel_names_the_peer() -> None:
    left, right = socket.socketpair()

    with left, right:
        assert peer_uid(left.fileno()) == os.geteuid()


async def test_foreign_user_is_cut_off_at_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.server.protocol.peer_uid", lambda _descriptor: 4_294_967_294)
    settings = replace(NOTHING, unix=tmp_path / "s")
    async with running(tmp_path, settings):
        transport = httpx.AsyncHTTPTransport(uds=str(tmp_path / "s"))
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            with pytest.raises(httpx.TransportError):
                await client.get("/api/v1/session")


@pytest.mark.slow
async def test_stops_in_time_with_requests_under_way(tmp_path: Path) -> None:
    settings = ServerSettings(http=ANY_PORT, https=None, stop_timeout_s=1)
    async with running(tmp_path, settings, [trial_router()]) as server:
        client = server.client()
        slow = asyncio.create_task(client.get("/trial/slow"))
        await client.get("/session")
        began = time.monotonic()
    took_s = time.monotonic() - began
    await asyncio.gather(slow, return_exceptions=True)
    await client.aclose()

    assert took_s < 5


@pytest.mark.slow
async def test_connection_without_a_request_is_ended(tmp_path: Path) -> None:
    settings = ServerSettings(http=ANY_PORT, https=None, first_request_timeout_s=0.1)
    async with running(tmp_path, settings) as server:
        assert server.ports.http is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", server.ports.http.port)
        writer.write(b"GET / HTTP/1.1\r\n")

        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.slow
async def test_a_later_request_that_stays_half_is_ended_too(tmp_path: Path) -> None:
    """A thousand of them would close the page for everybody."""
    settings = ServerSettings(http=ANY_PORT, https=None, first_request_timeout_s=0.2)
    async with running(tmp_path, settings) as server:
        assert server.ports.http is not None
        port = server.ports.http.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        request = f"GET /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n".encode()
        for _ in range(2):
            writer.write(request + b"\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
        writer.write(request)

        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()


async def test_before_setup_only_this_machine_is_answered(server: Running) -> None:
    """The guard by itself, because a test has no second machine."""
    reached, sent = [], []

    async def app(*_arguments: object) -> None:
        reached.append(True)

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    guard = StageGuard(app, server.security.is_set_up)  # type: ignore[arg-type]
    for address in ("127.0.0.1", "::1", "192.0.2.7"):
        scope = {"type": "http", "client": (address, 1), "headers": [], "state": {}}
        await guard(scope, None, send)  # type: ignore[arg-type]

    assert len(reached) == 2
    assert sent[0]["status"] == 403


def test_fingerprint_is_what_the_browser_shows(tmp_path: Path) -> None:
    made = Certificates(tmp_path, [], FakeClock())
    made.context()
    der = ssl.PEM_cert_to_DER_cert(made.authority.read_text())

    assert made.fingerprint().replace(":", "").lower() == hashlib.sha256(der).hexdigest()
