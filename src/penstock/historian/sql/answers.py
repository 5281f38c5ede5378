"""Answers: files of the spool on their way to whoever asked.

A file keeps its name until its last byte is sent, so that it counts. Whoever takes no
part for half a minute loses the answer, and when the disk gets short all do: the log
needs the space, and an answer can be asked for again.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PART_S_MAX = 30.0


class Ended(ConnectionError):
    """The answer is not sent to its end: the disk is too short for it."""


@dataclass(eq=False, slots=True)
class Sending:
    """One file on its way to one reader; `is_kept`: it stays when it was sent."""

    path: Path
    is_kept: bool
    is_ended: bool = False

    def check(self) -> None:
        """Ended once the file was taken away."""
        if self.is_ended:
            raise Ended


class Answers:
    """Files that are being sent, oldest first."""

    def __init__(self, part_s_max: float = PART_S_MAX) -> None:
        self.part_s_max = part_s_max
        self._sending: list[Sending] = []

    def begin(self, path: Path, *, is_kept: bool) -> Sending:
        """Somebody is about to fetch the file."""
        sending = Sending(path, is_kept)
        self._sending.append(sending)
        return sending

    def end(self, sending: Sending) -> None:
        """It was sent, or is not sent any more."""
        self._sending.remove(sending)
        if not sending.is_kept and not sending.is_ended:
            self.discard(sending.path)

    def is_read(self, path: Path) -> bool:
        """Is somebody fetching the file?"""
        return any(sending.path == path for sending in self._sending)

    def discard(self, path: Path) -> None:
        """Remove a file, and give its space back even while somebody reads it."""
        for sending in self._sending:
            sending.is_ended |= sending.path == path
        with contextlib.suppress(FileNotFoundError):
            os.truncate(path, 0)
            path.unlink()

    def sacrifice(self, is_short: Callable[[], bool]) -> int:
        """End answers, oldest first, while the disk is short; how many."""
        ended = 0
        for sending in [*self._sending]:
            if sending.is_ended:
                continue
            if not is_short():
                break
            self.discard(sending.path)
            ended += 1
        return ended
