"""Sealed log files rewritten compressed: a pure function of a file that no longer changes.

It may run in any process. What it writes is only a proposal (`.logz.new`) which the
process that owns the log adopts; until then nobody reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from penstock.codec.layout import crc
from penstock.codec.log_archive import Block, encode_archive, encode_block
from penstock.codec.log_block import Span, compress, decode_body, encode_body
from penstock.log.files import Found, LogFile
from penstock.log.reader import FileReader
from penstock.log.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.codec.layout import Buffer
    from penstock.model.event import Json
    from penstock.world import Disk

BLOCK_BYTES = 256 * 1024
BLOCK_RECORDS_MAX = 1_024
_BYTES_MAX = 4 * 1024 * 1024
PROPOSAL = ".new"


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a file would become; `stored_bytes` of the proposal, which lies beside it."""

    file: LogFile
    last: int
    plain_bytes: int
    stored_bytes: int
    is_smaller: bool


def compress_file(disk: Disk, folder: Path, file: LogFile, end: int) -> Compressed:
    """Write the proposal for a sealed file whose records end before sequence `end`.

    OSError when the disk refuses; nothing is changed then. Reads and holds a few MiB at
    a time besides the compressed bytes.
    """
    size = disk.size(folder / file.name)
    store = FileStore(folder, disk)
    blocks: list[Block] = []
    bodies: list[Buffer] = []
    for offset, stop, sequence, records in _spans(store, file, end, size):
        plain = disk.read(folder / file.name, offset, stop - offset)
        body, is_records = _body(plain, records)
        block = Block(is_records, offset, sequence, len(plain), len(body), crc(body))
        blocks.append(block)
        bodies += encode_block(block, body)
    buffers = [*encode_archive((file.incarnation, file.first, end - 1), blocks), *bodies]
    stored = sum(len(buffer) for buffer in buffers)
    if stored < size:
        disk.write_whole(folder / (file.compressed_name + PROPOSAL), buffers)
    return Compressed(file, end - 1, size, stored, stored < size)


def _body(plain: bytes, records: list[Span]) -> tuple[bytes, bool]:
    """Records if that gives back the same bytes, else the bytes as they are."""
    if records:
        body = encode_body(plain, records)
        if decode_body(body, len(plain)) == plain:
            return body, True
    return compress(plain), False


def _spans(
    store: FileStore, file: LogFile, end: int, size: int
) -> Iterator[tuple[int, int, int, list[Span]]]:
    """(offset, end offset, sequence, records) of each block: all bytes of the file, in order."""
    at, begin, sequence = 0, 0, file.first
    run: list[Span] = []
    for item in FileReader(store).items(file, file.first, end):
        if not isinstance(item, Found):
            continue
        is_full = item.end - begin > BLOCK_BYTES or len(run) >= BLOCK_RECORDS_MAX
        if run and (is_full or item.offset != at):
            yield begin, at, sequence, run
            run = []
        yield from _bytes(at, item.offset, item.header.sequence)
        if not run:
            begin, sequence = item.offset, item.header.sequence
        run.append(Span(item.offset - begin, item.header.kind, item.header.payload_bytes))
        at = item.end
    if run:
        yield begin, at, sequence, run
    yield from _bytes(at, size, end)


def _bytes(offset: int, stop: int, sequence: int) -> Iterator[tuple[int, int, int, list[Span]]]:
    """What is no record, in pieces."""
    for begin in range(offset, stop, _BYTES_MAX):
        yield begin, min(begin + _BYTES_MAX, stop), sequence, []


def compress_document(disk: Disk, folder: Path, fields: dict[str, Json]) -> dict[str, Json]:
    """`compress_file` as question and answer, for a process that is asked over a link."""
    file = file_of(fields)
    found = compress_file(disk, folder, file, int(str(fields["end"])))
    return document_of(file, found.last + 1) | {
        "plain_bytes": found.plain_bytes,
        "stored_bytes": found.stored_bytes,
        "is_smaller": found.is_smaller,
    }


def document_of(file: LogFile, end: int) -> dict[str, Json]:
    """Question for `compress_document`."""
    return {"incarnation": str(file.incarnation), "first": str(file.first), "end": str(end)}


def file_of(fields: dict[str, Json]) -> LogFile:
    """The file that a question or an answer names."""
    return LogFile(int(str(fields["incarnation"])), int(str(fields["first"])))


def compressed_of(fields: dict[str, Json]) -> Compressed:
    """An answer of `compress_document`."""
    return Compressed(
        file_of(fields),
        int(str(fields["end"])) - 1,
        int(str(fields["plain_bytes"])),
        int(str(fields["stored_bytes"])),
        bool(fields["is_smaller"]),
    )
