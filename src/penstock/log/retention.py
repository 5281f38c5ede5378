"""Which files of the log may be deleted, and who still holds them.

A blocking reader (historian, projections) holds its files for ever; any other holds
them until it lags more than its limits or the log has no room. What that takes from a
reader is a gap record first, and durable, before the file goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from penstock.codec.layout import Damaged
from penstock.codec.log_file import FILE_HEADER_BYTES, decode_file_header
from penstock.codec.record import RecordKind
from penstock.log.entry import Entry
from penstock.log.record import encode_json_payload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from penstock.log.config import LogSettings
    from penstock.log.files import LogFile
    from penstock.log.poison import Poison
    from penstock.log.receive_time import ReceiveTime
    from penstock.log.store import FileStore
    from penstock.model import Origin
    from penstock.model.event import Json

READERS_MAX = 256
# A process that starts again and again leaves many small files.
FILES_KEEP = 1_024


@dataclass(slots=True, eq=False)
class ReaderHandle:
    """A declared reader of the log; it has read nothing until it says so.

    `dropped` counts records that its lag limits cost it, `limit` names the last of them;
    `poisoned` counts records that it could not take and that were set aside for it.
    `lag_bytes_max` counts bytes on the disk, `lag_ns_max` receive time.
    """

    name: str
    blocks: bool
    lag_bytes_max: int | None
    on_close: Callable[[ReaderHandle], None]
    position: int = 0
    dropped: int = 0
    owner: str = "core"
    lag_ns_max: int | None = None
    limit: str = ""
    poisoned: int = 0
    poison: Poison | None = None

    def advance(self, sequence: int) -> None:
        """The effects of all records up to `sequence` are durable at the reader."""
        self.position = max(self.position, sequence)

    def close(self) -> None:
        """The reader is gone for good and holds nothing."""
        self.on_close(self)


@dataclass(frozen=True, slots=True)
class Loss:
    """Records `first` to `last` go although the reader has not taken them."""

    reader: ReaderHandle
    first: int
    last: int
    limit: str


@dataclass(frozen=True, slots=True)
class Departure:
    """A file that goes, and what that takes from whom."""

    file: LogFile
    losses: tuple[Loss, ...] = ()


@dataclass(slots=True)
class Retention:
    """Readers and the files they hold; used by the writer's thread, read by others."""

    store: FileStore
    settings: LogSettings
    origin: Origin
    time: ReceiveTime
    readers: list[ReaderHandle] = field(default_factory=list)
    forget_until: int = 0
    _newest_ns: dict[LogFile, int] = field(default_factory=dict)
    _told: dict[tuple[str, int], Entry] = field(default_factory=dict)
    _durable: set[tuple[str, int]] = field(default_factory=set)

    def declare(
        self,
        name: str,
        blocks: bool,
        owner: str,
        lag_bytes_max: int | None,
        lag_s_max: float | None,
    ) -> ReaderHandle:
        """A reader that has read nothing; its name is taken until it is closed."""
        assert len(self.readers) < READERS_MAX
        assert all(reader.name != name for reader in self.readers), name
        lag_ns = None if lag_s_max is None else int(lag_s_max * 1e9)
        close = self.readers.remove
        handle = ReaderHandle(name, blocks, lag_bytes_max, close, owner=owner, lag_ns_max=lag_ns)
        self.readers.append(handle)
        return handle

    def forget(self, until: int) -> None:
        """Records up to sequence `until` go as soon as no reader holds their files any more.

        For what a person has deleted; the file that grows now ends with its next group.
        """
        self.forget_until = max(self.forget_until, until)

    def departures(
        self, files: Sequence[LogFile], sizes: Mapping[LogFile, int], count: int
    ) -> list[Departure]:
        """Oldest of `files` that go now, never the last; all `count` files are in `sizes`.

        Nothing goes before the first reader has been declared.
        """
        total, readers = sum(sizes.values()), list(self.readers)
        found: list[Departure] = []
        if not readers:
            return found
        for file, following in pairwise(files):
            is_many = count - len(found) > FILES_KEEP
            is_unwanted = file.first <= self.forget_until
            if total <= self.settings.log_bytes_keep and not is_many and not is_unwanted:
                break
            behind = [item for item in readers if item.position < following.first - 1]
            losses = [self._loss(item, total, (file, following)) for item in behind]
            if None in losses:
                break
            found.append(Departure(file, tuple(item for item in losses if item is not None)))
            total -= sizes.get(file, 0)
        return found

    def gaps(self, departures: Sequence[Departure]) -> list[Entry]:
        """Gap records that must be durable before the files go; again, until they are."""
        entries = []
        losses = {
            (loss.reader.name, loss.last): loss for item in departures for loss in item.losses
        }
        self._told = {key: entry for key, entry in self._told.items() if key in losses}
        self._durable &= losses.keys()
        for key, loss in losses.items():
            if key in self._durable:
                continue
            if key not in self._told:
                payload = _gap_payload(loss)
                self._told[key] = Entry(
                    RecordKind.GAP, payload, [encode_json_payload(payload)], self.origin
                )
            entries.append(self._told[key])
        return entries

    def note_durable(self, entries: Sequence[Entry]) -> None:
        """Gap records among `entries` are on the disk."""
        if not self._told:
            return
        written = set(map(id, entries))
        for key in [key for key, entry in self._told.items() if id(entry) in written]:
            del self._told[key]
            self._durable.add(key)

    def may_go(self, item: Departure) -> bool:
        """Every loss has its gap record."""
        return all((loss.reader.name, loss.last) in self._durable for loss in item.losses)

    def note_gone(self, item: Departure) -> None:
        """The file is deleted: count what that took."""
        for loss in item.losses:
            self._durable.discard((loss.reader.name, loss.last))
            lost = loss.last - max(loss.reader.position, loss.first - 1)
            if lost > 0:
                loss.reader.dropped += lost
                loss.reader.limit = loss.limit
                loss.reader.position = loss.last
        self._newest_ns.pop(item.file, None)

    def statistics(self, durable: int) -> dict[str, int]:
        """Per reader: records it is behind and records it has lost."""
        found: dict[str, int] = {}
        for reader in list(self.readers):
            found[f"{reader.name}_behind_records"] = max(0, durable - reader.position)
            found[f"{reader.name}_dropped_records"] = reader.dropped
            found[f"{reader.name}_poisoned_records"] = reader.poisoned
        return found

    def _loss(
        self, reader: ReaderHandle, lag_bytes: int, files: tuple[LogFile, LogFile]
    ) -> Loss | None:
        """None while the reader holds the file; `lag_bytes` counts from that file on."""
        file, following = files
        limit = self._exceeded(reader, lag_bytes, files)
        if reader.blocks or not limit:
            return None
        return Loss(reader, max(reader.position + 1, file.first), following.first - 1, limit)

    def _exceeded(
        self, reader: ReaderHandle, lag_bytes: int, files: tuple[LogFile, LogFile]
    ) -> str:
        """The limit that the reader is beyond; empty for none."""
        if reader.lag_bytes_max is None and reader.lag_ns_max is None:
            return "none declared"
        if lag_bytes > self.settings.log_bytes_max - self.settings.group_bytes_max:
            return "space"
        if reader.lag_bytes_max is not None and lag_bytes > reader.lag_bytes_max:
            return "bytes"
        if reader.lag_ns_max is None or self.time.is_paused:
            return ""
        return "age" if self.time.now_ns - self._newest(*files) > reader.lag_ns_max else ""

    def _newest(self, file: LogFile, following: LogFile) -> int:
        """Receive time at which the file was sealed: when the next one began."""
        if file not in self._newest_ns:
            try:
                begin = self.store.read(following, 0, FILE_HEADER_BYTES)
                self._newest_ns[file] = decode_file_header(begin).created_ns
            except (OSError, Damaged):
                return self.time.now_ns
        return self._newest_ns[file]


def _gap_payload(loss: Loss) -> dict[str, Json]:
    return {
        "cause": "reader_lag",
        "scope": "reader",
        "reader": loss.reader.name,
        "owner": loss.reader.owner,
        "limit": loss.limit,
        "first_sequence": loss.first,
        "last_sequence": loss.last,
    }
