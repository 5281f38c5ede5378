"""Recovery: what the files hold after whatever happened, read before anything is written.

Only the newest files are read, back to the first whose head (dictionary and
checkpoint) is whole; older ones are verified when they are read. The watermark page
is a witness: what it calls durable and the files lack is a loss, not a torn tail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from penstock.codec.dictionary import DictionaryEntry, Interval
from penstock.codec.layout import Damaged
from penstock.codec.log_file import FILE_HEADER_BYTES, Watermark, decode_file_header
from penstock.codec.record import RecordKind
from penstock.log.files import SEQUENCE_END, Found, Hole, LogFile, end_of, scan
from penstock.log.quarantine import keep_bytes
from penstock.log.received import DAY_NS, Received
from penstock.log.record import decode_payload
from penstock.log.store import FileStore

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.world import Disk

CHECKPOINT_INTERVALS_MAX = 100_000
# What a start writes of its own accord, also one that came to nothing.
_OF_A_START = frozenset({RecordKind.DICTIONARY, RecordKind.CHECKPOINT, RecordKind.GAP})


@dataclass(slots=True)
class Recovered:
    """State of the log as its files tell it; `last` is the newest sequence, 0 for none.

    `heard_ns` is the receive time of the newest record that shows somebody at work: data, an
    event, a command; 0 for none.
    """

    files: list[LogFile]
    sizes: dict[LogFile, int]
    incarnation: int = 0
    last: int = 0
    receive_ns: int = 0
    heard_ns: int = 0
    received: Received = field(default_factory=Received)
    dictionary: dict[int, DictionaryEntry] = field(default_factory=dict)
    holes: list[tuple[LogFile, Hole]] = field(default_factory=list)
    torn_bytes: int = 0
    headed: LogFile | None = None


@dataclass(slots=True)
class _Scanned:
    """One file: what it adds to the state, in order."""

    file: LogFile
    changes: list[Interval | DictionaryEntry] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    has_header: bool = False
    has_head: bool = False
    records: int = 0
    last: int = 0
    receive_ns: int = 0
    heard_ns: int = 0
    day: int = 0
    end: int = 0
    size: int = 0


def recover(folder: Path, disk: Disk, mark: Watermark | None) -> Recovered:
    """Read, cut the torn tail, and make durable what is there, so that readers may see it."""
    store = FileStore(folder, disk)
    store.clean()
    files = store.files()
    state = Recovered(files, {file: store.stored_bytes(file) for file in files})
    state.incarnation = max((file.incarnation for file in files), default=0)
    scanned = _scan_newest(store, files)
    for item in scanned:
        _apply(state, item)
        if item.has_head:
            state.headed = item.file
    _cut_tail(store, state, scanned, mark)
    _compare_with_mark(state, mark)
    return state


def has_head(store: FileStore, file: LogFile, end: int) -> bool:
    """Does the file repeat all that older ones said, so that a start needs none of them?"""
    return _scan_file(file, store.read(file), end).has_head


def _scan_newest(store: FileStore, files: list[LogFile]) -> list[_Scanned]:
    scanned: list[_Scanned] = []
    for index in reversed(range(len(files))):
        data = store.read(files[index])
        scanned.insert(0, _scan_file(files[index], data, end_of(files, index)))
        if scanned[0].has_head:
            break
    return scanned


def _scan_file(file: LogFile, data: bytes, end: int) -> _Scanned:
    result = _Scanned(file, last=file.first - 1, size=len(data))
    result.end = min(FILE_HEADER_BYTES, len(data))
    result.has_header = _has_header(data)
    for item in scan(data, FILE_HEADER_BYTES, file.first, end):
        if isinstance(item, Hole):
            result.holes.append(item)
            continue
        result.records += 1
        result.last, result.receive_ns = item.header.sequence, item.header.receive_ns
        result.end = item.end
        _note(result, item)
    return result


def _has_header(data: bytes) -> bool:
    try:
        decode_file_header(data)
    except Damaged:
        return False
    return True


def _note(result: _Scanned, item: Found) -> None:
    header = item.header
    if header.kind not in _OF_A_START:
        result.heard_ns = header.receive_ns
    if header.kind == RecordKind.BATCH:
        number = header.origin_sequence
        day = header.receive_ns // DAY_NS
        result.changes.append(Interval(header.origin, number, number, day))
    elif header.kind in (RecordKind.DICTIONARY, RecordKind.CHECKPOINT):
        entries = decode_payload(header, item.payload)
        assert isinstance(entries, list)
        result.changes.extend(entries)
        result.day = header.receive_ns // DAY_NS
        is_short = len(entries) < CHECKPOINT_INTERVALS_MAX
        if header.kind == RecordKind.CHECKPOINT and is_short and not result.holes:
            result.has_head = True


def _apply(state: Recovered, item: _Scanned) -> None:
    for change in item.changes:
        if isinstance(change, Interval):
            # A checkpoint of an earlier version does not tell the day.
            day = change.day or item.day
            state.received.note(change.origin, change.first, change.last, day)
        else:
            state.dictionary[change.handle] = change
    state.last = max(state.last, item.last)
    state.receive_ns = max(state.receive_ns, item.receive_ns)
    state.heard_ns = max(state.heard_ns, item.heard_ns)
    state.holes += [(item.file, hole) for hole in item.holes if hole.last >= hole.first]


def _cut_tail(
    store: FileStore, state: Recovered, scanned: list[_Scanned], mark: Watermark | None
) -> None:
    """Cut behind the last good record; files without any are left-overs of starts.

    The newest of those stays if its header is whole: it tells which incarnation is used up.
    """
    for item in reversed(scanned):
        is_newest = end_of(state.files, state.files.index(item.file)) == SEQUENCE_END
        is_empty = item.records == 0 and not _has_missing(item)
        is_empty &= not (item is scanned[-1] and item.has_header)
        if not is_newest and not is_empty:
            return
        state.torn_bytes += item.size - (0 if is_empty else item.end)
        if mark is not None and mark.sequence > item.last and item.size > item.end:
            data = store.read(item.file, item.end)
            name = f"{item.file.name}@{item.end:010d}.torn"
            keep_bytes(store.folder, store.disk, name, data)
        if is_empty:
            store.remove(item.file)
            state.files.remove(item.file)
            del state.sizes[item.file]
        elif is_newest and not store.is_compressed(item.file):
            _cut(store, state, item)
            store.disk.renew(store.folder / item.file.name, _sound_bytes(item, mark))


def _has_missing(item: _Scanned) -> bool:
    return any(hole.last >= hole.first for hole in item.holes)


def _sound_bytes(item: _Scanned, mark: Watermark | None) -> int:
    """Bytes of the file that a sync has covered; behind them the kernel may only claim it.

    A process whose sync failed, and which died before it could cut the tail, leaves
    pages that can be read, are not on the medium, and are not dirty either.
    """
    if mark is None or mark.incarnation != item.file.incarnation:
        return 0
    is_of_this_file = item.file.first <= mark.sequence <= item.last
    return min(mark.size, item.end) if is_of_this_file else 0


def _cut(store: FileStore, state: Recovered, item: _Scanned) -> None:
    """Cut even when nothing is torn: the cut syncs what a killed process had only written."""
    file = store.disk.append_to(store.folder / item.file.name)
    try:
        file.truncate(item.end)
    finally:
        file.close()
    state.sizes[item.file] = item.end


def _compare_with_mark(state: Recovered, mark: Watermark | None) -> None:
    if mark is None or mark.sequence <= state.last:
        return
    file = state.files[-1] if state.files else LogFile(max(1, state.incarnation), 1)
    offset = state.sizes.get(file, 0)
    state.holes.append((file, Hole(state.last + 1, mark.sequence, offset, 0)))
    state.last = mark.sequence
    state.incarnation = max(state.incarnation, mark.incarnation)
