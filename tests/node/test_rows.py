"""What the host writes for a lost device: one bad mark a point, whatever its kind."""

from __future__ import annotations

from penstock.model import Quality, ValueKind
from penstock.node.field.rows import lost_blocks, lost_frames

KINDS = {
    1: ValueKind.FLOAT,
    2: ValueKind.WAVEFORM,
    3: ValueKind.INT,
    4: ValueKind.TEXT,
    5: ValueKind.WAVEFORM,
}


def test_each_point_of_a_lost_device_gets_one_bad_mark() -> None:
    frames, blocks = (
        lost_frames([1, 2, 3, 4, 5], KINDS, 77),
        lost_blocks([1, 2, 3, 4, 5], KINDS, 77),
    )

    assert [[1], [3], [4]] == [frame.point.tolist() for frame in frames]
    assert [2, 5] == [block.point for block in blocks]
    assert {Quality.BAD_NO_COMMUNICATION} == {block.quality for block in blocks}
    assert {(77, 0)} == {(block.t0_ns, len(block.samples)) for block in blocks}
