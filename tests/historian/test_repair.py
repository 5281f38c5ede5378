"""Repair: what the log still has comes back as it was; what it has not stays a named gap."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_verify import FOLDER, LOG, ORIGIN, T0, S, batch

from penstock.codec.log_file import LogFileHeader, encode_file_header
from penstock.historian import Historian, HistorianSettings
from penstock.historian.query import raw
from penstock.historian.repair import (
    LogSpan,
    Repaired,
    keep_in_quarantine,
    repair_segments,
)
from penstock.historian.segment import (
    HEADER_BYTES,
    ChunkFlag,
    ChunkTable,
    SegmentInfo,
    decode_header,
    decode_table,
)
from penstock.historian.verify import Damage, Report, verify_segments
from penstock.log import Log, LogSettings
from penstock.log.files import LogFile
from penstock.model import Batch, Block, Quality, TextColumn, ValueKind
from penstock.model.time import TIME_NS_MAX
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk

POINTS = (1, 2, 3, 11, 12, 13, 21, 22, 23)
WAVE = 31
LOG_SETTINGS = LogSettings(file_bytes_max=32 * 1024, ballast_bytes=64 * 1024, linger_ms=0)


def with_block(number: int) -> Batch:
    samples = np.arange(1_000, dtype=np.int16) * number
    block = Block(WAVE, T0 + number * S, 39_062.5, samples, int(Quality.GOOD), 0)
    made = batch(number, number)
    return Batch(ORIGIN, number, made.frames, (block,))


class Plant:
    """A log of twelve batches, and three segments with four of them each."""

    def __init__(self, log: Log, disk: FakeDisk) -> None:
        self.log = log
        self.disk = disk
        self.historian = Historian.open(disk, FOLDER, HistorianSettings())

    async def fill(self) -> None:
        """Batches with whatever is difficult, flushed by four."""
        for number in range(1, 13):
            made = with_block(number)
            sequence = await self.log.append_batch(made)
            self.historian.append(made, sequence, TIME_NS_MAX)
            if number % 4 == 0:
                self.historian.seal(self.log.incarnation)
                self.historian.adopt(self.historian.write())

    @property
    def info(self) -> SegmentInfo:
        """The segment that a test damages."""
        return self.historian.manifest.segments[1]

    def table(self) -> ChunkTable:
        data = self.disk.read(FOLDER / self.info.name)
        return decode_table(data[self.info.table_offset :], self.info.table_offset)

    def damage(self, chunk: int) -> None:
        offset, size = int(self.table().offset[chunk]), int(self.table().bytes[chunk])
        self.disk.flip_bit(FOLDER / self.info.name, offset + size // 2, 3)

    def found(self) -> list[Damage]:
        report = Report()
        segments = self.historian.manifest.segments
        verify_segments(self.disk, FOLDER, segments, report, lambda _bytes: None)
        return report.damage

    def repair(self) -> Repaired:
        """As compute does it, and core's commit."""
        span = LogSpan(self.disk, LOG, self.log.durable)
        manifest = self.historian.manifest
        done = repair_segments(
            self.disk,
            FOLDER,
            manifest.segments,
            manifest.version,
            self.found(),
            span,
            lambda _bytes: None,
        )
        if done.proposal is not None:
            self.historian.swap(done.proposal)
            self.historian.forget_replaced()
        return done

    def answers(self) -> list[object]:
        """All rows of all points, in a fresh historian."""
        again = Historian.open(self.disk, FOLDER, HistorianSettings())
        found: list[object] = []
        for point in POINTS:
            rows, _ = raw(again.pin([point]), point, 0, 2**62, 100_000)
            value = rows.value
            bits = value.to_list() if isinstance(value, TextColumn) else value.view(np.uint64)
            found.append(
                [
                    rows.time_ns.tolist(),
                    list(bits),
                    rows.quality.tolist(),
                    rows.flags.tolist(),
                    rows.sequence.tolist(),
                ]
            )
        return found


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    disk = FakeDisk()
    log = await Log.open(
        LOG, disk=disk, clock=FakeClock(T0 + 86_400 * S), origin=ORIGIN, settings=LOG_SETTINGS
    )
    log.declare_reader("nobody", blocks=True)
    made = Plant(log, disk)
    await made.fill()
    yield made
    await log.close()


