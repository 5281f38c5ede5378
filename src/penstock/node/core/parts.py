"""What core is made of, opened in the order in which one needs the other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penstock import __version__
from penstock.historian import Historian, HistorianWorker
from penstock.log import Log
from penstock.model import Origin
from penstock.registry import Registry
from penstock.security import Security, key_folder, open_keys
from penstock.security.certificates import Certificates, Chain
from penstock.security.wire import Facts, NodeFacts, PlantFacts
from penstock.server.listen import bind
from penstock.server.settings import Address, ServerSettings
from penstock.state import State
from penstock.world import SystemClock, SystemDisk

if TYPE_CHECKING:
    from penstock.node.home import Home
    from penstock.node.settings import ListenSettings, Settings
    from penstock.security import NodeKeys
    from penstock.server.listen import Bound
    from penstock.world import Clock, Disk

SLOT = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """The stores and doors of a core process."""

    home: Home
    settings: Settings
    clock: Clock
    disk: Disk
    keys: NodeKeys
    bound: Bound
    listen: ServerSettings
    certificates: Certificates
    state: State
    security: Security
    log: Log
    historian: HistorianWorker
    registry: Registry
    origin: Origin

    def facts(self, ui_build: str, is_simulated: bool) -> Facts:
        """What every page may know before anybody has logged in."""
        plant = self.settings.plant
        return Facts(
            version=__version__,
            ui_build=ui_build,
            plant=PlantFacts(
                name=plant.name,
                simulated=is_simulated,
                zone=plant.zone,
                language="de" if plant.language == "de" else "en",
            ),
            node=NodeFacts(id=str(self.keys.node), name=self.settings.node.name),
        )


async def open_parts(home: Home, settings: Settings) -> Parts:
    """Bind first, so that a busy port is said at once; then open what lies on disk."""
    clock, disk = SystemClock(), SystemDisk()
    listen = listen_settings(settings, home.socket)
    bound = bind(listen)
    keys = open_keys(key_folder(home.key_name()))
    certificates = Certificates(
        keys.folder, settings.server.names, clock, _own_chain(settings.server)
    )
    state = State.open(home.state_url)
    security = Security(state, keys, clock=clock)
    origin = Origin(keys.node, SLOT, clock.now_ns())
    log = await Log.open(home.log, disk=disk, clock=clock, origin=origin, settings=settings.log)
    span = log.first_sequence, log.durable
    opened = Historian.open(disk, home.segments, settings.historian, span)
    historian = HistorianWorker(opened, log, clock)
    registry = Registry(state, clock, keys.node)
    return Parts(
        home,
        settings,
        clock,
        disk,
        keys,
        bound,
        listen,
        certificates,
        state,
        security,
        log,
        historian,
        registry,
        origin,
    )


def listen_settings(settings: Settings, unix: Path) -> ServerSettings:
    """Addresses of penstock.toml, overridden by the environment (tests, `penstock up --http`)."""
    server = settings.server
    return ServerSettings(
        http=_address(os.environ.get("PENSTOCK_HTTP", server.http)),
        https=_address(os.environ.get("PENSTOCK_HTTPS", server.https)),
        unix=unix,
        names=server.names,
        uploads={"/api/v1/imports": settings.imports.file_bytes_max},
    )


def _address(text: str) -> Address | None:
    if not text:
        return None
    host, _, port = text.rpartition(":")
    return Address(host.strip("[]"), int(port))


def _own_chain(settings: ListenSettings) -> Chain | None:
    if not settings.certificate:
        return None
    return Chain(Path(settings.certificate), Path(settings.key))
