"""Errors as RFC 9457 problems, whichever way they arise; no traceback reaches a client.

The title, status and remedy come from one table in model/errors.py; the web app
translates by `code` and falls back to `detail`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.websockets import WebSocket
from starlette.exceptions import HTTPException

from penstock.model import NotConnected, Refused

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.requests import HTTPConnection

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "penstock.request_id"

_CODES_BY_STATUS = {
    400: "bad_request",
    401: "no_session",
    403: "not_permitted",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    429: "busy",
}

log = structlog.get_logger()


def problem(refusal: Refused, errors: list[dict[str, str]] | None = None) -> Response:
    """The response that tells the requester what happened and what to do about it."""
    entry = refusal.entry
    params = {name: value for name, value in refusal.params.items() if name != "errors"}
    found = refusal.params.get("errors") if errors is None else errors
    body: dict[str, object] = {
        "type": f"/problems/{refusal.code}",
        "title": entry.title,
        "status": entry.status,
        "code": refusal.code,
        "detail": refusal.detail,
        "remedy": _filled(entry.remedy, params),
        "params": params,
    }
    if found is not None:
        body["errors"] = found
    content = orjson.dumps(body, default=str)
    return Response(content, entry.status, _headers(refusal), media_type=MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Let every error of a route become a problem."""

    @app.exception_handler(Refused)
    async def on_refused(connection: HTTPConnection, refusal: Refused) -> Response | None:
        return await _answer(connection, refusal)

    @app.exception_handler(NotConnected)
    async def on_away(connection: HTTPConnection, error: NotConnected) -> Response | None:
        return await _answer(connection, Refused("connector_away", str(error)))

    @app.exception_handler(RequestValidationError)
    async def on_invalid(_request: HTTPConnection, error: RequestValidationError) -> Response:
        return problem(Refused("invalid_request"), [_error(item) for item in error.errors()])

    @app.exception_handler(HTTPException)
    async def on_http(connection: HTTPConnection, error: HTTPException) -> Response | None:
        code = _CODES_BY_STATUS.get(error.status_code, "internal")
        return await _answer(connection, Refused(code), error.headers)

    @app.exception_handler(Exception)
    async def on_bug(connection: HTTPConnection, error: Exception) -> Response:
        """Starlette raises it again after the answer, so the traceback is logged once, there."""
        request_id = connection.scope.get(REQUEST_ID, "")
        log.error("request_failed", request_id=request_id, error=type(error).__name__)
        return problem(Refused("internal", request_id=request_id))


async def _answer(
    connection: HTTPConnection, refusal: Refused, headers: object = None
) -> Response | None:
    """A WebSocket that is refused before it opened gets the problem as an HTTP answer."""
    response = problem(refusal)
    if isinstance(headers, dict):
        response.headers.update(headers)
    if not isinstance(connection, WebSocket):
        return response
    await connection.send_denial_response(response)
    return None


def _headers(refusal: Refused) -> dict[str, str]:
    wait_s = refusal.params.get("retry_after_s")
    return {"cache-control": "no-store"} | ({"retry-after": str(wait_s)} if wait_s else {})


def _filled(remedy: str, params: dict[str, object]) -> str:
    """The remedy with its {names} filled; one that has no value stays as it is."""
    for name, value in params.items():
        remedy = remedy.replace("{" + name + "}", str(value))
    return remedy


def _error(item: dict[str, object]) -> dict[str, str]:
    """Where and what; never the input itself, which may be a password."""
    location = item.get("loc", ())
    assert isinstance(location, tuple)
    path = ".".join(str(part) for part in location if part != "body")
    return {"path": path, "message": str(item.get("msg", ""))}
