"""What must be true: plain lists of what was promised, and the rules in a few lines of Python.

The oracle hears every promise at the moment it is made (an acknowledgement on its
way counts, whether it arrives or not), and sees the log as a reader does.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from penstock.log import LogRecord, RecordKind
from penstock.model import Batch, Event, Flag, Frame, Origin, Quality, TextColumn, ValueKind

NO_VALUE = int(Flag.NO_VALUE)
Key = tuple[Origin, int]
Bits = int | str


@dataclass(frozen=True, slots=True)
class Row:
    """One sample; `bits` is the value to the bit."""

    time_ns: int
    bits: Bits
    quality: int
    flags: int
    sequence: int


def bits_of(frame: Frame) -> list[Bits]:
    """Values to the bit; all NaN are one."""
    if isinstance(frame.value, TextColumn):
        return list(frame.value.to_list())
    value: npt.NDArray[np.generic] = frame.value
    if value.dtype == np.float64:
        value = np.where(np.isnan(value), np.float64("nan"), value)
    return value.view(np.uint64).tolist()


@dataclass
class PointHistory:
    """Visible rows of one point: equal rows are one, a correction hides what was there.

    A row that comes again after it was corrected stays hidden: who sends old data
    again does not undo a correction.
    """

    moments: dict[int, list[Row]] = field(default_factory=dict)
    known: set[tuple[int, Bits, int]] = field(default_factory=set)
    all_rows: list[Row] = field(default_factory=list)
    newest: Row | None = None

    def add(self, row: Row) -> None:
        self.all_rows.append(row)
        moment, key = self.moments.setdefault(row.time_ns, []), (row.time_ns, row.bits, row.quality)
        if row.flags & Flag.CORRECTION:
            moment.clear()
        if row.flags & Flag.CORRECTION or key not in self.known:
            moment.append(row)
        self.known.add(key)
        newest = self.newest
        is_later = newest is None or row.time_ns > newest.time_ns
        if newest is not None and row.time_ns == newest.time_ns:
            is_later = (row.bits, row.quality) != (newest.bits, newest.quality)
        if is_later:
            self.newest = row

    def visible(self) -> list[Row]:
        return [row for time_ns in sorted(self.moments) for row in self.moments[time_ns]]

    def visible_as_of(self, sequence: int) -> list[Row]:
        earlier = PointHistory()
        for row in self.all_rows:
            if row.sequence <= sequence:
                earlier.add(row)
        return earlier.visible()


class Oracle:
    """Promises, the log as it was seen, and the history that follows from it."""

    def __init__(self) -> None:
        self.sent: dict[Key, tuple[Frame, ...]] = {}
        self.promised: set[Key] = set()
        self.promised_events: set[str] = set()
        self.sent_events: set[str] = set()
        self.promised_points: set[int] = set()
        self.seen: dict[int, LogRecord] = {}
        self.keys: dict[Key, int] = {}
        self.events: dict[str, int] = {}
        self.torn: set[int] = set()
        self.unsaid: set[int] = set()
        self.newest = 0
        self.marked = 0
        self.suspects: dict[int, int] = {}
        self.taken = 0
        self.history: dict[int, PointHistory] = {}

    # --- the log as a reader sees it

    def see(self, record: LogRecord) -> None:
        """A durable record, in order; afterwards it may never be missing or another."""
        assert record.sequence not in self.seen, f"record {record.sequence} is seen again"
        assert record.sequence > self.newest, f"record {record.sequence} comes late"
        before = self.seen.get(self.newest)
        assert before is None or before.receive_ns <= record.receive_ns, "receive time goes back"
        missing = set(range(self.newest + 1, record.sequence))
        self.suspects |= {number: self.marked for number in missing if number <= self.marked}
        self.torn |= missing
        self.newest = record.sequence
        self.seen[record.sequence] = record
        if isinstance(record.payload, Batch):
            self._see_batch(record.payload, record.sequence)
        elif isinstance(record.payload, Event):
            id_ = record.payload.id
            assert id_ in self.sent_events, f"event {id_} was never sent"
            assert id_ not in self.events, f"event {id_} is doubled"
            self.events[id_] = record.sequence

    def see_again(self, record: LogRecord) -> None:
        """A record read back later, from memory or from a file."""
        known = self.seen.get(record.sequence)
        assert known is not None, f"record {record.sequence} comes from nowhere"
        assert same_record(known, record), f"record {record.sequence} has changed"

    def check_promises(self) -> None:
        """Everything acknowledged is durable; a gap names nothing that was.

        A gap record may have to wait for room: `unsaid` are the sequences that wait for one.
        """
        lost = self.promised - set(self.keys)
        assert not lost, f"acknowledged and lost: {sorted(lost, key=str)[:3]}"
        events = self.promised_events - set(self.events)
        assert not events, f"acknowledged events lost: {sorted(events)[:3]}"
        assert self.newest >= self.marked, f"marked as durable: {self.marked}, there: {self.newest}"
        named: dict[int, int] = {}
        for record in self.seen.values():
            if record.kind == RecordKind.GAP:
                gap = record.payload
                assert isinstance(gap, dict)
                first, last = int(gap["first_sequence"]), int(gap["last_sequence"])  # type: ignore[arg-type]
                for number in range(first, last + 1):
                    named.setdefault(number, record.sequence)
        late = [n for n, marked in self.suspects.items() if named.get(n, 0) > marked]
        assert not late, f"marked as durable and lost: {late[:3]}"
        assert not named.keys() & self.seen.keys(), "a gap names records that were durable"
        self.unsaid = self.torn - named.keys()

    def _see_batch(self, batch: Batch, sequence: int) -> None:
        key = (batch.origin, batch.sequence)
        assert key not in self.keys, f"batch {key} is doubled"
        assert key in self.sent, f"batch {key} was never sent"
        assert same_frames(batch.frames, self.sent[key]), f"batch {key} was altered"
        self.keys[key] = sequence

    # --- the history

    def take(self, sequence: int) -> None:
        """Let the history be as of `sequence`, which only grows."""
        for number in range(self.taken + 1, sequence + 1):
            record = self.seen.get(number)
            if record is not None and isinstance(record.payload, Batch):
                for frame in record.payload.frames:
                    self._take_frame(frame, number)
        self.taken = max(self.taken, sequence)

    def _take_frame(self, frame: Frame, sequence: int) -> None:
        is_float = frame.kind is ValueKind.FLOAT
        nan = np.isnan(frame.value).tolist() if is_float else [False] * len(frame)  # type: ignore[arg-type]
        columns = zip(
            frame.point.tolist(),
            frame.time_ns.tolist(),
            bits_of(frame),
            frame.quality.tolist(),
            frame.flags.tolist(),
            nan,
            strict=True,
        )
        for point, time_ns, bits, quality, flags, is_nan in columns:
            is_lie = (is_nan or flags & Flag.NO_VALUE) and quality >= Quality.UNCERTAIN
            grade = int(Quality.BAD_NOT_AVAILABLE) if is_lie else quality
            row = Row(time_ns, bits, grade, int(flags | NO_VALUE if is_lie else flags), sequence)
            self.history.setdefault(point, PointHistory()).add(row)


def same_frames(found: tuple[Frame, ...], wanted: tuple[Frame, ...]) -> bool:
    """Equal to the bit, column by column."""
    return len(found) == len(wanted) and all(map(_same_frame, found, wanted))


def _same_frame(found: Frame, wanted: Frame) -> bool:
    for name in ("point", "time_ns", "quality", "flags"):
        if not np.array_equal(getattr(found, name), getattr(wanted, name)):
            return False
    if isinstance(found.value, TextColumn) or isinstance(wanted.value, TextColumn):
        return bits_of(found) == bits_of(wanted)
    return found.value.tobytes() == wanted.value.tobytes()


def same_record(found: LogRecord, wanted: LogRecord) -> bool:
    """The same record, whichever way it was read."""
    if (found.sequence, found.kind, found.receive_ns) != (
        wanted.sequence,
        wanted.kind,
        wanted.receive_ns,
    ):
        return False
    one, other = found.payload, wanted.payload
    if one is other:
        return True
    if isinstance(one, Batch) and isinstance(other, Batch):
        is_same = (one.origin, one.sequence) == (other.origin, other.sequence)
        return is_same and same_frames(one.frames, other.frames)
    return one == other
