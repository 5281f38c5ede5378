"""Whom a client trusts over TLS: the node's authority by its file or by its fingerprint.

There is no way to switch the check off. A fingerprint is enough, because the node sends
its authority along: it is taken from a first connection on which nothing is said,
compared, and from then on every connection is checked against it, name and dates too.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from typing import TYPE_CHECKING

from penstock.client.errors import Unreachable, Untrusted

if TYPE_CHECKING:
    from pathlib import Path

    from penstock.client.wire import Target

_FINGERPRINT = re.compile(r"(?:[0-9a-f]{2}:?){31}[0-9a-f]{2}")


def context_of(
    target: Target, ca: str | Path | None, fingerprint: str, timeout_s: float
) -> ssl.SSLContext:
    """Checks certificates against `ca` (a PEM file), `fingerprint`, or the system's authorities.

    Untrusted if no certificate of the server has the fingerprint.
    """
    if fingerprint:
        pem = _with_fingerprint(target, fingerprint, timeout_s)
        context = ssl.create_default_context(cadata=pem)
        # The pinned certificate may be the server's own, that no authority has signed.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def digits_of(fingerprint: str) -> str:
    """64 hexadecimal digits of a SHA-256 fingerprint; ValueError if it is none."""
    plain = fingerprint.strip().lower()
    if not _FINGERPRINT.fullmatch(plain):
        raise ValueError(f"{fingerprint!r} is no SHA-256 fingerprint of 32 bytes.")
    return plain.replace(":", "")


def _with_fingerprint(target: Target, fingerprint: str, timeout_s: float) -> str:
    """The certificate that the server sends and that has this fingerprint, as PEM."""
    wanted = digits_of(fingerprint)
    chain = _chain(target, timeout_s)
    for certificate in chain:
        if hashlib.sha256(certificate).hexdigest() == wanted:
            return ssl.DER_cert_to_PEM_cert(certificate)
    shown = ", ".join(hashlib.sha256(certificate).hexdigest() for certificate in chain)
    raise Untrusted(
        f"No certificate of {target} has the fingerprint {fingerprint}; it sent {shown}. "
        "Compare it with what `penstock doctor` names on the node."
    )


def _chain(target: Target, timeout_s: float) -> list[bytes]:
    """Certificates (DER) that the server sends; nothing is sent to it and nothing believed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # only to read the certificates, see above
    try:
        with (
            socket.create_connection((target.host, target.port), timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=target.host) as connection,
        ):
            return _sent(connection)
    except OSError as error:
        raise Unreachable(f"Nothing answers at {target} ({error}).") from error


def _sent(connection: ssl.SSLSocket) -> list[bytes]:
    """The whole chain; Python says it publicly from 3.13 on."""
    public = getattr(connection, "get_unverified_chain", None)
    if public is not None:
        return [bytes(certificate) for certificate in public()]
    inner = connection._sslobj  # type: ignore[attr-defined] # noqa: SLF001
    chain = inner.get_unverified_chain() or []
    return [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in chain]
