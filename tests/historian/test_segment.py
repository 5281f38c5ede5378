"""Bytes of segments and manifests: golden files, and a flipped bit in any byte is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import structlog

from penstock.codec.layout import Damaged
from penstock.historian import Historian, HistorianSettings
from penstock.historian.chunk import Encoding, decode_chunk
from penstock.historian.envelope import envelope, grid_of
from penstock.historian.head import ROWS_MIN
from penstock.historian.manifest import decode_manifest, encode_manifest, read_newest
from penstock.historian.query import raw
from penstock.historian.segment import ChunkFlag, check_header, decode_table, table_offset_of
from penstock.model import Batch, ConfigError, Flag, Frame, Origin, Quality, TextColumn
from penstock.model.time import TIME_NS_MAX
from penstock.testing import frame
from penstock.testing.disk import FakeDisk

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDER = Path("/segments")
ORIGIN = Origin(UUID(int=7), 0, 1)
T0 = 1_790_000_000_000_000_000
S = 1_000_000_000
WIDE = (T0 - 10**15, T0 + 10**15)


@pytest.fixture
def quiet() -> Iterator[None]:
    """No log line for each of a thousand damaged files."""
    with structlog.testing.capture_logs():
        yield


def opened(disk: FakeDisk) -> Historian:
    return Historian.open(disk, FOLDER, HistorianSettings())


def written(*batches: tuple[Frame, ...]) -> tuple[FakeDisk, Historian]:
    """A historian that has flushed these batches into one segment."""
    disk = FakeDisk()
    historian = opened(disk)
    for sequence, frames in enumerate(batches, 101):
        historian.append(Batch(ORIGIN, sequence, frames), sequence, TIME_NS_MAX)
    historian.seal(incarnation=3)
    historian.adopt(historian.write())
    return disk, historian


def few_rows() -> tuple[tuple[Frame, ...], ...]:
    """All kinds, all qualities of rows: late, equal, corrected, without value, infinite."""
    floats = frame(
        [7, 7, 7, 9, 7],
        [T0, T0 + S, T0 + 3 * S, T0 + 7, T0 + 2 * S],
        [1.5, -0.0, float("inf"), 1e-300, float("nan")],
        [192, 192, 65, 192, 4],
        [0, 0, 1, 2, int(Flag.NO_VALUE)],
    )
    ints = frame([8, 8], [T0, T0 + S], [2**63 - 1, -(2**63)])
    texts = frame([10, 10, 10], [T0, T0 + S, T0 + 2 * S], ["RUN", "", "Störung"], [192, 192, 0])
    fixed = frame([7, 7], [T0, T0 + S], [2.5, -0.0], 192, [int(Flag.CORRECTION), 0])
    return (floats, ints, texts), (fixed,)


def many_rows() -> tuple[tuple[Frame, ...], ...]:
    """Three chunks of 400 rows that pcodec packs, each in another form."""
    number = np.arange(400)
    times = T0 + number * S + (number % 7) * 1_000_000
    floats = frame([1] * 400 + [2] * 400, [*times, *times], [*(number % 50 / 4), *np.sqrt(number)])
    ints = frame(3, times.tolist(), [int(n) ** 3 for n in number])
    states = frame(4, times.tolist(), [["RUN", "STOP"][n // 90 % 2] for n in number])
    return ((floats, ints, states),)


def content(historian: Historian, points: list[int]) -> dict[int, list[tuple[object, ...]]]:
    snapshot = historian.pin(points)
    answer = {}
    for point in points:
        rows, _ = raw(snapshot, point, *WIDE, 10_000)
        texts = rows.value.to_list() if isinstance(rows.value, TextColumn) else rows.value.tolist()
        columns = (rows.time_ns, rows.quality, rows.flags, rows.sequence)
        answer[point] = [
            (repr(value), *numbers)
            for value, *numbers in zip(texts, *(c.tolist() for c in columns), strict=True)
        ]
    return answer


def only_segment(disk: FakeDisk) -> Path:
    [name] = [name for name in disk.list(FOLDER) if name.endswith(".seg")]
    return FOLDER / name


@pytest.mark.parametrize("name", ["segment-raw.bin", "manifest.bin"])
def test_writers_write_the_golden_bytes(name: str) -> None:
    disk, historian = written(*few_rows())
    paths = {
        "segment-raw.bin": only_segment(disk),
        "manifest.bin": FOLDER / f"manifest-{1:020d}",
    }

    assert (GOLDEN / name).read_bytes() == disk.read(paths[name])
    assert (3, 102) == historian.position


@pytest.mark.parametrize(
    ("name", "rows", "points"),
    [
        ("segment-raw.bin", few_rows(), [7, 8, 9, 10]),
        ("segment-packed.bin", many_rows(), [1, 2, 3, 4]),
    ],
)
def test_readers_read_the_golden_bytes(
    name: str, rows: tuple[tuple[Frame, ...], ...], points: list[int]
) -> None:
    """What a head answers is what the golden segment of the same rows answers."""
    head = opened(FakeDisk())
    for sequence, frames in enumerate(rows, 101):
        head.append(Batch(ORIGIN, sequence, frames), sequence, TIME_NS_MAX)
    disk, historian = written(*rows)
    disk.write_whole(only_segment(disk), [(GOLDEN / name).read_bytes()])
    [info] = historian.pin(points).segments
    size = disk.size(only_segment(disk))
    offset = table_offset_of(disk.read(only_segment(disk), size - 64))
    golden = replace(info, file_bytes=size, table_offset=offset)
    historian.adopt(replace(historian._manifest, segments=(golden,)))

    assert content(head, points) == content(historian, points)
    assert {} == historian._store.damage


def test_the_table_says_what_the_rows_are() -> None:
    data = (GOLDEN / "segment-raw.bin").read_bytes()
    check_header(data)
    offset = table_offset_of(data[-64:])
    table = decode_table(data[offset:], offset)

    assert [7, 7, 8, 9, 10] == table.point.tolist()
    assert [ChunkFlag.SIDE, ChunkFlag.NO_MOMENTS] == table.flags[:2].tolist()
    assert not np.isnan(np.concatenate([table.mean, table.m2, table.integral])).any()
    ints = table.take(np.array([2]))
    assert [-(2**63)] == ints.minimum.view(np.int64).tolist()
    assert [2**63 - 1] == ints.maximum.view(np.int64).tolist()
    assert [float(2**63 - 1)] == ints.integral.tolist()
    assert [S] == ints.valued_ns.tolist()
    assert {Encoding.RAW} == {Encoding(int(number)) for number in table.encoding}


def test_statistics_are_those_of_the_rows() -> None:
    _, historian = written(*many_rows())
    [info] = historian.pin([2]).segments
    table = historian._store.table(info)
    assert table is not None
    [chunk] = table.of(2)
    rows, _ = raw(historian.pin([2]), 2, *WIDE, 1_000)
    value = np.asarray(rows.value)
    seconds = np.diff(rows.time_ns) / 1e9

    np.testing.assert_allclose(table.mean[chunk], value.mean())
    np.testing.assert_allclose(table.m2[chunk], ((value - value.mean()) ** 2).sum())
    np.testing.assert_allclose(table.integral[chunk], (value[:-1] * seconds).sum())
    assert rows.time_ns[-1] - rows.time_ns[0] == table.valued_ns[chunk]
    assert Encoding.PCODEC == table.encoding[chunk]
    names = {field.name for field in fields(table)}
    assert {"first_sequence", "worst_quality", "crc"} <= names


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_a_flipped_bit_in_any_byte_is_noticed_and_the_others_answer() -> None:
    """Either the whole segment or one chunk becomes a bad-quality gap; never other numbers."""
    disk, historian = written(*few_rows())
    path = only_segment(disk)
    good = disk.read(path)
    points = [7, 8, 9, 10]
    expected = content(historian, points)
    [info] = historian.pin(points).segments
    table = historian._store.table(info)
    assert table is not None
    [side] = table.offset[table.flags & ChunkFlag.SIDE != 0]
    for place in range(len(good)):
        flipped = bytearray(good)
        flipped[place] ^= 1 << place % 8
        disk.write_whole(path, [flipped])
        found = Historian(disk, FOLDER, HistorianSettings(), historian._manifest)

        answers = content(found, points)

        wrong = [point for point in points if answers[point] != expected[point]]
        assert found._store.damage, f"byte {place}"
        side_only = all(place.endswith(f"@{side}") for place in found._store.damage)
        assert wrong or side_only, f"byte {place}"
        for point in wrong:
            lost = [row for row in answers[point] if row[2] == Quality.BAD_DATA_LOST]
            kept = [row for row in answers[point] if row in expected[point]]
            assert lost
            assert len(lost) + len(kept) == len(answers[point])


def test_a_damaged_chunk_is_a_gap_and_its_file_is_named() -> None:
    disk, historian = written(*many_rows())
    path = only_segment(disk)
    data = bytearray(disk.read(path))
    data[64 + 100] ^= 4
    disk.write_whole(path, [data])
    grid = grid_of(T0, T0 + 400 * S, 100)

    pen = envelope(historian.pin([1]), 1, grid)
    other = envelope(historian.pin([2]), 2, grid)

    assert Quality.BAD_DATA_LOST == pen.quality.min()
    assert [(T0, grid.end_ns)] == list(pen.gaps)
    assert 400 == other.rows
    [place] = historian._store.damage
    assert place.startswith(path.name)


@pytest.mark.parametrize("place", [0, 5, 20, 57, 61, 70, 200])
def test_a_damaged_manifest_stops_the_start(place: int) -> None:
    disk, _ = written(*few_rows())
    path = FOLDER / f"manifest-{1:020d}"
    data = bytearray(disk.read(path))
    data[place] ^= 1
    disk.write_whole(path, [data])

    with pytest.raises(ConfigError, match="manifest-"):
        opened(disk)
    with pytest.raises(Damaged):
        decode_manifest(bytes(data))


def test_a_manifest_comes_back_as_it_was() -> None:
    disk, historian = written(*few_rows())
    manifest, damage = read_newest(disk, FOLDER)

    assert [] == damage
    assert historian._manifest.segments == manifest.segments
    assert b"".join(encode_manifest(historian._manifest)) == b"".join(encode_manifest(manifest))
    assert {3: "Störung"} == manifest.last.text


def test_what_no_manifest_lists_is_removed_at_the_start() -> None:
    disk, _ = written(*few_rows())
    stray = FOLDER / "20260921-00000000000000000999-0.seg"
    disk.write_whole(stray, [b"half a flush"])

    opened(disk)

    assert stray.name not in disk.list(FOLDER)
    assert only_segment(disk)


def test_a_chunk_of_a_writer_with_faults_is_damaged_not_a_crash() -> None:
    for data in (b"", b"\0" * 40, b"\1" * 48, bytes([1, 0, 0, 0, 0, 0, 0, 0] * 5)):
        with pytest.raises(Damaged):
            decode_chunk(data, frame(1, 1, [1.0]).kind, 5, 0, 0)


def test_an_idle_head_is_small_and_grows_by_doubling() -> None:
    historian = opened(FakeDisk())
    assert 0 == historian.statistics()["head_bytes"]
    historian.append(Batch(ORIGIN, 1, (frame(1, T0, [1.0]),)), 1, TIME_NS_MAX)

    assert ROWS_MIN * 26 == historian.statistics()["head_bytes"]
    assert 2_000_000 > historian.statistics()["head_bytes"]
