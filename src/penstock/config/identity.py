"""Writes the missing ids into point lists, so that a rename keeps a point's history.

Only the id cells change; separator, encoding, line ends and all other cells stay
as the author wrote them. The file is replaced atomically.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import re
from typing import TYPE_CHECKING

from penstock.config.point_list import decode_table
from penstock.model import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID

    from penstock.world import Disk


def digest(data: bytes) -> str:
    """What a file held when it was read."""
    return hashlib.sha256(data).hexdigest()


def write_ids(
    home: Path, ids: Mapping[str, UUID], disk: Disk, digests: Mapping[str, str]
) -> list[str]:
    """Put `ids` (by place "plant/…csv:line") into their files; names of the files written.

    ConfigError, and nothing written, if a file is not what `digests` says it was
    when its lines were numbered: an id in a neighbour's row would move its history.
    """
    by_file: dict[str, dict[int, UUID]] = {}
    for place, id_ in ids.items():
        name, _, line = place.rpartition(":")
        by_file.setdefault(name, {})[int(line)] = id_
    contents = {name: (home / name).read_bytes() for name in by_file}
    changed = [name for name, data in contents.items() if digest(data) != digests.get(name)]
    if changed:
        message = "was changed while it was applied; apply again"
        raise ConfigError([ConfigProblem(name, message) for name in changed])
    for name, lines in by_file.items():
        path = (home / name).resolve()  # a link stays a link
        mode = path.stat().st_mode & 0o777
        disk.write_whole(path, [with_ids(contents[name], lines)])
        path.chmod(mode)  # who could read the list before can do so afterwards
    return sorted(by_file)


def with_ids(data: bytes, ids: Mapping[int, UUID]) -> bytes:
    """The CSV with the empty id cell of each named line filled; a missing id column comes first.

    A cell that holds something is left alone: the file may have been edited since it was read.
    """
    table, _ = decode_table(data, "")
    assert table is not None
    encoding = "utf-8-sig" if data.startswith(codecs.BOM_UTF8) else table.encoding
    lines = list(io.StringIO(data.decode(encoding)))
    reader = csv.reader(lines, delimiter=table.separator)
    at = table.header.index("id") if "id" in table.header else None
    out: list[str] = []
    begin, is_header = 0, True
    for row in reader:
        record = "".join(lines[begin : reader.line_num])
        begin = reader.line_num
        if any(cell.strip() for cell in row):
            text = "id" if is_header else str(ids.get(reader.line_num, ""))
            out.append(_with_id(record, at, table.separator, text, is_header=is_header))
            is_header = False
        else:
            out.append(record)
    return "".join(out).encode(encoding)


def _with_id(record: str, at: int | None, separator: str, text: str, *, is_header: bool) -> str:
    if at is None:
        return f"{text}{separator}{record}"
    return _filled(record, at, separator, text) if text and not is_header else record


def _filled(record: str, at: int, separator: str, text: str) -> str:
    """Put `text` into cell `at` of one record as it stands in the file; the rest stays as it is."""
    cell = re.compile(rf'"(?:[^"]|"")*"[^{separator}\r\n]*|[^{separator}\r\n]*')
    position = 0
    for number in range(at):
        position = _end(cell, record, position)
        if record[position : position + 1] != separator:
            return record[:position] + separator * (at - number) + text + record[position:]
        position += 1
    end = _end(cell, record, position)
    is_empty = not record[position:end].strip(' "')
    return record[:position] + text + record[end:] if is_empty else record


def _end(cell: re.Pattern[str], record: str, position: int) -> int:
    found = cell.match(record, position)
    assert found is not None
    return found.end()
