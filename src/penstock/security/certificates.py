"""TLS certificates: the built-in authority, or the customer's own certificate.

The authority (P-256, 10 years) signs one server certificate (90 days, renewed
30 days before its end). A renewed chain is loaded into the live context, so
that no connection is cut for it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from penstock.model import ConfigError, ConfigProblem
from penstock.world import SystemDisk

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.world import Clock, Disk

AUTHORITY_DAYS = 3_650
SERVER_DAYS = 90
RENEW_DAYS = 30
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """What the System page shows of one certificate."""

    name: str
    not_after_ns: int
    days_left: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Files that a TLS context loads."""

    certificate: Path
    key: Path


class Certificates:
    """Makes, renews and loads; `own` is the customer's chain and switches the authority off."""

    def __init__(
        self,
        folder: Path,
        names: Iterable[str],
        clock: Clock,
        own: Chain | None = None,
        disk: Disk | None = None,
    ) -> None:
        self._folder = folder
        self._names = tuple(dict.fromkeys(("localhost", "127.0.0.1", "::1", *names)))
        self._clock = clock
        self._own = own
        self._disk = disk or SystemDisk()
        self._context: ssl.SSLContext | None = None

    @property
    def authority(self) -> Path:
        """The file to import into browsers and devices."""
        return self._folder / "authority.crt"

    @property
    def names(self) -> tuple[str, ...]:
        """Host names and addresses in the server certificate."""
        return self._names

    def context(self) -> ssl.SSLContext:
        """The server's TLS context, made once: TLS 1.2 and newer, forward secrecy only."""
        if self._context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers(CIPHERS)
            context.set_alpn_protocols(["http/1.1"])
            context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
            self._load(context)
            self._context = context
        return self._context

    def renew_if_due(self) -> bool:
        """Make and load a new server certificate when the old one nears its end or lacks a name."""
        if self._own is not None or not self._is_due():
            return False
        if self._context is not None:
            self._load(self._context)
        return True

    def fingerprint(self) -> str:
        """SHA-256 of the authority's certificate, for comparing by eye."""
        certificate = x509.load_pem_x509_certificate(self._disk.read(self.authority))
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest().upper()
        return ":".join(digest[index : index + 2] for index in range(0, len(digest), 2))

    def status(self) -> list[CertificateStatus]:
        """The certificates in use and how long they last."""
        paths = [self._own.certificate] if self._own else [self.authority, self._server.certificate]
        return [self._status(path) for path in paths if path.is_file()]

    @property
    def _server(self) -> Chain:
        return Chain(self._folder / "server.crt", self._folder / "server.key")

    def _load(self, context: ssl.SSLContext) -> None:
        chain = self._own or self._made()
        try:
            context.load_cert_chain(chain.certificate, chain.key)
        except (OSError, ssl.SSLError) as error:
            message = f"does not load ({error}). Give a PEM certificate chain and its key."
            raise ConfigError([ConfigProblem(str(chain.certificate), message)]) from error

    def _made(self) -> Chain:
        """The server's chain, made when there is none or it is due."""
        if self._is_due():
            authority, key = self._open_authority()
            self._make_server(authority, key)
        return self._server

    def _is_due(self) -> bool:
        if not (self._server.certificate.is_file() and self._server.key.is_file()):
            return True
        certificate = self._read(self._server.certificate)
        left = certificate.not_valid_after_utc - self._now()
        return left < dt.timedelta(days=RENEW_DAYS) or not _has(certificate, self._names)

    def _open_authority(self) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key_path = self._folder / "authority.key"
        if not (self.authority.is_file() and key_path.is_file()):
            return self._make_authority(key_path)
        key = load_pem_private_key(self._disk.read(key_path), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return self._read(self.authority), key

    def _make_authority(
        self, key_path: Path
    ) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Penstock authority of {socket.gethostname()}")
        usage = x509.KeyUsage(
            digital_signature=False, content_commitment=False, key_encipherment=False,
            data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
            encipher_only=False, decipher_only=False,
        )  # fmt: skip
        certificate = (
            self._builder(name, name, key.public_key(), AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .sign(key, hashes.SHA256())
        )
        self._store(key_path, self.authority, key, [certificate])
        return certificate, key

    def _make_server(
        self, authority: x509.Certificate, authority_key: ec.EllipticCurvePrivateKey
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        alternatives = x509.SubjectAlternativeName([_general(name) for name in self._names])
        server_only = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        certificate = (
            self._builder(_name("Penstock"), authority.subject, key.public_key(), SERVER_DAYS)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(server_only, critical=False)
            .add_extension(identifier, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        self._store(self._server.key, self._server.certificate, key, [certificate, authority])

    def _builder(
        self, subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
    ) -> x509.CertificateBuilder:
        """An hour of tolerance, because the browser's clock may be behind."""
        now = self._now()
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=days))
        )

    def _store(
        self,
        key_path: Path,
        certificate_path: Path,
        key: ec.EllipticCurvePrivateKey,
        certificates: list[x509.Certificate],
    ) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = [certificate.public_bytes(Encoding.PEM) for certificate in certificates]
        self._disk.write_whole(key_path, [pem])
        self._disk.write_whole(certificate_path, chain)

    def _status(self, path: Path) -> CertificateStatus:
        end = self._read(path).not_valid_after_utc
        left = end - self._now()
        return CertificateStatus(path.stem, int(end.timestamp()) * 1_000_000_000, left.days)

    def _read(self, path: Path) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self._disk.read(path))

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.now_ns() / 1e9, dt.UTC)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _has(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    return {_general(name) for name in names} <= set(extension.value)
