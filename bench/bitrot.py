"""One flipped bit or a cut in any file at rest: no wrong answer, damage named, the rest readable.

./dev bench bitrot [--flips 1000] [--seed 1]: a data folder with raw and compacted segments,
side chunks, plain and compressed log files, manifests, watermark, state.db and FORMAT is
made once; each flip hurts one file of a copy, opens it as the product does, and asks
everything. An answer is wrong when a row comes back that was never stored, or is missing
without being named.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import random
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import structlog
from _crash_writer import DAYS_2_NS, HISTORY, NODE, OWN, SLOTS, START_NS, batch
from _kit import emit, say
from sqlalchemy import MetaData, select
from sqlalchemy.exc import DatabaseError

from penstock.codec.layout import Damaged
from penstock.historian import Historian
from penstock.historian.compaction import compact_once
from penstock.historian.encode import DecimalHints
from penstock.historian.query import rows_between
from penstock.log import Log, LogSettings, RecordKind
from penstock.model import Batch, ConfigError, Flag, Frame, Origin, Quality, Refused, TextColumn
from penstock.node.home import Home
from penstock.registry.store import load_assets, load_points
from penstock.security.seal import RowDamaged, RowSeal
from penstock.security.users import UserStore, new_user
from penstock.state.engine import open_readers, open_writer
from penstock.state.migrate import migrate
from penstock.world import SystemClock, SystemDisk

LOG = LogSettings(
    linger_ms=0, file_bytes_max=16 * 1024, ballast_bytes=4096, cache_bytes_max=0, compress_after_s=0
)
POINTS = [3 * slot + kind for slot in SLOTS for kind in range(3)]
SEAL = RowSeal(bytes(range(32)))
BATCHES = 240
RAW_FROM = 180
USERS = 12

Row = tuple[object, ...]


@dataclass
class Truth:
    """Answers of the unhurt folder."""

    rows: dict[int, set[Row]]
    records: dict[int, Row]
    tables: dict[str, set[Row]]
    key_name: str


@dataclass
class Verdict:
    """What one flip did."""

    wrong: int = 0
    is_same: bool = True
    names: list[str] = field(default_factory=list)
    is_refused: bool = False
    read_rows: int = 0


# --- the folder


def corrected(slot: int, number: int) -> Batch:
    """The first row of a batch again, with another value that replaces it."""
    frame = batch(slot, number).frames[0]
    flags = np.array([Flag.CORRECTION], np.uint8)
    one = np.array([0])
    return Batch(
        Origin(NODE, slot, 2),
        number,
        (
            Frame(
                frame.point[one],
                frame.time_ns[one],
                frame.value[one] + 0.5,
                frame.quality[one],
                flags,
            ),
        ),  # type: ignore[index,operator]
    )


async def make(folder: Path) -> None:
    """Days that are compacted, raw segments behind them, and a tail that is only in the log."""
    disk, clock = SystemDisk(), SystemClock()
    log = await Log.open(folder / "log" / "0", disk=disk, clock=clock, origin=OWN, settings=LOG)
    historian = Historian.open(disk, folder / "segments", HISTORY)
    historian.resume(0)
    for number in range(1, BATCHES + 1):
        for slot in SLOTS:
            items = [batch(slot, number * 20)]
            if number % 9 == 0:
                items.append(corrected(slot, number * 20))
            for item in items:
                sequence = await log.append_batch(item)
                if number < BATCHES - 10:
                    historian.append(item, sequence, START_NS)
        if number < BATCHES - 10 and number % 20 == 0:
            historian.seal(log.incarnation)
            historian.adopt(historian.write())
        if number == RAW_FROM:
            proposal = compact_once(
                disk,
                folder / "segments",
                historian.manifest,
                HISTORY,
                DecimalHints(),
                lambda _: None,
                lambda: False,
                now_ns=START_NS + 400 * DAYS_2_NS,
            )
            assert proposal is not None
            historian.swap(proposal)
    for _ in range(6):
        chosen = log.upkeep.choose()
        if chosen is not None:
            log.upkeep.adopt(await log.upkeep.in_thread(*chosen), chosen[1])
    await log.close()
    make_state(folder)


def make_state(folder: Path) -> None:
    url = f"sqlite:///{folder / 'state.db'}"
    migrate(url)
    engine = open_writer(url)
    users = UserStore(SEAL)
    with engine.begin() as connection:
        for number in range(USERS):
            users.add(
                connection,
                new_user(
                    f"user{number}", f"User {number}", "$argon2id$" + "x" * 60, ("viewer",), 1
                ),
            )
    engine.dispose()
    (folder / "FORMAT").write_text(json.dumps({"format": 1, "keys": "0a1b2c3d"}) + "\n")


# --- everything that can be asked


def rows_at(historian: Historian, handle: int) -> tuple[set[Row], int]:
    """(good rows, rows that say that data is lost)."""
    found: set[Row] = set()
    lost = 0
    for piece in rows_between(historian.pin([handle]), handle, -(2**63), 2**63 - 1):
        value = piece.value
        bits = value.to_list() if isinstance(value, TextColumn) else value.view(np.uint64).tolist()
        columns = (piece.time_ns, piece.quality, piece.flags, piece.sequence)
        for row in zip(bits, *(column.tolist() for column in columns), strict=True):
            if row[2] == Quality.BAD_DATA_LOST:
                lost += 1
            else:
                found.add(row)
    return found, lost


def record_row(payload: object) -> Row:
    if isinstance(payload, Batch):
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
        return (payload.origin, payload.sequence, tuple(frames))
    return (repr(payload),)


async def ask(folder: Path) -> tuple[dict[int, set[Row]], dict[int, Row], int, list[str]]:
    """Rows by point, records by sequence, rows that say "lost", names of damage."""
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
                records[record.sequence] = record_row(record.payload)
                if record.sequence > historian.sequence:
                    if isinstance(record.payload, Batch):
                        historian.append(record.payload, record.sequence, record.receive_ns)
                    historian.pass_by(record.sequence)
            after = found[-1].sequence
            await asyncio.sleep(0)
        answers = {handle: rows_at(historian, handle) for handle in POINTS}
        names += [str(place) for place in historian._store.damage]  # noqa: SLF001
        names += ["log" for _ in range(log.statistics()["gaps"] + log.statistics()["torn_bytes"])]
        rows = {handle: found for handle, (found, _) in answers.items()}
        return rows, records, sum(lost for _, lost in answers.values()), names
    finally:
        await log.close()


def ask_state(folder: Path) -> dict[str, set[Row]]:
    """Every table as the product reads it: sealed rows are checked, the others cannot be."""
    engine = open_readers(f"sqlite:///{folder / 'state.db'}")
    try:
        with engine.connect() as connection:
            UserStore(SEAL).all(connection)
            load_points(connection)
            load_assets(connection)
            metadata = MetaData()
            metadata.reflect(connection)
            return {
                name: {tuple(row) for row in connection.execute(select(table))}
                for name, table in metadata.tables.items()
            }
    finally:
        engine.dispose()


# --- one flip


def hurt(path: Path, chance: random.Random) -> str:
    """Flip one bit, or cut the file; what was done."""
    data = bytearray(path.read_bytes())
    if chance.random() < 0.15 or not data:
        size = chance.randrange(len(data)) if data else 0
        path.write_bytes(data[:size])
        return f"cut to {size}"
    at, bit = chance.randrange(len(data)), chance.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(data)
    return f"bit {bit} of byte {at}"


def judge_data(folder: Path, truth: Truth, captured: list[dict[str, object]]) -> Verdict:
    verdict = Verdict()
    try:
        rows, records, lost, names = asyncio.run(ask(folder))
    except (ConfigError, Refused) as error:
        return Verdict(is_same=False, is_refused=True, names=[str(error)])
    verdict.names = names + [str(entry) for entry in captured if entry["log_level"] != "info"]
    for handle in POINTS:
        extra, missing = rows[handle] - truth.rows[handle], truth.rows[handle] - rows[handle]
        verdict.wrong += len(extra)
        verdict.is_same &= not missing
        verdict.read_rows += len(rows[handle])
        if missing and not verdict.names and not lost:
            verdict.wrong += len(missing)
    for sequence, row in records.items():
        if sequence in truth.records and truth.records[sequence] != row:
            verdict.wrong += 1
    is_less = bool(truth.records.keys() - records.keys())
    verdict.is_same &= not is_less
    if is_less and not verdict.names:
        verdict.wrong += 1
    return verdict


def judge_state(folder: Path, truth: Truth) -> Verdict:
    try:
        tables = ask_state(folder)
    except (DatabaseError, RowDamaged, ValueError, LookupError, TypeError) as error:
        return Verdict(is_same=False, is_refused=True, names=[f"{type(error).__name__}: {error}"])
    return Verdict(
        is_same=tables == truth.tables,
        wrong=sum(len(tables.get(name, set()) - rows) for name, rows in truth.tables.items()),
    )


def judge_format(folder: Path, truth: Truth) -> Verdict:
    home = Home(folder.parent)
    try:
        name = home.key_name()
    except (ConfigError, AssertionError, ValueError, KeyError, TypeError) as error:
        return Verdict(is_same=False, is_refused=True, names=[f"{type(error).__name__}: {error}"])
    is_same = name == truth.key_name
    return Verdict(is_same=is_same, names=[] if is_same else ["keys that are not there"])


def kind_of(path: Path) -> str:
    if path.name.startswith("manifest"):
        return "manifest"
    if path.suffix == ".seg":
        return "day segment" if int(path.stem.rpartition("-")[2]) % 2 else "raw segment"
    return {".log": "log", ".logz": "compressed log", ".db": "state.db"}.get(path.suffix, path.name)


def run(flips: int, seed: int, base: Path) -> dict[str, object]:
    source = base / "source" / "data"
    source.mkdir(parents=True)
    asyncio.run(make(source))
    clean = base / "clean" / "data"
    shutil.copytree(source, clean)
    rows, records, _, names = asyncio.run(ask(clean))
    assert not names, names
    truth = Truth(rows, records, ask_state(source), Home(source.parent).key_name())
    by_kind: dict[str, list[Path]] = {}
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name not in {"ballast", "lock"} and path.stat().st_size:
            by_kind.setdefault(kind_of(path), []).append(path.relative_to(source))
    say(
        f"{sum(map(len, truth.rows.values()))} rows, {len(records)} records, files: "
        f"{ {kind: len(paths) for kind, paths in by_kind.items()} }"
    )
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in by_kind}
    failures: list[str] = []
    for number in range(flips):
        chance = random.Random(seed * 1_000_003 + number)
        kind = chance.choice(sorted(by_kind))
        path = chance.choice(by_kind[kind])
        place = base / "flip" / "data"
        shutil.copytree(source, place)
        done = hurt(place / path, chance)
        verdict = one(place, kind, truth)
        note(counts[kind], verdict, failures, f"flip {number}: {path}, {done}", kind)
        shutil.rmtree(place.parent)
    return summary(counts, failures)


def one(place: Path, kind: str, truth: Truth) -> Verdict:
    with structlog.testing.capture_logs() as captured:
        if kind == "state.db":
            return judge_state(place, truth)
        if kind == "FORMAT":
            return judge_format(place, truth)
        return judge_data(place, truth, captured)  # type: ignore[arg-type]


def note(counts: Counter[str], verdict: Verdict, failures: list[str], what: str, kind: str) -> None:
    counts["flips"] += 1
    if kind == "state.db" and verdict.wrong:
        # SQLite has no checksums; only sealed rows are protected. Stated, not hidden.
        counts["not detected (rows without a checksum)"] += 1
        return
    counts["wrong answers"] += verdict.wrong
    if verdict.wrong:
        failures.append(f"{what}: {verdict.wrong} wrong")
    if verdict.is_refused and kind in ("manifest", "FORMAT"):
        name = what.partition(": ")[2].partition(",")[0].rpartition("/")[2]
        if name not in " ".join(verdict.names):
            failures.append(f"{what}: {verdict.names} does not name the file")
    if verdict.is_refused:
        counts["start refused, damage named"] += 1
    elif verdict.is_same:
        counts["harmless or healed"] += 1
    elif verdict.names:
        counts["detected, the rest readable"] += 1
    else:
        counts["not named"] += 1
        failures.append(f"{what}: data is missing and nothing names it")


def summary(counts: dict[str, Counter[str]], failures: list[str]) -> dict[str, object]:
    total: Counter[str] = Counter()
    for found in counts.values():
        total += found
    return {
        "flips": total["flips"],
        "wrong_answers": total["wrong answers"],
        "not_named": total["not named"],
        "detected": total["detected, the rest readable"] + total["start refused, damage named"],
        "harmless": total["harmless or healed"],
        "undetected_in_state_db": total["not detected (rows without a checksum)"],
        "by_kind": {kind: dict(found) for kind, found in counts.items()},
        "failures": failures[:20],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with contextlib.suppress(Damaged), tempfile.TemporaryDirectory(prefix="penstock-rot-") as name:
        found = run(options.flips, options.seed, Path(name))
        emit("bitrot", found)
        return 0 if not found["failures"] else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
