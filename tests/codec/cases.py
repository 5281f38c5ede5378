"""The objects behind the golden files: built here by hand, encoded by the codec.

`python tests/codec/cases.py` writes the files that are missing; it never changes one
that is there, because released bytes are read for ever.
"""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from penstock.codec.batch import encode_batch
from penstock.codec.dictionary import (
    DictionaryEntry,
    Interval,
    encode_checkpoint,
    encode_dictionary,
)
from penstock.codec.event import encode_event
from penstock.codec.link import (
    Lane,
    LinkType,
    RangeAcknowledge,
    encode_acknowledge,
    encode_batch_payload,
    encode_credit,
    encode_frame,
    encode_json,
)
from penstock.codec.live import encode_values
from penstock.codec.log_file import (
    LogFileHeader,
    Watermark,
    encode_file_header,
    encode_watermark,
)
from penstock.codec.record import RecordKind, encode_record
from penstock.codec.trend import EnvelopePen, PenState, RawPen, encode_envelope, encode_raw
from penstock.commands.envelope import Envelope, seal
from penstock.model import Batch, Block, Event, Frame, Origin, Receipts, TextColumn, ValueKind

GOLDEN = Path(__file__).parents[1] / "golden"
T0 = 1_790_000_000_000_000_000
ORIGIN = Origin(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), 3, 41)
OWN = Origin(UUID("01890a5d-ac96-774b-bcce-b302099a8057"), 0, 9)
PUMP = UUID("01890a5d-ac96-774b-bcce-b302099a80aa")
VALVE = UUID("01890a5d-ac96-774b-bcce-b302099a80bb")


def rows(
    point: list[int],
    after_ns: list[int],
    value: object,
    quality: list[int],
    flags: list[int],
) -> Frame:
    return Frame(
        np.array(point, np.uint32),
        np.array(after_ns, np.int64) + T0,
        value,  # type: ignore[arg-type]
        np.array(quality, np.uint8),
        np.array(flags, np.uint8),
    )


FLOATS = rows(
    [1, 2, 1], [0, 5, 10], np.array([21.5, np.nan, -0.0]), [192, 2, 69], [0, 16 | 1, 4 | 2]
)
INTS = rows([3, 4], [0, -1], np.array([2**62 + 1, -(2**63)], np.int64), [192, 64], [8, 32])
TEXTS = rows([5, 5, 6], [1, 2, 3], TextColumn.of(["RUN", "", "Störung"]), [192, 5, 192], [0, 16, 2])
BLOCKS = (
    Block(7, T0, 19_531.25, np.array([-32768, 0, 32767], np.int16)),
    Block(8, T0 + 1, 1e6, np.array([-(2**31), 2**31 - 1], np.int32), 64, 1),
    Block(9, T0 + 2, 125_000.0, np.array([0.5, -1.25, 3.0], np.float32), 192, 4),
)
RECEIPTS = Receipts(
    np.array([1, 9], np.uint32),
    np.array([65_535, 0], np.uint16),
    np.array([6, 1], np.uint32),
    np.array([2**64 - 1, 5], np.uint64),
    np.arange(32, dtype=np.uint8).reshape(2, 16),
)
BATCHES = {
    "batch-empty": Batch(ORIGIN, 1),
    "batch-frames": Batch(ORIGIN, 77, (FLOATS, INTS, TEXTS)),
    "batch-blocks": Batch(ORIGIN, 78, (), BLOCKS),
    "batch-all": Batch(ORIGIN, 2**63, (FLOATS, INTS, TEXTS), BLOCKS, RECEIPTS),
}
EVENT = Event(
    id="01890a5d-ac96-774b-bcce-b302099a8099",
    type="alarm.raised",
    time_ns=T0,
    asset=str(VALVE),
    point=str(PUMP),
    principal="system",
    cause="log:9:4711",
    severity=2,
    data={"limit": 80.5, "texts": ["ä", None, True]},
)
ENTRIES = [
    DictionaryEntry(1, PUMP, ValueKind.FLOAT, "plant/pump 1/pressure"),
    DictionaryEntry(7, VALVE, ValueKind.TEXT, "plant/Ventil/Störung"),
]
INTERVALS = [Interval(ORIGIN, 1, 76), Interval(ORIGIN, 78, 78), Interval(OWN, 1, 2**63)]
GAP = {"cause": "log_damaged", "first_sequence": 4, "last_sequence": 5}
ACKNOWLEDGE = RangeAcknowledge(ORIGIN, 1, 76)
HELLO = {"node": str(ORIGIN.node), "role": "edge", "versions": [1]}
NODE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
COMMAND = Envelope(
    id="01890a5d-ac96-774b-bcce-b302099a8777",
    point=str(PUMP),
    kind=ValueKind.FLOAT,
    value=40.04,
    held=40.0,
    tolerance=0.0,
    author="user:01890a5d-ac96-774b-bcce-b302099a8111",
    reason="more water",
    node=str(ORIGIN.node),
    sequence=4711,
    expires_ns=T0 + 5_000_000_000,
)
HEARTBEAT = {"crashes": 0, "devices": [], "uplink": {"pending_bytes": 0}}
QUERY = {"id": 5, "kind": "last", "points": [1, 7]}


