"""Historian: head, last values and segments of one node behind one object.

Appending, pinning and everything about the newest samples belongs to the event
loop; flushes and queries run in threads on snapshots. What is on disk changes only
by `commit` of a manifest, and the log position is in the same file.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.codec.layout import Damaged
from penstock.historian.ahead import doubted, doubted_block
from penstock.historian.block_chunk import HeldBlock, held
from penstock.historian.config import HistorianSettings
from penstock.historian.encode import DecimalHints
from penstock.historian.flush import write_segment
from penstock.historian.head import Head, HeadView, clean, rms_frame, stored
from penstock.historian.holds import Hold, Holds
from penstock.historian.last import LastRows, LastTable
from penstock.historian.manifest import Manifest, Proposal, commit
from penstock.historian.names import taken_names
from penstock.historian.query import Snapshot
from penstock.historian.receipts import Receipts
from penstock.historian.recovery import Start, start_from
from penstock.historian.segment import decode_table, is_day_name
from penstock.historian.store import Store
from penstock.model import Flag, Refused, ValueKind
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from penstock.historian.segment import SegmentInfo
    from penstock.model import Batch
    from penstock.world import Disk

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A head that takes no more rows, and the newest samples as of its end."""

    view: HeadView
    last: LastRows
    incarnation: int


