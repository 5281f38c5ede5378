"""Blocks of a point: their heads as columns, and the rule which of them are visible.

The head of a Block (times, type, numbers) lies in the chunk table, so that a list or an
envelope of a year reads no samples. Equal (t0, dt, samples, quality) is one Block, however
often it arrives; of different Blocks of one t0 all are kept, unless one is flagged as a
correction: it hides every earlier Block of its t0. The rule is that of samples.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from penstock.codec.layout import crc
from penstock.historian.block_chunk import encode_block
from penstock.historian.chunk import Encoding
from penstock.historian.segment import ChunkFlag, ChunkTable
from penstock.model import Flag, ValueKind
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from penstock.historian.block_chunk import HeldBlock
    from penstock.historian.writer import SegmentWriter
    from penstock.model import Block

_WAVEFORM = int(ValueKind.WAVEFORM)
_VOID = int(ChunkFlag.NO_VALUES | ChunkFlag.NO_MOMENTS)


@dataclass(frozen=True, slots=True)
class BlockHeads:
    """One row a Block of one point. `samples` is 0 where the Block says "no waveform".

    `source` and `place` say where it lies: the place of a segment in the snapshot and a
    chunk in its table, or behind all segments a head and a Block in it. `order` is that of
    arrival within the source; `worst` is below 64 where a sample is NaN.
    """

    t0_ns: npt.NDArray[np.int64]
    last_ns: npt.NDArray[np.int64]
    dt_ns: npt.NDArray[np.float64]
    samples: npt.NDArray[np.uint32]
    count: npt.NDArray[np.uint32]
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    mean: npt.NDArray[np.float64]
    m2: npt.NDArray[np.float64]
    sequence: npt.NDArray[np.uint64]
    order: npt.NDArray[np.uint64]
    source: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    sample_type: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint8]
    worst: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    chunk_flags: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t0_ns)

    def take(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> BlockHeads:
        """Some rows, by place or by mask."""
        return BlockHeads(*(getattr(self, name)[index] for name in _NAMES))

    @property
    def rms(self) -> npt.NDArray[np.float64]:
        """Root mean square of each Block; NaN without a number, infinite with an infinite one."""
        rms = np.sqrt(self.mean**2 + self.m2 / np.maximum(self.count, 1))
        rms[(self.chunk_flags & ChunkFlag.NO_MOMENTS) != 0] = np.inf
        rms[self.count == 0] = np.nan
        return rms

    def between(self, from_ns: int, to_ns: int) -> BlockHeads:
        """Blocks that have a sample, or their moment, with from <= time < to."""
        return self.take(self.is_between(from_ns, to_ns))

    def is_between(self, from_ns: int, to_ns: int) -> npt.NDArray[np.bool_]:
        """The mask of `between`."""
        is_between: npt.NDArray[np.bool_] = (self.t0_ns < to_ns) & (self.last_ns >= from_ns)
        return is_between


_NAMES = [field.name for field in fields(BlockHeads)]
_DTYPES = {
    field.name: np.dtype(str(field.type).rpartition("np.")[2].rstrip("]"))
    for field in fields(BlockHeads)
}


def no_heads() -> BlockHeads:
    """No Block."""
    return BlockHeads(*(np.zeros(0, _DTYPES[name]) for name in _NAMES))


def join_heads(pieces: Sequence[BlockHeads]) -> BlockHeads:
    """All rows in the order of the pieces."""
    if not pieces:
        return no_heads()
    return BlockHeads(*(np.concatenate([getattr(p, name) for p in pieces]) for name in _NAMES))


def heads_of_table(table: ChunkTable, chunks: npt.NDArray[np.intp], source: int) -> BlockHeads:
    """Blocks in the chunks of a segment (all of kind 4)."""
    packed = table.last_value[chunks]
    flags = (packed >> np.uint64(8)).astype(np.uint8)
    is_void = (flags & Flag.NO_VALUE) != 0
    return BlockHeads(
        t0_ns=table.first_ns[chunks],
        last_ns=table.last_ns[chunks],
        dt_ns=table.first_value[chunks].view(np.float64),
        samples=np.where(is_void, np.uint32(0), table.rows[chunks]),
        count=table.count[chunks],
        minimum=table.minimum[chunks].view(np.float64),
        maximum=table.maximum[chunks].view(np.float64),
        mean=table.mean[chunks],
        m2=table.m2[chunks],
        sequence=table.first_sequence[chunks],
        order=table.offset[chunks],
        source=np.full(len(chunks), source, np.int64),
        place=chunks.astype(np.int64),
        sample_type=packed.astype(np.uint8),
        quality=table.first_quality[chunks],
        worst=table.worst_quality[chunks],
        flags=flags,
        chunk_flags=table.flags[chunks],
    )


def heads_of_memory(
    blocks: Sequence[HeldBlock], places: npt.NDArray[np.intp], source: int
) -> BlockHeads:
    """Some Blocks of a head."""
    chosen = [blocks[place] for place in places.tolist()]
    rows = [
        (
            item.block.t0_ns,
            item.block.last_ns,
            item.block.dt_ns,
            len(item.block.samples),
            item.numbers.count,
            item.numbers.minimum,
            item.numbers.maximum,
            item.numbers.mean,
            item.numbers.m2,
            item.sequence,
            place,
            source,
            place,
            item.block.sample_type,
            item.block.quality,
            _worst(item),
            item.block.flags,
            _chunk_flags(item),
        )
        for place, item in zip(places.tolist(), chosen, strict=True)
    ]
    columns = zip(*rows, strict=True) if rows else [()] * len(_NAMES)
    return BlockHeads(
        *(np.array(column, _DTYPES[name]) for name, column in zip(_NAMES, columns, strict=True))
    )


def _worst(item: HeldBlock) -> int:
    """Quality of the worst sample: a NaN is bad."""
    is_whole = item.numbers.count == len(item.block.samples)
    return item.block.quality if is_whole else min(item.block.quality, 5)


def _chunk_flags(item: HeldBlock) -> int:
    if not item.numbers.count:
        return int(ChunkFlag.NO_VALUES)
    return 0 if item.numbers.has_moments else int(ChunkFlag.NO_MOMENTS)


# --- which Blocks count


def in_order(found: BlockHeads) -> npt.NDArray[np.intp]:
    """Rows by t0, then arrival. A log record lies in one source, and there in its own order."""
    return np.lexsort((found.order, found.source, found.sequence, found.t0_ns))


def judge_blocks(
    found: BlockHeads, read: Callable[[int], Block | None]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(is_duplicate, is_hidden) of ordered heads; `read` gives the Block of a row.

    Samples are read only where two Blocks of one t0 have the same head. One that cannot
    be read is nobody's duplicate.
    """
    is_duplicate, is_hidden = np.zeros((2, len(found)), bool)
    is_first = np.ones(len(found), bool)
    is_first[1:] = found.t0_ns[1:] != found.t0_ns[:-1]
    begin = np.flatnonzero(is_first)
    length = np.diff(begin, append=len(found))
    is_shared = length > 1
    moments = zip(begin[is_shared].tolist(), length[is_shared].tolist(), strict=True)
    for first, count in moments:
        _judge_moment(found, range(first, first + count), read, is_duplicate, is_hidden)
    return is_duplicate, is_hidden


