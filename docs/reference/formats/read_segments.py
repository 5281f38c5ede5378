"""Read a Penstock history with nothing of Penstock: numpy, pcodec and this file.

    python read_segments.py data/segments             # the points that are there
    python read_segments.py data/segments 17 > 17.csv # all samples of point 17

Every checksum is verified; damage ends the program with the name of the file. The names
of the points stand in the table `points` of data/state.db. segment.md beside this file
describes the format; a Block of a waveform is one row here: its value is (dt_ns, samples).
"""

import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from pcodec.standalone import simple_decompress

TABLE = [  # a type and its columns, one value a chunk each
    ("<i8", "first_ns last_ns"),
    ("<u8", "first_sequence last_sequence minimum maximum"),
    ("<f8", "mean m2 integral"),
    ("<i8", "valued_ns"),
    ("<u8", "first_value last_value offset"),
    ("<u4", "point rows count bytes crc"),
    ("u1", "kind encoding flags worst_quality first_quality last_quality"),
]
INT, TEXT, BLOCK, SIDE, CORRECTION = 2, 3, 4, 2, 32
Row = tuple[int, Any, int, int, int]  # time_ns, value, quality, flags, sequence


def check(data: bytes, stored: int, place: object) -> bytes:
    """The data, if it has this crc32."""
    return data if zlib.crc32(data) == stored else sys.exit(f"{place}: wrong checksum")


def columns(data: bytes, rows: int, layout: list[tuple[str, str]]) -> dict[str, Any]:
    """Columns one behind the other, each padded to 8 bytes."""
    found, at = {}, 0
    for dtype, names in layout:
        for name in names.split():
            found[name] = np.frombuffer(data, dtype, rows, at)
            at += -(-found[name].nbytes // 8) * 8
    return found


def segments(folder: Path) -> list[str]:
    """Names of the files that count: those of the newest manifest, in its order."""
    newest = max(path for path in folder.glob("manifest-*") if path.name[9:].isdigit())
    data = newest.read_bytes()
    head = struct.unpack_from("<4sHHIIQQQQIII", data)
    check(data[:56], head[11], newest)
    body = check(data[64 : 64 + head[8]], head[10], newest)
    info = columns(body, head[3], [("<u8", "day generation first_sequence")])
    parts = zip(info["day"], info["first_sequence"], info["generation"], strict=True)
    return [f"{day:08d}-{sequence:020d}-{generation}.seg" for day, sequence, generation in parts]


def table_of(path: Path) -> dict[str, Any]:
    """The chunk table, found by the last 64 bytes of the file."""
    data = path.read_bytes()
    foot = data[-64:]
    check(data[:60], struct.unpack_from("<I", data, 60)[0], path)
    check(foot[:60], struct.unpack_from("<I", foot, 60)[0], path)
    _, _, _, offset, chunks, table_crc = struct.unpack_from("<4sHHQII", foot)
    return columns(check(data[offset:-64], table_crc, path), chunks, TABLE)


def numbers(form: int, param: int, data: bytes, dtype: str, rows: int) -> Any:
    """A section of numbers or bytes."""
    if form == 0:
        return np.frombuffer(data, dtype, rows)
    if form == 1:
        return simple_decompress(data)
    if form == 3:
        return np.arange(rows, dtype=dtype) * np.frombuffer(data, dtype)
    column, places = np.full(rows, param, np.uint8), len(data) // 3
    column[np.frombuffer(data, "<u2", places)] = np.frombuffer(data, "u1", places, 2 * places)
    return column


def texts(data: bytes, count: int) -> list[str]:
    """Offsets, then UTF-8."""
    offset, body = np.frombuffer(data, "<u4", count + 1), data[4 * count + 4 :]
    return [body[offset[i] : offset[i + 1]].decode() for i in range(count)]


def values(form: int, param: int, data: bytes, kind: int, rows: int) -> Any:
    """The values of a chunk."""
    if kind == TEXT:
        if form == 0:
            return texts(data, rows)
        words, size = struct.unpack_from("<II", data)
        known = texts(data[8 + size :], words)
        return [known[place] for place in simple_decompress(data[8 : 8 + size])]
    if form == 2:
        return (simple_decompress(data[1:]) / 10.0**param).tolist()
    return numbers(form, param, data, "<i8" if kind == INT else "<f8", rows).tolist()


def chunk(data: bytes, kind: int, rows: int, first_ns: int, first_sequence: int) -> list[Row]:
    """The rows of a chunk; one for a Block."""
    if kind == BLOCK:
        dt_ns, sample_type, form, quality, flags, size = struct.unpack_from("<dBBBBI", data)
        packed, dtype = data[16 : 16 + size], ("<i2", "<i4", "<f4")[sample_type]
        samples = simple_decompress(packed) if form else np.frombuffer(packed, dtype)
        return [(first_ns, (dt_ns, samples.tolist()), quality, flags, first_sequence)]
    sections, at = [], 40
    for form, param, size in struct.iter_unpack("<BBxxI", data[:40]):
        sections.append((form, param, data[at : at + size]))
        at += -(-size // 8) * 8
    time, value, quality, flags, sequence = sections
    unit = 10 ** time[1] if time[0] == 1 else 1
    time_ns = numbers(*time, "<i8", rows).astype(np.int64) * unit + first_ns
    sequences = (numbers(*sequence, "<u4", rows).astype(np.uint64) + first_sequence).tolist()
    marks = [numbers(*section, "u1", rows).tolist() for section in (quality, flags)]
    found = values(*value, kind, rows)
    return list(zip(time_ns.tolist(), found, *marks, sequences, strict=True))


def history(folder: Path, point: int) -> list[Row]:
    """Samples of a point: without repetitions and without what a correction has replaced."""
    rows: list[tuple[int, int, int, int, Row]] = []  # in this order, by the first four
    for number, name in enumerate(segments(folder)):
        table, data = table_of(folder / name), (folder / name).read_bytes()
        for i in np.flatnonzero(table["point"] == point):
            offset, size = int(table["offset"][i]), int(table["bytes"][i])
            body = check(data[offset : offset + size], int(table["crc"][i]), name)
            place = 2 * number + (0 if table["flags"][i] & SIDE else 1)
            about = [int(table[key][i]) for key in ("kind", "rows", "first_ns", "first_sequence")]
            rows += [(row[0], row[4], place, offset, row) for row in chunk(body, *about)]
    seen: dict[int, dict[tuple[str, int], Row]] = {}
    for time_ns, _, _, _, row in sorted(rows, key=lambda item: item[:4]):
        moment = seen.setdefault(time_ns, {})
        if row[3] & CORRECTION:
            moment.clear()
        moment.setdefault((repr(row[1]), row[2]), row)
    return [row for moment in seen.values() for row in moment.values()]


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        print("time_ns,value,quality,flags,sequence")
        for row in history(folder, int(sys.argv[2])):
            print(*map(repr, row), sep=",")
    else:
        found = [table_of(folder / name)["point"] for name in segments(folder)]
        print(*np.unique(np.concatenate([np.zeros(0, np.uint32), *found])), sep="\n")
