"""Random frames that meet each other often: few points, few times, few values."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from penstock.model import Flag, Frame, Quality, TextColumn

BASE_NS = 1_790_000_000_000_000_000
QUALITIES = [Quality.GOOD, Quality.GOOD, Quality.UNCERTAIN_SIMULATED, Quality.BAD_SENSOR_FAILURE]
FLAGS = [0, 0, 0, 1, Flag.HISTORICAL, Flag.CORRECTION]
FLOATS = [0.0, -0.0, 1.5, 2.25, 0.1, 1 / 3, float("inf"), float("-inf"), 1e300, 5e-324]
INTS = [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)]
TEXTS = ["", "RUN", "STOP", "Störung", "=1+1"]
POINTS = {"float": [1, 2], "int": [3, 4], "text": [5, 9]}

time_ns = st.one_of(
    st.integers(0, 6).map(lambda n: BASE_NS + n * 1_000_000_000),
    st.integers(-(10**12), 10**12).map(lambda n: BASE_NS + n),
)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    kind = draw(st.sampled_from(["float", "int", "text"]))
    values = {"float": FLOATS, "int": INTS, "text": TEXTS}[kind]
    row = st.tuples(
        st.sampled_from(POINTS[kind]),
        time_ns,
        st.sampled_from(values),
        st.sampled_from(QUALITIES),
        st.sampled_from(FLAGS),
    )
    rows = draw(st.lists(row, min_size=1, max_size=40))
    return frame_of(kind, rows)


def frame_of(kind: str, rows: list[tuple[int, int, object, int, int]]) -> Frame:
    point, time, value, quality, flags = zip(*rows, strict=True)
    column = {
        "float": lambda: np.array(value, np.float64),
        "int": lambda: np.array(value, np.int64),
        "text": lambda: TextColumn.of(value),
    }[kind]()
    return Frame(
        np.array(point, np.uint32),
        np.array(time, np.int64),
        column,
        np.array(quality, np.uint8),
        np.array(flags, np.uint8),
    )
