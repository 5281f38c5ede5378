"""Blocks: the bursts of a waveform, as a list from the index, and one of them whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.client.document import rows, text, whole
from penstock.client.table import Column, Table, Texts, need
from penstock.client.words import quality_column, quality_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd

    from penstock.client.document import Document
    from penstock.client.session import Session
    from penstock.client.wire import Answer

PAGE = 10_000
_TYPES: dict[str, np.dtype[Any]] = {
    "int16": np.dtype("<i2"),
    "int32": np.dtype("<i4"),
    "float32": np.dtype("<f4"),
}


@dataclass(frozen=True, slots=True)
class Block:
    """One burst: sample i lies at t0_ns + round(i x dt_ns); `samples` as they were stored."""

    t0_ns: int
    dt_ns: float
    samples: npt.NDArray[Any]
    quality: str
    unit: str

    @property
    def time_ns(self) -> npt.NDArray[np.int64]:
        """Nanoseconds since 1970 (UTC) of each sample."""
        steps = np.rint(np.arange(len(self.samples)) * self.dt_ns)
        times: npt.NDArray[np.int64] = steps.astype(np.int64) + np.int64(self.t0_ns)
        return times

    def pandas(self, zone: str = "UTC") -> pd.Series[Any]:
        """A pandas.Series over time."""
        pandas = need("pandas")
        times = pandas.DatetimeIndex(self.time_ns.view("datetime64[ns]"), tz="UTC")
        local = times.tz_convert(zone)
        series: pd.Series[Any] = pandas.Series(self.samples, local, name=self.unit or None)
        return series


def listed(session: Session, id_: str, begin_ns: int, end_ns: int, as_of: str, zone: str) -> Table:
    """Heads of the Blocks that have a sample in the span; `lost` notes spans nobody knows of."""
    found: list[Document] = []
    lost: list[Document] = []
    query = {"from": str(begin_ns), "to": str(end_ns), "limit": str(PAGE), "as_of": as_of}
    cursor = ""
    while True:
        page = session.get(f"/points/{id_}/blocks", {**query, "cursor": cursor})
        found += rows(page["blocks"])
        lost = rows(page["lost"])
        cursor = text(page.get("cursor"))
        if not cursor:
            break
    spans = [(whole(span["from_ns"]), whole(span["to_ns"])) for span in lost]
    return Table(_columns(found, zone), {"lost": spans})


def _columns(found: Sequence[Document], zone: str) -> dict[str, Column]:
    def numbers(name: str, dtype: type) -> npt.NDArray[Any]:
        cells = [np.nan if row[name] is None else row[name] for row in found]
        return np.array([dtype(cell) for cell in cells], dtype)

    qualities = np.array([whole(row["quality"]) for row in found], np.uint8)
    return {
        "t0": Column("time", np.array([whole(row["t0_ns"]) for row in found], np.int64), zone=zone),
        "dt_ns": Column("float", numbers("dt_ns", float)),
        "samples": Column("int", np.array([whole(row["samples"]) for row in found], np.int64)),
        "type": Column("text", Texts.of([text(row["type"]) for row in found])),
        "quality": quality_column(qualities),
        **{name: Column("float", numbers(name, float)) for name in ("min", "max", "rms")},
        "sequence": Column("int", np.array([whole(row["sequence"]) for row in found], np.int64)),
    }


def whole_block(
    session: Session, id_: str, unit: str, t0_ns: int, sequence: int | None, as_of: str
) -> Block:
    """One Block as it was stored; Problem("data_damaged") rather than a part of it."""
    query = {"as_of": as_of} | ({} if sequence is None else {"sequence": str(sequence)})

    def read(answer: Answer) -> Block:
        headers = answer.headers
        dtype = _TYPES[headers["x-penstock-sample-type"]]
        return Block(
            int(headers["x-penstock-t0-ns"]),
            float(headers["x-penstock-dt-ns"]),
            np.frombuffer(answer.whole(), dtype),
            quality_word(int(headers["x-penstock-quality"])),
            unit,
        )

    return session.ask("GET", f"/points/{id_}/blocks/{t0_ns}", read, query=query)
