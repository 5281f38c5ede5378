"""Writes the missing ids into point lists, so that a rename keeps a point's history.

Only the id cells change; separator, encoding, line ends and all other cells stay
as the author wrote them. The file is replaced atomically.
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from penstock.config.loader import FOLDER
from penstock.config.point_list import decode_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID

    from penstock.world import Disk


def write_ids(home: Path, ids: Mapping[str, UUID], disk: Disk) -> list[str]:
    """Put `ids` (by place "plant/…csv:line") into their files; names of the files written."""
    by_file: dict[str, dict[int, UUID]] = {}
    for place, id_ in ids.items():
        name, _, line = place.rpartition(":")
        by_file.setdefault(name, {})[int(line)] = id_
    for name, lines in by_file.items():
        assert name.startswith(f"{FOLDER}/")
        path = home / name
        disk.write_whole(path, [with_ids(path.read_bytes(), lines)])
    return sorted(by_file)


def with_ids(data: bytes, lines: Mapping[int, UUID]) -> bytes:
    """The CSV with the id cell of each named line filled; a missing id column comes first."""
    table, _ = decode_table(data, "")
    assert table is not None
    encoding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else table.encoding
    text = data.decode(encoding)
    ending = "\r\n" if "\r\n" in text else "\n"
    reader = csv.reader(io.StringIO(text), delimiter=table.separator)
    out = io.StringIO()
    writer = csv.writer(out, delimiter=table.separator, lineterminator=ending)
    has_column = "id" in table.header
    at = table.header.index("id") if has_column else 0
    is_header = True
    for row in reader:
        is_blank = not any(cell.strip() for cell in row)
        if is_blank:
            writer.writerow(row)
            continue
        writer.writerow(
            _row(row, at, has_column, "id" if is_header else lines.get(reader.line_num))
        )
        is_header = False
    return out.getvalue().encode(encoding)


def _row(row: list[str], at: int, has_column: bool, id_: object) -> list[str]:
    text = "" if id_ is None else str(id_)
    if not has_column:
        return [text, *row]
    padded = row + [""] * (at + 1 - len(row))
    return [*padded[:at], text or padded[at], *padded[at + 1 :]] if text != "id" else row
