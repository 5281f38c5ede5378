"""Download of raw samples: pages of Arrow from `POST /samples`, decoded by nanoarrow.

All pages are of one snapshot: the first says up to which log record it saw, and the
others ask for the history as of that record. So it does not matter how long it takes,
what arrives meanwhile, or whether the node restarts in between.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.table import Texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy.typing as npt

    from penstock.client.document import Document
    from penstock.client.session import Session
    from penstock.client.wire import Answer

POINTS_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Page:
    """Samples of one value kind ("float", "int" or "text"); `point` is a place in the list."""

    kind: str
    point: npt.NDArray[np.uint32]
    time_ns: npt.NDArray[np.int64]
    value: Any
    is_there: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.time_ns)


@dataclass(frozen=True, slots=True)
class Span:
    """What is asked: from <= time < to, in words of the API, as known at `as_of`."""

    begin: str
    end: str
    as_of: str = ""


def pages(
    session: Session,
    ids: Sequence[str],
    span: Span,
    rows_at_once: int,
    on_sequence: Callable[[int], None],
) -> Iterator[Page]:
    """Pages in the order of the points; `on_sequence` is told the snapshot of all of them."""
    as_of, is_first = span.as_of, True
    for begin in range(0, len(ids), POINTS_AT_ONCE):
        body: Document = {
            "points": [*ids[begin : begin + POINTS_AT_ONCE]],
            "from": span.begin,
            "to": span.end,
            "limit": rows_at_once,
        }
        cursor = ""
        while cursor or body.get("cursor") is None:
            body |= {"cursor": cursor, "as_of": as_of}
            data, headers = session.ask("POST", "/samples", _whole, body=body)
            if is_first:
                as_of, is_first = headers["penstock-sequence"], False
                on_sequence(int(as_of))
            page = decoded(data, begin)
            if len(page):
                yield page
            cursor = headers["penstock-cursor"]


def download(
    session: Session,
    ids: Sequence[str],
    span: tuple[int, int],
    as_of: str,
    rows_at_once: int,
    on_progress: Callable[[int, float], None],
) -> tuple[list[Page], int]:
    """All pages and their log record; told after each: (samples so far, share done)."""
    sequences: list[int] = []
    found: list[Page] = []
    count = 0
    words = Span(str(span[0]), str(span[1]), as_of)
    for page in pages(session, ids, words, rows_at_once, sequences.append):
        found.append(page)
        count += len(page)
        passed = (int(page.time_ns[-1]) - span[0]) / (span[1] - span[0])
        on_progress(count, (int(page.point[-1]) + passed) / len(ids))
    on_progress(count, 1.0)
    return found, sequences[0]


def _whole(answer: Answer) -> tuple[bytes, dict[str, str]]:
    return answer.whole(), answer.headers


def decoded(data: bytes, first: int = 0) -> Page:
    """One Arrow stream of `POST /samples`; the arrays look into its buffers."""
    import nanoarrow as na  # noqa: PLC0415 - it takes 20 ms to import
    from nanoarrow.ipc import InputStream  # noqa: PLC0415

    with InputStream.from_readable(io.BytesIO(data)) as source, na.c_array_stream(source) as stream:
        (batch,) = list(stream)
    view = batch.view()
    point, time, value, quality = (view.child(place) for place in range(4))
    kind = {"double": "float", "int64": "int", "string": "text"}[value.storage_type]
    return Page(
        kind,
        np.asarray(point.buffer(1)) + np.uint32(first),
        _held(batch, time),
        _texts(batch, value) if kind == "text" else _held(batch, value),
        _bits(value),
        _held(batch, quality),
    )


class _Held:
    """Lets an array keep the batch alive into whose buffer it looks: nanoarrow's views do not."""

    def __init__(self, batch: object, array: npt.NDArray[Any]) -> None:
        self._batch = batch
        self.__array_interface__ = array.__array_interface__


def _held(batch: object, view: Any, number: int = 1) -> npt.NDArray[Any]:
    return np.asarray(_Held(batch, np.asarray(view.buffer(number))))


def _bits(view: Any) -> npt.NDArray[np.bool_]:
    bitmap = np.frombuffer(view.buffer(0), np.uint8)
    if not len(bitmap):
        return np.ones(view.length, bool)
    return np.unpackbits(bitmap, count=view.length, bitorder="little").view(np.bool_)


def _texts(batch: object, view: Any) -> Texts:
    offset = np.asarray(view.buffer(1)).astype(np.int64)
    data = np.frombuffer(view.buffer(2), np.uint8)
    return Texts(offset, np.asarray(_Held(batch, data)))