class Historian:
    """History of all points of one log; `Historian.open` makes it."""

    def __init__(
        self,
        disk: Disk,
        folder: Path,
        settings: HistorianSettings,
        manifest: Manifest,
        start: Start | None = None,
    ) -> None:
        self.settings = settings
        self.last = LastTable()
        self.last.load(manifest.last)
        self.receipts = Receipts(disk, folder)
        self._disk = disk
        self._folder = folder
        # On disk, written under `_committing` only; what queries see follows it.
        self._committed = manifest
        self._committing = threading.Lock()
        # Files of manifests whose commit failed: after a crash one of those may count all the same.
        self._doubtful: frozenset[str] = frozenset()
        # What the manifest before the newest needs: it counts when the newest is damaged.
        self._older_names = start.older_names if start else names_of(manifest)
        self._older_sequence = start.older_sequence if start else manifest.sequence
        self._manifest = manifest
        self._names = names_of(manifest)
        self._holds = Holds()
        self._showing = threading.Lock()
        self._store = Store(disk, folder, settings.table_bytes_max)
        self._head = Head(manifest.sequence)
        self._sealed: Sealed | None = None
        self._oldest_ns = self._newest_ns = 0
        self._hints = DecimalHints()
        self._flushes_total = 0
        self._swaps_total = 0
        self._rows_total = 0
        self._blocks_total = 0

    @classmethod
    def open(
        cls,
        disk: Disk,
        folder: Path,
        settings: HistorianSettings,
        log_span: tuple[int, int] | None = None,
    ) -> Historian:
        """State of the newest manifest, or of the one before it when that one is damaged.

        `log_span` is (oldest, newest) sequence of the log. ConfigError when the newest
        manifest is damaged and rows are neither in a segment nor in the log.
        """
        disk.make_folder(folder)
        for part in (folder.parent, folder):
            disk.settle(part)
        start = start_from(disk, folder, log_span)
        return cls(disk, folder, settings, start.manifest, start)

    # --- the way in

    @property
    def position(self) -> tuple[int, int]:
        """(incarnation, sequence) of the log up to which everything is in segments."""
        return self._manifest.incarnation, self._manifest.sequence

    @property
    def needed_sequence(self) -> int:
        """The log may forget records up to it: no kept manifest would have them replayed."""
        return min(self._older_sequence, self._manifest.sequence)

    @property
    def sequence(self) -> int:
        """Newest log record that queries see."""
        return self._head.sequence

    def resume(self, after: int) -> None:
        """Take log records behind `after` from now on; nothing was appended yet."""
        assert not self._head.rows
        assert self._sealed is None
        self._head = Head(after)
        self.receipts.cut(after)

    def append(self, batch: Batch, sequence: int, receive_ns: int) -> None:
        """Take the samples of log record `sequence`; O(rows) in numpy."""
        self.receipts.note(receive_ns, sequence)
        for frame in (clean(doubted(frame, receive_ns)) for frame in batch.frames):
            self._head.append(stored(frame), sequence)
            self.last.update(frame, sequence, receive_ns=receive_ns)
            self._rows_total += len(frame)
        if batch.blocks:
            blocks = [held(doubted_block(block, receive_ns), sequence) for block in batch.blocks]
            self._append_blocks(blocks, sequence, receive_ns)
        if not self._oldest_ns:
            self._oldest_ns = receive_ns
        self._newest_ns = max(self._newest_ns, receive_ns)

    def _append_blocks(self, blocks: Sequence[HeldBlock], sequence: int, receive_ns: int) -> None:
        for item in blocks:
            if not item.block.flags & Flag.TRANSIENT:
                self._head.append_block(item)
        self.last.update(rms_frame(blocks), sequence, ValueKind.WAVEFORM, receive_ns)
        self._blocks_total += len(blocks)

    def pass_by(self, sequence: int) -> None:
        """A log record without samples was read."""
        self._head.sequence = max(self._head.sequence, sequence)

    # --- flush: seal on the loop, write in a thread, adopt on the loop

    @property
    def is_full(self) -> bool:
        """The head must be sealed before more is appended."""
        head, limits = self._head, self.settings
        return (
            head.rows >= limits.head_rows_max
            or head.text_bytes >= limits.head_text_bytes_max
            or head.block_bytes >= limits.head_block_bytes_max
        )

    @property
    def is_due(self) -> bool:
        """The head is full or old."""
        age_ns = self._newest_ns - self._oldest_ns
        return self.is_full or age_ns >= self.settings.flush_age_s * SECOND_NS

    @property
    def is_flushing(self) -> bool:
        """A sealed head is waiting or being written."""
        return self._sealed is not None

    @property
    def has_unwritten(self) -> bool:
        """Log records were read that no manifest covers."""
        return self._head.sequence > self._head.after or self._head.after > self._manifest.sequence

    def seal(self, incarnation: int) -> None:
        """Put the head aside for a flush; a new one takes over."""
        assert self._sealed is None
        self._sealed = Sealed(self._head.view(), self.last.all_rows(), incarnation)
        self._head = Head(self._head.sequence)
        self._oldest_ns = self._newest_ns = 0

    def write(self) -> Manifest:
        """Write the sealed head and commit the manifest; for a thread. OSError: try again."""
        sealed, before = self._sealed, self._committed
        assert sealed is not None
        info = write_segment(
            self._disk,
            self._folder,
            sealed.view,
            before.last,
            self._hints,
            sealed.incarnation,
            taken_names(self._disk, self._folder, names_of(before) | self._doubtful),
        )
        self.receipts.save()
        with self._committing:
            following = self._committed.following(
                info, sealed.view.sequence, sealed.incarnation, sealed.last
            )
            self._commit(following)
        self.remove_replaced()
        return following

    def adopt(self, manifest: Manifest) -> None:
        """Queries see the new segment instead of the sealed head."""
        self._show(manifest)
        self._sealed = None
        self._flushes_total += 1

    # --- compaction: segments for segments; the head and the position stay as they are

    @property
    def manifest(self) -> Manifest:
        """What queries see; a compaction starts from it."""
        return self._manifest

    def swap(self, proposal: Proposal) -> None:
        """Commit a compaction, for a thread.

        Its replaced files go when nobody holds them and no kept manifest lists them:
        with the commit after this one, at the earliest.

        Refused("conflict") when a file that it replaces is not listed any more or a new
        one is not whole: nothing is changed and the new files are removed. OSError: the
        disk refused, and nothing is changed either.
        """
        with self._committing:
            following = self._swapped(proposal)
            self._commit(following)
        self._show(following)
        self._swaps_total += 1
        self.remove_replaced()

    def forget_replaced(self) -> None:
        """Commit the same state once more, for a thread: no kept manifest lists replaced files.

        The next flush does so, too; this is for whoever needs the space now.
        """
        with self._committing:
            following = replace(self._committed, version=self._committed.version + 1)
            self._commit(following)
        self._show(following)
        self.remove_replaced()

    def _commit(self, following: Manifest) -> None:
        """Under `_committing`. What an OSError leaves may count: its files and their names stay."""
        listed, before = names_of(following), self._committed
        kept = listed | names_of(before)
        self._doubtful |= listed - names_of(before)
        commit(self._disk, self._folder, following)
        self._committed = following
        with self._showing:
            self._holds.replace((self._doubtful | self._older_names) - kept)
        self._older_names = names_of(before)
        self._older_sequence = before.sequence
        self._doubtful = frozenset()

    def _swapped(self, proposal: Proposal) -> Manifest:
        listed = names_of(self._committed)
        stale = [name for name in proposal.remove if name not in listed]
        torn = [info.name for info in proposal.add if not self._is_whole(info)]
        if not stale and not torn:
            return self._committed.swapped(proposal)
        for info in proposal.add:
            if info.name not in listed:
                self._disk.remove(self._folder / info.name)
        place = (stale or torn)[0]
        what = "is not listed any more" if stale else "is not whole"
        raise Refused("conflict", f"{place} {what}; the compaction begins anew.")

    def _is_whole(self, info: SegmentInfo) -> bool:
        """Has the file its length and a table that can be read? Its name is new."""
        path = self._folder / info.name
        try:
            table_bytes = self._disk.size(path) - info.table_offset
            data = self._disk.read(path, info.table_offset)
            is_listed = info.name in names_of(self._committed)
            table = decode_table(data, info.table_offset)
        except (Damaged, FileNotFoundError):
            return False
        is_long = info.table_offset + table_bytes == info.file_bytes
        return is_long and not is_listed and len(table) == info.chunks

    def hold(self, names: Iterable[str]) -> Hold:
        """Keep these listed files, whatever replaces them; KeyError for one that is not listed."""
        with self._showing:
            wanted = frozenset(names)
            if unknown := wanted - self._names:
                raise KeyError(min(unknown))
            return self._holds.take(wanted)

    def remove_replaced(self) -> None:
        """Remove the replaced files that nobody holds any more; for a thread.

        What the disk refuses to remove is tried again the next time: it counts no more.
        """
        with self._showing:
            free = self._holds.take_free()
        for name in free:
            if not self._remove(name):
                self._holds.replace([name])

    def _remove(self, name: str) -> bool:
        """Whether the disk did it; the file counts no more in any case."""
        try:
            self._disk.remove(self._folder / name)
        except OSError as error:
            _log.warning("segment_not_removed", file=name, detail=str(error))
            return False
        self._store.forget(name)
        return True

    def remove_abandoned(self) -> None:
        """Remove day files of a compaction that died; for a thread, while none is under way.

        Only a start removes raw segments that nobody lists: a flush may be writing one.
        """
        with self._committing, self._showing:
            known = names_of(self._committed) | self._older_names | self._doubtful
            known |= self._holds.replaced
        for name in self._disk.list(self._folder):
            if is_day_name(name) and name not in known:
                _log.info("segment_left_over", file=name)
                self._remove(name)

    def _show(self, manifest: Manifest) -> None:
        """Never back to an older one: a flush may be adopted after the swap that followed it."""
        with self._showing:
            if manifest.version >= self._manifest.version:
                self._manifest = manifest
                self._names = names_of(manifest)
            if manifest.version >= self._committed.version:
                self._committed = manifest

    # --- the way out

    def pin(self, handles: Sequence[int]) -> Snapshot:
        """What a query over these points sees, as of now; then answer it in a thread."""
        heads = [] if self._sealed is None else [self._sealed.view]
        heads.append(self._head.view())
        with self._showing:
            segments, hold = self._manifest.segments, self._holds.take(self._names)
        return Snapshot(
            self._store,
            segments,
            tuple(heads),
            self.last.rows(np.array(sorted(set(handles)), np.uint32)),
            self.sequence,
            hold,
        )

    def statistics(self) -> dict[str, int]:
        """Numbers for the System page and the metrics."""
        segments = self._manifest.segments
        segment_rows = sum(info.rows for info in segments)
        return {
            "head_rows": self._head.rows + (self._sealed.view.rows if self._sealed else 0),
            "head_bytes": self._head.bytes_reserved(),
            "segments": len(segments),
            "segment_rows": segment_rows,
            "segment_bytes": sum(info.file_bytes for info in segments),
            "segments_replaced": self._holds.waiting,
            "flushes_total": self._flushes_total,
            "compactions_total": self._swaps_total,
            "rows_total": self._rows_total,
            "blocks_total": self._blocks_total,
            "wrong_kind_rows_total": self.last.wrong_kind_rows_total,
            "damaged_chunks": sum(
                place.partition("@")[0] in self._names for place in self._store.damage
            ),
        }


def names_of(manifest: Manifest) -> frozenset[str]:
    """Files that the manifest lists."""
    return frozenset(info.name for info in manifest.segments)
