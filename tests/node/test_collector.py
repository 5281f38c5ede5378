"""Collector: whatever a device sends at once leaves in Batches that can be sent."""

from __future__ import annotations

from uuid import UUID

import numpy as np

from penstock.link.uplink import Uplink
from penstock.model import Frame, Origin, Quality, TextColumn
from penstock.node.field.collector import Collector


async def test_more_text_than_a_batch_holds_leaves_in_several() -> None:
    uplink = Uplink(Origin(UUID(int=1), 1, 1))
    collector = Collector(uplink)
    rows = 200
    frame = Frame(
        np.arange(rows, dtype=np.uint32),
        np.arange(rows, dtype=np.int64),
        TextColumn.of("x" * 60_000 for _ in range(rows)),
        np.full(rows, Quality.GOOD, np.uint8),
        np.zeros(rows, np.uint8),
    )

    collector.add([frame])
    collector.flush()

    assert uplink.counters["rows"] == rows
    assert uplink.counters["batches"] > 1
