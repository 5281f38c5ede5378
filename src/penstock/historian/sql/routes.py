"""HTTP of SQL: one SELECT in, an answer as JSON, CSV, Arrow or Parquet out."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.request import Viewer
from penstock.historian.sql.desk import SqlDesk
from penstock.historian.sql.sink import MEDIA_TYPE, SUFFIX

SQL_CHARACTERS_MAX = 64 * 1024
PART_BYTES = 256 * 1024
HEADERS = {
    "sequence": "Penstock-Sequence",
    "row_count": "Penstock-Row-Count",
    "is_truncated": "Penstock-Is-Truncated",
    "chunks_read": "Penstock-Chunks-Read",
    "rows_read": "Penstock-Rows-Read",
}
"""Facts of an answer, for formats that have no place for them."""


class SqlRequest(BaseModel):
    """One SELECT over `samples` and `points`."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(min_length=1, max_length=SQL_CHARACTERS_MAX)
    format: Literal["json", "csv", "arrow", "parquet"] = "json"
    limit: int = Field(
        10_000, ge=1, le=100_000_000, description="Rows of the answer; at most rows_max."
    )


class ColumnView(BaseModel):
    """A column of the answer and its DuckDB type."""

    name: str
    type: str


class SqlView(BaseModel):
    """The answer as JSON. Types that JSON would round (BIGINT, DECIMAL, times) are text."""

    columns: list[ColumnView]
    rows: list[list[Any]]
    sequence: str = Field(description="Log record up to which the history was complete.")
    row_count: int
    is_truncated: bool = Field(description="There were more rows than `limit`.")
    chunks_read: int
    rows_read: int


def routes(desk: SqlDesk) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])

    @router.post(
        "/sql",
        response_class=StreamingResponse,
        responses={200: {"model": SqlView, "content": files(*MEDIA_TYPE)}},
    )
    async def post_sql(principal: Viewer, request: SqlRequest) -> StreamingResponse:
        """One SELECT over the points and samples that the caller may view."""
        answer = await desk.ask(principal, request.sql, request.format, request.limit)
        headers = {HEADERS[name]: _word(value) for name, value in answer.facts.items()}
        name = f"penstock{SUFFIX[request.format]}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return StreamingResponse(
            taken(answer.path), media_type=MEDIA_TYPE[request.format], headers=headers
        )

    return router


def files(*kinds: str) -> dict[str, Any]:
    """Media types of these formats, for the contract; JSON is described by its model."""
    binary: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    return {MEDIA_TYPE[kind]: {} if kind == "json" else binary for kind in kinds}


def taken(path: Path) -> Iterator[bytes]:
    """The file in parts; its name is gone at once, so that whoever stops reading leaves nothing."""
    file = path.open("rb")
    path.unlink()
    return _parts(file)


def _parts(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while part := file.read(PART_BYTES):
            yield part


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
