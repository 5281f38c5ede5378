"""Puts this folder's shared modules where its tests find them, and makes historians."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.model import Batch, Frame, Origin
from penstock.world import Disk, SystemDisk

sys.path.insert(0, str(Path(__file__).parent))

ORIGIN = Origin(UUID(int=7), 0, 1)
Open = Callable[..., Historian]


@pytest.fixture
def open_historian(tmp_path: Path) -> Open:
    def open_(disk: Disk | None = None, **settings: int) -> Historian:
        return Historian.open(
            disk or SystemDisk(), tmp_path / "segments", HistorianSettings(**settings)
        )

    return open_


@pytest.fixture
def batch() -> Callable[..., Batch]:
    def batch_(*frames: Frame) -> Batch:
        return Batch(ORIGIN, 1, tuple(sorted(frames, key=lambda frame: frame.kind)))

    return batch_
