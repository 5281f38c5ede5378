"""HTTP of SQL: one SELECT in, an answer as JSON, CSV, Arrow or Parquet out."""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Literal

import structlog
from fastapi import APIRouter
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field

from penstock.historian.request import Viewer
from penstock.historian.sql.answers import Answers, Ended
from penstock.historian.sql.desk import SqlDesk
from penstock.historian.sql.sink import MEDIA_TYPE, SUFFIX

SQL_CHARACTERS_MAX = 64 * 1024
HEADERS = {
    "sequence": "Penstock-Sequence",
    "row_count": "Penstock-Row-Count",
    "is_truncated": "Penstock-Is-Truncated",
    "chunks_read": "Penstock-Chunks-Read",
    "rows_read": "Penstock-Rows-Read",
}
"""Facts of an answer, for formats that have no place for them."""


Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger()


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


class AnswerFile(FileResponse):
    """A file of the spool for one reader; it is removed afterwards, unless `is_kept`."""

    def __init__(
        self,
        answers: Answers,
        path: Path,
        media_type: str,
        headers: Mapping[str, str],
        *,
        is_kept: bool = False,
    ) -> None:
        super().__init__(path, media_type=media_type, headers=headers)
        self._answers = answers
        self._sending = answers.begin(path, is_kept=is_kept)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send it; a reader who does not get the end of it sees a broken connection."""

        async def send_part(message: Message) -> None:
            self._sending.check()
            async with asyncio.timeout(self._answers.part_s_max):
                await send(message)

        try:
            await super().__call__(scope, receive, send_part)
        except* (Ended, TimeoutError):
            was_slow = not self._sending.is_ended
            log.warning("answer_ended", file=str(self.path), was_slow=was_slow)
        finally:
            self._answers.end(self._sending)


def routes(desk: SqlDesk, answers: Answers) -> APIRouter:
    """Routes below /api/v1."""
    router = APIRouter(tags=["history"])

    @router.post(
        "/sql",
        response_class=FileResponse,
        responses={200: {"model": SqlView, "content": files(*MEDIA_TYPE)}},
    )
    async def post_sql(principal: Viewer, request: SqlRequest) -> FileResponse:
        """One SELECT over the points and samples that the caller may view."""
        answer = await desk.ask(principal, request.sql, request.format, request.limit)
        headers = {HEADERS[name]: _word(value) for name, value in answer.facts.items()}
        name = f"penstock{SUFFIX[request.format]}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return AnswerFile(answers, answer.path, MEDIA_TYPE[request.format], headers)

    return router


def files(*kinds: str) -> dict[str, Any]:
    """Media types of these formats, for the contract; JSON is described by its model."""
    binary: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
    return {MEDIA_TYPE[kind]: {} if kind == "json" else binary for kind in kinds}


def _word(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
