"""Bugs that somebody could write tomorrow: each must be found, or the simulation is worth little.

Every bug is a change of the product's source, applied to a copy. When the source moves on
and a text is not there any more, the test says so: the list is kept alive.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bug:
    """In `file` of the package `old` becomes `new`; `what` says what that breaks.

    A rare one takes a chain of faults to show: hundreds of schedules instead of a few.
    """

    what: str
    file: str
    old: str
    new: str
    is_rare: bool = False


BUGS = (
    Bug(
        "a sync does nothing",
        "world.py",
        '''survives a power cut."""
        self._calls.sync(self._file)''',
        '''survives a power cut."""''',
    ),
    Bug(
        "a new file's name is not synced",
        "world.py",
        "        if is_new:\n",
        "        if is_new and False:\n",
    ),
    Bug(
        "a whole file is renamed before its bytes are durable",
        "world.py",
        "            file.append(buffers)\n            file.sync()\n",
        "            file.append(buffers)\n",
    ),
    Bug(
        "a rename without a sync of the folder",
        "world.py",
        "        self._calls.replace(temporary, path)\n"
        "        self._calls.sync_folder(path.parent)\n",
        "        self._calls.replace(temporary, path)\n",
        is_rare=True,
    ),
    Bug(
        "a group is acknowledged before its sync",
        "log/writer.py",
        "        self._sync(self._open)\n",
        "        self.syncs += 1\n",
    ),
    Bug(
        "a failed sync is passed by",
        "log/writer.py",
        "        except OSError:\n            self._leave_file()\n            raise\n",
        "        except OSError:\n            self.write_errors += 1\n",
    ),
    Bug(
        "the watermark is written before the sync",
        "log/writer.py",
        "        grown = self._open.file.append(buffers)\n",
        "        grown = self._open.file.append(buffers)\n"
        "        last = records[-1].sequence if records else self.durable\n"
        "        self._page.write(self.incarnation, last, self._open.size + grown)\n",
    ),
    Bug(
        "receive times follow a clock that is set back",
        "log/writer.py",
        "            receive_ns = max(receive_ns, wanted)\n",
        "            receive_ns = wanted\n",
    ),
    Bug(
        "a full disk is never taken for free again",
        "log/space.py",
        "            self.is_full = False\n",
        "            pass\n",
    ),
    Bug(
        "a batch that comes again is written again",
        "log/log.py",
        "        if future is None and self.received.has(batch.origin, batch.sequence):",
        "        if future is None and batch.sequence < 0:",
    ),
    Bug(
        "an interval is one too short",
        "codec/interval_set.py",
        "bounds[at][1] >= sequence",
        "bounds[at][1] > sequence",
    ),
    Bug(
        "a checkpoint lacks the set of one origin",
        "log/head.py",
        "intervals = received.intervals()\n",
        "intervals = received.intervals()[1:]\n",
    ),
    Bug(
        "the checksum of a payload is not looked at",
        "codec/record.py",
        "    if crc(payload) != header.payload_crc:",
        "    if len(payload) != header.payload_bytes:",
        is_rare=True,
    ),
    Bug(
        "a torn tail is taken for the end of the log",
        "log/recovery.py",
        "    state.last = max(state.last, item.last)\n",
        "    state.last = max(state.last, item.last - 1)\n",
    ),
    Bug(
        "the log forgets files that a reader has not stored",
        "log/retention.py",
        "        if reader.blocks or not limit:",
        "        if not limit:",
    ),
    Bug(
        "a reader goes on one record too late",
        "log/follower.py",
        "        self.position = self._log.resume_after(incarnation, sequence)\n",
        "        self.position = self._log.resume_after(incarnation, sequence) + 1\n",
    ),
    Bug(
        "a sealed log file goes before its compressed form is there",
        "log/upkeep.py",
        "                self._disk.write_whole(self._folder / file.compressed_name, [data])\n"
        "                self._disk.remove(self._folder / file.name)\n",
        "                self._disk.remove(self._folder / file.name)\n"
        "                self._disk.write_whole(self._folder / file.compressed_name, [data])\n",
    ),
    Bug(
        "effects are committed without their position",
        "log/projection.py",
        "            self._readers.set_position(connection, self.name, position)\n",
        "            self._readers.position(connection, self.name)\n",
    ),
    Bug(
        "the position of a projection is ahead of its effects",
        "log/projection.py",
        "ReaderPosition(self._log.incarnation, sequence, snapshot)",
        "ReaderPosition(self._log.incarnation, sequence + 1, snapshot)",
    ),
    Bug(
        "a link acknowledges what is not durable",
        "link/downlink.py",
        "        future.add_done_callback(lambda done: self._on_done(done, batch, size))\n\n",
        "        acknowledge = RangeAcknowledge(batch.origin, batch.sequence, batch.sequence)\n"
        "        self._session.send(LinkType.ACKNOWLEDGE, [encode_acknowledge(acknowledge)])\n\n",
    ),
    Bug(
        "a new link does not get what the last one lost",
        "link/uplink.py",
        "        self._unsent = deque(self._pending)\n",
        "        self._unsent = deque(self._unsent)\n",
    ),
    Bug(
        "an acknowledgement takes along what came before it",
        "link/uplink.py",
        "        self._pending.extendleft(reversed(kept))\n",
        "        kept.clear()\n",
    ),
    Bug(
        "handles of a sender are taken for those of the log",
        "link/downlink.py",
        "        translated = frame.with_points(self._translation[frame.point])\n",
        "        translated = frame\n",
    ),
    Bug(
        "the log may forget what is only in memory",
        "historian/worker.py",
        "        self.historian.seal(self._log.incarnation)\n"
        "        self._flush = asyncio.create_task(",
        "        self.historian.seal(self._log.incarnation)\n"
        "        self._follower.advance(self.historian.sequence)\n"
        "        self._flush = asyncio.create_task(",
    ),
    Bug(
        "a segment counts before its bytes are durable",
        "historian/flush.py",
        "        file.sync()\n",
        "",
    ),
    Bug(
        "the newest samples are not put back at a start",
        "historian/historian.py",
        "        self.last.load(manifest.last)\n",
        "",
    ),
    Bug(
        "a manifest says one record more than its segments hold",
        "historian/historian.py",
        "                info, sealed.view.sequence, sealed.incarnation, sealed.last",
        "                info, sealed.view.sequence + 1, sealed.incarnation, sealed.last",
    ),
    Bug(
        "a repeated commit takes the files of the first",
        "historian/historian.py",
        "names_of(before) | self._doubtful",
        "names_of(before)",
        is_rare=True,
    ),
    Bug(
        "a start relies on a manifest whose name is not durable",
        "historian/historian.py",
        "            disk.settle(part)\n",
        "            continue\n",
        is_rare=True,
    ),
    Bug(
        "replaced segments go while somebody reads them",
        "historian/holds.py",
        "free = sorted(self._replaced - held)",
        "free = sorted(self._replaced)",
        is_rare=True,
    ),
    Bug(
        "a table outlives its file, whose name comes again",
        "historian/historian.py",
        "        self._store.forget(name)\n",
        "",
        is_rare=True,
    ),
    Bug(
        "a swap removes files before the commit",
        "historian/historian.py",
        "            following = self._swapped(proposal)\n",
        "            following = self._swapped(proposal)\n"
        "            for name in proposal.remove:\n"
        "                self._disk.remove(self._folder / name)\n",
    ),
    Bug(
        "a compacted file counts before its bytes are durable",
        "historian/compaction.py",
        "        self._file.sync()\n",
        "",
    ),
    Bug(
        "rows that a correction replaced are thrown away",
        "historian/writer.py",
        "            (~is_duplicate & is_hidden, ChunkFlag.SIDE),\n",
        "",
    ),
    Bug(
        "the older correction wins",
        "historian/columns.py",
        "    is_hidden[rows] = rows < np.repeat(",
        "    is_hidden[rows] = rows > np.repeat(",
    ),
    Bug(
        "a repetition counts twice where a segment meets the head",
        "historian/columns.py",
        "    return rows.take(np.flatnonzero(~(is_duplicate | is_hidden)))",
        "    return rows.take(np.flatnonzero(~is_hidden))",
    ),
    Bug(
        "late rows of a segment stay where they arrived",
        "historian/flush.py",
        "        if ((time_ns[1:] < time_ns[:-1]) & (point[1:] == point[:-1])).any():",
        "        if len(time_ns) > 1_000_000:",
    ),
)
