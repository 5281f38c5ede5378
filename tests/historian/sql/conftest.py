"""Puts this folder's shared module where its tests find it, and makes plants."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.historian import Historian, HistorianSettings
from penstock.world import SystemDisk

sys.path.insert(0, str(Path(__file__).parent))

from sql_kit import Plant


@pytest.fixture
def plant(open_historian: Callable[..., Historian]) -> Plant:
    return Plant(open_historian())


@pytest.fixture(scope="module")
def two_days(tmp_path_factory: pytest.TempPathFactory) -> Plant:
    """Two days of two visible points and of one that is not, a sample a second."""
    folder = tmp_path_factory.mktemp("two-days") / "segments"
    plant = Plant(Historian.open(SystemDisk(), folder, HistorianSettings()))
    plant.two_days()
    return plant