def chunks_of(table: ChunkTable) -> list[int]:
    return list(range(len(table)))


async def test_every_chunk_of_every_kind_comes_back_as_it_was(plant: Plant) -> None:
    before, name = plant.answers(), plant.info.name
    table = plant.table()
    kinds = {int(kind) for kind in table.kind}
    assert {int(kind) for kind in ValueKind} <= kinds
    assert (table.flags & ChunkFlag.SIDE).any(), "replaced rows are among them"
    for chunk in chunks_of(table):
        plant.damage(chunk)
    assert len(table) == len(plant.found())
    done = plant.repair()

    assert ({}, len(table)) == (done.left, len(done.mended))
    assert [] == plant.found()
    assert before == plant.answers()
    assert name not in plant.disk.list(FOLDER), "the damaged file is replaced"


async def test_a_repaired_chunk_costs_the_other_chunks_nothing(plant: Plant) -> None:
    before, table = plant.answers(), plant.table()
    data = plant.disk.read(FOLDER / plant.info.name)
    plant.damage(4)
    done = plant.repair()
    new_table, new = plant.table(), plant.disk.read(FOLDER / plant.info.name)

    assert [f"@{int(table.offset[4])}"] == [place[place.index("@") :] for place in done.mended]
    assert before == plant.answers()
    for chunk in (0, 3, 5, len(table) - 1):
        old_at, new_at = int(table.offset[chunk]), int(new_table.offset[chunk])
        size = int(table.bytes[chunk])
        assert data[old_at : old_at + size] == new[new_at : new_at + size]


@pytest.mark.parametrize("where", ["table", "footer", "cut", "gone"])
async def test_a_segment_without_a_table_is_rebuilt_whole(plant: Plant, where: str) -> None:
    before, info = plant.answers(), plant.info
    path = FOLDER / info.name
    if where == "gone":
        plant.disk.remove(path)
    elif where == "cut":
        plant.disk.write_whole(path, [plant.disk.read(path)[: info.table_offset - 9]])
    else:
        offset = info.table_offset + 40 if where == "table" else info.file_bytes - 3
        plant.disk.flip_bit(path, offset, 1)
    done = plant.repair()

    assert ({}, True) == (done.left, bool(done.mended))
    assert ([], before) == (plant.found(), plant.answers())


async def test_a_damaged_header_is_written_anew(plant: Plant) -> None:
    old = decode_header(plant.disk.read(FOLDER / plant.info.name, 0, HEADER_BYTES))
    plant.disk.flip_bit(FOLDER / plant.info.name, 20, 1)
    plant.repair()
    new = decode_header(plant.disk.read(FOLDER / plant.info.name, 0, HEADER_BYTES))

    assert [] == plant.found()
    assert (old.after, old.until, old.incarnation) == (new.after, new.until, new.incarnation)


async def test_what_the_log_has_lost_stays_damaged_and_is_named(plant: Plant) -> None:
    table = plant.table()
    plant.damage(2)
    plant.damage(len(table) - 1)
    first = int(table.first_sequence[2])
    for name in plant.disk.list(LOG):
        if name.endswith(".log") and int(name[9:29]) <= first:
            plant.disk.remove(LOG / name)
    before = plant.info.name
    done = plant.repair()

    assert f"segments/{before}@{int(table.offset[2])}" in done.left
    assert all("any more" in why for why in done.left.values())
    still = {item.place.partition("@")[2] for item in plant.found()}
    left = {place.partition("@")[2] for place in done.left}
    assert len(still) == len(left) >= 1


