"""The data folder that `./dev bench bitrot` hurts, and everything that can be asked of it.

Answers are multisets, so that a row that comes twice is seen. What names damage is kept
apart by file, because a missing row is excused only by the file that was hurt.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from _crash_writer import DAYS_2_NS, HISTORY, NODE, OWN, SLOTS, START_NS, batch
from sqlalchemy import Connection, MetaData, select

from penstock.historian import Historian
from penstock.historian.aggregate import Options, aggregate
from penstock.historian.block_query import visible_blocks
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.intervals import whole
from penstock.historian.query import rows_between
from penstock.log import Log, LogSettings, RecordKind
from penstock.model import (
    Asset,
    Batch,
    Block,
    Flag,
    Frame,
    Origin,
    Point,
    Quality,
    TextColumn,
    ValueKind,
)
from penstock.model.frame import Values
from penstock.registry.plan import RegistryPlan
from penstock.registry.store import load_assets, load_points, save
from penstock.security.seal import RowSeal
from penstock.security.users import UserStore, new_user
from penstock.state.engine import open_readers, open_writer
from penstock.state.migrate import migrate
from penstock.world import SystemClock, SystemDisk

LOG = LogSettings(
    linger_ms=0, file_bytes_max=16 * 1024, ballast_bytes=4096, cache_bytes_max=0, compress_after_s=0
)
POINTS = [3 * slot + kind for slot in SLOTS for kind in range(3)]
NUMBERS = [handle for handle in POINTS if handle % 3 != 2]
WAVES = (20, 21)
BLOCK_SAMPLES, BLOCK_NS = 200, 39_062.5
SEAL = RowSeal(bytes(range(32)))
BATCHES = 240
RAW_FROM = 180
TAIL = 10
USERS, ASSETS, POINTS_OF_ASSET = 12, 20, 6
TIMES = (-(2**63), 2**63 - 1)

Row = tuple[object, ...]
Rows = Counter[Row]


@dataclass
class Answers:
    """What a folder says: rows and Blocks by point, records of the log, and derived answers.

    `names` are what names damage; `derived` (newest values, aggregates) follows from the rows
    and is compared where no row is missing.
    """

    rows: dict[int, Rows]
    records: dict[int, Row]
    derived: tuple[object, ...]
    names: list[str]


# --- the folder


def corrected(slot: int, number: int) -> Batch:
    """The first row of each kind again, with another value that replaces it."""
    floats, integers, texts = batch(slot, number).frames
    flags, one = np.array([Flag.CORRECTION], np.uint8), np.array([0])
    values = (
        floats.value[one] + 0.5,  # type: ignore[index]
        integers.value[one] + 1,  # type: ignore[index]
        TextColumn.of([f"corrected {number}"]),
    )
    frames = [
        Frame(item.point[one], item.time_ns[one], value, item.quality[one], flags)
        for item, value in zip((floats, integers, texts), values, strict=True)
    ]
    return Batch(Origin(NODE, slot, 2), number, tuple(frames))


def waveforms(number: int) -> Batch:
    """A Block of each axis; each fifth comes again with other samples and hides the first."""
    t0_ns = START_NS + number * 60 * 10**9
    random = np.random.default_rng(number)
    blocks = []
    for axis, handle in enumerate(WAVES):
        noise = random.normal(0, 300, BLOCK_SAMPLES)
        samples = noise.astype("<f4") if axis else np.rint(noise).astype("<i2")
        blocks.append(Block(handle, t0_ns, BLOCK_NS, samples))
        if number % 5 == 0:
            flags = int(Flag.CORRECTION)
            blocks.append(
                Block(handle, t0_ns, BLOCK_NS, samples + samples.dtype.type(1), 192, flags)
            )
    return Batch(Origin(NODE, 9, 1), number, (), tuple(blocks))


def batches(number: int) -> list[Batch]:
    """What comes in one step: a batch a slot, now and then corrections and Blocks."""
    found = [batch(slot, number * 20) for slot in SLOTS]
    if number % 9 == 0:
        found += [corrected(slot, number * 20) for slot in SLOTS]
    if number % 3 == 0:
        found.append(waveforms(number))
    return found


async def make(folder: Path) -> dict[int, set[Row]]:
    """Days that are compacted, raw segments behind them, and a tail that is only in the log.

    Returns all rows by point as `rows_at` gives them, those too that a correction replaces.
    """
    stored: dict[int, set[Row]] = {handle: set() for handle in POINTS}
    disk, clock = SystemDisk(), SystemClock()
    log = await Log.open(folder / "log" / "0", disk=disk, clock=clock, origin=OWN, settings=LOG)
    historian = Historian.open(disk, folder / "segments", HISTORY)
    historian.resume(0)
    for number in range(1, BATCHES + 1):
        for item in batches(number):
            sequence = await log.append_batch(item)
            for frame in item.frames:
                for handle, row in frame_rows(frame, sequence):
                    stored[handle].add(row)
            if number < BATCHES - TAIL:
                historian.append(item, sequence, clock.now_ns())
        if number < BATCHES - TAIL and number % 20 == 0:
            historian.seal(log.incarnation)
            historian.adopt(historian.write())
        if number == RAW_FROM:
            compact(historian, folder / "segments")
    for _ in range(6):
        chosen = log.upkeep.choose()
        if chosen is not None:
            log.upkeep.adopt(await log.upkeep.in_thread(*chosen), chosen[1])
    await log.close()
    make_state(folder)
    return stored


def compact(historian: Historian, folder: Path) -> None:
    """Once; there is something to do."""
    proposal = compact_once(
        SystemDisk(),
        folder,
        historian.manifest,
        HISTORY,
        DecimalHints(),
        lambda _: None,
        lambda: False,
        now_ns=START_NS + 400 * DAYS_2_NS,
    )
    assert proposal is not None
    historian.swap(proposal)


def make_state(folder: Path) -> None:
    """Users, assets and points in every row of which something can be wrong."""
    url = f"sqlite:///{folder / 'state.db'}"
    migrate(url)
    engine = open_writer(url)
    users = UserStore(SEAL)
    with engine.begin() as connection:
        for number in range(USERS):
            user = new_user(
                f"user{number}", f"User {number}", "$argon2id$" + "x" * 60, ("viewer",), 1
            )
            users.add(connection, user)
        save(connection, registry(), 1)
    engine.dispose()
    (folder / "FORMAT").write_text(json.dumps({"format": 1, "keys": "0a1b2c3d"}) + "\n")


def registry() -> RegistryPlan:
    """Assets with their points."""
    assets, points = [], []
    for number in range(ASSETS):
        path = f"Plant/Line {number // 5}/Pump {number}"
        assets.append(
            Asset(UUID(int=1_000 + number), path, "unit", "pump", f"Pump number {number}")
        )
        for place in range(POINTS_OF_ASSET):
            name, handle = f"signal {place}", 1 + number * POINTS_OF_ASSET + place
            id_ = UUID(int=100_000 + handle)
            kind = ValueKind(1 + place % 3)
            fields = {"unit": "bar", "low": 0.0, "high": 10.0 + place, "connector": f"line{number}"}
            labels = {0: "off", 1: "on"} if kind is ValueKind.INT else {}
            points.append(
                Point(id_, handle, f"{path}/{name}", path, name, kind, labels=labels, **fields)  # type: ignore[arg-type]
            )
    return RegistryPlan(tuple(assets), tuple(points), tuple(points), (), (), (), {}, ())


# --- everything that can be asked


def rows_at(historian: Historian, handle: int) -> Rows:
    """Rows of a point, without those that say that data is lost."""
    found: Rows = Counter()
    for piece in rows_between(historian.pin([handle]), handle, *TIMES):
        columns = (piece.time_ns, piece.quality, piece.flags, piece.sequence)
        rows = zip(bits_of(piece.value), *(column.tolist() for column in columns), strict=True)
        found.update(row for row in rows if row[2] != Quality.BAD_DATA_LOST)
    return found


def bits_of(value: Values) -> list[object]:
    """Values so that they can be compared bit by bit: NaN is itself."""
    bits = value.to_list() if isinstance(value, TextColumn) else value.view(np.uint64).tolist()
    return list(bits)


def frame_rows(frame: Frame, sequence: int) -> Iterator[tuple[int, Row]]:
    """(handle, row) of each row that is appended, the row as `rows_at` gives it."""
    columns = (frame.point, frame.time_ns, frame.quality, frame.flags)
    rows = zip(bits_of(frame.value), *(column.tolist() for column in columns), strict=True)
    for value, handle, *rest in rows:
        yield int(handle), (value, *rest, sequence)


def blocks_at(historian: Historian, handle: int) -> Rows:
    """Blocks of a point whose samples can be read."""
    found: Rows = Counter()
    seen = visible_blocks(historian.pin([handle]), handle, *TIMES)
    for row in range(len(seen)):
        block = seen.read(row)
        if block is not None:
            found[(*block_row(block), int(seen.heads.sequence[row]))] += 1
    return found


def block_row(block: Block) -> Row:
    samples = block.samples
    kind = samples.dtype.str
    return (block.t0_ns, block.dt_ns, kind, samples.tobytes(), block.quality, block.flags)


def record_row(payload: object) -> Row:
    """All of a record that a reader gets."""
    if not isinstance(payload, Batch):
        return (repr(payload),)
    frames = [
        (
            f.point.tobytes(),
            f.time_ns.tobytes(),
            f.quality.tobytes(),
            f.flags.tobytes(),
            tuple(f.value.to_list()) if isinstance(f.value, TextColumn) else f.value.tobytes(),
        )
        for f in payload.frames
    ]
    blocks = [(block.point, *block_row(block)) for block in payload.blocks]
    return (payload.origin, payload.sequence, tuple(frames), tuple(blocks))


def derived(historian: Historian) -> tuple[object, ...]:
    """Newest values, and aggregates that come from chunk tables."""
    last = historian.last.rows(np.array([*POINTS, *WAVES], np.uint32))
    values = [repr(last.value(row)) for row in range(len(last))]
    snapshot = historian.pin(NUMBERS)
    names = ["count", "min", "max", "mean", "first", "last"]
    found = aggregate(
        snapshot, NUMBERS, whole(START_NS, START_NS + 30 * DAYS_2_NS), names, Options()
    )
    columns = [[answer.columns[name].value.tolist() for name in names] for answer in found]
    return (values, last.time_ns.tolist(), last.quality.tolist(), repr(columns))


async def ask(folder: Path) -> Answers:
    """Open as the product does, replay, and ask for all there is."""
    disk, names = SystemDisk(), list[str]()
    log = await Log.open(
        folder / "log" / "0", disk=disk, clock=SystemClock(), origin=OWN, settings=LOG
    )
    try:
        historian = Historian.open(disk, folder / "segments", HISTORY)
        historian.resume(log.resume_after(*historian.position))
        records: dict[int, Row] = {}
        after = 0
        while found := log.read(after):
            for record in found:
                if record.kind == RecordKind.GAP and isinstance(record.payload, dict):
                    names.append(str(record.payload["file"]))
                    continue
                records[record.sequence] = record_row(record.payload)
                if record.sequence > historian.sequence:
                    if isinstance(record.payload, Batch):
                        historian.append(record.payload, record.sequence, record.receive_ns)
                    historian.pass_by(record.sequence)
            after = found[-1].sequence
            await asyncio.sleep(0)
        rows = {handle: rows_at(historian, handle) for handle in POINTS}
        rows |= {handle: blocks_at(historian, handle) for handle in WAVES}
        further = derived(historian)
        names += [str(place) for place in historian._store.damage]  # noqa: SLF001
        names += disk.list(folder / "log" / "quarantine")
        return Answers(rows, records, further, names)
    finally:
        await log.close()


def ask_state(folder: Path) -> dict[str, Rows]:
    """What the product reads, and every table besides: only sealed rows have a checksum."""
    engine = open_readers(f"sqlite:///{folder / 'state.db'}")
    try:
        with engine.connect() as connection:
            return {**read_state(connection), **tables(connection)}
    finally:
        engine.dispose()


def read_state(connection: Connection) -> dict[str, Rows]:
    """Users, points and assets as their stores give them."""
    read: dict[str, Sequence[object]] = {
        "users as read": UserStore(SEAL).all(connection),
        "points as read": load_points(connection),
        "assets as read": load_assets(connection),
    }
    return {name: Counter((repr(item),) for item in items) for name, items in read.items()}


def tables(connection: Connection) -> dict[str, Rows]:
    """All rows of all tables."""
    metadata = MetaData()
    metadata.reflect(connection)
    return {
        name: Counter(tuple(row) for row in connection.execute(select(table)))
        for name, table in metadata.tables.items()
    }


def is_noticed_by_sqlite(folder: Path) -> bool:
    """Would `PRAGMA integrity_check` have found it? The product asks it in doctor and backup."""
    engine = open_readers(f"sqlite:///{folder / 'state.db'}")
    try:
        with engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
            return bool(found != "ok")
    finally:
        engine.dispose()
