"""Everything that can be known to be wrong without connecting: settings, plant, rules, protocols.

`penstock check` and the start ask here, so that both say the same; core asks
its field process again at apply, because that one runs the connectors.
"""

from __future__ import annotations

import ipaddress
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError

from penstock.config.loader import FOLDER, load_plant
from penstock.config.settings import load_settings
from penstock.historian.retention import unused
from penstock.model import ConfigError, ConfigProblem
from penstock.node.configuration import field_document, placeholder_id, system_points
from penstock.node.field.configuration import plan_connectors
from penstock.node.settings import Settings
from penstock.registry.plan import plan_registry
from penstock.registry.store import load_points
from penstock.rules.config import load_rules, read_rule_files
from penstock.state import needs_migration
from penstock.state.engine import open_readers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.config import Plant
    from penstock.node.home import Home
    from penstock.node.settings import ListenSettings
    from penstock.registry.plan import RegistryPlan, StoredPoint

_NO_NODE = UUID(int=0)
PORT_MAX = 65_535
SIMULATED_PLUGIN = "modbus"
MODBUS_PORT = 502


@dataclass(frozen=True, slots=True)
class Checked:
    """What a home holds, and what is wrong with it; warnings do not stop a start."""

    plant: Plant
    points: int
    rules: int
    problems: tuple[ConfigProblem, ...]
    warnings: tuple[ConfigProblem, ...]

    @property
    def simulator_port(self) -> int | None:
        """Port of this machine where the plant expects the demonstration simulator."""
        for entry in self.plant.connectors:
            host, port = entry.settings.get("host"), entry.settings.get("port", MODBUS_PORT)
            is_ours = entry.enabled and entry.simulated and entry.plugin == SIMULATED_PLUGIN
            if is_ours and host in ("127.0.0.1", "localhost") and isinstance(port, int):
                return port
        return None


def check_home(home: Home, node: UUID = _NO_NODE) -> Checked:
    """Check everything; nothing is written, opened for writing, bound or connected."""
    problems: list[ConfigProblem] = []
    try:
        settings = load_settings(home.root, Settings)
        problems += _listen_problems(settings.server)
    except ConfigError as error:
        settings = Settings()
        problems += error.problems
    plant = load_plant(home.root)
    devices, found = _plan_connectors(plant)
    problems += [*plant.problems, *found]
    simulated = {entry.name for entry in plant.connectors if entry.simulated}
    numbers = itertools.count(1)  # stand for the ids of points that have none yet
    planned = plan_registry(
        _stored_points(home),
        plant,
        system_points(settings.node.name, devices, simulated),
        {},
        node=node,
        new_id=lambda: UUID(int=next(numbers)),
    )
    problems += planned.problems
    problems += _unused_retention(settings, planned)
    files = read_rule_files(home.root / FOLDER / "rules")
    rules = load_rules(files, planned.points)
    problems += rules.problems
    return Checked(
        plant,
        len(planned.points),
        len(rules.rules),
        tuple(problem for problem in problems if not problem.is_warning),
        tuple(problem for problem in problems if problem.is_warning),
    )


def address_problem(key: str, text: str, *, is_plaintext: bool) -> ConfigProblem | None:
    """Why `text` is no address to listen on; an empty one switches the listener off."""
    host, _, port = text.rpartition(":")
    if not text:
        return None
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        message = f"{text!r} is no address; write host:port, for example 127.0.0.1:8080."
        return ConfigProblem(key, message)
    if is_plaintext and _is_off_machine(host.strip("[]")):
        return ConfigProblem(
            key,
            f"{text} is not a loopback address, and passwords would cross the network in clear. "
            "Use 127.0.0.1 there, and https for all other addresses.",
        )
    return None


def _is_off_machine(host: str) -> bool:
    """Of an address; what a name means is known only when it is bound."""
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen_problems(settings: ListenSettings) -> list[ConfigProblem]:
    place = "penstock.toml: server"
    found = [
        address_problem(f"{place}.http", settings.http, is_plaintext=True),
        address_problem(f"{place}.https", settings.https, is_plaintext=False),
    ]
    problems = [problem for problem in found if problem is not None]
    if bool(settings.certificate) != bool(settings.key):
        problems.append(ConfigProblem(place, "certificate and key belong together; give both."))
    for name, path in (("certificate", settings.certificate), ("key", settings.key)):
        if path and not Path(path).is_file():
            problems.append(ConfigProblem(f"{place}.{name}", f"there is no file {path}."))
    return problems


def _unused_retention(settings: Settings, planned: RegistryPlan) -> list[ConfigProblem]:
    """A rule that counts for no point is nearly always a typo in its pattern."""
    rules = settings.historian.retention
    types = {asset.path: asset.type for asset in planned.assets}
    points = [(point, types.get(point.asset)) for point in planned.points]
    message = "counts for no point: no path fits, or an earlier rule takes them all."
    return [
        ConfigProblem(f"penstock.toml: historian.retention.{n}", message, is_warning=True)
        for n in unused(rules, points)
    ]


def _plan_connectors(plant: Plant) -> tuple[list[tuple[str, str]], list[ConfigProblem]]:
    """(connector, device) of all lines; each connector is checked by its own plugin."""
    devices: list[tuple[str, str]] = []
    plans, problems = plan_connectors(field_document(plant, placeholder_id, ()))
    for plan in plans.values():
        devices += [(plan.name, device) for line in plan.lines for device in line.devices]
    return devices, problems


def _stored_points(home: Home) -> Sequence[StoredPoint]:
    """What the registry knows; nothing before the first start or before a migration."""
    if not Path(make_url(home.state_url).database or "").is_file():
        return ()
    try:
        if needs_migration(home.state_url):
            return ()
        engine = open_readers(home.state_url)
        try:
            with engine.connect() as connection:
                return load_points(connection)
        finally:
            engine.dispose()
    except DatabaseError:
        return ()
