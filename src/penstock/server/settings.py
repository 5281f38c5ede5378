"""Addresses and limits of the server; the defaults are the product's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; port 0 lets the operating system choose, and the choice is reported."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`http` must be a loopback address; None switches a listener off.

    `names` are further host names by which browsers may call this node; they go
    into the certificate and into the Host check. `body_bytes_by_path` raises the
    limit below a path prefix. `uploads` are exact paths whose body goes to the disk as it
    comes: its size there, and time as long as it comes.
    """

    http: Address | None = Address("127.0.0.1", 8080)
    https: Address | None = Address("127.0.0.1", 8443)
    unix: Path | None = None
    names: tuple[str, ...] = ()
    body_bytes_max: int = MEBIBYTE
    body_bytes_by_path: Mapping[str, int] = field(default_factory=dict)
    uploads: Mapping[str, int] = field(default_factory=dict)
    request_timeout_s: float = 30.0
    requests_per_s: float = 200.0
    requests_burst: int = 600
    connections_max: int = 1_000
    first_request_timeout_s: float = 10.0
    idle_timeout_s: int = 75
    stop_timeout_s: int = 4
