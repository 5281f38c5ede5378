"""Verification: one flipped bit or a cut anywhere at rest is found, and named by its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.historian.manifest import Manifest, encode_manifest, manifest_name, read_newest
from penstock.historian.segment import (
    FOOTER_BYTES,
    HEADER_BYTES,
    ChunkTable,
    SegmentInfo,
    decode_table,
    encode_table,
)
from penstock.historian.verify import (
    Report,
    durable_end,
    verify_log,
    verify_manifests,
    verify_segments,
)
from penstock.log import Log, LogSettings
from penstock.model import Batch, Flag, Frame, Origin, Quality, TextColumn, ValueKind
from penstock.model.time import TIME_NS_MAX
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

FOLDER, LOG = Path("/data/segments"), Path("/data/log/0")
ORIGIN = Origin(UUID(int=7), 0, 1)
T0 = 1_790_000_000_000_000_000
S = 1_000_000_000


def batch(sequence: int, seed: int, rows: int = 300) -> Batch:
    """Rows of all kinds with what is difficult: NaN, infinities, -0.0, corrections, disorder."""
    chance = np.random.default_rng(seed)
    number = np.round(chance.normal(50, 10, rows), 1)
    number[:6] = [np.nan, np.inf, -np.inf, -0.0, 0.0, 1e308]
    flags = chance.choice([0, 0, 0, int(Flag.CORRECTION)], rows).astype(np.uint8)
    quality = chance.choice([Quality.GOOD, Quality.UNCERTAIN, Quality.BAD], rows).astype(np.uint8)
    time_ns = T0 + chance.integers(0, 3_600, rows) * S
    point = chance.integers(1, 4, rows).astype(np.uint32)
    words = TextColumn.of(chance.choice(["", "run", "stop", "ä"], rows).tolist())
    whole = chance.integers(-(2**62), 2**62, rows)
    return Batch(
        ORIGIN,
        sequence,
        (
            Frame(point, time_ns, number, quality, flags),
            Frame(point + np.uint32(10), time_ns, whole, quality, flags),
            Frame(point + np.uint32(20), time_ns, words, quality, flags),
        ),
    )


class Plant:
    """Two segments on a disk, and the manifests that list them."""

    def __init__(self) -> None:
        self.disk = FakeDisk()
        historian = Historian.open(self.disk, FOLDER, HistorianSettings())
        for sequence in (1, 2):
            historian.append(batch(sequence, sequence), sequence, TIME_NS_MAX)
            historian.seal(incarnation=1)
            historian.adopt(historian.write())
        self.infos = historian.manifest.segments

    def read(self, info: SegmentInfo) -> bytes:
        return self.disk.read(FOLDER / info.name)

    def report(self) -> Report:
        report = Report()
        paced: list[int] = []
        verify_segments(self.disk, FOLDER, self.infos, report, paced.append)
        verify_manifests(self.disk, FOLDER, report, paced.append)
        assert sum(paced) >= sum(info.file_bytes for info in self.infos) or report.damage
        return report

    def table(self, info: SegmentInfo) -> ChunkTable:
        return decode_table(self.read(info)[info.table_offset :], info.table_offset)


@pytest.fixture
def plant() -> Plant:
    return Plant()


def test_a_history_that_is_whole_has_no_damage(plant: Plant) -> None:
    report = plant.report()

    assert [] == report.damage
    assert (2, 2) == (report.segments, report.manifests)
    assert sum(info.rows for info in plant.infos) == report.rows > 1_000


def test_each_flipped_bit_is_found_with_its_place(plant: Plant) -> None:
    info = plant.infos[1]
    data, table = plant.read(info), plant.table(info)
    chance = np.random.default_rng(3)
    offsets = {0, HEADER_BYTES - 1, HEADER_BYTES, info.table_offset - 1, info.table_offset}
    offsets |= {info.file_bytes - 1, info.file_bytes - FOOTER_BYTES}
    offsets |= set(chance.integers(0, info.file_bytes, 150).tolist())
    for offset in sorted(offsets):
        broken = bytearray(data)
        broken[offset] ^= 1 << int(chance.integers(8))
        plant.disk.write_whole(FOLDER / info.name, [bytes(broken)])
        (found,) = plant.report().damage

        if HEADER_BYTES <= offset < info.table_offset:
            begin, size = int(table.offset[found.chunk]), int(table.bytes[found.chunk])
            assert ("chunk", True) == (found.what, begin <= offset < begin + size)
            assert f"segments/{info.name}@{begin}" == found.place
            assert int(table.point[found.chunk]) == found.point
        else:
            assert ("header" if offset < HEADER_BYTES else "table") == found.what
    plant.disk.write_whole(FOLDER / info.name, [data])
    assert [] == plant.report().damage


@pytest.mark.parametrize("size", [0, 1, HEADER_BYTES, -1, -FOOTER_BYTES])
def test_a_cut_file_is_found(plant: Plant, size: int) -> None:
    info = plant.infos[0]
    plant.disk.write_whole(FOLDER / info.name, [plant.read(info)[:size]])

    assert "file" == plant.report().damage[0].what


def test_a_missing_file_is_found_and_the_others_are_verified(plant: Plant) -> None:
    plant.disk.remove(FOLDER / plant.infos[0].name)
    report = plant.report()

    assert [("file", plant.infos[0].name)] == [(item.what, item.file) for item in report.damage]
    assert 2 == report.segments


@pytest.mark.parametrize(
    "column",
    [
        "minimum", "maximum", "mean", "m2", "integral", "valued_ns", "first_value", "last_value",
        "count", "worst_quality", "first_quality", "last_quality", "last_ns", "last_sequence",
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_its_rows_is_found_though_every_checksum_is_right(
    plant: Plant, column: str
) -> None:
    info = plant.infos[0]
    table = plant.table(info)
    wrong = getattr(table, column).copy()
    chunk = int(np.flatnonzero((table.count > 3) & (table.kind == ValueKind.INT))[0])
    wrong[chunk] = wrong[chunk] * 2 + 1 if wrong.dtype.kind == "f" else wrong[chunk] ^ 1
    changed = replace(table, **{column: wrong})
    data = plant.read(info)[: info.table_offset]
    plant.disk.write_whole(FOLDER / info.name, [data, *encode_table(changed, info.table_offset)])
    found = plant.report().damage

    assert [("statistics", chunk)] == [(item.what, item.chunk) for item in found if item.chunk >= 0]


def test_a_header_of_another_segment_is_found(plant: Plant) -> None:
    one, two = plant.infos
    data = plant.read(two)[:HEADER_BYTES] + plant.read(one)[HEADER_BYTES:]
    plant.disk.write_whole(FOLDER / one.name, [data])
    (found,) = plant.report().damage

    assert ("header", "another segment" in found.detail) == (found.what, True)


def test_a_manifest_that_says_something_else_is_found(plant: Plant) -> None:
    one, two = plant.infos
    plant.infos = (replace(one, rows=one.rows + 1), two)
    (found,) = plant.report().damage

    assert ("table", one.name) == (found.what, found.file)


def test_a_damaged_manifest_is_found(plant: Plant) -> None:
    newest, _ = read_newest(plant.disk, FOLDER)
    name = manifest_name(newest.version - 1)
    plant.disk.flip_bit(FOLDER / name, 100)
    (found,) = plant.report().damage

    assert (f"segments/{name}", "manifest") == (found.place, found.what)


def test_very_much_damage_is_counted_and_bounded(plant: Plant) -> None:
    empty = Manifest(0, 0, 0, (), read_newest(plant.disk, FOLDER)[0].last)
    for version in range(5, 1_205):
        broken = b"".join(bytes(part) for part in encode_manifest(empty))[:-1]
        plant.disk.write_whole(FOLDER / manifest_name(version), [broken])
    report = plant.report()

    assert (1_200, 1_000) == (report.damage_total, len(report.damage))


# --- the log


async def filled_log(disk: FakeDisk) -> int:
    settings = LogSettings(file_bytes_max=64 * 1024, ballast_bytes=64 * 1024, linger_ms=0)
    log = await Log.open(LOG, disk=disk, clock=FakeClock(), origin=ORIGIN, settings=settings)
    log.declare_reader("nobody", blocks=True)
    for number in range(1, 13):
        await log.append_batch(batch(number, number))
    durable = log.durable
    await log.close()
    return durable


def log_report(disk: FakeDisk, durable: int) -> Report:
    report = Report()
    verify_log(disk, LOG, durable, report, lambda _bytes: None)
    return report


async def test_a_log_that_is_whole_has_no_damage() -> None:
    disk = FakeDisk()
    durable = await filled_log(disk)
    report = log_report(disk, durable)

    assert [] == report.damage
    assert durable == report.log_records == durable_end(disk, LOG)
    assert report.log_files > 1


async def test_each_flipped_bit_of_a_log_file_is_found_with_its_records() -> None:
    disk = FakeDisk()
    durable = await filled_log(disk)
    chance = np.random.default_rng(5)
    names = [name for name in disk.list(LOG) if name.endswith(".log")]
    for name in names[:2]:
        for offset in [0, 70, *chance.integers(0, disk.size(LOG / name), 25).tolist()]:
            data = disk.read(LOG / name)
            disk.flip_bit(LOG / name, offset, int(chance.integers(8)))
            report = log_report(disk, durable)
            disk.write_whole(LOG / name, [data])

            assert report.damage, (name, offset)
            assert {name} == {item.file for item in report.damage}
            assert all(item.first_sequence > 0 or offset < 64 for item in report.damage)
    assert [] == log_report(disk, durable).damage


async def test_what_lies_behind_the_durable_end_is_no_damage() -> None:
    disk = FakeDisk()
    durable = await filled_log(disk)
    newest = [name for name in disk.list(LOG) if name.endswith(".log")][-1]
    file = disk.append_to(LOG / newest)
    file.append([b"half a record"])

    assert [] == log_report(disk, durable).damage
