"""The OpenAPI document: FastAPI's, with our permissions and our errors told as they are.

FastAPI would document a 422 that this server never sends; every error here is a
problem (RFC 9457), so the document says that once for each operation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi.openapi.utils import get_openapi

from penstock.server.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastapi import FastAPI

    from penstock.security.access import Access

PERMISSION_KEY = "x-penstock-permission"
PROBLEM_SCHEMA: dict[str, object] = {
    "title": "Problem",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "remedy", "params"],
    "properties": {
        "type": {"type": "string", "description": "/problems/<code>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "snake_case; key of the text catalogue"},
        "detail": {"type": "string"},
        "remedy": {"type": "string"},
        "params": {"type": "object"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "message"],
                "properties": {"path": {"type": "string"}, "message": {"type": "string"}},
            },
        },
    },
}
PROBLEM_ANSWER: dict[str, object] = {
    "description": "A problem: what happened and what to do",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}

Declared = tuple[str, frozenset[str], "Access | None"]


def openapi_document(app: FastAPI, declared: Iterable[Declared]) -> dict[str, object]:
    """OpenAPI 3.1; each operation names its permission in `x-penstock-permission`."""
    document = get_openapi(title=app.title, version="1", openapi_version="3.1.0", routes=app.routes)
    paths = document["paths"]
    for path, methods, access in declared:
        for method in methods:
            operation = paths.get(path, {}).get(method.lower())
            if operation is not None and access is not None:
                operation[PERMISSION_KEY] = access.permission
                operation["responses"].pop("422", None)
                operation["responses"]["default"] = PROBLEM_ANSWER
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return document
