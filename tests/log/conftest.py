"""A log on a fake disk."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.log import Log, LogSettings
from penstock.testing import FakeClock
from penstock.testing.disk import FakeDisk
from penstock.world import Disk, SystemClock

sys.path.insert(0, str(Path(__file__).parent))

from partition import FOLDER, OWN, SMALL, OpenLog


@pytest.fixture
def disk() -> FakeDisk:
    return FakeDisk()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def open_log(disk: FakeDisk, clock: FakeClock) -> AsyncIterator[OpenLog]:
    """Open the log of this test (again); all are closed at the end."""
    opened: list[Log] = []

    async def open_(folder: Path = FOLDER, disk: Disk = disk, settings: LogSettings = SMALL) -> Log:
        is_fake = isinstance(disk, FakeDisk)
        log = await Log.open(
            folder,
            disk=disk,
            clock=clock if is_fake else SystemClock(),
            origin=OWN,
            settings=settings,
        )
        opened.append(log)
        return log

    yield open_
    for log in opened:
        await log.close()
