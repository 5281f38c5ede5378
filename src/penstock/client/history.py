"""History: samples or aggregates of some points, as one table, long or wide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.samples import Page
from penstock.client.table import Column, Table, Texts, need
from penstock.client.words import quality_column

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from penstock.client.points import Points

CELLS_MAX = 500_000_000
_NAMES = {"float": "value", "int": "value_int", "text": "value_text"}


@dataclass(frozen=True, slots=True)
class History:
    """Samples, point by point in the order of their paths, each in time order.

    `sequence` is the log record up to which it is complete: give it as `as_of` to ask
    again for exactly the same, whatever arrives later. `zone` is that of the times.

    Long form: a row a sample with `path`, `time`, `value` and `quality`. Where the points
    are of several kinds, `value` has the floats and integers as float64, `value_int`
    the integers exactly and `value_text` the texts. Wide form: a row a moment and a column a
    point; of several samples of one moment the last counts, and the quality is left out.
    """

    points: Points
    pages: Sequence[Page]
    sequence: int
    zone: str = "UTC"

    def __len__(self) -> int:
        return sum(len(page) for page in self.pages)

    def __repr__(self) -> str:
        return f"<history of {len(self.points)} points: {len(self)} samples>"

    def numpy(self, *, wide: bool = False) -> dict[str, npt.NDArray[Any]]:
        """Arrays by name: times are datetime64[ns] in UTC, `quality` is the byte, not the word."""
        found = self.table(wide=wide).numpy()
        if not wide:
            found["quality"] = _joined([page.quality for page in self.pages], np.dtype(np.uint8))
        return found

    def pandas(self, *, wide: bool = False) -> pd.DataFrame:
        """A pandas.DataFrame; wide, its index is `time`. Missing without pandas."""
        frame = self.table(wide=wide).pandas()
        frame.attrs["units"] = {point.path: point.unit for point in self.points}
        return frame.set_index("time") if wide else frame

    def polars(self, *, wide: bool = False) -> pl.DataFrame:
        """A polars.DataFrame. Missing without polars."""
        return self.table(wide=wide).polars()

    def arrow(self, *, wide: bool = False) -> pa.Table:
        """A pyarrow.Table. Missing without pyarrow."""
        need("pyarrow")
        return self.table(wide=wide).arrow()

    def table(self, *, wide: bool = False) -> Table:
        """The columns as numpy holds them."""
        notes = {"sequence": self.sequence}
        return Table(self._wide() if wide else self._long(), notes)

    def _long(self) -> Mapping[str, Column]:
        place = _joined([page.point for page in self.pages], np.dtype(np.uint32))
        times = _joined([page.time_ns for page in self.pages], np.dtype(np.int64))
        quality = _joined([page.quality for page in self.pages], np.dtype(np.uint8))
        return {
            "path": Column("word", _small(place, len(self.points)), words=self.points.paths),
            "time": Column("time", times, zone=self.zone),
            **self._values(),
            "quality": quality_column(quality),
        }

    def _values(self) -> Mapping[str, Column]:
        kinds = {page.kind for page in self.pages} or {"float"}
        if len(kinds) == 1:
            return {"value": _value_column(self.pages, kinds.pop())}
        wanted = ["float", *(kind for kind in ("int", "text") if kind in kinds)]
        return {_NAMES[kind]: _value_column(self.pages, kind) for kind in wanted}

    def _wide(self) -> Mapping[str, Column]:
        parts = list(self._parts())
        all_times = _joined([page.time_ns for _, page in parts], np.dtype(np.int64))
        times = np.unique(all_times)
        cells = len(times) * len(self.points)
        if cells > CELLS_MAX:
            raise ValueError(
                f"{cells} cells; at most {CELLS_MAX}. "
                "Ask for aggregates with every=, or for fewer points."
            )
        by_point: dict[int, list[Page]] = {}
        for place, page in parts:
            by_point.setdefault(place, []).append(page)
        columns = {"time": Column("time", times, zone=self.zone)}
        for place, point in enumerate(self.points):
            rows = by_point.get(place, [])
            kind = rows[0].kind if rows else {"waveform": "float"}.get(point.kind, point.kind)
            columns[point.path] = _spread(rows, kind, times)
        return columns

    def _parts(self) -> Iterator[tuple[int, Page]]:
        """(place of the point, its rows), in order."""
        for page in self.pages:
            begins = np.concatenate([[0], np.flatnonzero(np.diff(page.point)) + 1])
            for begin, end in zip(begins, [*begins[1:], len(page)], strict=True):
                yield int(page.point[begin]), _cut(page, int(begin), int(end))


def _cut(page: Page, begin: int, end: int) -> Page:
    rows = slice(begin, end)
    value = page.value
    cut = Texts(value.offset[begin : end + 1], value.data) if page.kind == "text" else value[rows]
    return Page(
        page.kind,
        page.point[rows],
        page.time_ns[rows],
        cut,
        page.is_there[rows],
        page.quality[rows],
    )


def _spread(pages: Sequence[Page], kind: str, times: npt.NDArray[np.int64]) -> Column:
    """The values of one point at their moments; nothing elsewhere."""
    is_there = np.zeros(len(times), bool)
    texts = [""] * len(times)
    data: Any = np.full(len(times), np.nan) if kind == "float" else np.zeros(len(times), np.int64)
    for page in pages:
        rows = np.searchsorted(times, page.time_ns)
        is_there[rows] = page.is_there
        if kind == "text":
            for row, text in zip(rows.tolist(), page.value.objects(None), strict=True):
                texts[row] = text
        else:
            data[rows] = page.value
    if kind == "text":
        return Column("text", Texts.of(texts), is_there)
    return Column("float" if kind == "float" else "int", data, is_there)


def _value_column(pages: Sequence[Page], kind: str) -> Column:
    """Values of one kind over all pages; `value` of float also takes the integers."""
    takes = {"float", "int"} if kind == "float" and len({p.kind for p in pages}) > 1 else {kind}
    there = [page.is_there if page.kind in takes else np.zeros(len(page), bool) for page in pages]
    is_there = _joined(there, np.dtype(np.bool_))
    known = None if is_there.all() else is_there
    if kind == "text":
        return Column("text", Texts.joined([_texts(page) for page in pages]), known)
    dtype = np.dtype(np.float64 if kind == "float" else np.int64)
    parts = [
        page.value.astype(dtype, copy=False) if page.kind in takes else np.zeros(len(page), dtype)
        for page in pages
    ]
    values = _joined(parts, dtype)
    if kind == "float":
        return Column("float", values if known is None else np.where(known, values, np.nan), known)
    return Column("int", values, known)


def _texts(page: Page) -> Texts:
    if page.kind == "text":
        assert isinstance(page.value, Texts)
        return page.value
    return Texts(np.zeros(len(page) + 1, np.int64), np.zeros(0, np.uint8))


def _joined(parts: Sequence[npt.NDArray[Any]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if not parts:
        return np.zeros(0, dtype)
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _small(codes: npt.NDArray[np.uint32], count: int) -> npt.NDArray[Any]:
    """Codes as signed integers no wider than they must be: the words are repeated for each row."""
    for dtype in (np.int8, np.int16):
        if count <= np.iinfo(dtype).max:
            return codes.astype(dtype)
    return codes.astype(np.int32)
