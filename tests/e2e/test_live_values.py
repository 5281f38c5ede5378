"""Values at the edge of their kinds in a page: live frames, read by the browser's own decoder."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sql_kit import COUNT, FLOW, LEVEL, STATE, T0, S
from values_kit import Whole, whole

from penstock.model import Frame, Quality
from penstock.model.time import parse_ns
from penstock.testing import frame

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NODE = Path(sys.prefix) / "bin" / "node"
FLOATS = [math.inf, -math.inf, -0.0, 5e-324, 1.7976931348623157e308, 0.1, math.nan]
INTS = [2**53 + 1, -(2**63), 2**63 - 1, 0, -1]
TEXTS = ["", "ü" * 32_768, "😀 👩‍🏭", "a\nb", "\x00"]
YEAR_2099_NS = parse_ns("2099-12-31T23:59:59.999999999Z")


@pytest.fixture
async def live_node(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path, "memory") as made:
        yield made


DECODER = """
import { readFileSync } from "node:fs";
import { decodeFrame } from "%s";
const out = [];
for (const hex of JSON.parse(readFileSync(0, "utf8"))) {
  const data = Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16));
  const found = decodeFrame(data.buffer);
  const bits = (value) => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, value);
    return view.getBigUint64(0).toString();
  };
  const say = { number: bits, bigint: String, string: String };
  const values = Array.from(found.values, (value) => say[typeof value](value));
  out.push({ kind: found.kind, values, age: [...found.ageMs], quality: [...found.quality] });
}
console.log(JSON.stringify(out));
"""


@pytest.mark.skipif(not NODE.exists(), reason="needs the environment's node")
async def test_live_frames_are_exact_in_the_browsers_own_decoder(live_node: Whole) -> None:
    """One value after the other is the newest; a page that opens then is told it."""
    node, messages = live_node, []
    for row in range(len(FLOATS)):
        await node.put([one(row, 1, FLOATS), one(row, 3, INTS), one(row, 4, TEXTS)])
        messages += node.live(LEVEL, COUNT, STATE)
    found = decoded(messages)

    floats, ints, texts = ([item for item in found if item["kind"] == kind] for kind in (1, 2, 3))
    sent = [int.from_bytes(struct.pack(">d", value)) for value in FLOATS]
    assert sent[:-1] == [int(item["values"][0]) for item in floats][:-1]
    assert floats[-1]["quality"][0] < Quality.UNCERTAIN
    assert [INTS[row % len(INTS)] for row in range(len(FLOATS))] == [
        int(item["values"][0]) for item in ints
    ]
    assert [TEXTS[row % len(TEXTS)] for row in range(len(FLOATS))] == [
        item["values"][0] for item in texts
    ]


def one(row: int, handle: int, values: list[Any]) -> Frame:
    return frame(handle, T0 + row * S, [values[row % len(values)]])


def decoded(messages: list[bytes]) -> list[dict[str, Any]]:
    """By web/src/lib/frames.ts, which node runs as it is."""
    done = subprocess.run(
        [NODE, "--experimental-strip-types", "--input-type=module-typescript", "-e",
         DECODER % (ROOT / "web" / "src" / "lib" / "frames.ts")],
        input=json.dumps([message.hex() for message in messages]),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


async def test_a_live_value_of_1970_is_infinitely_old_and_one_of_2099_is_new(
    live_node: Whole,
) -> None:
    """The frame has an age of 32 bits in milliseconds; the exact time is in the newest sample."""
    ages = []
    for time_ns in (0, YEAR_2099_NS):
        await live_node.put([frame(2, time_ns, [1.0])])
        (message,) = live_node.live(FLOW)
        ages.append(struct.unpack_from("<I", message, 24 + 8 + 8)[0])

    assert [2**32 - 1, 0] == ages
