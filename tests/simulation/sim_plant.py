"""What the outside sends: batches over links, requests at doors, events; seeded, never sorted.

A sender is the product's own Uplink. It numbers batches, keeps what is not
acknowledged, and sends it again over the next link; when it dies, what it kept dies.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
from sim_core import NODE, POINTS, Core, SimSession
from sim_oracle import Oracle

from penstock.codec.dictionary import DictionaryEntry, encode_dictionary
from penstock.codec.link import LinkType, decode_acknowledge, decode_credit
from penstock.link.downlink import CREDIT_WINDOW_BYTES, Downlink
from penstock.link.uplink import Uplink
from penstock.model import Flag, Frame, NotConnected, Origin, Quality, TextColumn, ValueKind

SECOND_NS = 1_000_000_000
# Before every clock that the simulated core may have: a plant from ahead would be doubted.
START_NS = 100_000 * SECOND_NS
# Before all others; times from ahead have tests of their own (test_ahead.py).
FAR_NS = (0, 1_000 * SECOND_NS)
FLOATS = (0.0, -0.0, 1.5, 0.1, 1 / 3, float("inf"), float("-inf"), float("nan"), 1e300, 5e-324)
INTS = (0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63))
TEXTS = ("", "RUN", "STOP", "Störung", "=1+1", "x" * 40)
QUALITIES = (192, 192, 192, 192, int(Quality.UNCERTAIN_SIMULATED), int(Quality.BAD_SENSOR_FAILURE))
FLAGS = (0, 0, 0, 1, int(Flag.HISTORICAL))
BY_KIND = {
    kind: [handle for handle, (_, of) in POINTS.items() if of is kind]
    for kind in (ValueKind.FLOAT, ValueKind.INT, ValueKind.TEXT)
}
OFFSET = 20  # handles of a sender are others than those of the core


@dataclass
class Source:
    """Makes frames whose rows meet each other: late, repeated, corrected, far away."""

    chance: random.Random
    now_s: int = 0
    made: list[Frame] = field(default_factory=list)

    def frames(self) -> tuple[Frame, ...]:
        """One or two kinds; now and then the very rows that were sent before."""
        chance = self.chance
        if self.made and chance.random() < 0.08:
            return (chance.choice(self.made),)
        kinds = sorted(chance.sample(list(BY_KIND), 1 if chance.random() < 0.8 else 2))
        frames = tuple(self._frame(ValueKind(kind)) for kind in kinds)
        self.made = [*self.made[-20:], *frames]
        return frames

    def _frame(self, kind: ValueKind) -> Frame:
        chance = self.chance
        rows = chance.choice((1, 2, 3, 8, 20))
        point = [chance.choice(BY_KIND[kind]) for _ in range(rows)]
        time_ns = [self._time() for _ in range(rows)]
        is_correction = chance.random() < 0.1
        flags = [
            int(Flag.CORRECTION) if is_correction else chance.choice(FLAGS) for _ in range(rows)
        ]
        return Frame(
            np.array(point, np.uint32),
            np.array(time_ns, np.int64),
            _values(kind, rows, chance),
            np.array([chance.choice(QUALITIES) for _ in range(rows)], np.uint8),
            np.array(flags, np.uint8),
        )

    def _time(self) -> int:
        roll = self.chance.random()
        if roll < 0.7:
            self.now_s += 1
            return START_NS + self.now_s * SECOND_NS + self.chance.randrange(3)
        if roll < 0.99:
            return START_NS + self.chance.randint(0, self.now_s) * SECOND_NS
        return self.chance.choice(FAR_NS)


def _values(kind: ValueKind, rows: int, chance: random.Random) -> np.ndarray | TextColumn:  # type: ignore[type-arg]
    if kind is ValueKind.TEXT:
        return TextColumn.of(chance.choice(TEXTS) for _ in range(rows))
    if kind is ValueKind.INT:
        return np.array(
            [chance.choice((chance.choice(INTS), chance.randrange(5))) for _ in range(rows)],
            np.int64,
        )
    return np.array(
        [
            chance.choice(FLOATS) if chance.random() < 0.2 else chance.randrange(40) / 4
            for _ in range(rows)
        ],
        np.float64,
    )


@dataclass
class Link:
    """A stream between one sender and one life of core; both directions keep their order."""

    uplink: Uplink
    downlink: Downlink
    up: SimSession
    down: SimSession
    is_up: bool = True

    def deliver_up(self, *, twice: bool) -> bool:
        """One frame to core; False when the stream has to end."""
        type_, payload = self.up.frames.popleft()
        for _ in range(2 if twice and type_ == LinkType.BATCH else 1):
            try:
                if type_ == LinkType.DICTIONARY:
                    self.downlink.on_dictionary(payload)
                else:
                    self.downlink.on_batch(payload)
            except NotConnected:
                return False
        return True

    def deliver_down(self) -> None:
        """One frame to the sender."""
        type_, payload = self.down.frames.popleft()
        if type_ == LinkType.ACKNOWLEDGE:
            self.uplink.on_acknowledge(decode_acknowledge(payload))
        else:
            self.uplink.on_credit(decode_credit(payload))


class Sender:
    """A field process: its origin is new at every start."""

    def __init__(self, slot: int, oracle: Oracle, chance: random.Random) -> None:
        self.slot = slot
        self.source = Source(chance)
        self.incarnation = 0
        self.link: Link | None = None
        self._oracle = oracle
        self.start()

    def start(self) -> None:
        """A new life; what the last one had not handed over is gone."""
        self.incarnation += 1
        origin = Origin(NODE, self.slot, self.incarnation)
        self.uplink = Uplink(origin, window_bytes_max=64 * 1024)
        self.link = None

    def put(self) -> None:
        """One batch, if there is room."""
        if not self.uplink.has_room:
            return
        frames = self.source.frames()
        own = [frame.with_points(frame.point + np.uint32(OFFSET + self.slot)) for frame in frames]
        key = (self.uplink.origin, self.uplink._sequence + 1)
        self._oracle.sent[key] = frames
        assert self.uplink.put(own) == key[1]

    def connect(self, core: Core) -> Link:
        """A new stream; the dictionary goes first, then everything that waits."""
        downlink, down = core.downlink()
        up = SimSession()
        entries = [
            DictionaryEntry(handle + OFFSET + self.slot, id_, kind, f"p{handle}")
            for handle, (id_, kind) in POINTS.items()
        ]
        up.send(LinkType.DICTIONARY, [encode_dictionary(entries)])
        self.link = Link(self.uplink, downlink, up, down)
        self.uplink.attach(up, CREDIT_WINDOW_BYTES)  # type: ignore[arg-type]
        return self.link

    def disconnect(self) -> None:
        """Nothing more goes out over this stream."""
        if self.link is not None:
            self.uplink.detach()
            self.link.is_up = False
            self.link = None
