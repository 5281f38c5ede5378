"""Puts this folder's shared modules where its tests find them, and makes lines."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

sys.path.insert(0, str(Path(__file__).parent))

from scripted import WIRES, BenchLine, Scripted

from penstock.node import plugins


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol `scripted` can be named in a connector file; its wires are fresh."""
    monkeypatch.setitem(plugins.BUILT_IN, Scripted.name, "scripted:Scripted")
    WIRES.clear()


@pytest.fixture(autouse=True)
def said() -> Iterator[list[Any]]:
    """Log lines as dicts; a crash that a test wants is not drawn on the terminal."""
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
async def line() -> AsyncIterator[Callable[..., BenchLine]]:
    """A line at work on a fake clock."""
    opened: list[BenchLine] = []

    def open_(**options: object) -> BenchLine:
        opened.append(BenchLine(**options))  # type: ignore[arg-type]
        return opened[-1]

    yield open_
    for item in opened:
        await item.stop()