async def test_records_that_do_not_fit_the_table_are_not_taken_for_the_lost_rows(
    plant: Plant,
) -> None:
    """A log that lost its end gives its sequences again, to other data."""
    other = FakeDisk()
    log = await Log.open(
        LOG,
        disk=other,
        clock=FakeClock(T0 + 86_400 * S),
        origin=ORIGIN,
        settings=LogSettings(linger_ms=0),
    )
    log.declare_reader("nobody", blocks=True)
    for number in range(1, 25):
        await log.append_batch(batch(number, number + 100))
    plant.damage(2)
    span = LogSpan(other, LOG, log.durable)
    manifest = plant.historian.manifest
    done = repair_segments(
        plant.disk, FOLDER, manifest.segments, 1, plant.found(), span, lambda _bytes: None
    )
    await log.close()

    assert (None, []) == (done.proposal, done.mended)
    assert ["what the log has is not what was in the chunk"] == list(done.left.values())


OTHER_COUNT = "what the log has is not what was in the file"
OTHER_START = "the log has given the sequences of the file again, to others"


@pytest.mark.parametrize(
    ("rows", "is_gone", "why"), [(299, True, OTHER_COUNT), (300, False, OTHER_START)]
)
async def test_a_whole_segment_is_not_rebuilt_from_a_log_with_other_data(
    plant: Plant, rows: int, is_gone: bool, why: str
) -> None:
    """Other rows are told by their number; equally many by the start that wrote the records."""
    other, files = FakeDisk(), plant.disk.list(FOLDER)
    log = await later_log(other, rows)
    path = FOLDER / plant.info.name
    if is_gone:
        plant.disk.remove(path)
    else:
        plant.disk.flip_bit(path, plant.info.table_offset + 40, 1)
        plant.disk.flip_bit(path, plant.info.table_offset + 48, 1)
    span, segments = LogSpan(other, LOG, log.durable), plant.historian.manifest.segments
    done = repair_segments(
        plant.disk, FOLDER, segments, 1, plant.found(), span, lambda _bytes: None
    )
    await log.close()

    assert (None, []) == (done.proposal, done.mended)
    assert [why] == list(done.left.values())
    left = [name for name in files if not is_gone or name != plant.info.name]
    assert left == plant.disk.list(FOLDER), "what was written meanwhile is gone"


async def later_log(disk: FakeDisk, rows: int) -> Log:
    """The same sequences given again with other values, after starts that the plant never saw."""
    used_up = LogFileHeader(incarnation=9, first_sequence=1, created_ns=0)
    disk.make_folder(LOG)
    disk.write_whole(LOG / LogFile(9, 1).name, [encode_file_header(used_up)])
    log = await Log.open(
        LOG, disk=disk, clock=FakeClock(T0 + 86_400 * S), origin=ORIGIN, settings=LOG_SETTINGS
    )
    log.declare_reader("nobody", blocks=True)
    for number in range(1, 25):
        first, *others = batch(number, number, rows).frames
        assert isinstance(first.value, np.ndarray)
        moved = replace(first, value=first.value + 1.0)
        await log.append_batch(Batch(ORIGIN, number, (moved, *others), with_block(number).blocks))
    return log


async def test_a_full_disk_leaves_everything_as_it_was(plant: Plant) -> None:
    plant.damage(2)
    files = plant.disk.list(FOLDER)
    plant.disk.capacity_bytes = plant.disk.used_bytes() + 100
    with pytest.raises(OSError, match="full"):
        plant.repair()

    assert files == plant.disk.list(FOLDER)


# --- quarantine


def test_a_damaged_file_is_kept_and_the_oldest_copies_make_room() -> None:
    disk, data = FakeDisk(), Path("/data")
    disk.make_folder(FOLDER)
    for number in range(5):
        disk.write_whole(FOLDER / f"{number}.seg", [bytes([number]) * 400])
        name = keep_in_quarantine(disk, data, FOLDER / f"{number}.seg", 1_000)
        assert name is not None
        assert bytes([number]) * 400 == disk.read(data / "quarantine" / name)

    assert ["00000004-3.seg", "00000005-4.seg"] == disk.list(data / "quarantine")
    assert None is keep_in_quarantine(disk, data, FOLDER / "0.seg", 100)
    assert None is keep_in_quarantine(disk, data, FOLDER / "gone.seg", 1_000)
