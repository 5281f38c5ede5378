"""A compressed log file: header, index and blocks; docs/reference/formats/log-compressed.md.

Header and index are a convenience. Every block tells where its bytes belong, so that a
file whose beginning is damaged still gives back all that is whole.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from penstock.codec.layout import Buffer, Damaged, crc, padded, padding
from penstock.codec.log_block import decode_body, decompress

MAGIC = b"PLGZ"
BLOCK_MAGIC = b"PLBK"
VERSION = 1
_FILE = struct.Struct("<4sHHQQQQII12x")
ARCHIVE_HEADER_BYTES = _FILE.size + 4
_BLOCK = struct.Struct("<4sB3xQQIII")
BLOCK_HEADER_BYTES = _BLOCK.size + 4
PLAIN_BYTES_MAX = 32 * 1024 * 1024
BLOCKS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """`plain_bytes` at `plain_offset` of the plain file; `sequence` of its first record."""

    is_records: bool
    plain_offset: int
    sequence: int
    plain_bytes: int
    body_bytes: int
    body_crc: int

    @property
    def stored_bytes(self) -> int:
        """Header, body and padding."""
        return BLOCK_HEADER_BYTES + padded(self.body_bytes)


@dataclass(frozen=True, slots=True)
class ArchiveHeader:
    """First 64 bytes of a compressed log file."""

    incarnation: int
    first: int
    last: int
    plain_bytes: int
    blocks: int
    index_crc: int


def encode_block(block: Block, body: bytes) -> list[Buffer]:
    """Header, body and padding."""
    return [encode_block_header(block), body, padding(len(body))]


def encode_block_header(block: Block) -> bytes:
    """40 bytes with their checksum at the end."""
    packed = _BLOCK.pack(
        BLOCK_MAGIC,
        block.is_records,
        block.plain_offset,
        block.sequence,
        block.plain_bytes,
        block.body_bytes,
        block.body_crc,
    )
    return packed + struct.pack("<I", crc(packed))


def encode_archive(header: tuple[int, int, int], blocks: list[Block]) -> list[Buffer]:
    """Header and index of a file of (incarnation, first, last) with these blocks in order."""
    index = b"".join(map(encode_block_header, blocks))
    plain_bytes = sum(block.plain_bytes for block in blocks)
    packed = _FILE.pack(MAGIC, VERSION, 0, *header, plain_bytes, len(blocks), crc(index))
    return [packed + struct.pack("<I", crc(packed)), index]


def decode_archive_header(buffer: Buffer) -> ArchiveHeader:
    """Damaged if it is cut, altered, or of another version."""
    checked = bytes(buffer[: _FILE.size])
    if len(buffer) < ARCHIVE_HEADER_BYTES:
        raise Damaged("compressed log file is cut")
    (stored,) = struct.unpack_from("<I", buffer, _FILE.size)
    magic, version, _, *fields = _FILE.unpack(checked)
    if magic != MAGIC or version != VERSION or crc(checked) != stored:
        raise Damaged(f"compressed log file begins with {checked[:6]!r}")
    header = ArchiveHeader(*fields)
    if header.blocks > BLOCKS_MAX:
        raise Damaged(f"compressed log file of {header.blocks} blocks")
    return header


def decode_block_header(buffer: Buffer, offset: int = 0) -> Block:
    """Damaged if it is cut, altered, or larger than a block can be."""
    if offset + BLOCK_HEADER_BYTES > len(buffer):
        raise Damaged(f"block header is cut at {offset}")
    checked = memoryview(buffer)[offset : offset + _BLOCK.size]
    (stored,) = struct.unpack_from("<I", buffer, offset + _BLOCK.size)
    magic, kind, *fields = _BLOCK.unpack(checked)
    if magic != BLOCK_MAGIC or kind > 1 or crc(checked) != stored:
        raise Damaged(f"no block header at {offset}")
    block = Block(bool(kind), *fields)
    if block.plain_bytes > PLAIN_BYTES_MAX:
        raise Damaged(f"block of {block.plain_bytes} bytes at {offset}")
    return block


def decode_index(header: ArchiveHeader, buffer: Buffer) -> list[tuple[int, Block]]:
    """(offset in the file, block) of each; Damaged if the index is not whole."""
    if crc(buffer) != header.index_crc or len(buffer) != header.blocks * BLOCK_HEADER_BYTES:
        raise Damaged("index of a compressed log file has a wrong checksum")
    found, offset = [], ARCHIVE_HEADER_BYTES + len(buffer)
    for at in range(header.blocks):
        block = decode_block_header(buffer, at * BLOCK_HEADER_BYTES)
        found.append((offset, block))
        offset += block.stored_bytes
    return found


def search_blocks(data: bytes) -> list[tuple[int, Block]]:
    """Like decode_index, without one: whatever in `data` is a block, by its own checksums.

    A block of which only the header is good (in the index or in front of its body) has the
    offset -1: its bytes are missing, and how many is known.
    """
    found: dict[int, tuple[int, Block]] = {}
    at = data.find(BLOCK_MAGIC)
    while at >= 0:
        try:
            block = decode_block_header(data, at) if at % 8 == 0 else None
        except Damaged:
            block = None
        if block is not None and found.get(block.plain_offset, (-1, block))[0] < 0:
            body = data[at + BLOCK_HEADER_BYTES : at + BLOCK_HEADER_BYTES + block.body_bytes]
            is_whole = crc(body) == block.body_crc and len(body) == block.body_bytes
            found[block.plain_offset] = (at if is_whole else -1, block)
        at = data.find(BLOCK_MAGIC, at + 1)
    return [found[offset] for offset in sorted(found)]


def decode_block(block: Block, data: bytes) -> bytes:
    """Plain bytes of the block whose header and body are `data`; Damaged if they are not."""
    body = body_of(block, data)
    if block.is_records:
        return decode_body(body, block.plain_bytes)
    return decompress(body, block.plain_bytes)


def body_of(block: Block, data: bytes) -> bytes:
    """Body of the block in `data`; Damaged if a checksum is wrong."""
    if decode_block_header(data) != block:
        raise Damaged("another block")
    body = data[BLOCK_HEADER_BYTES : BLOCK_HEADER_BYTES + block.body_bytes]
    if len(body) != block.body_bytes or crc(body) != block.body_crc:
        raise Damaged(f"block of sequence {block.sequence} has a wrong checksum")
    return body