def _judge_moment(
    found: BlockHeads,
    rows: range,
    read: Callable[[int], Block | None],
    is_duplicate: npt.NDArray[np.bool_],
    is_hidden: npt.NDArray[np.bool_],
) -> None:
    is_correction = (found.flags[rows.start : rows.stop] & Flag.CORRECTION) != 0
    newest = int(np.flatnonzero(is_correction)[-1]) if is_correction.any() else 0
    is_hidden[rows.start : rows.start + newest] = True
    alike: dict[tuple[object, ...], list[int]] = {}
    for row in rows:
        alike.setdefault(_head_key(found, row), []).append(row)
    for same in alike.values():
        seen: set[bytes] = set()
        for row in same if len(same) > 1 else ():
            block = read(row)
            identity = b"" if block is None else _digest(block)
            is_correction_row = bool(int(found.flags[row]) & Flag.CORRECTION)
            is_duplicate[row] = identity in seen and not is_correction_row
            if identity:
                seen.add(identity)


def _head_key(found: BlockHeads, row: int) -> tuple[object, ...]:
    columns = (found.dt_ns, found.samples, found.sample_type, found.quality, found.count)
    return (*(column[row].tobytes() for column in columns), float(found.minimum[row]))


def _digest(block: Block) -> bytes:
    return hashlib.blake2b(block.samples.tobytes(), digest_size=32).digest()


