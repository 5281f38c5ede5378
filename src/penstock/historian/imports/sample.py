"""Sample of a text file: its encoding, and lines from its head and from places all over it.

A file may be larger than memory, and what settles a doubt often stands in its middle (the
first 13th day of a month), so the sample is the head and windows at even distances.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HEAD_BYTES = 256 * 1024
WINDOW_BYTES = 32 * 1024
WINDOWS = 32
PART_BYTES = 4 * 1024 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """How a text file is encoded, and why that is believed."""

    name: str
    because: str


def encoding_of(path: Path, check: Callable[[], None] = lambda: None) -> Encoded:
    """By its mark, by zero bytes, or because all of it is UTF-8; else the usual one of Windows."""
    with path.open("rb") as file:
        head = file.read(4096)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoded(name, "byte order mark")
    if head[1::2].count(0) > len(head) // 4:
        return Encoded("utf-16-le", "every other byte is zero")
    if head[::2].count(0) > len(head) // 4:
        return Encoded("utf-16-be", "every other byte is zero")
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with path.open("rb") as file:
            while part := file.read(PART_BYTES):
                check()
                decoder.decode(part)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return Encoded("cp1252", f"{error.object[error.start : error.end]!r} is no UTF-8")
    return Encoded("utf-8", "all of it is valid")


def write_utf8(
    path: Path, encoding: str, target: Path, check: Callable[[], None] = lambda: None
) -> None:
    """The same text as UTF-8; UnicodeDecodeError if it is not of this encoding."""
    with path.open("r", encoding=encoding, newline="") as source, target.open("wb") as out:
        while text := source.read(PART_BYTES):
            check()
            out.write(text.encode())


@dataclass(frozen=True, slots=True)
class Sample:
    """Whole lines of the head, and of the windows behind it."""

    head: str
    windows: tuple[str, ...]
    is_whole: bool

    @classmethod
    def of(cls, path: Path) -> Sample:
        """Of a UTF-8 file."""
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            if size <= HEAD_BYTES:
                return cls(_text(head), (), True)
            windows = []
            step = max(WINDOW_BYTES, (size - HEAD_BYTES) // WINDOWS)
            for at in range(HEAD_BYTES, size, step):
                file.seek(max(HEAD_BYTES, min(at, size - WINDOW_BYTES)))
                windows.append(_whole_lines(file.read(WINDOW_BYTES)))
        return cls(_text(head[: head.rfind(b"\n") + 1] or head), tuple(windows), False)


def _whole_lines(data: bytes) -> str:
    begin, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
    return _text(data[begin:end])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").removeprefix("\ufeff")
