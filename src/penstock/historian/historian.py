"""Historian: head, last values and segments of one node behind one object.

Appending, pinning and everything about the newest samples belongs to the event
loop; flushes and queries run in threads on snapshots. What is on disk changes only
by `commit` of a manifest, and the log position is in the same file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import structlog

from penstock.historian.config import HistorianSettings
from penstock.historian.encode import DecimalHints
from penstock.historian.flush import write_segment
from penstock.historian.head import Head, HeadView, clean
from penstock.historian.last import LastRows, LastTable
from penstock.historian.manifest import Manifest, commit, read_newest
from penstock.historian.query import Snapshot
from penstock.historian.store import Store
from penstock.model import ConfigError, ConfigProblem
from penstock.model.time import SECOND_NS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

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
        self, disk: Disk, folder: Path, settings: HistorianSettings, manifest: Manifest
    ) -> None:
        self.settings = settings
        self.last = LastTable()
        self.last.load(manifest.last)
        self._disk = disk
        self._folder = folder
        self._manifest = manifest
        self._store = Store(disk, folder, settings.table_bytes_max)
        self._head = Head(manifest.sequence)
        self._sealed: Sealed | None = None
        self._oldest_ns = self._newest_ns = 0
        self._hints = DecimalHints()
        self._flushes_total = 0
        self._rows_total = 0

    @classmethod
    def open(cls, disk: Disk, folder: Path, settings: HistorianSettings) -> Historian:
        """State of the newest manifest; files that it does not list are removed.

        A damaged manifest stops the start, because to go on from an older one could
        lose the rows whose log files are gone.
        """
        disk.make_folder(folder)
        manifest, damage = read_newest(disk, folder)
        if damage:
            raise ConfigError(
                [
                    ConfigProblem(
                        sentence,
                        "Restore the file from a backup, or remove it to go on "
                        "from the manifest before it.",
                    )
                    for sentence in damage
                ]
            )
        listed = {info.name for info in manifest.segments}
        for name in disk.list(folder):
            if name.endswith((".seg", ".tmp")) and name not in listed:
                _log.info("segment_left_over", file=str(folder / name))
                disk.remove(folder / name)
        return cls(disk, folder, settings, manifest)

    # --- the way in

    @property
    def position(self) -> tuple[int, int]:
        """(incarnation, sequence) of the log up to which everything is in segments."""
        return self._manifest.incarnation, self._manifest.sequence

    @property
    def sequence(self) -> int:
        """Newest log record that queries see."""
        return self._head.sequence

    def resume(self, after: int) -> None:
        """Take log records behind `after` from now on; nothing was appended yet."""
        assert not self._head.rows
        assert self._sealed is None
        self._head = Head(after)

    def append(self, batch: Batch, sequence: int, receive_ns: int) -> None:
        """Take the samples of log record `sequence`; O(rows) in numpy."""
        for frame in map(clean, batch.frames):
            self._head.append(frame, sequence)
            self.last.update(frame, sequence)
            self._rows_total += len(frame)
        if not self._oldest_ns:
            self._oldest_ns = receive_ns
        self._newest_ns = max(self._newest_ns, receive_ns)

    def pass_by(self, sequence: int) -> None:
        """A log record without samples was read."""
        self._head.sequence = max(self._head.sequence, sequence)

    # --- flush: seal on the loop, write in a thread, adopt on the loop

    @property
    def is_full(self) -> bool:
        """The head must be sealed before more is appended."""
        head, limits = self._head, self.settings
        return head.rows >= limits.head_rows_max or head.text_bytes >= limits.head_text_bytes_max

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
        sealed, manifest = self._sealed, self._manifest
        assert sealed is not None
        names = {info.name for info in manifest.segments}
        info = write_segment(
            self._disk,
            self._folder,
            sealed.view,
            manifest.last,
            self._hints,
            sealed.incarnation,
            names,
        )
        following = manifest.following(info, sealed.view.sequence, sealed.incarnation, sealed.last)
        commit(self._disk, self._folder, following)
        return following

    def adopt(self, manifest: Manifest) -> None:
        """Queries see the new segment instead of the sealed head."""
        self._manifest = manifest
        self._sealed = None
        self._flushes_total += 1

    # --- the way out

    def pin(self, handles: Sequence[int]) -> Snapshot:
        """What a query over these points sees, as of now; then answer it in a thread."""
        heads = [] if self._sealed is None else [self._sealed.view]
        heads.append(self._head.view())
        return Snapshot(
            self._store,
            self._manifest.segments,
            tuple(heads),
            self.last.rows(np.array(sorted(set(handles)), np.uint32)),
            self.sequence,
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
            "flushes_total": self._flushes_total,
            "rows_total": self._rows_total,
            "wrong_kind_rows_total": self.last.wrong_kind_rows_total,
            "damaged_chunks": len(self._store.damage),
        }