# --- into a segment


def write_blocks(
    writer: SegmentWriter, blocks: Sequence[HeldBlock], point: npt.NDArray[np.uint32]
) -> None:
    """Append each Block of a sealed head as a chunk; `point` has their handles.

    Repetitions go, what a correction replaces is put aside. The chunks of one moment lie
    in the file in the order of arrival.
    """
    for handle in np.unique(point).tolist():
        found = heads_of_memory(blocks, np.flatnonzero(point == handle), 0)
        found = found.take(in_order(found))
        places = found.place.tolist()
        is_duplicate, is_hidden = judge_blocks(found, lambda row: blocks[places[row]].block)  # noqa: B023
        side = np.where(is_hidden, np.uint8(ChunkFlag.SIDE), np.uint8(0))
        kept = np.flatnonzero(~is_duplicate)
        _write_point(writer, handle, blocks, found.take(kept), side[kept])


def _write_point(
    writer: SegmentWriter,
    handle: int,
    blocks: Sequence[HeldBlock],
    found: BlockHeads,
    side: npt.NDArray[np.uint8],
) -> None:
    offset, size, check, encoding = [], [], [], []
    for place in found.place.tolist():
        data, is_packed = encode_block(blocks[place].block)
        offset.append(writer.offset)
        size.append(len(data))
        check.append(crc(data))
        encoding.append(Encoding.PCODEC if is_packed else Encoding.RAW)
        writer.append([data])
    flags = found.chunk_flags | side | writer.late(np.full(len(found), handle), found.t0_ns)
    writer.tables.append(
        ChunkTable(
            first_ns=found.t0_ns,
            last_ns=found.last_ns,
            first_sequence=found.sequence,
            last_sequence=found.sequence,
            minimum=found.minimum.view(np.uint64),
            maximum=found.maximum.view(np.uint64),
            mean=found.mean,
            m2=found.m2,
            integral=_integral(found),
            valued_ns=_valued_ns(found),
            first_value=found.dt_ns.view(np.uint64),
            last_value=found.sample_type | found.flags.astype(np.uint64) << np.uint64(8),
            offset=np.array(offset, np.uint64),
            point=np.full(len(found), handle, np.uint32),
            rows=np.maximum(found.samples, np.uint32(1)),
            count=found.count,
            bytes=np.array(size, np.uint32),
            crc=np.array(check, np.uint32),
            kind=np.full(len(found), _WAVEFORM, np.uint8),
            encoding=np.array(encoding, np.uint8),
            flags=flags,
            worst_quality=found.worst,
            first_quality=found.quality,
            last_quality=found.quality,
        )
    )


def _valued_ns(found: BlockHeads) -> npt.NDArray[np.int64]:
    """Each sample that counts holds for one dt, so that joined Blocks leave no hole."""
    span = np.rint(found.count * found.dt_ns)
    return np.where(found.chunk_flags & _VOID == 0, span, 0.0).astype(np.int64)


def _integral(found: BlockHeads) -> npt.NDArray[np.float64]:
    with np.errstate(over="ignore", invalid="ignore"):
        integral = found.mean * found.count * found.dt_ns / SECOND_NS
    return np.where(np.isfinite(integral), integral, 0.0)
