"""The signed envelope in which a command travels to the field process.

Bytes: 64 of Ed25519 signature, then canonical JSON (keys sorted). The signature
covers a domain text and the JSON, so that a signature of the same key over
anything else can never be taken for a command.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import isfinite
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import orjson

from penstock.commands.command import Value
from penstock.model.point import KIND_BY_NAME, NAME_BY_KIND
from penstock.security.keys import verify_signature

if TYPE_CHECKING:
    from collections.abc import Container

    from penstock.model import ValueKind

ENVELOPE_VERSION = 2
ENVELOPE_BYTES_MAX = 128 * 1024
SIGNATURE_BYTES = 64
_DOMAIN = b"penstock command envelope 1\0"


class Signer(Protocol):
    """The node's key."""

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """What may be written, until when, and on whose behalf; `sequence` is the log's SENT record.

    `value` is written; `held` is what the device then shows.
    """

    id: str
    point: str
    kind: ValueKind
    value: Value
    held: Value
    tolerance: float
    author: str
    reason: str
    node: str
    sequence: int
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The envelope if it may be acted upon, else why not: signature, expired, used or form."""

    envelope: Envelope | None
    problem: str = ""


def seal(envelope: Envelope, signer: Signer) -> bytes:
    """Signed bytes."""
    document = asdict(envelope) | {
        "version": ENVELOPE_VERSION,
        "kind": NAME_BY_KIND[envelope.kind],
        "value": _text(envelope.value),
        "held": _text(envelope.held),
    }
    body = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
    return signer.sign(_DOMAIN + body) + body


def verify(data: bytes, public_key: bytes, now_ns: int, used_ids: Container[str]) -> Verdict:
    """Signature first: nothing of an unsigned envelope is parsed."""
    if not SIGNATURE_BYTES < len(data) <= ENVELOPE_BYTES_MAX:
        return Verdict(None, "form")
    signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
    if not verify_signature(public_key, signature, _DOMAIN + body):
        return Verdict(None, "signature")
    envelope = _parsed(body)
    if envelope is None:
        return Verdict(None, "form")
    if now_ns >= envelope.expires_ns:
        return Verdict(None, "expired")
    if envelope.id in used_ids:
        return Verdict(None, "used")
    return Verdict(envelope)


def command_id(data: bytes) -> str | None:
    """The id an envelope claims to have, for the answer to it; proves nothing."""
    envelope = _parsed(data[SIGNATURE_BYTES:])
    return None if envelope is None else envelope.id


def _parsed(body: bytes) -> Envelope | None:
    try:
        document = orjson.loads(body)
        if not isinstance(document, dict) or document.pop("version") != ENVELOPE_VERSION:
            return None
        kind = KIND_BY_NAME[document.pop("kind")]
        value, held = (_value(kind, document.pop(name)) for name in ("value", "held"))
        envelope = Envelope(kind=kind, value=value, held=held, **document)
        UUID(envelope.id), UUID(envelope.point)
        if not float(envelope.tolerance) >= 0.0:
            return None
        if any(type(number) is not int for number in (envelope.expires_ns, envelope.sequence)):
            return None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return envelope


def _text(value: Value) -> str:
    return value if isinstance(value, str) else repr(value)


def _value(kind: ValueKind, text: object) -> Value:
    if not isinstance(text, str):
        raise TypeError("a value travels as text")
    if kind.name == "TEXT":
        return text
    if kind.name == "INT":
        return int(text)
    number = float(text)
    if not isfinite(number):
        raise ValueError("not finite")
    return number
