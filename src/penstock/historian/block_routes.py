"""HTTP of Blocks: a list of the bursts of a waveform, and one of them whole.

The list comes from chunk tables and reads no sample. A Block is answered as the bytes
that were stored; JSON and CSV are for people and small bursts.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations at run time.
import io
import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from uuid import UUID

import numpy as np
from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from penstock.codec.layout import column_bytes
from penstock.historian.answer import quality_word
from penstock.historian.block_chunk import times_of
from penstock.historian.block_query import BLOCKS_MAX, blocks, lost_spans, one_block
from penstock.historian.blocks import BlockHeads
from penstock.historian.piece import Cursor
from penstock.historian.query import Snapshot
from penstock.historian.request import (
    PointDirectory,
    Viewer,
    as_of,
    cursor_of,
    existing_point,
    seen,
    span_of,
)
from penstock.historian.worker import HistorianWorker
from penstock.model import Block, Refused
from penstock.model.block import SAMPLE_TYPES
from penstock.model.time import format_ns

Format = Literal["binary", "json", "csv", "npy"]
AsOf = Annotated[str, Query(alias="as_of", max_length=40)]
JSON_SAMPLES_MAX = 262_144
_CSV_ROWS = 8_192
_CONTENT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {}, "application/json": {}, "text/csv": {}}}
}


class BlockView(BaseModel):
    """Head of a Block; times and sequence are int64 as text, a number that is not finite null."""

    t0_ns: str
    dt_ns: float
    samples: int
    type: str
    quality: int
    flags: int
    min: float | None
    max: float | None
    rms: float | None
    sequence: str


class SpanView(BaseModel):
    """A part of the span whose index on disk is damaged: Blocks in it are not known."""

    from_ns: str
    to_ns: str


class BlocksView(BaseModel):
    """A page of Blocks by t0; those of one t0 in the order of their arrival."""

    point: UUID
    unit: str
    blocks: list[BlockView]
    lost: list[SpanView]
    cursor: str | None


def block_routes(historian: HistorianWorker, directory: PointDirectory) -> APIRouter:
    """List and content of the Blocks of a point."""
    router = APIRouter()
    _add_list(router, historian, directory)
    _add_one(router, historian, directory)
    return router


def _add_list(router: APIRouter, historian: HistorianWorker, directory: PointDirectory) -> None:
    @router.get("/points/{point_id}/blocks")
    async def get_blocks(
        principal: Viewer,
        point_id: Annotated[UUID, Path()],
        from_: Annotated[str, Query(alias="from")],
        to: str,
        limit: Annotated[int, Query(ge=1, le=BLOCKS_MAX)] = 1_000,
        cursor: str = "",
        as_of_: AsOf = "",
    ) -> BlocksView:
        """Blocks of a waveform that have a sample with from <= time < to, a page at a time."""
        point = existing_point(directory, principal, point_id)
        from_ns, to_ns = span_of(from_, to)
        after, known = cursor_of(cursor), as_of(historian.historian, as_of_)
        heads, following, lost = await historian.query(
            lambda now: _page(seen(now, known), point.handle, from_ns, to_ns, limit, after),
            [point.handle],
        )
        return BlocksView(
            point=point.id,
            unit=point.unit,
            blocks=_views(heads),
            lost=[SpanView(from_ns=str(begin), to_ns=str(end)) for begin, end in lost],
            cursor=None if following is None else str(following),
        )


def _add_one(router: APIRouter, historian: HistorianWorker, directory: PointDirectory) -> None:
    @router.get("/points/{point_id}/blocks/{t0_ns}", response_class=Response, responses=_CONTENT)
    async def get_block(
        principal: Viewer,
        point_id: Annotated[UUID, Path()],
        t0_ns: Annotated[int, Path(ge=-(2**63), lt=2**63)],
        sequence: Annotated[int | None, Query(ge=0, lt=2**64)] = None,
        format: Format = "binary",  # noqa: A002 (the name in the address)
        as_of_: AsOf = "",
    ) -> Response:
        """One Block whole: little-endian samples, or as JSON, CSV or NumPy file."""
        point = existing_point(directory, principal, point_id)
        known = as_of(historian.historian, as_of_)
        block = await historian.query(
            lambda now: one_block(seen(now, known), point.handle, t0_ns, sequence), [point.handle]
        )
        return _answer(block, format)


def _page(
    snapshot: Snapshot, handle: int, from_ns: int, to_ns: int, limit: int, after: Cursor | None
) -> tuple[BlockHeads, Cursor | None, list[tuple[int, int]]]:
    heads, following = blocks(snapshot, handle, from_ns, to_ns, limit, after)
    return heads, following, lost_spans(snapshot, handle, from_ns, to_ns)


def _views(heads: BlockHeads) -> list[BlockView]:
    is_void = heads.count == 0
    lowest = np.where(is_void, np.nan, heads.minimum).tolist()
    highest = np.where(is_void, np.nan, heads.maximum).tolist()
    rms = heads.rms.tolist()
    return [
        BlockView(
            t0_ns=str(heads.t0_ns[row]),
            dt_ns=float(heads.dt_ns[row]),
            samples=int(heads.samples[row]),
            type=type_word(int(heads.sample_type[row])),
            quality=int(heads.quality[row]),
            flags=int(heads.flags[row]),
            min=_finite(lowest[row]),
            max=_finite(highest[row]),
            rms=_finite(rms[row]),
            sequence=str(heads.sequence[row]),
        )
        for row in range(len(heads))
    ]


def type_word(sample_type: int) -> str:
    """Name of a sample type: int16, int32 or float32."""
    return SAMPLE_TYPES[sample_type].name


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


# --- one Block


def _answer(block: Block, format_: Format) -> Response:
    if format_ == "json":
        return _json(block)
    headers = _headers(block)
    if format_ == "csv":
        headers["Content-Disposition"] = f'attachment; filename="block-{block.t0_ns}.csv"'
        return StreamingResponse(_csv(block), media_type="text/csv; charset=utf-8", headers=headers)
    if format_ == "npy":
        headers["Content-Disposition"] = f'attachment; filename="block-{block.t0_ns}.npy"'
        buffer = io.BytesIO()
        np.save(buffer, block.samples, allow_pickle=False)
        return Response(buffer.getvalue(), media_type="application/octet-stream", headers=headers)
    data = bytes(column_bytes(block.samples))
    return Response(data, media_type="application/octet-stream", headers=headers)


def _headers(block: Block) -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "X-Penstock-T0-Ns": str(block.t0_ns),
        "X-Penstock-Dt-Ns": repr(block.dt_ns),
        "X-Penstock-Sample-Type": type_word(block.sample_type),
        "X-Penstock-Samples": str(len(block.samples)),
        "X-Penstock-Quality": str(block.quality),
        "X-Penstock-Flags": str(block.flags),
    }


def _json(block: Block) -> Response:
    if len(block.samples) > JSON_SAMPLES_MAX:
        raise Refused(
            "too_large",
            f"JSON has at most {JSON_SAMPLES_MAX} samples; leave out format, or ask for npy.",
        )
    document: Mapping[str, object] = {
        "t0_ns": str(block.t0_ns),
        "dt_ns": block.dt_ns,
        "type": type_word(block.sample_type),
        "quality": block.quality,
        "flags": block.flags,
        "samples": [_finite(number) for number in block.samples.tolist()],
    }
    text = json.dumps(document, allow_nan=False, separators=(",", ":"))
    return Response(text, media_type="application/json", headers=_headers(block))


def _csv(block: Block) -> Iterator[bytes]:
    """Lines "time,value,quality"; a value is exact, the text that reads back to the same bits."""
    yield b"time,value,quality\r\n"
    word, times = quality_word(block.quality), times_of(block)
    for begin in range(0, len(times), _CSV_ROWS):
        part = zip(
            times[begin : begin + _CSV_ROWS].tolist(),
            block.samples[begin : begin + _CSV_ROWS].tolist(),
            strict=True,
        )
        lines = [f"{format_ns(time_ns)},{value!r},{word}\r\n" for time_ns, value in part]
        yield "".join(lines).encode()