def join(buffers: object) -> bytes:
    return b"".join(bytes(buffer) for buffer in buffers)  # type: ignore[attr-defined]


def record(kind: RecordKind, payload: bytes, number: int = 0, origin: Origin = OWN) -> bytes:
    return join(
        encode_record(
            kind,
            [payload],
            sequence=4711,
            receive_ns=T0 + 99,
            origin=origin,
            origin_sequence=number,
        )
    )


def link(type_: LinkType, payload: bytes, lane: Lane = Lane.LIVE) -> bytes:
    return join(encode_frame(type_, [payload], 12, lane))


def live(frame: Frame, *, is_snapshot: bool) -> bytes:
    index = np.arange(len(frame), dtype=np.uint32) * 3
    return encode_values(
        frame,
        index,
        sequence=6,
        server_time_ns=T0 + 2_500_000_000,
        sid=17,
        is_snapshot=is_snapshot,
    )


def trends() -> dict[str, bytes]:
    nan = float("nan")
    envelope = EnvelopePen(
        ValueKind.FLOAT,
        np.array([1.0, nan, 2.0]),
        np.array([1.5, nan, 4.0]),
        np.array([192, 255, 64], np.uint8),
        12,
        [(T0 + 10, T0 + 20)],
        0.75,
    )
    empty = EnvelopePen(
        ValueKind.INT,
        np.full(3, nan),
        np.full(3, nan),
        np.full(3, 255, np.uint8),
        0,
        state=PenState.NO_SAMPLES,
    )
    raw = RawPen(
        ValueKind.FLOAT,
        np.array([T0, T0 + 1_500_000_000], np.int64),
        np.array([7.25, nan]),
        np.array([192, 2], np.uint8),
        [(T0 + 1, T0 + 2)],
    )
    missing = np.zeros(0)
    unknown = RawPen(
        0,
        missing.astype(np.int64),
        missing,
        missing.astype(np.uint8),
        state=PenState.NOT_FOUND,
    )
    return {
        "trend-envelope": encode_envelope([envelope, empty], T0, 10, 3, 4711),
        "trend-raw": encode_raw([raw, unknown], T0, 4711),
    }


def encoded() -> dict[str, bytes]:
    """Every golden file by its name without `.bin`."""
    batches = {name: join(encode_batch(batch)) for name, batch in BATCHES.items()}
    frames = batches["batch-frames"]
    return batches | {
        "record-batch": record(RecordKind.BATCH, frames, 77, ORIGIN),
        "record-event": record(RecordKind.EVENT, encode_event(EVENT)),
        "record-gap": record(RecordKind.GAP, encode_json(GAP)),  # type: ignore[arg-type]
        "log-file-header": encode_file_header(LogFileHeader(9, 4711, T0)),
        "watermark": encode_watermark(Watermark(42, 9, 4711, 65_536)),
        "dictionary": encode_dictionary(ENTRIES),
        "checkpoint": encode_checkpoint(INTERVALS),
        "link-hello": link(LinkType.HELLO, encode_json(HELLO)),  # type: ignore[arg-type]
        "link-dictionary": link(LinkType.DICTIONARY, encode_dictionary(ENTRIES)),
        "link-batch": link(
            LinkType.BATCH, join(encode_batch_payload(BATCHES["batch-frames"])), Lane.BACKLOG
        ),
        "link-acknowledge": link(LinkType.ACKNOWLEDGE, encode_acknowledge(ACKNOWLEDGE)),
        "link-credit": link(LinkType.CREDIT, encode_credit(2**40)),
        "link-command": link(LinkType.COMMAND, seal(COMMAND, NODE_KEY)),
        "link-heartbeat": link(LinkType.HEARTBEAT, encode_json(HEARTBEAT)),  # type: ignore[arg-type]
        "link-query": link(LinkType.QUERY, encode_json(QUERY)),  # type: ignore[arg-type]
        "live-values-float": live(FLOATS, is_snapshot=True),
        "live-values-int": live(INTS, is_snapshot=False),
        "live-values-text": live(TEXTS, is_snapshot=False),
        **trends(),
    }


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, data in encoded().items():
        if not (GOLDEN / f"{name}.bin").exists():
            (GOLDEN / f"{name}.bin").write_bytes(data)
