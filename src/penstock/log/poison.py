"""A record that its reader cannot take must not stop that reader for ever.

Whatever `take` raises ends the process, because what it holds in memory may be half
changed. Before that, the span of records is noted; the next process takes them one by
one, and one that has ended three of them is set aside: a gap record, a copy in the
quarantine, an event. A disk or a database that says no is no fault of a record.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from bisect import bisect_left, insort
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson
import structlog

from penstock.codec.record import RecordKind
from penstock.log.files import Found, end_of
from penstock.log.quarantine import keep_bytes, quarantine_folder
from penstock.log.reader import FileReader
from penstock.model import PenstockError, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from penstock.log.files import LogFile
    from penstock.log.retention import ReaderHandle
    from penstock.log.store import FileStore
    from penstock.model.event import Json

    Append = Callable[[RecordKind, dict[str, Json]], Awaitable[int]]

log = structlog.get_logger(__name__)
ATTEMPTS_MAX = 3
RETRY_S = 1.0
# A reader whose code is broken fails at every record; it may stop, but not set all aside.
SET_ASIDE_MAX = 100


@dataclass(frozen=True, slots=True)
class Suspect:
    """Records `first` to `last` ended a process; `attempts` that it was the only one."""

    first: int
    last: int
    attempts: int = 0


class Poison:
    """What one reader could not take; used by its Follower."""

    def __init__(
        self,
        handle: ReaderHandle,
        store: FileStore,
        files: Callable[[], Sequence[LogFile]],
        append: Append,
    ) -> None:
        self._handle = handle
        self._store = store
        self._files = files
        self._append = append
        self._folder = quarantine_folder(store.folder)
        self._path = self._folder / f"{handle.name}.suspect"
        self._known = self._set_aside_before()
        self.suspect = self._load()

    def records_max(self, position: int, wanted: int) -> int:
        """How many records behind `position` may be taken together."""
        following = position + 1
        at = bisect_left(self._known, following)
        borders = self._known[at : at + 1]
        if self.suspect is not None and self.suspect.last >= following:
            borders.append(max(self.suspect.first, following))
        return max(1, min([wanted, *(border - following for border in borders)]))

    def is_condemned(self, sequence: int) -> bool:
        """It has been set aside before, or will be now."""
        at = bisect_left(self._known, sequence)
        if self._known[at : at + 1] == [sequence]:
            return True
        suspect = self.suspect
        if suspect is None or suspect.attempts < ATTEMPTS_MAX or suspect.first != sequence:
            return False
        return len(self._known) < SET_ASIDE_MAX

    @contextlib.contextmanager
    def watch(
        self, position: Callable[[], int], last: int, is_transient: Callable[[object], bool]
    ) -> Iterator[None]:
        """Note what was being taken when anything but a transient error comes out."""
        is_over = False
        try:
            yield
            is_over = True
        finally:
            if not is_over:
                self._on_end(position() + 1, last, is_transient)
        if self.suspect is not None and last >= self.suspect.last:
            self._forget()

    async def set_aside(self, sequence: int) -> None:
        """Gap record, then the copy, whose name says that it is done; waits for a full disk."""
        if sequence in self._known:
            return
        gap: dict[str, Json] = {
            "cause": "record_poisoned",
            "scope": "reader",
            "reader": self._handle.name,
            "owner": self._handle.owner,
            "first_sequence": sequence,
            "last_sequence": sequence,
            "quarantine": self._name(sequence),
        }
        log.error("log_record_poisoned", reader=self._handle.name, sequence=sequence)
        while True:
            try:
                await self._append(RecordKind.GAP, gap)
                self._keep(sequence)
                break
            except (Refused, OSError) as error:
                log.warning("log_quarantine_failed", file=gap["quarantine"], error=str(error))
                await asyncio.sleep(RETRY_S)
        insort(self._known, sequence)
        self._handle.poisoned += 1
        self._forget()

    def _on_end(self, first: int, last: int, is_transient: Callable[[object], bool]) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, Exception) or is_transient(error) or first > last:
            return
        before = self.suspect
        attempts = 0
        if first == last:
            is_same = before is not None and (before.first, before.last) == (first, last)
            attempts = 1 + (before.attempts if is_same and before is not None else 0)
        self.suspect = Suspect(first, last, attempts)
        with contextlib.suppress(OSError):
            self._store.disk.make_folder(self._folder)
            self._store.disk.write_whole(self._path, [orjson.dumps(asdict(self.suspect))])

    def _forget(self) -> None:
        self.suspect = None
        with contextlib.suppress(OSError):
            self._store.disk.remove(self._path)

    def _load(self) -> Suspect | None:
        try:
            return Suspect(**orjson.loads(self._store.disk.read(self._path)))
        except (OSError, ValueError, TypeError):
            return None

    def _set_aside_before(self) -> list[int]:
        names = self._store.disk.list(self._folder)
        mine = (name.removesuffix(".record").partition("@") for name in names)
        return sorted(int(rest) for who, _, rest in mine if who == self._handle.name)

    def _name(self, sequence: int) -> str:
        return f"{self._handle.name}@{sequence:020d}.record"

    def _keep(self, sequence: int) -> None:
        data = b""
        files = list(self._files())
        for index, file in enumerate(files):
            if not file.first <= sequence < end_of(files, index):
                continue
            for item in FileReader(self._store).items(file, sequence, sequence + 1):
                if isinstance(item, Found) and item.header.sequence == sequence:
                    data = self._store.read(file, item.offset, item.end - item.offset)
        keep_bytes(self._store.folder, self._store.disk, self._name(sequence), data)


def is_refusal(error: object) -> bool:
    """The disk, a limit or another process said no; a record is not to blame."""
    return isinstance(error, OSError | PenstockError | MemoryError)
