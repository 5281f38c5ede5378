"""Flush: a sealed head becomes one sorted segment file. Runs in a thread, owns nothing else.

Rows are sorted by point alone, in a stable way: arrival is nearly always time order
within a point, so times are only checked, and a block with late rows is sorted
again. Parts of 256 Ki rows keep the working memory below 40 MB however full
the head is.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from penstock.historian.blocks import write_blocks
from penstock.historian.encode import DecimalHints
from penstock.historian.segment import (
    SegmentInfo,
    encode_header,
    encode_table,
    join_tables,
    segment_name,
)
from penstock.historian.writer import PointRows, SegmentWriter
from penstock.model.time import format_ns

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    import numpy.typing as npt

    from penstock.historian.head import HeadRows, HeadView
    from penstock.historian.last import LastRows
    from penstock.world import Disk

SORTED_ROWS = 262_144


def write_segment(
    disk: Disk,
    folder: Path,
    view: HeadView,
    before: LastRows,
    hints: DecimalHints,
    incarnation: int,
    taken: Collection[str] = (),
) -> SegmentInfo | None:
    """Write all rows and Blocks of the view durably under their final name; None without any.

    The file counts only once a manifest lists it; unless it is whole, none is left. Names
    in `taken` mean other files (a log that lost its end uses sequences again) and are
    passed by.
    """
    if view.is_empty:
        return None
    first_ns, first_sequence = _begin_of(view)
    day = int(format_ns(first_ns)[:10].replace("-", ""))
    generation = next(n for n in count(0, 2) if segment_name(day, first_sequence, n) not in taken)
    path = folder / segment_name(day, first_sequence, generation)
    disk.remove(path)
    file = disk.append_to(path)
    is_whole = False
    try:
        writer = SegmentWriter(file, before, hints)
        writer.append([encode_header(day, generation, view.after, view.sequence, incarnation)])
        for rows in view.kinds:
            for part in _parts(rows):
                writer.add(part)
        write_blocks(writer, view.blocks.items, view.blocks.point)
        table = join_tables(writer.tables)
        table_offset = writer.offset
        writer.append(encode_table(table, table_offset))
        file.sync()
        is_whole = True
    finally:
        file.close()
        if not is_whole:
            with suppress(OSError):
                disk.remove(path)
    return SegmentInfo.of_table(
        table,
        day=day,
        generation=generation,
        first_sequence=first_sequence,
        after=view.after,
        until=view.sequence,
        table_offset=table_offset,
        file_bytes=writer.offset,
    )


def _begin_of(view: HeadView) -> tuple[int, int]:
    """(oldest time, smallest sequence) of all rows and Blocks."""
    times = [int(rows.time_ns.min()) for rows in view.kinds if len(rows)]
    sequences = [int(rows.sequence[0]) + rows.base for rows in view.kinds if len(rows)]
    if len(view.blocks):
        held = view.blocks.items[: len(view.blocks)]
        times.append(min(item.block.t0_ns for item in held))
        sequences.append(held[0].sequence)
    return min(times), min(sequences)


def _parts(rows: HeadRows) -> Iterator[PointRows]:
    order = _order_of(rows.point)
    begin = 0
    while begin < len(order):
        end = _part_end(rows.point, order, begin)
        index = order[begin:end]
        point = rows.point[index]
        time_ns = rows.time_ns[index]
        if ((time_ns[1:] < time_ns[:-1]) & (point[1:] == point[:-1])).any():
            again = np.lexsort((time_ns, point))
            index, point = index[again], point[again]
        yield PointRows(rows.kind, point, rows.take(index))
        begin = end


def _order_of(point: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Rows by (point, arrival): numpy sorts 16 bit numbers by radix, 10 ns a row and pass."""
    order = np.argsort(point.astype(np.uint16), kind="stable")
    if len(point) and int(point.max()) > 0xFFFF:
        high = (point >> np.uint32(16)).astype(np.uint16)
        order = order[np.argsort(high[order], kind="stable")]
    return order


def _part_end(point: npt.NDArray[np.uint32], order: npt.NDArray[np.intp], begin: int) -> int:
    """End of a part of about SORTED_ROWS that cuts no point (a point may be larger than that)."""
    end = begin + SORTED_ROWS
    if end >= len(order):
        return len(order)
    last, step = point[order[end - 1]], 256
    while end < len(order) and point[order[end]] == last:
        other = np.flatnonzero(point[order[end : end + step]] != last)
        end += int(other[0]) if len(other) else min(step, len(order) - end)
        step *= 2
    return end
