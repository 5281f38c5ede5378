"""Event to canonical JSON and back: keys sorted, so that equal events are equal bytes."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from penstock.codec.layout import Buffer, Damaged
from penstock.model import Event
from penstock.model.event import EVENT_BYTES_MAX


def encode_event(event: Event) -> bytes:
    """Canonical JSON of at most 64 KiB."""
    payload = orjson.dumps(asdict(event), option=orjson.OPT_SORT_KEYS)
    assert len(payload) <= EVENT_BYTES_MAX, f"event {event.type} of {len(payload)} bytes"
    return payload


def decode_event(payload: Buffer) -> Event:
    """Damaged unless it is an event; unknown keys of a newer schema are left out."""
    try:
        document = orjson.loads(payload)
        known = {key: document[key] for key in Event.__slots__ if key in document}
        return Event(**known)
    except (orjson.JSONDecodeError, TypeError) as error:
        raise Damaged(f"event: {error}") from error
